package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/integration/invariant"
)

const (
	name        = "crowd" // of the stream, the application and the table
	workers     = 4
	leaseTime   = 2 * time.Second
	firstShards = 8  // and at most twice as many later
	batch       = 40 // records of a call
	work        = 3 * time.Millisecond
)

// Notes of events.
const (
	aloneNote   = "alone"   // of a Crash: nothing else was done to the fleet
	reshardNote = "reshard" // of a Fault that is none: it is what a fleet is for
)

// A crowd plays one run. What it gathers for its judge is the account.
type crowd struct {
	account
	timing schedule
	site   *fleet.Site
	fleet  *fleet.Fleet

	quiet atomic.Bool // no more faults
	down  atomic.Bool // nobody is let through to the server

	// Requests of workers.
	sent, hit atomic.Int64

	// At most two workers are away at a time, so that the others have something to take over.
	away chan struct{}
	// Held while the server is down, and to read by who needs it.
	server sync.RWMutex

	mu       sync.Mutex // guards lives, counts and played of the account while workers run
	printing sync.Mutex
}

func newCrowd(o options) *crowd {
	return &crowd{account: account{options: o, table: &table{}}, away: make(chan struct{}, 2)}
}

func (c *crowd) random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(c.seed, stream)) }

// print prints a line.
func (c *crowd) print(format string, args ...any) {
	c.printing.Lock()
	defer c.printing.Unlock()
	fmt.Printf(format+"\n", args...)
}

// play runs it from the start of the processes to their end.
func (c *crowd) play(ctx context.Context) (err error) {
	flow := time.Duration(c.size.records) * time.Second / time.Duration(c.size.rate)
	c.timing.span = flow*95/100 - time.Duration(c.size.alone)*aloneTime
	if c.site, err = fleet.OpenOnDisk(ctx, c.folder); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.site.Close()) }()
	c.began = time.Now()
	c.timing.began = c.began
	config := fleet.Config{Name: name, Shards: firstShards, Lease: leaseTime, Batch: c.size.rate / 10 / firstShards, Patient: true, Watch: c.verbose}
	if fleet.HasFault(c.fault) {
		config.Fault = c.fault
	}
	if c.verbose {
		config.Say = c.print
	}
	if c.fleet, err = c.site.NewFleet(ctx, config); err != nil {
		return err
	}
	defer c.closeProxies()
	defer c.fleet.Drop()
	stop := c.progress(ctx)
	defer stop()
	if err := c.faults(ctx); err != nil {
		return err
	}
	return c.end(ctx)
}

// end lets the records flow to their end, and gathers what came of them.
func (c *crowd) end(ctx context.Context) (err error) {
	c.quiet.Store(true)
	c.over = time.Now()
	c.fleet.Note("all faults are over")
	if err := c.flow(ctx); err != nil {
		return err
	}
	if c.fault == "rewind" {
		if err := c.rewind(ctx); err != nil {
			return err
		}
	}
	if c.outcome, err = c.fleet.Finish(ctx); err != nil {
		return err
	}
	if c.shards, err = c.fleet.AllShards(ctx); err != nil {
		return err
	}
	for _, l := range c.lives {
		l.asked, l.told = l.worker.Asked(), l.worker.Events()
	}
	c.requests, c.disturbed = int(c.sent.Load()), int(c.hit.Load())
	c.took = time.Since(c.began)
	return nil
}

// flow waits until enough records were put.
func (c *crowd) flow(ctx context.Context) error {
	for {
		put, err := c.fleet.Put()
		if err != nil || put >= c.size.records {
			return err
		}
		if err := fleet.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// progress prints now and then how far the run is, until it is told to stop.
func (c *crowd) progress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() {
		for fleet.Sleep(ctx, 10*time.Second) == nil {
			put, _ := c.fleet.Put() // who waits for it sees the error
			c.mu.Lock()
			n := c.counts
			c.mu.Unlock()
			c.print("%4.0f s: %d records, %d kills, %d stops, %d kills of the server, %d clean stops, %d reshards, %d cuts",
				time.Since(c.began).Seconds(), put, n.kills, n.stops, n.servers, n.leaves, n.reshards, n.severs)
		}
	})
	return func() { cancel(); told.Wait() }
}

// faults plays all faults.
func (c *crowd) faults(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	run := func(f func(context.Context) error) {
		all.Go(func() {
			if err := f(ctx); err != nil {
				cancel(err)
			}
		})
	}
	for i, plan := range c.plan() {
		s := &slot{crowd: c, number: i + 1, random: c.random(uint64(100 + i)), plan: plan}
		run(s.run)
	}
	run(func(ctx context.Context) error { return c.spread(ctx, 1, c.size.servers, c.killServer) })
	run(func(ctx context.Context) error { return c.spread(ctx, 2, c.size.reshards, c.reshard) })
	run(func(ctx context.Context) error { return c.spread(ctx, 3, c.size.severs, c.sever) })
	all.Wait()
	return context.Cause(ctx)
}

// spread plays n faults of a kind, spread over the run.
func (c *crowd) spread(ctx context.Context, stream uint64, n int, f func(context.Context, *rand.Rand) error) error {
	random := c.random(stream)
	for i := range n {
		err := c.timing.play(ctx, c.timing.due(random, i, n), func(ctx context.Context) error { return f(ctx, random) })
		if err != nil {
			return err
		}
	}
	return nil
}

// killServer kills the server; it is back within about a second.
func (c *crowd) killServer(ctx context.Context, random *rand.Rand) error {
	c.server.Lock()
	defer c.server.Unlock()
	c.down.Store(true)
	defer c.down.Store(false)
	from := time.Now()
	c.fleet.Note("the server is killed")
	if err := c.site.KillServer(); err != nil {
		return err
	}
	if err := fleet.Sleep(ctx, time.Duration(random.IntN(1000))*time.Millisecond); err != nil {
		return err
	}
	if err := c.site.StartServer(); err != nil {
		return err
	}
	items, err := c.fleet.Items(ctx)
	if err != nil {
		return err
	}
	c.fleet.Note("the server is back")
	c.happened(invariant.Event{At: from, Kind: invariant.Fault, Note: "server killed", For: time.Since(from)}, func(n *counts) { n.servers++ })
	return c.table.restarted(items)
}

// happened notes and counts a fault.
func (c *crowd) happened(e invariant.Event, f func(*counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.played = append(c.played, e)
	f(&c.counts)
}

// reshard splits the widest shard, or merges two neighbours.
func (c *crowd) reshard(ctx context.Context, random *rand.Rand) error {
	c.server.RLock()
	defer c.server.RUnlock()
	open, err := c.fleet.OpenShards(ctx)
	if err != nil {
		return err
	}
	c.happened(invariant.Event{At: time.Now(), Kind: invariant.Fault, Note: reshardNote}, func(n *counts) { n.reshards++ })
	if len(open) >= 2*firstShards || len(open) > firstShards && random.IntN(2) == 0 {
		return c.fleet.MergeAt(ctx, random.IntN(2*firstShards))
	}
	return c.fleet.SplitWidest(ctx)
}
