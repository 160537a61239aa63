package leader_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/leader"
	"github.com/shoal-stream/shoal/lease/memory"
)

// A fleet is some candidates over one table in memory.
type fleet struct {
	*memory.Store
	t          *testing.T
	candidates []*candidate
	fault      func(ctx context.Context, id, op string) (bool, error)

	mu       sync.Mutex
	away     map[string]bool
	reported []error
	calls    map[string]int
}

type candidate struct {
	*leader.Election
	id   string
	told atomic.Bool
}

// heard reports whether Changed was called since the last question.
func (c *candidate) heard() bool { return c.told.Swap(false) }

func newFleet(t *testing.T) *fleet {
	return &fleet{Store: memory.New(), t: t, away: map[string]bool{}, calls: map[string]int{}}
}

// add makes a candidate that does not run yet.
func (f *fleet) add(id string, change func(*leader.Config)) *candidate {
	c := &candidate{id: id}
	cfg := leader.Config{
		Fleet: link{f.Store, f, id}, Worker: id, Duration: duration,
		Changed: func() { c.told.Store(true) },
		Report: func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.reported = append(f.reported, err)
		},
	}
	if change != nil {
		change(&cfg)
	}
	c.Election = leader.New(cfg)
	f.candidates = append(f.candidates, c)
	return c
}

// start runs a candidate until the test ends.
func (f *fleet) start(id string, change func(*leader.Config)) *candidate {
	c := f.add(id, change)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx) }()
	f.t.Cleanup(func() { cancel(); <-ended })
	return c
}

func (f *fleet) cut(id string)  { f.mu.Lock(); defer f.mu.Unlock(); f.away[id] = true }
func (f *fleet) heal(id string) { f.mu.Lock(); defer f.mu.Unlock(); delete(f.away, id) }

func (f *fleet) errors() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reported
}

// lock is the item, past all faults.
func (f *fleet) lock() lease.Lock {
	l, err := f.Leader(context.Background())
	if err != nil && !errors.Is(err, lease.ErrNotFound) {
		f.t.Fatal(err)
	}
	return l
}

// put places the item as it is.
func (f *fleet) put(l lease.Lock) {
	f.t.Helper()
	if err := f.PutLeader(context.Background(), f.lock(), l); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) puts() int  { return f.count(memory.OpPutLeader) }
func (f *fleet) beats() int { return f.count(memory.OpBeat) }

func (f *fleet) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// A link is one candidate's way to the table.
type link struct {
	*memory.Store
	f  *fleet
	id string
}

// through makes a call of a candidate unless a fault is in its way; it counts those that were applied.
func (l link) through(ctx context.Context, op string, call func() error) error {
	looked()
	defer looked()
	f := l.f
	f.mu.Lock()
	away := f.away[l.id]
	f.mu.Unlock()
	if away || ctx.Err() != nil {
		return errors.New("network is down")
	}
	apply, fault := true, error(nil)
	if f.fault != nil {
		apply, fault = f.fault(ctx, l.id, op)
	}
	if !apply {
		return fault
	}
	err := call()
	if err == nil {
		f.mu.Lock()
		f.calls[op]++
		f.mu.Unlock()
	}
	if fault != nil {
		return fault
	}
	return err
}

func (l link) Leader(ctx context.Context) (lock lease.Lock, err error) {
	err = l.through(ctx, memory.OpLeader, func() error {
		lock, err = l.Store.Leader(ctx)
		return err
	})
	return lock, err
}

func (l link) PutLeader(ctx context.Context, seen, next lease.Lock) error {
	return l.through(ctx, memory.OpPutLeader, func() error { return l.Store.PutLeader(context.WithoutCancel(ctx), seen, next) })
}

func (l link) Beat(ctx context.Context, held, next lease.Lock) error {
	return l.through(ctx, memory.OpBeat, func() error { return l.Store.Beat(context.WithoutCancel(ctx), held, next) })
}

func (l link) DeleteLeader(ctx context.Context, held lease.Lock) error {
	return l.through(ctx, memory.OpDeleteLeader, func() error { return l.Store.DeleteLeader(ctx, held) })
}

func pass(d time.Duration) {
	looked()
	time.Sleep(d)
	synctest.Wait()
}

// looked orders what a test has written before what candidates read from then on: both call it. The bubble's clock does so
// in fact, but the race detector does not know.
func looked() {
	looking.Lock()
	defer looking.Unlock()
}

var looking sync.Mutex

// An ownClock is a clock and what it makes of a time that has passed.
type ownClock struct {
	clock clock.Clock
	own   func(time.Duration) time.Duration
}

// clocks are those that a worker must bear. They are made within a bubble.
func clocks() map[string]func() ownClock {
	return map[string]func() ownClock{
		"true":                func() ownClock { return rated(100, 0) },
		"five percent fast":   func() ownClock { return rated(105, 0) },
		"five percent slow":   func() ownClock { return rated(95, 0) },
		"an hour ahead":       func() ownClock { return rated(100, time.Hour) },
		"an hour behind":      func() ownClock { return rated(100, -time.Hour) },
		"stepping by an hour": stepping,
	}
}

// rated is a clock that runs at a rate in percent and is off by an offset. Its times have no monotonic reading.
func rated(percent int64, offset time.Duration) ownClock {
	began := time.Now().Round(0)
	own := func(d time.Duration) time.Duration { return d * time.Duration(percent) / 100 }
	return ownClock{
		own: own,
		clock: clock.Clock{
			NowFunc: func() time.Time { return began.Add(offset + own(time.Now().Round(0).Sub(began))) },
			AfterFuncFunc: func(d time.Duration, f func()) func() bool {
				return time.AfterFunc((d*100+time.Duration(percent)-1)/time.Duration(percent), f).Stop
			},
		},
	}
}

// stepping is a clock whose time of day jumps an hour to and fro each second, as one that is set wrongly does; its
// monotonic readings are true.
func stepping() ownClock {
	began := time.Now()
	return ownClock{
		own: func(d time.Duration) time.Duration { return d },
		clock: clock.Clock{NowFunc: func() time.Time {
			now := time.Now()
			since, off := now.Sub(began), time.Duration(0)
			if int(since/time.Second)%2 == 1 {
				off = time.Hour
			}
			return monotonic(now.Add(off), since)
		}},
	}
}

// started is a time with a monotonic reading, which those of a bubble have not.
var started = time.Now()

// monotonic is a time of day with a monotonic reading of its own, which a time.Time has in its second word.
func monotonic(at time.Time, since time.Duration) time.Time {
	reading := started.Add(since)
	t := reading.Add(at.Sub(reading.Round(0)))
	*(*int64)(unsafe.Add(unsafe.Pointer(&t), 8)) = *(*int64)(unsafe.Add(unsafe.Pointer(&reading), 8))
	if t.Sub(started) != since || !t.Round(0).Equal(at) {
		panic("a time.Time is not made as this test thinks")
	}
	return t
}
