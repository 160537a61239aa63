package worker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A java is what the table sees of a worker of the Java KCL, as far as the tests need it: it leads, it lives, and it
// renews what it owns.
type java struct {
	f    *fleet
	name string
	deaf atomic.Bool  // it ignores that its leases are wanted
	gone atomic.Bool  // it has died
	off  atomic.Int64 // nanoseconds that its time of day is wrong
}

// rows makes the leases of all shards, as whoever came first would have.
func (f *fleet) rows(owner string) {
	f.t.Helper()
	shards, _, err := f.stream.Shards(context.Background(), record.Position{})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, s := range shards {
		f.store.Put(lease.Lease{Key: s.ID, Shard: s.ID, Owner: owner, Checkpoint: record.TrimHorizon, Parents: s.Parents, Range: &s.Range})
	}
}

// join has a Java worker report each 30 s and renew each 3.3 s until the test ends.
func (f *fleet) join(name string) *java {
	j := &java{f: f, name: name}
	f.every(30*time.Second, func(ctx context.Context) {
		if !j.gone.Load() {
			_ = f.store.PutMember(ctx, lease.Member{Worker: name, Updated: time.Now().Add(time.Duration(j.off.Load()))}) // the table is in trouble
		}
	})
	f.every(3300*time.Millisecond, j.renew)
	return j
}

// lead has the Java worker take the lock and keep it.
func (j *java) lead() {
	held := lease.Lock{Owner: j.name, Version: "v0", Duration: 120 * time.Second}
	if err := j.f.store.PutLeader(context.Background(), lease.Lock{}, held); err != nil {
		j.f.t.Fatal(err)
	}
	n := 0
	j.f.every(30*time.Second, func(ctx context.Context) {
		n++
		next := held
		next.Version = fmt.Sprint("v", n)
		if j.f.store.Beat(ctx, held, next) == nil {
			held = next
		}
	})
}

// every calls do now and then at intervals, until the test ends.
func (f *fleet) every(d time.Duration, do func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			do(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(d):
			}
		}
	}()
	f.t.Cleanup(func() { cancel(); <-ended })
}

// renew renews what the worker holds; one that is not deaf hands over what is wanted.
func (j *java) renew(ctx context.Context) {
	rows, err := j.f.store.List(ctx)
	if err != nil || j.gone.Load() {
		return
	}
	for _, row := range rows {
		switch {
		case row.Holder() != j.name:
		case row.CheckpointOwner != "" && !j.deaf.Load():
			_, _ = j.f.store.Release(ctx, row, j.name, "") // the next round tries again
		default:
			_, _ = j.f.store.Renew(ctx, row, j.name, lease.Change{})
		}
	}
}

// assign writes as Java's leader does.
func (j *java) assign(shard, to string) {
	j.f.t.Helper()
	if _, err := j.f.store.Assign(context.Background(), *j.f.row(shard), to); err != nil {
		j.f.t.Fatal(err)
	}
}

// bound is within what time a worker sees what the index shows.
const bound = 600 * time.Millisecond

func TestALeaseThatALeaderOfJavaAssignsIsFoundWithinTheBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 20, memstream.Options{})
		f.rows("")
		j := f.join("java")
		j.lead()
		a := f.start("a", nil)
		pass(10 * time.Second)
		for i := range 20 {
			j.assign(id(i), "a")
			f.until("it is processed", bound, func() bool { return a.state(id(i)) == worker.Processing })
			pass(137 * time.Millisecond)
		}
		if got := a.Status().Leader; got != "java" {
			t.Errorf("the leader is %q", got)
		}
		f.put(100)
		f.all(3 * time.Second)
		stop(t, a)
		f.once()
	})
}

func TestALeaseThatALeaderOfJavaAsksAwayGoesWithinTheBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 10, memstream.Options{})
		f.rows("a")
		j := f.join("java")
		j.lead()
		a := f.start("a", nil)
		f.until("all processed", 2*time.Second, func() bool { return len(a.Status().Shards) == 10 })
		pass(10 * time.Second)
		for i := range 10 {
			if _, err := f.store.Ask(t.Context(), *f.row(id(i)), "java"); err != nil {
				t.Fatal(err)
			}
			f.until("it is let go", bound, func() bool { return f.row(id(i)).CheckpointOwner == "" })
			if row := f.row(id(i)); row.Owner != "java" {
				t.Fatalf("%s went to %q", id(i), row.Owner)
			}
			pass(137 * time.Millisecond)
		}
		stop(t, a)
	})
}

// Assigned anew over its head, to others or to itself, a worker loses a lease at its next renewal, and has it back as
// soon as the index shows it.
func TestALeaseThatWasLostIsTakenBackOnceItIsAssignedAgain(t *testing.T) {
	for name, to := range map[string][]string{"away and back": {"java", "a"}, "to the same worker": {"a"}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				f.rows("a")
				j := f.join("java")
				j.lead()
				a := f.start("a", nil)
				f.until("both processed", 2*time.Second, func() bool { return len(a.Status().Shards) == 2 })
				for range 10 {
					f.put(20)
					f.all(2 * time.Second)
					for _, worker := range to {
						j.assign(id(0), worker)
					}
					tenures := f.tenureCount()
					f.until("a second tenure", 4500*time.Millisecond, func() bool { return f.tenureCount() > tenures }) // a renewal, and a look
					f.put(20)
					f.all(2 * time.Second)
					pass(35 * time.Second)
				}
				if a.Status().Twin {
					t.Error("the leader was taken for a twin")
				}
				stop(t, a)
				f.verify()
			})
		})
	}
}

// An index that is behind costs time and reads, and nothing else.
func TestAnIndexThatIsBehindMovesNothing(t *testing.T) {
	const late = 5 * time.Second
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{})
		var gets tally
		f.store.Fault = func(_ context.Context, op, key string) (bool, error) {
			gets.add(op)
			return true, nil
		}
		behind := func(c *worker.Config) { c.Leases = &lateIndex{Store: c.Leases, late: late} }
		a := f.start("a", behind)
		f.until("all processed", 5*time.Second, func() bool { return len(a.Status().Shards) == 4 })
		b := f.start("b", behind)
		f.until("two each", 30*time.Second, func() bool { return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 })
		pass(3 * late)
		before, moved := gets.of(memory.OpGet), f.tenureCount()
		for range 10 {
			f.put(20)
			pass(2 * time.Second)
		}
		f.all(time.Second)
		if n := gets.of(memory.OpGet) - before; n != 0 {
			t.Errorf("%d rows were read while nothing changed", n)
		}
		if n := f.tenureCount() - moved; n != 0 {
			t.Errorf("%d leases moved", n)
		}
		began := time.Now()
		stop(t, a)
		f.until("all with b", late+3*time.Second, func() bool { return len(b.Status().Shards) == 4 })
		t.Logf("found after %v", time.Since(began))
		stop(t, b)
		f.once()
	})
}

// lateIndex answers as the index did some time before.
type lateIndex struct {
	lease.Store
	late time.Duration
	past []struct {
		at   time.Time
		keys []string
	}
}

func (s *lateIndex) Owned(ctx context.Context, id string) ([]string, error) {
	keys, err := s.Store.Owned(ctx, id)
	if err != nil {
		return nil, err
	}
	s.past = append(s.past, struct {
		at   time.Time
		keys []string
	}{time.Now(), keys})
	var old []string
	for _, p := range s.past {
		if time.Since(p.at) >= s.late {
			old = p.keys
		}
	}
	return old, nil
}

func TestAHolderThatIgnoresARequestIsOverruledAfterFortySeconds(t *testing.T) {
	for name, fault := range map[string]struct {
		fails, applied bool
	}{"": {}, "and the first write is refused": {true, false}, "and the answer of the first is lost": {true, true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 4, memstream.Options{})
				f.rows("java")
				var mu sync.Mutex
				asked, forced := map[string]time.Time{}, map[string]time.Time{}
				f.store.Written = func(op string, before, after lease.Lease) {
					f.log.written(op, before, after)
					mu.Lock()
					defer mu.Unlock()
					switch op {
					case memory.OpAsk:
						asked[after.Key] = time.Now()
					case memory.OpAssign, memory.OpTake:
						forced[after.Key] = time.Now()
					}
				}
				var assigns tally
				f.store.Fault = func(_ context.Context, op, key string) (bool, error) {
					if op == memory.OpAssign && assigns.add(op) == 1 && fault.fails {
						return fault.applied, errTest
					}
					return true, nil
				}
				f.join("java").deaf.Store(true)
				a := f.start("a", nil)
				f.until("two have been asked for and come", 100*time.Second, func() bool { return len(a.Status().Shards) == 2 })
				mu.Lock()
				for key, at := range forced {
					if d := at.Sub(asked[key]); d < 40*time.Second || d > 44*time.Second {
						t.Errorf("%s was assigned %v after it was asked for, want 40 s", key, d)
					}
				}
				if len(forced) != 2 {
					t.Errorf("%d leases were assigned by force, want 2", len(forced))
				}
				mu.Unlock()
				stop(t, a)
			})
		})
	}
}

func TestAWorkerWhoseClockIsFarOffIsReportedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{})
		f.rows("")
		f.join("java").off.Store(int64(-2 * time.Minute))
		f.join("other")
		var mu sync.Mutex
		reports := map[string]int{}
		a := f.start("a", func(c *worker.Config) {
			c.Hooks.Failed = func(_ worker.ShardInfo, err error) {
				mu.Lock()
				defer mu.Unlock()
				reports[err.Error()]++
			}
		})
		pass(10 * time.Minute)
		mu.Lock()
		n := 0
		for text, times := range reports {
			t.Log(times, text)
			n += times
		}
		if n != 1 {
			t.Errorf("%d reports, want one", n)
		}
		mu.Unlock()
		stop(t, a)
	})
}
