package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sourcegraph/conc/pool"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
)

// writesAtOnce bounds the lease writes and creations that a worker has under way at a time, renewals aside.
const writesAtOnce = 64

// deputies is how many standbys a leader has watch the counters of the leases, so that they can lead at once.
const deputies = 2

// A leading worker surveys the table and assigns the leases; its deputies survey it too, and assign nothing.
type leading struct {
	w      *Worker
	census assign.Census
	skewed map[string]bool // members whose clocks were reported
	damage string          // the report of rows that cannot be read, as last made
	limit  time.Duration   // for how long the next survey may take
	cost   time.Duration   // what the last one took as far as the size of the table explains it
	rows   int             // that it read
}

func (w *Worker) leadLoop(ctx context.Context) {
	l := &leading{w: w, census: assign.Census{Duration: w.cfg.LeaseDuration}, skewed: map[string]bool{}, limit: w.cfg.LeaseDuration / 3}
	var blind blindness
	for failed := 0; ctx.Err() == nil; {
		changed := w.elected.wait()
		leads := w.election.Leading()
		if !leads && !w.election.Watching() {
			l.census = assign.Census{Duration: w.cfg.LeaseDuration} // what is seen after a gap must be judged afresh
			w.await(ctx, changed)
			continue
		}
		suspect, err := l.round(ctx, leads)
		pause := l.every(leads, suspect)
		if blind.observe(leads && err != nil && !errors.Is(err, lease.ErrDamaged) && ctx.Err() == nil, w.clock.Now(), w.cfg.LeaseDuration) {
			w.stepDown()
		}
		switch {
		case errors.Is(err, lease.ErrDamaged): // the other rows were dealt with
			l.reportDamage(err)
			failed = 0
		case err != nil && ctx.Err() == nil:
			failed++
			w.trouble(fmt.Errorf("assign leases: %w", err))
			pause = max(pause, w.clock.Backoff(failed, 100*time.Millisecond, w.cfg.LeaseDuration/3))
		default:
			failed, l.damage = 0, ""
		}
		pause = max(pause, 3*l.cost) // a large table must not be read all the time
		w.pauseFor(ctx, pause, w.pokeLead, changed)
	}
}

// A blindness counts the surveys in a row that a leader could not make.
type blindness struct {
	times int
	since time.Time // of the first
}

// Who cannot survey the table three times in a row (as in Java KCL), for two lease durations at least, does not lead: its
// heartbeats may go on for ever. It lets others lead for some locks' time.
const (
	blindTimes     = 3
	blindDurations = 2
	unfitFor       = 3 * leaderDuration
)

// observe notes whether the last survey failed, and reports whether that is enough.
func (b *blindness) observe(failed bool, now time.Time, d time.Duration) bool {
	if !failed {
		*b = blindness{}
		return false
	}
	if b.times++; b.times == 1 {
		b.since = now
	}
	return b.times >= blindTimes && now.Sub(b.since) >= blindDurations*d
}

// stepDown gives the lead up, at the latest when the next heartbeat is due.
func (w *Worker) stepDown() {
	w.mu.Lock()
	w.unfit = w.clock.Now().Add(unfitFor)
	w.mu.Unlock()
	w.log.Warn("this worker leads and cannot survey the lease table; it gives the lead up")
}

func (w *Worker) isUnfit() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock.Now().Before(w.unfit)
}

// every is the time between two surveys: short while a lease looks abandoned, so that the failover that is stated is
// kept; longer where a table is large and a long lease leaves the time for it.
func (l *leading) every(leads, suspect bool) time.Duration {
	d, calm := l.w.cfg.LeaseDuration, max(time.Second, rowPause(l.rows))
	pause := min(d/10, calm)
	switch {
	case suspect:
		pause = min(d/40, 250*time.Millisecond)
	case !leads:
		pause = min(d/5, 2*calm)
	}
	pause = max(pause, 50*time.Millisecond)
	return pause*3/4 + l.w.clock.Jitter(pause/4) // never in step with what troubles the table
}

// pauseFor waits for d, or until a poke or a change comes.
func (w *Worker) pauseFor(ctx context.Context, d time.Duration, poke <-chan struct{}, changed <-chan struct{}) {
	timer := w.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-poke:
		_ = w.clock.Sleep(ctx, gather) // ctx is looked at next
	case <-changed:
	case <-timer.C:
	}
}

// await waits until changed is closed, and looks again now and then: who leads depends on the time, too, and a leader
// whose trust has lapsed for a moment, while its heartbeat was under way, does not change by that.
func (w *Worker) await(ctx context.Context, changed <-chan struct{}) {
	w.pauseFor(ctx, w.cfg.LeaseDuration/5, nil, changed)
}

// gather is how long a round that something has asked for waits for more of the kind: shards often end together.
const gather = 10 * time.Millisecond

// round surveys the table, and where this worker leads decides and acts.
func (l *leading) round(ctx context.Context, leads bool) (suspect bool, err error) {
	w := l.w
	rows, members, damaged, err := l.survey(ctx)
	if err != nil {
		return false, err
	}
	now := w.clock.Now()
	round := l.census.Observe(rows, members, now, now)
	l.reportSkew(round.Skewed)
	w.noteFleet(rows, round.Alive)
	w.noteRound(round)
	moves := assign.Lead(round, w.assignment(), w.seed)
	if !leads || !w.election.Leading() {
		return moves.Suspect, damaged
	}
	w.election.Announce(l.chooseDeputies(round.Alive), mixed(round, w.cfg.LeaseDuration))
	l.act(ctx, moves)
	return moves.Suspect, damaged
}

// rowCost is more than a survey takes for each row. What one of a small table takes beyond is the network's doing: no
// reason to wait with the next while a dead worker's leases wait for it.
const rowCost = time.Millisecond

// mostSurvey bounds how long a survey may take.
const mostSurvey = time.Minute

// survey reads the table. One without an answer is given up: a connection may be lost without a word while the heartbeats
// of the election, on another one, go on, and then nobody would assign anything. What is given up gets more time at the
// next attempt, because the table may be as large as that.
func (l *leading) survey(ctx context.Context) (rows []lease.Lease, members []lease.Member, damaged, err error) {
	w, began := l.w, l.w.clock.Now()
	limited, cancel := w.clock.WithTimeout(ctx, l.limit, errTake)
	defer cancel()
	rows, members, damaged, err = w.survey(limited)
	took := w.clock.Since(began)
	switch {
	case err == nil:
		l.limit = max(w.cfg.LeaseDuration/3, 2*took)
	case limited.Err() != nil && ctx.Err() == nil:
		l.limit = 2 * l.limit
		err = fmt.Errorf("%w: %w", errTake, err)
	}
	l.limit = min(l.limit, max(mostSurvey, w.cfg.LeaseDuration/3))
	if err == nil {
		l.rows = len(rows)
	}
	l.cost = min(took, time.Duration(len(rows))*rowCost)
	return rows, members, damaged, err
}

// assignment is what the leader goes by.
func (w *Worker) assignment() assign.Config {
	b := w.cfg.Balance
	return assign.Config{
		Duration: w.cfg.LeaseDuration, HandoverTimeout: cmp.Or(b.Handover, handoverTimeout), MaxLeases: w.cfg.MaxLeases,
		ByCount: w.cfg.BalanceByCount, MaxThroughputKBps: w.cfg.MaxThroughputKBps,
		Threshold: b.Threshold, Dampening: b.Dampening, NoOvershoot: b.NoOvershoot, Alpha: b.Alpha,
	}
}

// handoverTimeout is for how long a live worker may take to hand a lease over before the leader moves it by force
// (gracefulLeaseHandoffTimeoutMillis).
const handoverTimeout = 30 * time.Second

// chooseDeputies keeps the living among the present deputies and fills up in the order of the names.
func (l *leading) chooseDeputies(alive []lease.Member) []string {
	var names []string
	for _, m := range alive {
		if m.Worker != l.w.cfg.WorkerID {
			names = append(names, m.Worker)
		}
	}
	slices.Sort(names)
	return names[:min(deputies, len(names))]
}

// mixed reports whether a worker that is not of this library is alive: by its item, or because it keeps a lease and has
// none.
func mixed(r assign.Round, d time.Duration) bool {
	shoal := map[string]bool{}
	for _, m := range r.Members {
		shoal[m.Worker] = m.Shoal
	}
	return slices.ContainsFunc(r.Alive, func(m lease.Member) bool { return !m.Shoal }) ||
		slices.ContainsFunc(r.Leases, func(l lease.Lease) bool {
			return l.Holder() != "" && !shoal[l.Holder()] && !l.Finished() && r.Still[l.Key] < d
		})
}

// act carries the moves out. That a write is refused because the row has changed is ordinary.
func (l *leading) act(ctx context.Context, moves assign.Moves) {
	w := l.w
	writes := pool.New().WithMaxGoroutines(writesAtOnce)
	for _, m := range moves.Take {
		if m.To == w.cfg.WorkerID && w.tenure(m.Lease.Key) != nil { // a processor of a tenure before has not returned yet
			if m.To = w.roomiest(ctx); m.To == "" {
				continue
			}
		}
		writes.Go(func() { l.take(ctx, m) })
	}
	for _, m := range moves.Ask {
		if mutant.Planted(mutant.TakesInsteadOfAsk) {
			writes.Go(func() { l.take(ctx, m) })
			continue
		}
		writes.Go(func() { l.ask(ctx, m) })
	}
	for _, m := range moves.Force {
		writes.Go(func() {
			w.log.Warn("hand-over is overdue; the lease is moved by force",
				zap.String("shard", m.Lease.Shard), zap.String("from", m.Lease.Holder()), zap.String("to", m.To))
			soon, cancel := w.soon(ctx)
			defer cancel()
			if _, err := w.cfg.Leases.Assign(soon, m.Lease, m.To); err != nil {
				w.refused(ctx, "assign lease", m.Lease, err)
			}
		})
	}
	for _, m := range moves.Stale {
		writes.Go(func() {
			soon, cancel := w.soon(ctx)
			defer cancel()
			if err := w.cfg.Leases.DeleteMember(soon, m); err != nil && !raced(err) && ctx.Err() == nil {
				w.trouble(fmt.Errorf("delete the item of the worker %s, which is gone: %w", m.Worker, err))
			}
		})
	}
	writes.Wait()
}

// take gives a free or expired lease to a worker; if that is this one, its tenure begins.
func (l *leading) take(ctx context.Context, m assign.Move) {
	w := l.w
	if m.To == w.cfg.WorkerID {
		w.take(ctx, m.Lease)
		return
	}
	taken, _, err := w.takeAs(ctx, m.Lease, m.To)
	if err != nil {
		w.refused(ctx, "assign lease", m.Lease, err)
		return
	}
	w.log.Info("lease assigned", zap.String("shard", taken.Shard), zap.String("from", m.Lease.Holder()), zap.String("to", m.To))
}

// ask begins a hand-over. The own keeper need not wait for its next renewal to hear of it.
func (l *leading) ask(ctx context.Context, m assign.Move) {
	soon, cancel := l.w.soon(ctx)
	defer cancel()
	row, err := l.w.cfg.Leases.Ask(soon, m.Lease, m.To)
	if err != nil {
		l.w.refused(ctx, "ask for lease", m.Lease, err)
		return
	}
	if t := l.w.tenure(row.Key); t != nil {
		t.keeper.Notice(row)
	}
}

// reportDamage tells of rows that cannot be read, not in each round but when they have changed.
func (l *leading) reportDamage(err error) {
	if text := err.Error(); text != l.damage {
		l.damage = text
		l.w.trouble(fmt.Errorf("assign leases: %w", err))
	}
}

// reportSkew tells once of each member whose wall clock differs much from this worker's. A Java leader goes by such
// clocks: it takes a worker that is a minute slow for dead.
func (l *leading) reportSkew(skewed []lease.Member) {
	for _, m := range skewed {
		if l.skewed[m.Worker] {
			continue
		}
		l.skewed[m.Worker] = true
		l.w.trouble(fmt.Errorf("the clock of the worker %s is far from this one's: it wrote %v at %v; want less than 30 s",
			m.Worker, m.Updated.UTC(), l.w.clock.Now().UTC()))
	}
}
