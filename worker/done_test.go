package worker_test

import (
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// renewals notes when rows that are finished are renewed.
func (f *fleet) renewals() func() []time.Time {
	var mu sync.Mutex
	var at []time.Time
	f.store.Written = func(op string, before, after lease.Lease) {
		f.log.written(op, before, after)
		if op == memory.OpRenew && before.Finished() {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
		}
	}
	return func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
}

func TestAFleetOfShoalRenewsNoFinishedLeasesAndDeletesThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		renewed := f.renewals()
		a, b := f.start("a", nil), f.start("b", nil)
		f.settled(time.Minute, 1, a, b)
		f.put(20)
		f.split(id(0))
		f.until("the parent is done", 10*time.Second, func() bool { return f.row(id(0)).Finished() })
		pass(2 * time.Minute)
		if f.row(id(0)).Key == "" {
			t.Error("the parent's row was deleted before its children were under way")
		}
		f.put(40)
		f.until("the parent's row is gone", 35*time.Second, func() bool { return f.row(id(0)).Key == "" })
		if n := len(renewed()); n != 0 {
			t.Errorf("%d renewals of a finished lease", n)
		}
		stop(t, a, b)
		f.once()
	})
}

// Java workers take a lease that nobody renews for expired, also a finished one.
func TestFinishedLeasesAreRenewedWhileAWorkerOfJavaIsThere(t *testing.T) {
	for _, leads := range []string{"Shoal", "Java"} {
		t.Run(leads+" leads", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				renewed := f.renewals()
				f.rows("a")
				j := f.join("java")
				if leads == "Java" {
					j.lead()
				}
				a := f.start("a", nil)
				f.until("a has a shard", 20*time.Second, func() bool { return a.state(id(0)) != 0 || a.state(id(1)) != 0 })
				pass(5 * time.Second)
				mine := id(0)
				if f.row(mine).Owner != "a" {
					mine = id(1)
				}
				lower, upper := f.split(mine)
				f.until("the parent is done", 10*time.Second, func() bool { return f.row(mine).Finished() })
				done := time.Now()
				pass(2 * time.Minute)
				if row := f.row(mine); row.Owner != "a" {
					t.Fatalf("the finished lease is owned by %q", row.Owner)
				}
				last := done
				for _, at := range append(renewed(), time.Now()) {
					if gap := at.Sub(last); gap > 5*time.Second && last != done || gap > 8*time.Second {
						t.Errorf("%v between two renewals of a finished lease", gap)
					}
					last = at
				}
				for _, child := range []string{lower, upper} { // whoever has them has begun
					row := f.row(child)
					row.Checkpoint = record.At("49600000000000000000000000000000000000000000000000000002", 0)
					row.Counter++
					row.Owner = "java"
					f.store.Put(*row)
				}
				f.until("the parent's row is gone", 65*time.Second, func() bool { return f.row(mine).Key == "" })
				before := len(renewed())
				pass(30 * time.Second)
				if n := len(renewed()) - before; n != 0 {
					t.Errorf("%d renewals after the lease was gone", n)
				}
				stop(t, a)
			})
		})
	}
}

func TestFinishedLeasesAreNoLongerRenewedOnceTheLastWorkerOfJavaHasGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		renewed := f.renewals()
		j := f.join("java")
		a := f.start("a", nil)
		f.until("a has a shard", 20*time.Second, func() bool { return len(a.Status().Shards) > 0 })
		pass(5 * time.Second)
		f.split(a.Status().Shards[0].Shard)
		f.until("renewals", 20*time.Second, func() bool { return len(renewed()) > 1 })
		j.gone.Store(true)
		pass(90 * time.Second) // its item is a minute old, and its leases have expired
		before := len(renewed())
		pass(2 * time.Minute)
		if n := len(renewed()) - before; n != 0 {
			t.Errorf("%d renewals in a fleet of Shoal alone", n)
		}
		stop(t, a)
	})
}

func TestLeasesOfShardsThatAreGoneAreDeleted(t *testing.T) {
	for name, there := range map[string]lease.Lease{
		"finished, of nobody":           {Checkpoint: record.ShardEnd},
		"finished, with forgotten kin":  {Checkpoint: record.ShardEnd, Children: []string{"shardId-000000000901"}},
		"not finished, of nobody":       {Checkpoint: record.TrimHorizon},
		"not finished, of one who died": {Checkpoint: record.At("49600000000000000000000000000000000000000000000000000002", 0), Owner: "dead", Counter: 77},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				there.Key, there.Shard = "shardId-000000000900", "shardId-000000000900"
				f.store.Put(there)
				f.rows("")
				a := f.start("a", nil)
				f.until("the row is gone", 3*time.Minute, func() bool { return f.row(there.Key).Key == "" })
				f.put(20)
				f.all(5 * time.Second)
				stop(t, a)
				f.once()
			})
		})
	}
}
