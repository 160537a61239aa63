package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sourcegraph/conc/pool"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
)

// writesAtOnce bounds the lease writes and creations that a worker has under way at a time, renewals aside.
const writesAtOnce = 64

// takeAttempts is how often a take is tried that the table refuses for lack of capacity, before the next listing decides.
const takeAttempts = 4

// scanEvery is the time between two listings of the lease table: a tenth of the lease duration, so that what others do
// is seen soon beside the time in which leases expire.
func (w *Worker) scanEvery() time.Duration {
	return min(max(w.cfg.LeaseDuration/10, 100*time.Millisecond), time.Second)
}

// A planner turns listings of the lease table into takes, requests and notices.
type planner struct {
	w     *Worker
	watch assign.Watch
	fresh bool
}

func (w *Worker) planLoop(ctx context.Context) {
	p := &planner{w: w, fresh: true}
	for failed := 0; ctx.Err() == nil; {
		pause := w.scanEvery()*3/4 + w.clock.Jitter(w.scanEvery()/4) // never in step with others, nor with what troubles the table
		started := w.clock.Now()
		if err := p.round(ctx); err != nil && ctx.Err() == nil {
			failed++
			err = fmt.Errorf("plan: %w", err)
			w.log.Warn("survived", zap.Error(brief(err)))
			w.survive(ShardInfo{Application: w.cfg.Application, Worker: w.cfg.WorkerID}, err)
			pause = max(pause, w.clock.Backoff(failed, 100*time.Millisecond, w.cfg.LeaseDuration/3))
		} else {
			failed = 0
		}
		pause = max(pause, 3*w.clock.Since(started)) // a large table must not be read all the time
		timer := w.clock.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-w.poke:
			_ = w.clock.Sleep(ctx, gather) // ctx is looked at next
		case <-timer.C:
		}
		timer.Stop()
	}
}

// gather is how long a plan that something has asked for waits for more of the kind: shards often end together.
const gather = 10 * time.Millisecond

// round lists the table, decides, and acts.
func (p *planner) round(ctx context.Context) error {
	w := p.w
	rows, err := w.cfg.Leases.List(ctx)
	if err != nil && !errors.Is(err, lease.ErrDamaged) {
		return err
	}
	damaged := err
	rows, err = w.mine(rows)
	if err != nil {
		return err
	}
	snapshot := assign.Snapshot{
		Worker: w.cfg.WorkerID, Leases: rows, Held: w.held(), Fresh: p.fresh, Duration: w.cfg.LeaseDuration,
		MaxLeases: w.cfg.MaxLeases, Seed: w.clock.Uint64(),
	}
	p.watch.Observe(&snapshot, w.clock.Now())
	plan := assign.Decide(snapshot)
	p.fresh = false
	w.noteFleet(rows)
	w.noteTwins(plan.Twins)
	for _, row := range plan.Wanted {
		if t := w.tenure(row.Key); t != nil {
			t.keeper.Notice(row)
		}
	}
	p.act(ctx, plan)
	return damaged
}

// act carries the plan out. That a write is refused because the row has changed is ordinary.
func (p *planner) act(ctx context.Context, plan assign.Plan) {
	w := p.w
	writes := pool.New().WithMaxGoroutines(writesAtOnce)
	for _, row := range plan.Take {
		if w.tenure(row.Key) != nil || ctx.Err() != nil { // a processor of a tenure before has not returned yet
			continue
		}
		writes.Go(func() { p.take(ctx, row) })
	}
	for _, row := range plan.Ask {
		writes.Go(func() { p.ask(ctx, row) })
	}
	writes.Wait()
}

func (p *planner) take(ctx context.Context, row lease.Lease) {
	w := p.w
	src := w.source(row.Stream)
	if src == nil {
		return
	}
	sent := w.clock.Now()
	// A take that is under way when the worker stops is carried through, so that the lease can be released at once.
	tctx, cancel := w.clock.WithTimeout(context.WithoutCancel(ctx), w.cfg.LeaseDuration/3, errTake)
	defer cancel()
	taken, err := w.cfg.Leases.Take(tctx, row, w.cfg.WorkerID)
	for attempt := 1; errors.Is(err, lease.ErrThrottled) && attempt < takeAttempts && ctx.Err() == nil; attempt++ {
		if w.clock.Sleep(tctx, w.clock.Backoff(attempt, 20*time.Millisecond, 200*time.Millisecond)) != nil {
			break
		}
		sent = w.clock.Now()
		taken, err = w.cfg.Leases.Take(tctx, row, w.cfg.WorkerID)
	}
	if err != nil {
		if ctx.Err() == nil {
			p.refused("take lease", row, err)
		}
		return
	}
	w.log.Info("lease taken", zap.String("shard", row.Shard), zap.String("from", row.Holder()), zap.Stringer("checkpoint", taken.Checkpoint))
	w.begin(taken, src, sent)
}

func (p *planner) ask(ctx context.Context, row lease.Lease) {
	w := p.w
	w.mu.Lock()
	w.asked[row.Key] = true
	w.mu.Unlock()
	if _, err := w.cfg.Leases.Ask(ctx, row, w.cfg.WorkerID); err != nil && ctx.Err() == nil {
		p.refused("ask for lease", row, err)
	}
}

// giveBack releases, once all tenures have ended, the leases that this worker had asked for and that come to it now:
// nobody else would take them before they expire. It waits for those whose holders have not finished, a quarter of the
// drain bound at most, and does without a table that does not answer.
func (w *Worker) giveBack() {
	ctx, cancel := w.clock.WithTimeout(w.life, w.cfg.DrainTimeout/4, errTake)
	defer cancel()
	for len(w.asked) > 0 {
		rows, err := w.cfg.Leases.List(ctx)
		if err != nil {
			w.log.Warn("leases asked for are left to expire", zap.Error(brief(err)))
			return
		}
		pending := false
		for _, row := range rows {
			if !w.asked[row.Key] || row.Owner != w.cfg.WorkerID || row.Finished() {
				continue
			}
			if row.CheckpointOwner == "" {
				err = w.passOn(ctx, row)
			}
			pending = pending || row.CheckpointOwner != "" || err != nil
		}
		if !pending || w.clock.Sleep(ctx, w.scanEvery()/4) != nil {
			return
		}
	}
}

// passOn takes a lease that came over too late and releases it to nobody.
func (w *Worker) passOn(ctx context.Context, row lease.Lease) error {
	taken, err := w.cfg.Leases.Take(ctx, row, w.cfg.WorkerID)
	if err == nil {
		_, err = w.cfg.Leases.Release(ctx, taken, w.cfg.WorkerID, "")
	}
	if errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrNotFound) {
		return nil
	}
	return err
}

var errTake = errors.New("lease table did not answer in time")

// refused notes a write that failed; one that lost a race is no error.
func (p *planner) refused(what string, row lease.Lease, err error) {
	err = fmt.Errorf("%s of %s: %w", what, row.Shard, err)
	if errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrNotFound) {
		p.w.log.Debug("another worker was quicker", zap.Error(err))
		return
	}
	p.w.log.Warn("survived", zap.Error(brief(err)))
	p.w.survive(ShardInfo{Application: p.w.cfg.Application, Shard: row.Shard, Worker: p.w.cfg.WorkerID}, err)
}

// mine is the rows of the streams that this worker reads. Rows of the other modality mean that the table belongs to an
// application that reads one stream where this one reads several, or the other way round.
func (w *Worker) mine(rows []lease.Lease) ([]lease.Lease, error) {
	several := len(w.sources) > 1
	kept := rows[:0]
	for _, row := range rows {
		if (row.Stream != "") != several {
			return nil, fmt.Errorf("lease %q: the table holds leases of an application that reads %s, but Config.Streams has %d; "+
				"an application cannot change between the two on one table", row.Key, oneOrSeveral(!several), len(w.sources))
		}
		if w.source(row.Stream) != nil {
			kept = append(kept, row)
		}
	}
	return kept, nil
}

func oneOrSeveral(several bool) string {
	if several {
		return "several streams"
	}
	return "one stream"
}

// source is the stream that rows with this identifier belong to, nil if this worker does not read it.
func (w *Worker) source(rowStream string) *source {
	for _, s := range w.sources {
		if s.rowStream == rowStream {
			return s
		}
	}
	return nil
}

func (w *Worker) tenure(key string) *tenure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tenures[key]
}

// held is the keys of the leases that this worker holds now.
func (w *Worker) held() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := make(map[string]bool, len(w.tenures))
	for key, t := range w.tenures {
		if t.holding() {
			held[key] = true
		}
	}
	return held
}

func (w *Worker) noteFleet(rows []lease.Lease) {
	fleet, open := map[string]int{}, make(map[string]bool, len(rows))
	for i := range rows {
		if !rows[i].Finished() {
			fleet[rows[i].Owner]++
			open[rows[i].Key] = true
		}
	}
	w.mu.Lock()
	w.fleet, w.open = fleet, open
	w.mu.Unlock()
	w.listed.broadcast()
}

// unfinished reports whether the last listing of the table had a lease with this key that was not finished.
func (w *Worker) unfinished(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open[key]
}

// noteTwins reports, once, that another process works under this worker's ID.
func (w *Worker) noteTwins(keys []string) {
	if len(keys) == 0 {
		return
	}
	w.mu.Lock()
	first := !w.twin
	w.twin = true
	w.mu.Unlock()
	if !first {
		return
	}
	err := fmt.Errorf("another process works as %q: it keeps the lease %s; want a WorkerID of its own for each process", w.cfg.WorkerID, keys[0])
	w.log.Error("worker ID is not unique", zap.Error(err))
	w.survive(ShardInfo{Application: w.cfg.Application, Worker: w.cfg.WorkerID}, err)
	if h := w.cfg.Hooks.Twin; h != nil {
		h(w.cfg.WorkerID)
	}
}
