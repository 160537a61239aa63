package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// writes counts the writes of items other than leases.
func (f *fleet) countItems() *tally {
	var items tally
	f.store.Fault = func(_ context.Context, op, _ string) (bool, error) {
		switch op {
		case "PutMember", "PutLeader", "PutMigration":
			items.add(op)
		}
		return true, nil
	}
	return &items
}

func compatible(c *worker.Config) { c.Compatible2X = true }

func TestAFleetCompatibleWith2XSharesItsShardsAndWritesNothingButLeases(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 6, memstream.Options{})
		items := f.countItems()
		a, b := f.start("a", compatible), f.start("b", compatible)
		f.put(100)
		f.all(time.Minute)
		f.until("three shards each", 2*time.Minute, func() bool { return len(a.Status().Shards) == 3 && len(b.Status().Shards) == 3 })
		f.put(100)
		f.split(id(0))
		f.put(100)
		f.all(time.Minute)
		a.crash()
		f.put(100)
		f.all(time.Minute)
		stop(t, b)
		f.verify()
		f.parentsFirst()
		if n := items.all(); len(n) > 0 {
			t.Errorf("items were written that workers of KCL 2.x stumble over: %v", n)
		}
	})
}

func TestAWorkerRefusesToStartBesideWorkersOf2X(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		items := f.countItems()
		a := f.start("a", compatible)
		f.put(10)
		f.all(30 * time.Second)
		b := f.start("b", nil)
		err := <-b.done
		b.done <- err
		if err == nil || !strings.Contains(err.Error(), "Compatible2X") {
			t.Errorf("Run = %v, want an error that names Config.Compatible2X", err)
		}
		if n := items.all(); len(n) > 0 {
			t.Errorf("items were written: %v", n)
		}
		stop(t, a)
		f.once()
	})
}

func TestATableLeftBy2XIsTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		a := f.start("a", compatible)
		f.put(10)
		f.all(30 * time.Second)
		a.kill() // its rows stay in its name
		pass(time.Minute)
		b := f.start("b", nil)
		f.put(10)
		f.all(30 * time.Second)
		if m, err := f.store.Migration(t.Context(), lease.ClientVersion); err != nil || m.State != lease.Client3X {
			t.Errorf("the table says %q, error %v; want %s", m.State, err, lease.Client3X)
		}
		stop(t, b)
		f.verify()
	})
}

// noIndex is a table whose owner index is gone, as KCL's tool leaves it after a rollback, or not ready yet.
type noIndex struct {
	lease.Store
	ready *atomic.Bool
}

func (s noIndex) Owned(ctx context.Context, worker string) ([]string, error) {
	if !s.ready.Load() {
		return nil, errors.New("the table does not have the specified index")
	}
	return s.Store.Owned(ctx, worker)
}

// makesIndex is such a table that makes its index when it is opened; opened says what becomes of that.
type makesIndex struct {
	noIndex
	opened func() (apply bool, err error)
}

func (s makesIndex) Open(context.Context) error {
	apply, err := s.opened()
	if apply {
		s.ready.Store(true)
	}
	return err
}

// says stores how the fleet assigns its leases, as KCL's tool does, and state is what is stored.
func (f *fleet) says(state string) {
	f.t.Helper()
	seen, _ := f.store.Migration(f.t.Context(), lease.ClientVersion)
	next := lease.Migration{Key: lease.ClientVersion, State: state, By: "tool", At: time.Now()}
	if err := f.store.PutMigration(f.t.Context(), seen, next); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) state() string {
	m, _ := f.store.Migration(f.t.Context(), lease.ClientVersion)
	return m.State
}

// KCL's tool deletes the index when it rolls a fleet back. Workers that stay up through it make it when the fleet goes forward
// again, and not before.
func TestAFleetThatWasRolledBackMakesTheOwnerIndexWhenItGoesForwardAgain(t *testing.T) {
	for name, apply := range map[string]bool{"refused": false, "answer lost": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				f.says(lease.ClientUpgradeFrom2X)
				var ready atomic.Bool
				var opens, failing atomic.Int64
				a := f.start("a", func(c *worker.Config) {
					c.Compatible2X = true
					c.Leases = makesIndex{noIndex{c.Leases, &ready}, func() (bool, error) {
						opens.Add(1)
						if failing.Add(-1) >= 0 {
							return apply, errTest
						}
						return true, nil
					}}
				})
				ahead := func() bool { return f.state() == lease.Client3XWithRollback }
				f.until("the fleet is ready for 3.x", 15*time.Minute, ahead)
				f.says(lease.Client2X)
				pass(2 * time.Minute)
				ready.Store(false)
				before := opens.Load()
				pass(20 * time.Minute)
				if n := opens.Load() - before; n > 0 || ready.Load() {
					t.Errorf("the table was opened %d times in a fleet that was rolled back", n)
				}
				failing.Store(1)
				f.says(lease.ClientUpgradeFrom2X)
				f.until("the fleet is ready for 3.x again", 20*time.Minute, ahead)
				if !ready.Load() || failing.Load() >= 1 {
					t.Error("the index was not made")
				}
				stop(t, a)
			})
		})
	}
}

func TestAFleetStaysCompatibleWith2XUntilTheOwnerIndexIsReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		f.says(lease.ClientUpgradeFrom2X)
		var ready atomic.Bool
		a := f.start("a", func(c *worker.Config) { c.Compatible2X, c.Leases = true, noIndex{c.Leases, &ready} })
		pass(20 * time.Minute)
		if got := f.state(); got != lease.ClientUpgradeFrom2X {
			t.Errorf("%s without an index, want %s", got, lease.ClientUpgradeFrom2X)
		}
		ready.Store(true)
		f.until("the fleet is ready for 3.x", 15*time.Minute, func() bool { return f.state() == lease.Client3XWithRollback })
		stop(t, a)
	})
}

func TestAFleetFollowsTheMigrationFrom2XAndBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{})
		f.says(lease.ClientUpgradeFrom2X)
		a, b := f.start("a", compatible), f.start("b", compatible)
		f.until("two shards each", 2*time.Minute, func() bool { return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 })
		f.put(50) // not before: until then workers take from each other as 2.x does, which repeats what was not stored yet
		f.all(time.Minute)
		if l := a.Status().Leader; l != "" {
			t.Errorf("%s leads a fleet that is compatible with 2.x", l)
		}
		f.until("everybody is ready for 3.x", 15*time.Minute, func() bool { return f.state() == lease.Client3XWithRollback })
		f.until("there is a leader", 2*time.Minute, func() bool { return a.Status().Leader != "" && a.Status().Leader == b.Status().Leader })
		f.put(50)
		f.all(20 * time.Second)
		f.says(lease.Client2X)
		f.until("the leader has stepped down", 3*time.Minute, func() bool { return a.Status().Leader == "" && b.Status().Leader == "" })
		f.put(50)
		f.all(20 * time.Second)
		stop(t, a, b)
		f.once()
	})
}
