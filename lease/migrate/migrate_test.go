package migrate

import (
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
	"github.com/shoal-stream/shoal/record"
)

func TestClient(t *testing.T) {
	for _, c := range []struct {
		stored     string
		compatible string
		newer      string
	}{
		{"", lease.ClientUpgradeFrom2X, lease.Client3X},
		{lease.ClientUpgradeFrom2X, lease.ClientUpgradeFrom2X, lease.ClientUpgradeFrom2X},
		{lease.Client2X, lease.Client2X, lease.Client2X},
		{lease.Client3XWithRollback, lease.Client3XWithRollback, lease.Client3X},
		{lease.Client3X, lease.Client3X, lease.Client3X},
		{"CLIENT_VERSION_4X", "", ""},
	} {
		for compatible, want := range map[bool]string{true: c.compatible, false: c.newer} {
			got, err := Client(c.stored, compatible)
			if got != want || (err != nil) != (want == "") {
				t.Errorf("stored %q, compatible %v: %q, error %v; want %q", c.stored, compatible, got, err, want)
			}
		}
	}
}

func TestDuties(t *testing.T) {
	for state, want := range map[string]Duties{
		lease.ClientUpgradeFrom2X:  {Report: true, Index: true, Ready: true, Poll: true},
		lease.Client2X:             {Poll: true},
		lease.Client3XWithRollback: {Led: true, Report: true, Index: true, Poll: true},
		lease.Client3X:             {Led: true, Report: true, Index: true},
	} {
		if got := DutiesOf(state); got != want {
			t.Errorf("%s: %+v, want %+v", state, got, want)
		}
	}
}

// A fleet is what a leader sees, from minute to minute.
type fleet struct {
	now, wall time.Time
	leases    []lease.Lease
	still     map[string]time.Duration
	alive     []lease.Member
	old       []lease.Member
}

func newFleet() *fleet {
	start := time.Unix(1_000_000, 0)
	return &fleet{now: start, wall: start, still: make(map[string]time.Duration)}
}

func (f *fleet) own(key, owner string) {
	f.leases = append(f.leases, lease.Lease{Key: key, Shard: key, Owner: owner, Checkpoint: record.TrimHorizon})
}

// live lets a worker write that it lives; support is how long ago, by its own clock, it said that it understands one
// table, -1 if it never did.
func (f *fleet) live(worker string, support time.Duration) {
	m := lease.Member{Worker: worker, Updated: time.Unix(5000, 0)}
	if support >= 0 {
		m.Support, m.SupportTime = 1, m.Updated.Add(-support)
	}
	f.alive = append(f.alive, m)
}

func (f *fleet) round() assign.Round {
	return assign.Round{Leases: f.leases, Alive: f.alive, Still: f.still}
}

func (f *fleet) pass(d time.Duration) { f.now, f.wall = f.now.Add(d), f.wall.Add(d) }

func TestAFleetIsReadyAfterTenMinutes(t *testing.T) {
	for _, c := range []struct {
		name  string
		index bool
		build func(f *fleet)
		ready bool
	}{
		{"every owner reports", true, func(f *fleet) { f.own("a", "w1"); f.live("w1", -1) }, true},
		{"the index is not there", false, func(f *fleet) { f.own("a", "w1"); f.live("w1", -1) }, false},
		{"an owner does not report", true, func(f *fleet) { f.own("a", "w1"); f.own("b", "w2"); f.live("w1", -1) }, false},
		{"a lease has no owner", true, func(f *fleet) { f.own("a", "w1"); f.own("b", ""); f.live("w1", -1) }, true},
		{"a worker has no lease", true, func(f *fleet) { f.own("a", "w1"); f.live("w1", -1); f.live("w2", -1) }, true},
		{"there is no lease", true, func(f *fleet) { f.live("w1", -1) }, false},
		{"no lease has an owner", true, func(f *fleet) { f.own("a", ""); f.live("w1", -1) }, false},
		{"a finished lease's owner is gone", true, func(f *fleet) {
			f.own("a", "w1")
			f.own("b", "gone")
			f.leases[1].Checkpoint = record.ShardEnd
			f.still["b"] = time.Hour
			f.live("w1", -1)
		}, true},
		{"a finished lease's owner lives and does not report", true, func(f *fleet) {
			f.own("a", "w1")
			f.own("b", "w2")
			f.leases[1].Checkpoint = record.ShardEnd
			f.live("w1", -1)
		}, false},
	} {
		f := newFleet()
		c.build(f)
		var w Readiness
		for minute := range 12 {
			want := c.ready && minute >= 10
			if got := w.Observe(c.index, f.round(), 10*time.Second, f.now); got != want {
				t.Errorf("%s: ready after %d minutes: %v, want %v", c.name, minute, got, want)
			}
			f.pass(time.Minute)
		}
	}
}

func TestReadinessBeginsAnewAfterABreak(t *testing.T) {
	f := newFleet()
	f.own("a", "w1")
	f.live("w1", -1)
	var w Readiness
	w.Observe(true, f.round(), 10*time.Second, f.now)
	f.pass(9 * time.Minute)
	alive := f.alive
	f.alive = nil
	w.Observe(true, f.round(), 10*time.Second, f.now)
	f.alive = alive
	for range 10 {
		f.pass(time.Minute)
		if w.Observe(true, f.round(), 10*time.Second, f.now) {
			t.Fatal("ready less than 10 minutes after a break")
		}
	}
	f.pass(time.Minute)
	if !w.Observe(true, f.round(), 10*time.Second, f.now) {
		t.Error("not ready 10 minutes after a break")
	}
}

func TestNextStepOfAMigrationToOneTable(t *testing.T) {
	supported := func(f *fleet) { f.own("a", "w1"); f.live("w1", 0) }
	for _, c := range []struct {
		name   string
		stored string
		age    time.Duration // of the stored state
		watch  time.Duration // of the leader, since before
		all    bool
		bake   time.Duration
		items  int
		build  func(f *fleet)
		want   Action
	}{
		{"every owner understands", "", 0, 0, false, 0, 3, supported, Begin},
		{"nobody owns a lease", "", 0, 0, false, 0, 3, func(f *fleet) { f.own("a", ""); f.live("w1", 0) }, Wait},
		{"an owner is of 3.4", "", 0, 0, false, 0, 3, func(f *fleet) { f.own("a", "w1"); f.live("w1", -1) }, Wait},
		{"an owner said so long ago", "", 0, 0, false, 0, 3, func(f *fleet) { f.own("a", "w1"); f.live("w1", 91*time.Second) }, Wait},
		{"an owner does not report", "", 0, 0, false, 0, 3, func(f *fleet) { supported(f); f.own("b", "w2") }, Wait},
		{"not yet an hour", lease.TableInit, 59 * time.Minute, time.Hour, false, 0, 3, supported, Wait},
		{"an hour", lease.TableInit, time.Hour, 10 * time.Minute, false, 0, 3, supported, Deploy},
		{"an hour by a time of day that is wrong", lease.TableInit, time.Hour, 9 * time.Minute, false, 0, 3, supported, Wait},
		{"a worker of 3.4 comes", lease.TableInit, 30 * time.Minute, time.Hour, false, 0, 3, func(f *fleet) { supported(f); f.own("b", "w2"); f.live("w2", -1) }, Withdraw},
		{"nobody wants one table yet", lease.TableDeployed, 99 * time.Hour, time.Hour, false, 0, 3, supported, Wait},
		{"the leader wants one table", lease.TableDeployed, time.Minute, 0, true, 0, 3, supported, Move},
		{"another still writes to the old one", lease.TableDeployed, time.Minute, 0, true, 0, 3, func(f *fleet) { supported(f); f.old = f.alive }, Wait},
		{"what it wrote there before does not count", lease.TableDeployed, time.Minute, 0, true, 0, 3, func(f *fleet) {
			supported(f)
			f.old = []lease.Member{{Worker: "w1", Updated: f.alive[0].Updated.Add(-time.Hour)}, {Worker: "gone", Updated: time.Unix(9000, 0)}}
		}, Move},
		{"it is baking", lease.TablePending, 23 * time.Hour, 24 * time.Hour, true, 0, 0, supported, Wait},
		{"it is done", lease.TablePending, 24 * time.Hour, 10 * time.Minute, true, 0, 0, supported, Complete},
		{"it is done by a time of day that is wrong", lease.TablePending, 24 * time.Hour, time.Minute, true, 0, 0, supported, Wait},
		{"an hour at least", lease.TablePending, 59 * time.Minute, time.Hour, true, time.Second, 0, supported, Wait},
		{"an hour is enough", lease.TablePending, time.Hour, time.Hour, true, time.Second, 0, supported, Complete},
		{"a week at most", lease.TablePending, 7 * 24 * time.Hour, time.Hour, true, 1000 * time.Hour, 0, supported, Complete},
		{"old items come back", lease.TablePending, 24 * time.Hour, time.Hour, true, 0, 1, supported, Deploy},
		{"an old worker comes back", lease.TablePending, 24 * time.Hour, time.Hour, true, 0, 0, func(f *fleet) { supported(f); f.old = f.alive }, Deploy},
		{"it is over", lease.TableComplete, time.Hour, time.Hour, true, 0, 3, supported, Wait},
	} {
		f := newFleet()
		c.build(f)
		scene := Scene{Apart: true, All: c.all, Bake: c.bake, Round: f.round(), Duration: 10 * time.Second, Items: c.items, Old: f.old}
		if c.stored != "" {
			scene.Stored = lease.Migration{Key: lease.SingleTable, State: c.stored}
		}
		scene.Stored.At = f.wall.Add(c.watch - c.age)
		m := Mover{state: c.stored, since: f.now}
		f.pass(c.watch)
		scene.Now, scene.Wall = f.now, f.wall
		if got := m.Next(scene); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		scene.Apart = false
		if got := m.Next(scene); got != Wait {
			t.Errorf("%s, and no old tables: %v, want %v", c.name, got, Wait)
		}
	}
}

func TestAMigrationFromItsBeginningToItsEnd(t *testing.T) {
	f := newFleet()
	f.own("a", "w1")
	f.live("w1", 0)
	var (
		m      Mover
		stored lease.Migration
		took   = make(map[Action]time.Duration)
		start  = f.now
		items  = 3
	)
	for f.now.Sub(start) < 30*time.Hour && stored.State != lease.TableComplete {
		action := m.Next(Scene{
			Apart: true, Stored: stored, All: true, Round: f.round(), Duration: 10 * time.Second, Items: items, Now: f.now, Wall: f.wall,
		})
		states := map[Action]string{Begin: lease.TableInit, Deploy: lease.TableDeployed, Move: lease.TablePending, Complete: lease.TableComplete}
		if state, ok := states[action]; ok {
			stored = lease.Migration{Key: lease.SingleTable, State: state, At: f.wall}
			took[action] = f.now.Sub(start)
		}
		if action == Move {
			items = 0
		}
		f.pass(time.Minute)
	}
	want := map[Action]time.Duration{Begin: 0, Deploy: time.Hour, Move: time.Hour + time.Minute, Complete: 25*time.Hour + time.Minute}
	for action, at := range want {
		if took[action] != at {
			t.Errorf("%v after %v, want %v", action, took[action], at)
		}
	}
}
