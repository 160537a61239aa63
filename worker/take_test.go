package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// slowTakes is a table whose answers to takes are late: what was written can be seen before its writer hears of it.
type slowTakes struct {
	lease.Store
	by time.Duration
}

func (s slowTakes) Take(ctx context.Context, seen lease.Lease, id string) (lease.Lease, error) {
	taken, err := s.Store.Take(ctx, seen, id)
	time.Sleep(s.by)
	return taken, err
}

// A leader takes what it assigns to itself, and its own look at the owner index finds the same rows meanwhile.
func TestALeaseIsTakenOnceAlsoWhileTheAnswerIsLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const shards = 4
		f := newFleet(t, shards, memstream.Options{})
		a := f.start("a", func(c *worker.Config) { c.Leases = slowTakes{c.Leases, 1500 * time.Millisecond} })
		for range 50 {
			f.put(shards)
			pass(200 * time.Millisecond)
		}
		f.all(20 * time.Second)
		if n := f.tenureCount(); n != shards {
			t.Errorf("%d tenures of %d shards", n, shards)
		}
		if a.Status().Twin {
			t.Error("the worker takes itself for a twin")
		}
		stop(t, a)
		f.once()
	})
}
