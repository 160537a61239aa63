package main

import (
	"context"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/fleet"
)

// A scenario is a history of a fleet of which one time is measured.
type scenario struct {
	name            string
	shards, workers int
	bound           time.Duration
	repeats         bool // a worker dies, so records may come again
	act             func(context.Context, *trial, *fleet.Fleet, []*fleet.Worker) error
}

// lease is the default of both libraries.
const lease = 10 * time.Second

var scenarios = []scenario{
	{"owner_killed", 8, 3, lease + 2*time.Second, true, ownerKilled},
	{"leader_killed", 8, 3, 15 * time.Second, true, leaderKilled},
	{"sigterm", 8, 3, time.Second, false, stopped},
	{"rolling_deploy", 40, 5, 3 * time.Second, false, deployed},
	{"new_worker", 40, 4, 15 * time.Second, false, joined},
}

// startLimit bounds how long a fleet takes until it is even and all shards flow, leaseLimit how long shards may
// stand still. Java needs minutes for both.
const (
	startLimit = 8 * time.Minute
	leaseLimit = 8 * time.Minute
)

// settled is how long a fleet must have been even before the scenario begins.
const settled = 3 * time.Second

// start starts a worker of the trial's kind.
func (t *trial) start(ctx context.Context, f *fleet.Fleet, name string) (*fleet.Worker, error) {
	if t.java {
		return f.Java(ctx, "java-"+name)
	}
	return f.Go(ctx, "go-"+name)
}

// run starts a fleet, waits until it is even, and lets the scenario happen.
func (t *trial) run(ctx context.Context) error {
	f, err := t.c.site.NewFleet(ctx, fleet.Config{Name: t.name, Shards: t.r.shards, Fault: t.c.fault, Say: t.c.detail, Watch: t.c.verbose})
	if err != nil {
		return err
	}
	defer f.Drop()
	var workers []*fleet.Worker
	for i := range t.r.workers {
		w, err := t.start(ctx, f, fmt.Sprint(i+1))
		if err != nil {
			return err
		}
		workers = append(workers, w)
		if t.java && i == 0 { // of two that begin together one may fail over the index that the other has just made, for good
			if err := f.Flowing(ctx, t.r.shards, startLimit); err != nil {
				return err
			}
		}
	}
	if err := f.Flowing(ctx, t.r.shards, startLimit); err != nil {
		return err
	}
	if err := t.even(ctx, f, workers); err != nil {
		return err
	}
	return t.r.act(ctx, t, f, workers)
}

// even waits until the workers share the shards. Java's come only about as close as the throughput of shards lets them:
// each must have some.
func (t *trial) even(ctx context.Context, f *fleet.Fleet, workers []*fleet.Worker) error {
	if !t.java {
		_, err := f.Evening(ctx, settled, startLimit, names(workers)...)
		return err
	}
	return f.WaitRows(ctx, "each worker has shards", startLimit, func(rows []fleet.Row) bool {
		for _, w := range workers {
			if len(fleet.Keys(rows, w.Name)) < t.r.shards/len(workers)/2+1 {
				return false
			}
		}
		return true
	})
}

func names(workers []*fleet.Worker) []string {
	var out []string
	for _, w := range workers {
		out = append(out, w.Name)
	}
	return out
}

// split tells the leader from the others.
func split(ctx context.Context, f *fleet.Fleet, workers []*fleet.Worker) (leader *fleet.Worker, others []*fleet.Worker, err error) {
	name, err := f.Leader(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range workers {
		if w.Name == name {
			leader = w
		} else {
			others = append(others, w)
		}
	}
	if leader == nil {
		return nil, nil, fmt.Errorf("the leader %q is none of %v", name, names(workers))
	}
	return leader, others, nil
}

// end lets the rest of a fleet finish and judges.
func (t *trial) end(ctx context.Context, f *fleet.Fleet) (fleet.Outcome, error) {
	o, err := f.Finish(ctx)
	if err != nil {
		return o, err
	}
	t.judge(o)
	return o, nil
}

// killed kills a worker and measures until its shards flow again at the others.
func killed(ctx context.Context, t *trial, f *fleet.Fleet, victim *fleet.Worker, others []*fleet.Worker) (at time.Time, err error) {
	rows, err := f.Rows(ctx)
	if err != nil {
		return at, err
	}
	orphans := fleet.Keys(rows, victim.Name)
	at = victim.Kill()
	if err := f.Flowing(ctx, t.r.shards, leaseLimit, names(others)...); err != nil {
		return at, err
	}
	o, err := t.end(ctx, f)
	if err != nil {
		return at, err
	}
	t.took(check.Failover(o.Stream, o.Log, victim.Name, orphans, at))
	return at, nil
}

func ownerKilled(ctx context.Context, t *trial, f *fleet.Fleet, workers []*fleet.Worker) error {
	leader, others, err := split(ctx, f, workers)
	if err != nil {
		return err
	}
	_, err = killed(ctx, t, f, others[0], append(others[1:], leader))
	return err
}

func leaderKilled(ctx context.Context, t *trial, f *fleet.Fleet, workers []*fleet.Worker) error {
	leader, others, err := split(ctx, f, workers)
	if err != nil {
		return err
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	elected := make(chan time.Time, 1)
	go func() {
		defer close(elected)
		if f.WaitOtherLeader(watch, leader.Name, leaseLimit) == nil {
			elected <- time.Now()
		}
	}()
	at, err := killed(ctx, t, f, leader, others)
	if err != nil {
		cancel()
	}
	if led, ok := <-elected; ok {
		t.also("until_another_leads", led.Sub(at))
	}
	return err
}

// stopped stops the worker that was started first, which is the leader more often than not.
func stopped(ctx context.Context, t *trial, f *fleet.Fleet, workers []*fleet.Worker) error {
	victim, others := workers[0], workers[1:]
	rows, err := f.Rows(ctx)
	if err != nil {
		return err
	}
	moving := fleet.Keys(rows, victim.Name)
	at, err := victim.Stop(ctx)
	if err != nil {
		return err
	}
	t.also("until_stopped", time.Since(at))
	if err := f.Flowing(ctx, t.r.shards, leaseLimit, names(others)...); err != nil {
		return err
	}
	o, err := t.end(ctx, f)
	if err != nil {
		return err
	}
	t.took(check.Failover(o.Stream, o.Log, victim.Name, moving, at))
	t.also("between_deliveries", o.LongestGap(at).Length())
	return nil
}

// deployed replaces all workers, one by one: one is stopped, another started, and when that one has its fair share (of
// Java's any share: a Java leader takes minutes for more) the next is stopped.
func deployed(ctx context.Context, t *trial, f *fleet.Fleet, workers []*fleet.Worker) error {
	from, share := time.Now(), t.r.shards/len(workers)
	if t.java {
		share = 1
	}
	for i, old := range workers {
		if _, err := old.Stop(ctx); err != nil {
			return err
		}
		w, err := t.start(ctx, f, fmt.Sprint("new-", i+1))
		if err != nil {
			return err
		}
		workers[i] = w
		err = f.WaitRows(ctx, w.Name+" has its share", leaseLimit, func(rows []fleet.Row) bool { return len(fleet.Keys(rows, w.Name)) >= share })
		if err != nil {
			return err
		}
	}
	t.also("whole_deploy", time.Since(from))
	if err := f.Flowing(ctx, t.r.shards, leaseLimit, names(workers)...); err != nil {
		return err
	}
	o, err := t.end(ctx, f)
	if err != nil {
		return err
	}
	t.took(o.LongestGap(from).Length())
	return nil
}

// joined adds a worker and measures until it holds its fair share.
func joined(ctx context.Context, t *trial, f *fleet.Fleet, workers []*fleet.Worker) error {
	at := time.Now()
	w, err := t.start(ctx, f, "new")
	if err != nil {
		return err
	}
	fair := t.r.shards / (len(workers) + 1)
	err = f.WaitRows(ctx, fmt.Sprintf("%s has %d shards", w.Name, fair), leaseLimit, func(rows []fleet.Row) bool {
		return len(fleet.Keys(rows, w.Name)) >= fair
	})
	if err != nil {
		return err
	}
	t.took(time.Since(at))
	o, err := t.end(ctx, f)
	if err == nil {
		t.also("between_deliveries", o.LongestGap(at).Length())
	}
	return err
}
