package worker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestRecordsInClosedShardsAreRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{PageRecords: 20})
		f.put(100)
		pass(time.Second)
		lower, upper := f.split(id(0))
		f.put(100)
		f.split(lower)
		f.merge(upper, id(1))
		f.put(100)
		a := f.start("a", nil)
		f.until("some records processed", 10*time.Second, func() bool { return f.log.count() >= 60 })
		stop(t, a) // in the middle of closed shards
		b := f.start("b", nil)
		f.all(time.Minute)
		stop(t, b)
		f.once()
	})
}

func TestChildrenNeverStartBeforeTheirParents(t *testing.T) {
	slow := func(shards ...string) func(*worker.Config) {
		return processing(func(ctx context.Context, s *worker.Shard, _ *worker.Batch, next func() error) error {
			if slices.Contains(shards, s.ID) {
				time.Sleep(2 * time.Second)
			}
			return next()
		})
	}
	for _, c := range []struct {
		name    string
		reshard func(f *fleet) // after 100 records, before 100 more
		change  func(f *fleet) func(*worker.Config)
	}{
		{"splits of splits",
			func(f *fleet) { f.split(id(0)); f.put(50); f.split(id(3)); f.put(50); f.split(id(5)) },
			func(*fleet) func(*worker.Config) { return slow() }},
		{"a merge with one slow parent",
			func(f *fleet) { f.merge(id(0), id(1)) },
			func(*fleet) func(*worker.Config) { return slow(id(1)) }},
		{"a merge with the other parent slow",
			func(f *fleet) { f.merge(id(0), id(1)) },
			func(*fleet) func(*worker.Config) { return slow(id(0)) }},
		{"parents that nobody has checkpointed",
			func(f *fleet) { f.split(id(0)); f.merge(id(1), id(2)) },
			func(f *fleet) func(*worker.Config) { return config(f.logOnly("x"), slow(id(0), id(1))) }},
		{"a merge whose other parent has no row while its own parent is read",
			func(f *fleet) { f.split(id(0)); f.put(50); f.merge(id(4), id(1)) },
			func(*fleet) func(*worker.Config) { return slow(id(0)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 3, memstream.Options{PageRecords: 10})
				f.put(100)
				time.Sleep(time.Second) // else all shards were open when the stream began
				c.reshard(f)
				f.put(100)
				a, b := f.start("a", c.change(f)), f.start("b", c.change(f))
				f.all(2 * time.Minute)
				stop(t, a, b)
				f.parentsFirst()
				f.verify()
			})
		})
	}
}

// waitingChild makes a merged shard that worker b holds and that waits for the parent which worker a processes for d.
func waitingChild(t *testing.T, d time.Duration) (f *fleet, a, b *member, child string) {
	f = newFleet(t, 2, memstream.Options{})
	a = f.start("a", config(func(c *worker.Config) { c.MaxLeases = 1 },
		processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
			time.Sleep(d)
			return next()
		})))
	b = f.start("b", nil)
	f.until("a shard each", 20*time.Second, func() bool { return len(a.Status().Shards) == 1 && len(b.Status().Shards) == 1 })
	f.put(20)
	time.Sleep(2 * time.Second)
	child = f.merge(id(0), id(1))
	f.put(10)
	f.until("b waits for the other parent", 20*time.Second, func() bool { return b.state(child) == worker.WaitingForParents })
	return f, a, b, child
}

func TestAStopReturnsAtOnceWhileAShardWaitsForAParent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, a, b, child := waitingChild(t, 30*time.Second)
		if err, took := b.halt(); err != nil || took > 100*time.Millisecond {
			t.Errorf("Run = %v after %v, want nil at once", err, took)
		}
		if row := f.row(child); row.Owner == "b" {
			t.Error("the waiting child's lease was not released")
		}
		c := f.start("c", nil)
		f.all(time.Minute)
		stop(t, a, c)
		f.verify() // c's joining may move the shard whose processor is slow
		f.parentsFirst()
	})
}
