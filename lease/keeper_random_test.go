package lease_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// weather is a network between a keeper and a store: good at times, bad at others. A write may be refused, its answer
// lost, or be applied long after it was given up.
type weather struct {
	lease.Store
	mu    sync.Mutex // guards rng and bad
	rng   *rand.Rand
	bad   int // of 100 calls
	later sync.WaitGroup
}

// pass lets a call through or not; late is then called after a while, beyond the caller's patience.
func (w *weather) pass(ctx context.Context, now, late func()) error {
	w.mu.Lock()
	bad, kind := w.rng.IntN(100) < w.bad, w.rng.IntN(6)
	wait := time.Duration(w.rng.IntN(8000)) * time.Millisecond
	latency := time.Duration(w.rng.IntN(200)) * time.Millisecond
	w.mu.Unlock()
	var c clock.Clock
	if err := c.Sleep(ctx, latency); err != nil {
		return err
	}
	if !bad {
		now()
		return nil
	}
	switch kind {
	case 0:
		return lease.ErrThrottled
	case 1:
		now()
		return errNet
	case 2, 3:
		w.later.Go(func() {
			time.Sleep(wait)
			late()
		})
		if kind == 2 {
			return errNet
		}
		<-ctx.Done()
		return context.Cause(ctx)
	case 4:
		<-ctx.Done()
		return context.Cause(ctx)
	default:
		return errNet
	}
}

func (w *weather) Get(ctx context.Context, key string) (l lease.Lease, err error) {
	if lost := w.pass(ctx, func() { l, err = w.Store.Get(ctx, key) }, func() {}); lost != nil {
		return lease.Lease{}, lost
	}
	return l, err
}

func (w *weather) Renew(ctx context.Context, held lease.Lease, worker string, c lease.Change) (l lease.Lease, err error) {
	write := func() { l, err = w.Store.Renew(context.WithoutCancel(ctx), held, worker, c) }
	late := func() { _, _ = w.Store.Renew(context.WithoutCancel(ctx), held, worker, c) }
	if lost := w.pass(ctx, write, late); lost != nil {
		return lease.Lease{}, lost
	}
	return l, err
}

func (w *weather) Release(ctx context.Context, held lease.Lease, worker, next string) (l lease.Lease, err error) {
	write := func() { l, err = w.Store.Release(context.WithoutCancel(ctx), held, worker, next) }
	late := func() { _, _ = w.Store.Release(context.WithoutCancel(ctx), held, worker, next) }
	if lost := w.pass(ctx, write, late); lost != nil {
		return lease.Lease{}, lost
	}
	return l, err
}

// A keeper in any weather, another worker that takes the lease when it stood still for the duration, and one that asks
// for it now and then: checkpoints go forward only, what Save acknowledged stays, the keeper's trust ends before
// another can take over, and it never mistakes another's lease for its own.
func TestKeeperInAnyWeather(t *testing.T) {
	var lost, kept, given int
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			switch err := inWeather(t, seed); {
			case errors.Is(err, lease.ErrLost):
				lost++
			case err != nil:
				t.Errorf("seed %d: Run = %v", seed, err)
			case seed%3 == 0:
				given++
			default:
				kept++
			}
		})
	}
	if lost < 5 || kept < 5 || given < 5 {
		t.Errorf("%d leases lost, %d kept, %d given away: too few of one kind to tell anything", lost, kept, given)
	}
}

func inWeather(t *testing.T, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 5))
	store := memory.New()
	w := &weather{Store: store, rng: rand.New(rand.NewPCG(seed, 6)), bad: []int{10, 40, 80}[rng.IntN(3)]}
	store.Put(lease.Lease{Key: "s", Shard: "s", Owner: "me", Checkpoint: record.TrimHorizon})
	k := lease.NewKeeper(lease.KeeperConfig{
		Store: w, Worker: "me", Duration: duration, Clock: clock.Clock{Uint64Func: rng.Uint64},
	}, store.Row("s"), time.Now())
	var moved atomic.Int64 // when the row was last written, in ns
	store.Written = func(op string, before, after lease.Lease) {
		moved.Store(time.Now().UnixNano())
		if before.Checkpoint.Compare(after.Checkpoint) > 0 {
			t.Errorf("seed %d: %s moved the checkpoint from %v back to %v", seed, op, before.Checkpoint, after.Checkpoint)
		}
		if op == memory.OpTake && time.Now().Before(k.Deadline()) {
			t.Errorf("seed %d: taken by another while the keeper trusted its lease", seed)
		}
		if op != memory.OpTake && op != memory.OpAsk && before.Holder() != "me" {
			t.Errorf("seed %d: %s of a lease held by %q", seed, op, before.Holder())
		}
	}
	moved.Store(time.Now().UnixNano())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var ran error
	wg.Go(func() { ran = k.Run(ctx) })
	wg.Go(func() { // the processor
		for n := 1; n < 60; n++ {
			time.Sleep(time.Duration(1+n%5) * 500 * time.Millisecond)
			if n%4 == 0 {
				k.Mark(at(n))
				continue
			}
			sctx, cancel := context.WithTimeout(ctx, time.Duration(n%3+1)*2*time.Second)
			err := k.Save(sctx, lease.Change{Checkpoint: at(n)})
			cancel()
			if l := store.Row("s"); err == nil && l.Checkpoint.Compare(at(n)) < 0 {
				t.Errorf("seed %d: checkpoint %d was acknowledged, and the row has %v", seed, n, l.Checkpoint)
			}
			if errors.Is(err, lease.ErrLost) {
				return
			}
		}
		if seed%3 == 0 {
			if err := k.Release(ctx, ""); err == nil {
				if l := store.Row("s"); l.Holder() == "me" {
					t.Errorf("seed %d: released, and the row is %+v", seed, l)
				}
			}
		}
		cancel()
	})
	for i := range 400 { // the others
		time.Sleep(250 * time.Millisecond)
		l := store.Row("s")
		if i == 100 && seed%2 == 0 {
			_, _ = store.Ask(t.Context(), l, "you")
		}
		if l.Holder() == "me" && ctx.Err() == nil && time.Since(time.Unix(0, moved.Load())) >= duration {
			if _, err := store.Take(t.Context(), l, "thief"); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
	}
	wg.Wait()
	time.Sleep(10 * time.Second) // what was delayed comes in
	w.later.Wait()
	return ran
}
