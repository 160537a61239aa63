package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// unreadable is a table of which one row cannot be read.
type unreadable struct {
	lease.Store
	key string
}

func (u unreadable) without(rows []lease.Lease) ([]lease.Lease, error) {
	return slices.DeleteFunc(rows, func(l lease.Lease) bool { return l.Key == u.key }), fmt.Errorf("%w: %s", lease.ErrDamaged, u.key)
}

func (u unreadable) List(ctx context.Context) ([]lease.Lease, error) {
	rows, err := u.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	return u.without(rows)
}

func (u unreadable) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	rows, members, err := u.Store.Survey(ctx)
	if err != nil {
		return nil, nil, err
	}
	rows, err = u.without(rows)
	return rows, members, err
}

func (u unreadable) Get(ctx context.Context, key string) (lease.Lease, error) {
	if key == u.key {
		return lease.Lease{}, fmt.Errorf("%w: %s", lease.ErrDamaged, key)
	}
	return u.Store.Get(ctx, key)
}

// mergedPair puts records into two shards, merges them, and puts records into their child, which it returns.
func (f *fleet) mergedPair() (child string) {
	f.putIn(id(0), 5)
	f.putIn(id(1), 5)
	child = f.merge(id(0), id(1))
	f.putIn(child, 5)
	return child
}

// parentsGone reports whether the two have no rows any more.
func (f *fleet) parentsGone() bool { return f.row(id(0)).Key == "" && f.row(id(1)).Key == "" }

// noParentsRows fails where one of them has a row again.
func (f *fleet) noParentsRows() {
	f.t.Helper()
	for _, parent := range []string{id(0), id(1)} {
		if row := f.row(parent); row.Key != "" {
			f.t.Errorf("the finished shard %s has a row again: %+v", parent, *row)
		}
	}
}

// The rows of finished shards go once their children are under way. While the child's own row cannot be read, its parents
// look as if they had been overlooked: were they to get rows, all their records would come again.
func TestARowThatCannotBeReadBringsNoFinishedShardsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		child := f.mergedPair()
		first := f.start("a", config())
		f.all(time.Minute)
		f.until("the rows of the parents to go", 5*time.Minute, f.parentsGone)
		stop(t, first)
		second := f.start("b", config(func(c *worker.Config) { c.Leases = unreadable{c.Leases, child} }))
		pass(5 * time.Minute)
		stop(t, second)
		f.noParentsRows()
		f.nothingElse()
	})
}

// Rows that KCL made before 2.3 do not tell the hash keys of their shards, by which a Java worker that comes to lead looks for
// shards that were overlooked.
func TestRowsThatDoNotTellTheirHashKeysAreCompleted(t *testing.T) {
	for _, mode := range []string{"led", "compatible with 2.x"} {
		for name, fault := range map[string]struct{ apply, fail bool }{"no fault": {}, "refused": {false, true}, "answer lost": {true, true}} {
			t.Run(mode+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFleet(t, 3, memstream.Options{})
					for i := range 3 {
						f.store.Put(lease.Lease{Key: id(i), Shard: id(i), Checkpoint: record.TrimHorizon})
					}
					done := f.row(id(2))
					done.Checkpoint = record.ShardEnd
					f.store.Put(*done)
					var calls atomic.Int64
					f.store.Fault = func(_ context.Context, op, _ string) (bool, error) {
						if op == memory.OpDescribe && calls.Add(1) == 1 && fault.fail {
							return fault.apply, errTest
						}
						return true, nil
					}
					f.putIn(id(0), 5)
					f.putIn(id(1), 5)
					a := f.start("a", func(c *worker.Config) { c.Compatible2X = mode != "led" })
					f.until("rows tell their hash keys", time.Minute, func() bool { return f.row(id(0)).Range != nil && f.row(id(1)).Range != nil })
					f.all(time.Minute)
					pass(5 * time.Minute)
					stop(t, a)
					f.once()
					for i := range 2 {
						if got, want := f.row(id(i)).Range, f.rangeOf(id(i)); *got != want {
							t.Errorf("the row of %s tells %v, want %v", id(i), got, want)
						}
					}
					if r := f.row(id(2)).Range; r != nil {
						t.Errorf("the row of a finished shard tells %v", r)
					}
					if n, want := calls.Load(), map[bool]int64{false: 2, true: 3}[fault.fail]; n != want {
						t.Errorf("%d writes, want %d", n, want)
					}
					if n := f.tenureCount(); n != 2 {
						t.Errorf("%d tenures, want one for each shard", n)
					}
				})
			})
		}
	}
}

// The renewals of a table with little capacity must not suffer from what can wait.
func TestManyRowsThatDoNotTellTheirHashKeysAreCompletedLittleByLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const shards = 300
		f := newFleet(t, shards, memstream.Options{})
		for i := range shards {
			f.store.Put(lease.Lease{Key: id(i), Shard: id(i), Checkpoint: record.TrimHorizon})
		}
		var calls atomic.Int64
		f.store.Fault = func(_ context.Context, op, _ string) (bool, error) {
			if op == memory.OpDescribe {
				calls.Add(1)
			}
			return true, nil
		}
		a := f.start("a", nil)
		f.until("the first sync", time.Minute, func() bool { return calls.Load() > 0 })
		pass(5 * time.Second)
		if n := calls.Load(); n != 256 {
			t.Errorf("the first sync has completed %d rows, want 256", n)
		}
		f.until("all rows tell their hash keys", 2*time.Minute, func() bool { return calls.Load() == shards })
		stop(t, a)
		for i := range shards {
			if r := f.row(id(i)).Range; r == nil || *r != f.rangeOf(id(i)) {
				t.Fatalf("the row of %s tells %v", id(i), r)
			}
		}
	})
}

// late is a table that gets a worker's new rows a long time after they were sent.
type late struct {
	lease.Store
	after time.Duration
}

func (l late) Create(ctx context.Context, row lease.Lease) error {
	select {
	case <-time.After(l.after):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return l.Store.Create(ctx, row)
}

// What a listing showed missing may have been made since, been finished and deleted: its row must not come back, with all
// records of its shard.
func TestRowsAreMadeSoonAfterTheListingThatShowsThemMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		f.mergedPair()
		slow := f.start("slow", config(compatible, func(c *worker.Config) { c.Leases = late{c.Leases, 5 * time.Minute} }))
		pass(time.Second) // it has seen a table without rows
		quick := f.start("quick", compatible)
		f.all(time.Minute)
		f.until("the rows of the parents to go", 4*time.Minute, f.parentsGone)
		pass(10 * time.Minute)
		f.noParentsRows()
		stop(t, slow)
		stop(t, quick)
		f.once()
	})
}

// A table that is throttled when all start is no reason to end: whoever starts them anew only adds to it.
func TestAThrottledStartIsNotGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began := time.Now()
		storm := func(err error) error {
			if time.Since(began) < 5*time.Minute {
				return err
			}
			return nil
		}
		f := newFleet(t, 2, memstream.Options{Fault: func(context.Context, memstream.Call) error { return storm(worker.ErrThrottled) }})
		f.store.Fault = func(context.Context, string, string) (bool, error) { return false, storm(lease.ErrThrottled) }
		a := f.start("a", nil)
		pass(5 * time.Minute)
		f.put(20)
		f.all(time.Minute)
		stop(t, a)
		f.once()
	})
}
