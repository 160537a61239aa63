package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/checkpoint"
	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/shardsync"
	"github.com/shoal-stream/shoal/record"
)

// Why a session ends and what the tenure does about it.
var (
	errMoving     = errors.New("shard is to move")            // the worker stops, or another asked for the lease
	errShardEnd   = errors.New("shard has come to its end")   // all records were processed
	errReleased   = errors.New("shard was released")          // cause of a tenure's context after its release
	errDrained    = errors.New("time to finish has run out")  // cause of a session's context
	errPanic      = errors.New("panic")                       // wrapped by errors made of panics
	errRead       = errors.New("read did not answer in time") // cause of a read's context
	errSessionEnd = errors.New("processor was discarded")     // cause of a session's context
)

// A tenure is one time that this worker holds one lease: from taking it until it is released, lost, or the shard done.
// Its run goroutine drives it. The lease's keeper and the fetcher have none of their own; a mover begins once the shard is
// wanted elsewhere.
type tenure struct {
	w       *Worker
	stream  *source
	shardID string
	key     string
	epoch   uint64
	keeper  *lease.Keeper
	ledger  *checkpoint.Ledger

	ctx    context.Context // ends with the tenure
	cancel context.CancelCauseFunc
	beside crew
	move   sync.Once
	moving chan struct{} // closed when the shard is to move
	saving chan struct{} // one slot: checkpoints go one at a time
	marks  sync.Mutex    // keeps ledger and keeper agreed on the mark

	throughput throughput
	lag        lag

	mu      sync.Mutex // guards what follows
	state   State
	session *session // the running one, nil if none
	records int64
	bytes   int64
	foreign int64
	failing failing
	lastErr error
	evicted bool
}

func (w *Worker) newTenure(row lease.Lease, src *source, sent time.Time) *tenure {
	t := &tenure{
		w: w, stream: src, shardID: row.Shard, key: row.Key, epoch: uint64(row.Counter),
		ledger: checkpoint.NewLedger(row.Checkpoint),
		moving: make(chan struct{}), saving: make(chan struct{}, 1),
	}
	t.ctx, t.cancel = context.WithCancelCause(w.life)
	t.throughput.start(sent, row.ThroughputKBps)
	t.keeper = lease.NewKeeper(lease.KeeperConfig{
		Store: w.cfg.Leases, Worker: w.cfg.WorkerID, Duration: w.cfg.LeaseDuration, Clock: w.clock,
		Throughput: func() float64 { return t.throughput.kbps(w.clock.Now()) },
		Report:     func(err error) { t.survive(fmt.Errorf("keep lease: %w", err)) },
		Wanted:     t.leave,
	}, row, sent)
	return t
}

// run is the life of the tenure. It returns the error of a processor that had to be left behind, else nil.
func (t *tenure) run() error {
	kept := make(chan struct{})
	t.keeper.Start(t.ctx, t.w.calls.do, func(err error) {
		defer close(kept)
		if err != nil {
			t.log().Warn("lease lost", zap.Error(err))
			if !mutant.Planted(mutant.LossIsForgotten) {
				t.cancel(err)
			}
		}
	})
	err := t.live()
	t.cancel(errReleased)
	t.move.Do(func() {}) // no mover begins any more
	<-kept
	t.beside.wait(nil)
	if errors.Is(context.Cause(t.ctx), lease.ErrLost) {
		t.enter(Lost)
	} else {
		t.enter(Released)
	}
	if errors.Is(err, ErrAbandoned) {
		return err
	}
	return nil
}

// live goes through the states until the tenure is over.
func (t *tenure) live() error {
	t.enter(WaitingForParents)
	var parents []lease.Lease
	var err error
	aside(func() { parents, err = t.awaitParents() })
	for attempt := 1; err == nil; attempt++ {
		if t.currentState() != Starting { // else NewProcessor failed and is tried again
			t.enter(Starting)
		}
		var progress bool
		progress, err = t.runSession(parents)
		if err == nil || errors.Is(err, ErrAbandoned) || t.ctx.Err() != nil {
			return err
		}
		if errors.Is(err, errMoving) {
			break
		}
		t.fail(fmt.Errorf("restart from the checkpoint: %w", err))
		if progress {
			attempt = 1
		}
		err = t.pause(t.ctx, t.w.clock.Backoff(attempt, t.w.cfg.Retry.MinBackoff, t.w.cfg.Retry.MaxBackoff))
	}
	if errors.Is(err, errMoving) {
		t.release()
	}
	return nil
}

// pause waits for d; it returns errMoving as soon as the shard is to move, or the cause with which ctx ended.
func (t *tenure) pause(ctx context.Context, d time.Duration) error {
	timer := t.w.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.moving:
		return errMoving
	case <-timer.C:
		return nil
	}
}

// enter makes the one transition of the state, logs and counts it.
func (t *tenure) enter(next State) {
	t.mu.Lock()
	from := t.state
	ok := from.follows(next)
	if ok {
		t.state = next
	}
	t.mu.Unlock()
	if !ok {
		panic(fmt.Sprintf("worker: shard %s cannot go from %v to %v", t.shardID, from, next))
	}
	t.log().Debug("shard state", zap.Stringer("from", from), zap.Stringer("to", next))
	if h := t.w.cfg.Hooks.State; h != nil {
		h(t.info(), from, next)
	}
}

// log is the worker's log with the shard's name, made when there is something to say.
func (t *tenure) log() *zap.Logger {
	return t.w.log.With(zap.String("stream", t.stream.Name()), zap.String("shard", t.shardID))
}

func (t *tenure) info() ShardInfo {
	return ShardInfo{Application: t.w.cfg.Application, Stream: t.stream.Name(), Shard: t.shardID, Worker: t.w.cfg.WorkerID}
}

// leave has the shard move elsewhere: the worker stops or does not read the stream any more, another worker asked for the
// lease, or the processor has failed too long. It never waits.
func (t *tenure) leave() {
	t.move.Do(func() {
		close(t.moving)
		t.beside.start(t.hurry)
	})
}

// hurry gives the processor until the drain bound to finish; after that its context ends, and a little later the lease is
// released whatever it does.
func (t *tenure) hurry() {
	if mutant.Planted(mutant.ReleasesTooEarly) {
		t.release()
	}
	bound := t.w.cfg.DrainTimeout
	if t.w.clock.Sleep(t.ctx, bound*8/10) != nil {
		return
	}
	t.log().Warn("processor has not finished in time; its context ends", zap.Duration("bound", bound*8/10))
	t.cancelSession(errDrained)
	if t.w.clock.Sleep(t.ctx, bound/10) != nil {
		return
	}
	t.release()
	t.cancel(errReleased)
}

func (t *tenure) cancelSession(cause error) {
	t.mu.Lock()
	s := t.session
	t.mu.Unlock()
	if s != nil {
		s.cancel(cause)
	}
}

// release stores what was marked and gives the lease up: to whoever asked for it, else to the worker that has most room,
// else to nobody.
func (t *tenure) release() {
	if mutant.Planted(mutant.NoRelease) {
		return
	}
	ctx, cancel := t.w.clock.WithTimeout(t.ctx, t.w.cfg.DrainTimeout/10, errDrained)
	defer cancel()
	t.storeMark(ctx)
	next := ""
	if row := t.keeper.Lease(); row.CheckpointOwner == "" && !t.stream.left() { // else whoever asked gets it, or nobody
		next = t.w.roomiest(ctx)
	}
	if err := t.keeper.Release(ctx, next); err != nil && t.ctx.Err() == nil {
		t.survive(fmt.Errorf("release lease: %w", err))
	}
}

// storeMark stores what is marked and not stored yet.
func (t *tenure) storeMark(ctx context.Context) {
	t.ledger.Stored(t.keeper.Lease().Checkpoint)
	if p := t.ledger.Marked(); !p.IsZero() {
		if err := t.checkpoint(ctx, p); err != nil {
			t.survive(fmt.Errorf("store the marked checkpoint: %w", err))
		}
	}
}

// awaitParents waits until every parent that has a lease is done, and returns the rows of the parents. Between two
// consistent reads of the rows it waits a little, or for what this worker's own shards and its surveys of the table tell.
func (t *tenure) awaitParents() ([]lease.Lease, error) {
	for failed := 0; ; {
		finished, listed := t.w.finished.wait(), t.w.listed.wait()
		rows, blocked, err := t.parents()
		pause := min(t.w.cfg.LeaseDuration/10, time.Second)
		switch {
		case t.ctx.Err() != nil:
			return nil, context.Cause(t.ctx)
		case err != nil:
			failed++
			t.survive(fmt.Errorf("look at the parents' leases: %w", err))
			pause = t.w.clock.Backoff(failed, 200*time.Millisecond, 5*time.Second)
		case !blocked || mutant.Planted(mutant.ChildTooEarly):
			return rows, nil
		}
		if err := t.awaitNews(pause, finished, listed, err == nil); err != nil {
			return nil, err
		}
	}
}

// awaitNews waits until the parents are worth another look: after pause, when a shard of this worker is done, or when a
// survey, if it may, shows that the parents are.
func (t *tenure) awaitNews(pause time.Duration, finished, listed <-chan struct{}, surveys bool) error {
	timer := t.w.clock.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return context.Cause(t.ctx)
		case <-t.moving:
			return errMoving
		case <-finished:
			return nil
		case <-timer.C:
			return nil
		case <-listed:
			listed = t.w.listed.wait()
			if surveys && t.parentsListedDone() {
				return nil
			}
		}
	}
}

// parentsListedDone reports whether the last survey of the table shows no parent that is not done.
func (t *tenure) parentsListedDone() bool {
	for _, id := range t.keeper.Lease().Parents {
		if t.w.unfinished(shardsync.Key(t.stream.rowStream, id)) {
			return false
		}
	}
	return true
}

// parents reads the rows of the shard's parents, consistently. A parent without a row does not block.
func (t *tenure) parents() (rows []lease.Lease, blocked bool, err error) {
	for _, id := range t.keeper.Lease().Parents {
		row, err := t.w.cfg.Leases.Get(t.ctx, shardsync.Key(t.stream.rowStream, id))
		if errors.Is(err, lease.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, row)
		blocked = blocked || !row.Finished()
	}
	return rows, blocked, nil
}

// checkpoint stores p if the ledger allows it. Checkpoints of one shard go one at a time.
func (t *tenure) checkpoint(ctx context.Context, p record.Position) error {
	return t.save(ctx, p, lease.Change{Checkpoint: p})
}

func (t *tenure) save(ctx context.Context, p record.Position, c lease.Change) error {
	select {
	case t.saving <- struct{}{}:
		defer func() { <-t.saving }()
	case <-ctx.Done():
		return fmt.Errorf("checkpoint at %v: %w", p, context.Cause(ctx))
	}
	row := t.keeper.Lease()
	t.ledger.Stored(row.Checkpoint) // a renewal may have carried a mark
	store, err := t.ledger.Check(p)
	if err != nil {
		return err
	}
	pending := !c.Pending.IsZero() || !row.Pending.IsZero() // also at the stored checkpoint that changes something
	if !store && (p != row.Checkpoint || !pending) {
		return nil
	}
	if err := t.keeper.Save(ctx, c); err != nil {
		return fmt.Errorf("checkpoint at %v: %w", p, err)
	}
	if c.Checkpoint.IsZero() {
		return nil
	}
	t.ledger.Stored(p)
	if h := t.w.cfg.Hooks.Checkpointed; h != nil {
		h(t.info(), p)
	}
	return nil
}

func (t *tenure) mark(p record.Position) error {
	t.marks.Lock()
	defer t.marks.Unlock()
	if err := t.ledger.Mark(p); err != nil {
		return err
	}
	t.keeper.Mark(t.ledger.Marked())
	return nil
}

// unmark notes that the batch handed over last failed, with what was marked of it.
func (t *tenure) unmark() {
	t.marks.Lock()
	defer t.marks.Unlock()
	if mutant.Planted(mutant.FailureStaysDone) {
		return
	}
	t.keeper.Unmark(t.ledger.Fail())
}

// bury notes that the record at p was taken as a dead letter.
func (t *tenure) bury(p record.Position) {
	t.marks.Lock()
	defer t.marks.Unlock()
	t.keeper.Mark(t.ledger.Bury(p))
}

// fail takes in an error of the application's code that will be retried.
func (t *tenure) fail(err error) {
	t.survive(err)
	now := t.w.clock.Now()
	t.mu.Lock()
	report, move := t.failing.note(now)
	since := t.failing.since
	move = move && !t.evicted
	t.mu.Unlock()
	if move && t.w.roomiest(t.ctx) == "" {
		move = false
	}
	t.mu.Lock()
	t.evicted = t.evicted || move
	t.mu.Unlock()
	if report {
		t.log().Error("processor keeps failing", zap.Time("since", since), zap.Error(brief(err)))
	}
	if move {
		t.log().Error("processor keeps failing; the shard moves to another worker", zap.Time("since", since))
		t.leave()
	}
}

// survive takes in an error that does not end the tenure.
func (t *tenure) survive(err error) {
	serr := &ShardError{Stream: t.stream.Name(), Shard: t.shardID, Op: t.currentState().String(), Err: err}
	t.log().Warn("survived", zap.Error(brief(err)))
	t.mu.Lock()
	t.lastErr = serr
	t.mu.Unlock()
	t.w.survive(t.info(), serr)
}

func (t *tenure) slow(op string, since time.Duration) {
	t.survive(fmt.Errorf("%s has been running for %v; ProcessTimeout is %v", op, since, t.w.cfg.ProcessTimeout))
	if h := t.w.cfg.Hooks.Slow; h != nil {
		h(t.info(), since)
	}
}

func (t *tenure) currentState() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// holding reports whether the tenure still has its lease.
func (t *tenure) holding() bool { return t.ctx.Err() == nil }

func (t *tenure) status(now time.Time) ShardStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return ShardStatus{
		Stream: t.stream.Name(), Shard: t.shardID, State: t.state, Checkpoint: t.keeper.Lease().Checkpoint, Lag: t.lag.at(now),
		Records: t.records, Bytes: t.bytes, Foreign: t.foreign, FailingSince: t.failing.since, LastError: t.lastErr,
	}
}

// brief bounds what of an error is logged: errors of the application's code may be long.
func brief(err error) error {
	if text := err.Error(); len(text) > 256 {
		return errors.New(text[:256] + "…")
	}
	return err
}
