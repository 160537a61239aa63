// Package javalike models workers of Java KCL 2.x and 3.x on a lease table that they share with workers of Shoal: who
// takes, asks for, renews and hands over what and when, as lax as Java is. Facts are those of KCL 3.5.1 and 2.7.3.
//
//	w := javalike.New3X(javalike.Config{ID: "j1", Store: store, Streams: …, Log: log, …})
//	w.Run(ctx)
//
// What a model leaves out does not show in the table, or is slower only: metrics of machines (it spreads leases by their
// number, as LEASE_COUNT_BASED does), migrations, and KCL's retries within a call.
package javalike

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// Config is what a model of a worker needs. All of it but Process and Start is required.
type Config struct {
	// ID is the worker's, and Life that of its process in the log.
	ID   string
	Life int
	// Store is the worker's way to the table.
	Store lease.Store
	// Streams are what it reads, by what its rows have in Stream: "" for the one stream of an application.
	Streams map[string]worker.Stream
	// Start is where the application begins; TRIM_HORIZON if zero.
	Start record.Position
	// Duration is the lease duration (failoverTimeMillis).
	Duration time.Duration
	Clock    clock.Clock
	// Log takes what happens. Worker and Life are filled in.
	Log func(invariant.Event)
	// Tenure numbers the processors of the run.
	Tenure func() int
	// Process, if set, is what a processor does with a batch; after an error the same batch comes again.
	Process func(ctx context.Context, records []record.Record) error
}

// epsilon is by how much loops run before the time that they are to keep (DynamoDBLeaseCoordinator.java).
const epsilon = 25 * time.Millisecond

// A Worker is a model of one worker.
type Worker struct {
	cfg    Config
	three  bool
	loops  sync.WaitGroup
	sight  sight
	leader *leader // of 3.x

	mu   sync.Mutex // guards what follows; held around memory only
	held map[string]*holding
}

// New2X makes a worker of KCL 2.x: it takes what has expired, and steals from who has most.
func New2X(cfg Config) *Worker { return newWorker(cfg, false) }

// New3X makes a worker of KCL 3.x: one leads and assigns, and leases are handed over.
func New3X(cfg Config) *Worker { return newWorker(cfg, true) }

func newWorker(cfg Config, three bool) *Worker {
	if cfg.Start.IsZero() {
		cfg.Start = record.TrimHorizon
	}
	w := &Worker{cfg: cfg, three: three, held: map[string]*holding{}}
	w.leader = &leader{w: w}
	return w
}

// Actor is what the Start of such a worker is to have as its Note.
func (w *Worker) Actor() string {
	if w.three {
		return invariant.ActorJava3
	}
	return invariant.ActorJava2
}

// Run works until ctx ends. Processors then finish; leases stay in the worker's name, as Java leaves them.
func (w *Worker) Run(ctx context.Context) {
	w.resume(ctx)
	d := w.cfg.Duration
	w.every(ctx, 0, d/3-epsilon, w.renewAll)
	w.every(ctx, 0, time.Second, w.schedule)
	w.every(ctx, w.cfg.Clock.Jitter(30*time.Second), 2*time.Minute, w.audit)
	w.every(ctx, time.Minute, time.Minute, w.clean)
	if w.three {
		w.every(ctx, 2*time.Second, 30*time.Second, w.show)
		w.every(ctx, 0, d-epsilon, w.discover)
		w.every(ctx, 0, heartbeat, w.leader.elect)
		w.every(ctx, 0, 2*d, w.leader.assign)
		w.every(ctx, 0, 2*time.Second, w.overdue)
	} else {
		w.every(ctx, 0, 2*(d+epsilon), w.take)
	}
	<-ctx.Done()
	w.loops.Wait()
	if w.three {
		w.leader.resign(ctx)
	}
}

// every calls do after first and then with pauses of d, until ctx ends.
func (w *Worker) every(ctx context.Context, first, d time.Duration, do func(ctx context.Context)) {
	w.loops.Go(func() {
		for pause := first; w.cfg.Clock.Sleep(ctx, pause) == nil; pause = d {
			do(ctx)
		}
	})
}

// call bounds a request, as the SDK's client does.
func (w *Worker) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return w.cfg.Clock.WithTimeout(ctx, 10*time.Second, errSlow)
}

var errSlow = errors.New("javalike: the table did not answer in time")

func (w *Worker) log(e invariant.Event) {
	e.Worker, e.Life = w.cfg.ID, w.cfg.Life
	w.cfg.Log(e)
}

// show writes the worker's metrics item.
func (w *Worker) show(ctx context.Context) {
	ctx, cancel := w.call(ctx)
	defer cancel()
	now := w.cfg.Clock.Now()
	_ = w.cfg.Store.PutMember(ctx, lease.Member{Worker: w.cfg.ID, Updated: now, Support: 1, SupportTime: now}) // half a minute later again
}

// get reads a row.
func (w *Worker) get(ctx context.Context, key string) (lease.Lease, error) {
	ctx, cancel := w.call(ctx)
	defer cancel()
	return w.cfg.Store.Get(ctx, key)
}

func (w *Worker) list(ctx context.Context) ([]lease.Lease, error) {
	ctx, cancel := w.call(ctx)
	defer cancel()
	return w.cfg.Store.List(ctx)
}
