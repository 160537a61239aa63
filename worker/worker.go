// Package worker consumes streams: it shares the shards of one or several streams among the workers of an application
// and hands the records of each shard to a RecordProcessor, at least once, in order per shard, parents before children.
//
//	w, err := worker.New(worker.Config{
//		Application:  "quake-alerts",
//		Streams:      []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), "earthquakes")},
//		Leases:       dynamo.New(dynamodb.NewFromConfig(cfg), "quake-alerts"),
//		NewProcessor: worker.Stateless(handle),
//	})
//	if err != nil { ... }
//	err = w.Run(ctx) // until ctx ends; then a clean drain
//
// A processor says what is done with Batch.Checkpoint, Shard.Checkpoint or Shard.Mark; nothing is checkpointed behind
// its back. See RecordProcessor for the rules, Config for every setting, and the examples for three whole processors.
package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
	"github.com/shoal-stream/shoal/lease/leader"
	"github.com/shoal-stream/shoal/lease/migrate"
)

// A Worker is one member of an application's fleet. Make it with New and call Run once.
type Worker struct {
	cfg    Config
	clock  clock.Clock
	log    *zap.Logger
	budget *budget

	election     *leader.Election
	duties       atomic.Pointer[migrate.Duties] // what the state of the fleet asks
	seed         uint64                         // chooses among equals when this worker assigns
	finished     event                          // a shard of this worker was marked as done
	listed       event                          // the table was surveyed
	elected      event                          // who leads or watches may have changed
	pokeLead     chan struct{}                  // one slot: assign now
	pokeDiscover chan struct{}                  // one slot: look for leases now
	pokeSync     chan struct{}                  // one slot: compare shards and rows now
	pokeStreams  chan struct{}                  // one slot: look at the streams that were noticed
	surveying    chan struct{}                  // one place
	reads        *hands                         // make the reads that have a deadline
	calls        *hands                         // make the keepers' calls of the table
	stopping     chan struct{}                  // closed when Run's context has ended and the fleet knows
	away         chan struct{}                  // closed when this worker has left the fleet
	abandon      chan struct{}                  // closed when Run can wait for processors no longer
	life         context.Context
	end          context.CancelFunc // ends life, the parent of all tenures
	crew         crew               // the tenures

	mu      sync.Mutex // guards what follows; held around memory only
	ran     bool
	running bool
	sources []*source
	tenures map[string]*tenure     // by lease key, until their goroutines have ended
	losses  map[string]int64       // counters of the leases that were lost, until they are looked at
	done    map[string]lease.Lease // finished leases in this worker's name
	members []lease.Member         // the forms of this worker's own item of which one is in the table, the last at the end
	fleet   map[string]int         // unfinished leases by owner, of the last survey
	open    map[string]bool        // keys of the unfinished leases, of the last survey; nil before the first
	room    *assign.Room           // of the others, by the last survey; used within surveying
	roomAt  time.Time
	round   *assign.Round // of the last survey
	lastErr error
	lastAt  time.Time
	twin    bool
	unfit   time.Time       // until when this worker is not to lead
	left    []error         // processors that had to be left behind
	taking  map[string]bool // keys of which this worker is about to become the owner

	strange  map[string]time.Time // until when a stream is not looked at that rows belong to and that is not read
	adopting []string             // those that streamsLoop is to look at
}

// New checks cfg and makes a worker. The error lists every field that is missing or out of range. It does no I/O.
func New(cfg Config) (*Worker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, clock: cfg.Clock, budget: newBudget(cfg.MemoryBudget),
		log:  cfg.Logger.With(zap.String("application", cfg.Application), zap.String("worker", cfg.WorkerID)),
		seed: seedOf(cfg.Application), pokeLead: make(chan struct{}, 1), pokeDiscover: make(chan struct{}, 1), pokeSync: make(chan struct{}, 1),
		pokeStreams: make(chan struct{}, 1), strange: map[string]time.Time{},
		surveying: make(chan struct{}, 1), reads: newHands(readsAtOnce), calls: newHands(keepsAtOnce),
		stopping: make(chan struct{}), away: make(chan struct{}), abandon: make(chan struct{}),
		tenures: map[string]*tenure{}, losses: map[string]int64{},
		done: map[string]lease.Lease{}, taking: map[string]bool{},
	}
	w.election = leader.New(leader.Config{
		Fleet: cfg.Leases, Worker: cfg.WorkerID, Duration: min(cfg.LeaseDuration, leaderDuration), Clock: w.clock,
		Report: w.trouble, Changed: w.elected.broadcast, Stand: func() bool { return w.duty().Led && !w.isUnfit() },
	})
	return w, nil
}

// seedOf is one seed for all workers of an application, so that leaders that overlap decide alike.
func seedOf(application string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(application)) // never fails
	return h.Sum64()
}

// leaderDuration is for how long a leader of long leases may be silent.
const leaderDuration = 10 * time.Second

// ID is the worker's name in the lease table: Config.WorkerID, or the one made up for it.
func (w *Worker) ID() string { return w.cfg.WorkerID }

// Run works until ctx ends, then drains: every processor finishes, every lease is released. It returns nil after a clean
// drain, at the latest Config.DrainTimeout after ctx ended; otherwise an error for each processor that did not return
// (a *ShardError that wraps ErrAbandoned). It returns early only if it cannot start: a lease table of a foreign schema,
// a stream that does not exist. It may be called once.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	again := w.ran
	w.ran, w.running = true, w.running || !again
	w.mu.Unlock()
	if again {
		return errors.New("worker: Run was called before; make a new Worker")
	}
	defer func() {
		w.mu.Lock()
		w.running = false
		w.mu.Unlock()
	}()
	if err := w.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	w.log.Info("worker runs")
	w.life, w.end = context.WithCancel(context.WithoutCancel(ctx))
	defer w.end()
	defer w.reads.close()
	defer w.calls.close()
	candidacy, endElection := context.WithCancel(w.life)
	defer endElection()
	var election, loops crew
	election.start(func() { w.election.Run(candidacy) })
	loops.start(func() { w.memberLoop(ctx) })
	loops.start(func() { w.leadLoop(ctx) })
	loops.start(func() { w.syncLoop(ctx) })
	loops.start(func() { w.discoverLoop(ctx) })
	loops.start(func() { w.takeLoop(ctx) })
	loops.start(func() { w.doneLoop(ctx) })
	loops.start(func() { w.migrateLoop(ctx) })
	loops.start(func() { w.streamsLoop(ctx) })
	loops.start(func() { w.cfg.Metrics.Run(ctx) })
	<-ctx.Done()
	return w.drain(&loops, &election, endElection)
}

// prepare makes the table ready and asks each stream who it is. Trouble that may pass is retried for a while.
func (w *Worker) prepare(ctx context.Context) error {
	if tables, ok := w.cfg.Leases.(lease.TableMover); ok && w.cfg.SingleTable {
		tables.Unite()
	}
	err := w.retryStart(ctx, "open the lease table", func() error { return w.cfg.Leases.Open(ctx) })
	if err != nil {
		return err
	}
	if err := w.retryStart(ctx, "join the fleet", func() error { return w.joinFleet(ctx) }); err != nil {
		return err
	}
	return w.prepareStreams(ctx)
}

// startAttempts is how often a first step is tried: with back-off that makes about half a minute. To be throttled is not
// counted: that passes, and whoever starts the program anew for it only adds to it.
const startAttempts = 8

func (w *Worker) retryStart(ctx context.Context, what string, f func() error) error {
	for attempt, pauses := 1, 1; ; pauses++ {
		err := f()
		if err == nil {
			return nil
		}
		err = fmt.Errorf("worker: %s: %w", what, err)
		final := errors.Is(err, lease.ErrSchema) || errors.Is(err, errFleet2X) || errors.Is(err, lease.ErrInvalid) || errors.Is(err, ErrNoStream)
		if ctx.Err() != nil || final || attempt == startAttempts {
			return err
		}
		if !errors.Is(err, lease.ErrThrottled) && !errors.Is(err, ErrThrottled) {
			attempt++
		}
		w.trouble(err)
		if w.clock.Sleep(ctx, w.clock.Backoff(pauses, 200*time.Millisecond, 10*time.Second)) != nil {
			return err
		}
	}
}

// begin starts the tenure of a lease that was just taken by a request sent at sent.
func (w *Worker) begin(row lease.Lease, src *source, sent time.Time) {
	t := w.newTenure(row, src, sent)
	w.mu.Lock()
	w.tenures[row.Key] = t
	delete(w.taking, row.Key)
	w.mu.Unlock()
	if src.left() || w.isStopping() { // else whoever changes that finds the tenure
		t.leave()
	}
	w.crew.start(func() {
		err := t.run()
		w.mu.Lock()
		delete(w.tenures, row.Key)
		if errors.Is(context.Cause(t.ctx), lease.ErrLost) {
			w.losses[row.Key] = t.keeper.Lease().Counter
		}
		if err != nil {
			w.left = append(w.left, err)
		}
		w.mu.Unlock()
		poke(w.pokeDiscover)
	})
}

// survive notes an error that did not end anything.
func (w *Worker) survive(info ShardInfo, err error) {
	w.mu.Lock()
	w.lastErr, w.lastAt = err, w.clock.Now()
	w.mu.Unlock()
	if h := w.cfg.Hooks.Failed; h != nil {
		h(info, err)
	}
}

// Status tells what the worker is doing. It may be called at any time, from any goroutine.
func (w *Worker) Status() Status {
	now := w.clock.Now()
	w.mu.Lock()
	st := Status{
		Application: w.cfg.Application, WorkerID: w.cfg.WorkerID, Running: w.running, Leader: w.election.Leader(), Fleet: w.fleet,
		LastError: w.lastErr, LastErrorTime: w.lastAt, Twin: w.twin,
	}
	tenures := make([]*tenure, 0, len(w.tenures))
	for _, t := range w.tenures {
		tenures = append(tenures, t)
	}
	w.mu.Unlock()
	for _, t := range tenures {
		s := t.status(now)
		st.Lag = max(st.Lag, s.Lag)
		st.Shards = append(st.Shards, s)
	}
	slices.SortFunc(st.Shards, func(a, b ShardStatus) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Shard, b.Shard))
	})
	return st
}

// poke has the loop that waits for c go on now.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// An event wakes all who wait for it. Its zero value is ready.
type event struct {
	mu sync.Mutex
	c  chan struct{}
}

// wait gives a channel that the next broadcast closes.
func (e *event) wait() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.c == nil {
		e.c = make(chan struct{})
	}
	return e.c
}

func (e *event) broadcast() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.c != nil {
		close(e.c)
		e.c = nil
	}
}
