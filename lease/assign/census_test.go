package assign

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A watchman is a census with its two clocks and what it is shown.
type watchman struct {
	c     Census
	now   time.Time
	wall  time.Time
	rows  []lease.Lease
	items []lease.Member
}

func newWatchman() *watchman {
	return &watchman{now: time.Unix(500, 0), wall: time.Unix(1_000_000, 0)}
}

func (w *watchman) row(key, owner, ckp string, counter int64) {
	l := lease.Lease{Key: key, Shard: key, Owner: owner, CheckpointOwner: ckp, Counter: counter, Checkpoint: record.TrimHorizon}
	if i := slices.IndexFunc(w.rows, func(o lease.Lease) bool { return o.Key == key }); i >= 0 {
		w.rows[i] = l
		return
	}
	w.rows = append(w.rows, l)
}

func (w *watchman) item(worker string, updated time.Time) {
	m := lease.Member{Worker: worker, Updated: updated}
	if i := slices.IndexFunc(w.items, func(o lease.Member) bool { return o.Worker == worker }); i >= 0 {
		w.items[i] = m
		return
	}
	w.items = append(w.items, m)
}

// after lets time pass and looks.
func (w *watchman) after(d time.Duration) Round {
	w.now, w.wall = w.now.Add(d), w.wall.Add(d)
	return w.c.Observe(slices.Clone(w.rows), slices.Clone(w.items), w.now, w.wall)
}

func alive(r Round) (names []string) {
	for _, m := range r.Alive {
		names = append(names, m.Worker)
	}
	return names
}

func TestACensusTellsForHowLongARowStoodStill(t *testing.T) {
	w := newWatchman()
	for i, step := range []struct {
		what       string
		after      time.Duration
		owner, ckp string
		counter    int64
		still      time.Duration
		handing    time.Duration
		fresh      bool
	}{
		{"first sight", 0, "a", "", 5, 0, 0, false},
		{"it stands still", 4 * time.Second, "a", "", 5, 4 * time.Second, 0, false},
		{"it moves", time.Second, "a", "", 6, 0, 0, false},
		{"a hand-over begins", time.Second, "b", "a", 6, time.Second, 0, false},
		{"the holder renews", time.Second, "b", "a", 7, 0, time.Second, false},
		{"it lets go", time.Second, "b", "", 8, 0, 0, true},
		{"the new owner is not there yet", time.Second, "b", "", 8, time.Second, 0, true},
		{"it is", time.Second, "b", "", 9, 0, 0, false},
		{"an old reading", time.Second, "b", "", 8, 0, 0, false},
	} {
		w.rows = nil
		w.row("s", step.owner, step.ckp, step.counter)
		r := w.after(step.after)
		if r.Still["s"] != step.still || r.Handing["s"] != step.handing || r.past[0].fresh != step.fresh {
			t.Errorf("%d, %s: still %v, handing %v, fresh %v; want %v, %v, %v", i, step.what,
				r.Still["s"], r.Handing["s"], r.past[0].fresh, step.still, step.handing, step.fresh)
		}
		if _, handing := r.Handing["s"]; handing != (step.ckp != "") {
			t.Errorf("%d, %s: in hand-over: %v", i, step.what, handing)
		}
	}
}

func TestALeaseThatNobodyOwnsHasStoodStillForEver(t *testing.T) {
	w := newWatchman()
	w.row("new", "", "", 0)
	if still := w.after(0).Still["new"]; still < 1000*time.Hour {
		t.Errorf("a lease never owned stood still for %v", still)
	}
	w.row("new", "a", "", 1)
	if still := w.after(time.Second).Still["new"]; still != 0 {
		t.Errorf("once taken it stood still for %v", still)
	}
	w.row("new", "", "", 2)
	if still := w.after(time.Second).Still["new"]; still != 0 {
		t.Errorf("once released it stood still for %v", still)
	}
}

func TestAWorkerLivesWhileItsItemChanges(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		w := newWatchman()
		w.item("a", w.wall.Add(skew))
		at := func(want bool, after time.Duration) {
			t.Helper()
			if got := len(w.after(after).Alive) == 1; got != want {
				t.Errorf("skew %v: alive %v, want %v", skew, got, want)
			}
		}
		at(skew == 0, 0) // at first sight the time of day must do
		w.item("a", w.wall.Add(skew+30*time.Second))
		at(true, 30*time.Second)
		at(true, 60*time.Second)
		at(false, time.Second)
		w.item("a", w.wall.Add(skew))
		at(true, time.Second)
		w.wall = w.wall.Add(5 * time.Hour) // a step of our own
		at(true, 59*time.Second)
	}
}

func TestAnItemSeenForTheFirstTimeIsTrustedForWhatIsLeftOfItsMinute(t *testing.T) {
	w := newWatchman()
	w.item("old", w.wall.Add(-61*time.Second))
	w.item("dying", w.wall.Add(-50*time.Second))
	w.item("young", w.wall)
	if got := alive(w.after(0)); !slices.Equal(got, []string{"dying", "young"}) {
		t.Errorf("alive at first sight: %v", got)
	}
	if got := alive(w.after(11 * time.Second)); !slices.Equal(got, []string{"young"}) {
		t.Errorf("alive after 11 s: %v", got)
	}
}

func TestAWorkerThatLetsAllItsLeasesExpireIsDeadUntilItWrites(t *testing.T) {
	w := newWatchman()
	w.item("a", w.wall)
	w.item("b", w.wall)
	w.row("s1", "a", "", 1)
	w.row("s2", "a", "", 1)
	w.row("s3", "b", "", 1)
	w.after(0)
	w.row("s1", "a", "", 2)
	w.row("s2", "a", "", 2)
	w.after(3 * time.Second)
	w.row("s1", "a", "", 3)
	w.row("s3", "b", "", 2)
	if got := alive(w.after(10 * time.Second)); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("with one lease renewed: %v", got)
	}
	w.row("s3", "b", "", 3)
	w.after(9 * time.Second)
	w.row("s3", "b", "", 4)
	if got := alive(w.after(time.Second)); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("with none renewed for ten seconds: %v", got)
	}
	// Its leases are taken; its item is 23 s old.
	w.row("s1", "b", "", 4)
	w.row("s2", "b", "", 3)
	w.row("s3", "b", "", 5)
	if got := alive(w.after(time.Second)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("without leases: %v", got)
	}
	w.item("a", w.wall)
	if got := alive(w.after(time.Second)); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("when it has written again: %v", got)
	}
}

func TestAWorkerThatWroteAfterItsLeasesExpiredLives(t *testing.T) {
	w := newWatchman()
	w.item("a", w.wall)
	w.row("s", "a", "", 1)
	w.after(0)
	w.after(9 * time.Second)
	w.item("a", w.wall)
	if got := alive(w.after(2 * time.Second)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("when it had just written: %v", got)
	}
	if got := alive(w.after(2 * time.Second)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("a little later: %v", got)
	}
}

func TestAWorkerThatWritesAndRenewsNothingHasToWriteMoreOftenEachTime(t *testing.T) {
	w := newWatchman()
	w.c.Duration = 2 * time.Second
	w.item("zombie", w.wall)
	w.after(0)
	var writes []int // before it is given a lease again
	for len(writes) < 4 {
		w.row("s", "zombie", "", w.c.rowCounter("s")+1)
		for n := 0; n < 5; n++ { // it keeps nothing
			w.after(time.Second)
		}
		w.row("s", "", "", w.c.rowCounter("s")+1) // the leader takes it away
		n := 0
		for len(alive(w.after(time.Second))) == 0 {
			n++
			w.item("zombie", w.wall)
		}
		writes = append(writes, n)
	}
	if !slices.Equal(writes, []int{1, 2, 4, 8}) {
		t.Errorf("it had to write %v times", writes)
	}
}

func (c *Census) rowCounter(key string) int64 {
	if is := c.rows[key]; is != nil {
		return is.counter
	}
	return 0
}

func TestAWorkerWhoseMetricFailsIsGivenNothing(t *testing.T) {
	w := newWatchman()
	w.items = []lease.Member{
		{Worker: "failed", Updated: w.wall, Metrics: map[string][]float64{"C": {50, -1}}},
		{Worker: "recovered", Updated: w.wall, Metrics: map[string][]float64{"C": {-1, 50}}},
		{Worker: "without", Updated: w.wall},
	}
	if got := alive(w.after(0)); !slices.Equal(got, []string{"recovered", "without"}) {
		t.Errorf("alive: %v", got)
	}
}

func TestSkewedClocksAreReportedWhenTheyTick(t *testing.T) {
	w := newWatchman()
	skewed := func(after time.Duration, want ...string) {
		t.Helper()
		var got []string
		for _, m := range w.after(after).Skewed {
			got = append(got, m.Worker)
		}
		if !slices.Equal(got, want) {
			t.Errorf("skewed: %v, want %v", got, want)
		}
	}
	w.item("ahead", w.wall.Add(time.Hour))
	w.item("behind", w.wall.Add(-time.Hour))
	w.item("right", w.wall)
	skewed(0) // they may be old
	for range 3 {
		at := w.wall.Add(30 * time.Second)
		w.after(28 * time.Second)
		w.item("ahead", at.Add(40*time.Second))
		w.item("behind", at.Add(-40*time.Second))
		w.item("right", at.Add(-2*time.Second))
		skewed(2*time.Second, "ahead", "behind")
		skewed(time.Second)
	}
}

func TestStaleMembersAreToBeDeleted(t *testing.T) {
	w := newWatchman()
	w.item("ancient", w.wall.Add(-25*time.Hour))
	w.item("old", w.wall.Add(-23*time.Hour))
	stale := func(after time.Duration, want ...string) {
		t.Helper()
		var got []string
		for _, m := range w.after(after).Stale {
			got = append(got, m.Worker)
		}
		if !slices.Equal(got, want) {
			t.Errorf("stale: %v, want %v", got, want)
		}
	}
	stale(0) // our own clock may be wrong: it has a minute to show that it lives
	stale(59 * time.Second)
	stale(time.Second, "ancient")
	stale(24*time.Hour, "ancient", "old")
	w.item("ancient", w.wall.Add(-100*time.Hour))
	stale(time.Second, "old")
}

func TestACensusForgetsWhatIsGone(t *testing.T) {
	w := newWatchman()
	for i := range 100 {
		w.rows, w.items = nil, nil
		w.row(string(rune('a'+i)), "w", "", 1)
		w.row("stays", "w", "", int64(i))
		w.item(string(rune('a'+i)), w.wall)
		w.after(time.Second)
		if len(w.c.rows) != 2 || len(w.c.workers) != 1 {
			t.Fatalf("it remembers %d rows of 2 and %d workers of 1", len(w.c.rows), len(w.c.workers))
		}
	}
	for i := range 1000 { // what changes hands is remembered for minutes only
		w.rows = nil
		w.row("stays", string(rune('a'+i%2)), "", int64(i))
		w.after(time.Second)
	}
	if n := len(w.c.shifts); n > 301 {
		t.Errorf("it remembers %d changes of holder", n)
	}
}

// Who is named as owner finds the lease by the owner index: if another is named there before, it never does, and nobody
// processes the shard until the lease expires.
func TestALeaseIsNotAskedForBeforeItsHolderHasRenewedIt(t *testing.T) {
	w := newWatchman()
	w.item("a", w.wall)
	w.item("b", w.wall)
	asked := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, m := range Lead(w.after(time.Second), Config{ByCount: true}, 1).Ask {
			got = append(got, m.Lease.Key)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: asked for %v, want %v", what, got, want)
		}
	}
	w.row("1", "a", "", 7)
	w.row("2", "a", "", 7)
	asked("nothing is known of the holder")
	asked("it stands still")
	w.row("1", "a", "", 8)
	asked("one is renewed", "1")
	w.row("1", "b", "a", 8)
	w.row("2", "a", "", 8)
	asked("the hand-over is under way")
	w.row("1", "b", "", 9)
	w.row("2", "b", "", 9)
	asked("both have come to the other worker")
	w.row("2", "b", "", 10)
	asked("one of them was renewed there")
	for range int(rest / time.Second) {
		w.row("2", "b", "", w.rows[1].Counter+1)
		asked("it is not sent back soon")
		if t.Failed() {
			break
		}
	}
}
