package worker_test

import (
	"context"
	"strings"
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

func TestAFleetFollowsTheMigrationFrom2XAndBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{})
		says := func(state string) {
			t.Helper()
			seen, _ := f.store.Migration(t.Context(), lease.ClientVersion)
			next := lease.Migration{Key: lease.ClientVersion, State: state, By: "tool", At: time.Now()}
			if err := f.store.PutMigration(t.Context(), seen, next); err != nil {
				t.Fatal(err)
			}
		}
		says(lease.ClientUpgradeFrom2X)
		a, b := f.start("a", compatible), f.start("b", compatible)
		f.until("two shards each", 2*time.Minute, func() bool { return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 })
		f.put(50) // not before: until then workers take from each other as 2.x does, which repeats what was not stored yet
		f.all(time.Minute)
		if l := a.Status().Leader; l != "" {
			t.Errorf("%s leads a fleet that is compatible with 2.x", l)
		}
		f.until("everybody is ready for 3.x", 15*time.Minute, func() bool {
			m, _ := f.store.Migration(t.Context(), lease.ClientVersion)
			return m.State == lease.Client3XWithRollback
		})
		f.until("there is a leader", 2*time.Minute, func() bool { return a.Status().Leader != "" && a.Status().Leader == b.Status().Leader })
		f.put(50)
		f.all(20 * time.Second)
		says(lease.Client2X)
		f.until("the leader has stepped down", 3*time.Minute, func() bool { return a.Status().Leader == "" && b.Status().Leader == "" })
		f.put(50)
		f.all(20 * time.Second)
		stop(t, a, b)
		f.once()
	})
}
