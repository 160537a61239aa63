package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A journal notes what the table is told, in order.
type journal struct {
	mu    sync.Mutex
	lines []entry
}

type entry struct {
	op, key       string
	before, after lease.Lease
	when          time.Time
}

// journal begins to note; faults are not needed in the same test.
func (f *fleet) journal() *journal {
	j := &journal{}
	f.store.Written = func(op string, before, after lease.Lease) {
		f.log.written(op, before, after)
		j.add(entry{op: op, key: after.Key, before: before, after: after, when: time.Now()})
	}
	f.store.Fault = func(_ context.Context, op, key string) (bool, error) {
		if op == memory.OpDeleteMember {
			time.Sleep(50 * time.Millisecond) // what does not wait for it comes before it
		}
		switch op {
		case memory.OpDeleteMember, memory.OpPutMember, memory.OpDeleteLeader, memory.OpPutLeader:
			j.add(entry{op: op, key: key, when: time.Now()})
		}
		return true, nil
	}
	return j
}

func (j *journal) add(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, e)
}

// since returns what was noted from the n-th entry on; n of them all is len of all.
func (j *journal) since(n int) []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines[n:])
}

func (f *fleet) settled(d time.Duration, each int, members ...*member) {
	f.t.Helper()
	f.until(fmt.Sprint(each, " shards each"), d, func() bool {
		return !slices.ContainsFunc(members, func(m *member) bool { return len(m.Status().Shards) != each })
	})
	pass(12 * time.Second) // the last hand-overs are over, and everybody has renewed
}

// A worker that stops takes itself out of the fleet first, shares its leases out among the others, whoever has most room
// first, and gives the lead up last; nobody hands it anything back.
func TestAStopGoesInTheOrderInWhichNothingComesBack(t *testing.T) {
	for _, c := range []struct{ stops, name string }{{"a", "the leader"}, {"b", "another"}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 12, memstream.Options{})
				j := f.journal()
				members := map[string]*member{"a": f.start("a", nil)}
				f.until("a leads", 5*time.Second, func() bool { return members["a"].Status().Leader == "a" })
				members["b"], members["c"] = f.start("b", nil), f.start("c", nil)
				f.settled(time.Minute, 4, members["a"], members["b"], members["c"])
				f.put(100)
				f.all(5 * time.Second)
				before := len(j.since(0))
				m := members[c.stops]
				delete(members, c.stops)
				stop(t, m)
				f.put(100)
				if took := f.all(2 * time.Second); took > 1500*time.Millisecond {
					t.Errorf("the records flow again after %v", took)
				}
				for id, m := range members {
					if n := len(m.Status().Shards); n != 6 {
						t.Errorf("%s has %d shards, want 6", id, n)
					}
				}
				left, released, resigned := -1, 0, false
				for i, e := range j.since(before) {
					switch {
					case e.op == memory.OpDeleteMember && e.key == c.stops:
						left = i
					case e.op == memory.OpRelease && e.before.Owner == c.stops:
						if released++; left < 0 || resigned || e.after.Owner == "" {
							t.Errorf("released %s to %q; had left the fleet before: %v, had resigned: %v", e.key, e.after.Owner, left >= 0, resigned)
						}
					case e.op == memory.OpDeleteLeader:
						resigned = true
					case e.after.Owner == c.stops && e.before.Owner != c.stops:
						t.Errorf("%s gave %s to the worker that stops", e.op, e.key)
					case e.op == memory.OpAsk:
						t.Errorf("%s was asked for: what the worker left was shared out unevenly", e.key)
					}
				}
				if released != 4 || resigned != (c.stops == "a") {
					t.Errorf("%d leases were released, resigned: %v", released, resigned)
				}
				for _, m := range members {
					stop(t, m)
				}
				f.once()
			})
		})
	}
}

// Whom a worker that stops gives its leases to does not depend on anybody's clock.
func TestAStopGivesNothingToTheDeadWhateverTheClocks(t *testing.T) {
	for name, offset := range map[string]time.Duration{"true": 0, "an hour ahead": time.Hour, "an hour behind": -time.Hour} {
		for _, stops := range []string{"skewed", "true"} {
			t.Run(fmt.Sprintf("a clock %s, and the %s one stops", name, stops), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFleet(t, 12, memstream.Options{})
					j := f.journal()
					members := map[string]*member{
						"leader": f.start("leader", nil), // it alone surveys the table, and has no say in this
						"true":   f.start("true", nil), "skewed": f.start("skewed", skewed(100, offset)), "d": f.start("d", nil),
					}
					f.settled(time.Minute, 3, members["leader"], members["true"], members["skewed"], members["d"])
					dead := lease.Member{Worker: "dead", Updated: time.Now().Add(-5 * time.Minute)}
					if err := f.store.PutMember(t.Context(), dead); err != nil {
						t.Fatal(err)
					}
					before := len(j.since(0))
					stop(t, members[stops])
					delete(members, stops)
					var gone []string
					for _, e := range j.since(before) {
						if e.op == memory.OpRelease && e.before.Owner == stops {
							gone = append(gone, e.after.Owner)
						}
					}
					if len(gone) != 3 || slices.Contains(gone, "dead") || slices.Contains(gone, "") {
						t.Errorf("its leases went to %q", gone)
					}
					if slices.Sort(gone); len(slices.Compact(gone)) < 2 {
						t.Errorf("its leases went to %q alone", gone)
					}
					for _, m := range members {
						stop(t, m)
					}
				})
			})
		}
	}
}

func TestALeaderThatDiesDuringAHandOverDoesNotDisturbIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 8, memstream.Options{})
		j := f.journal()
		slow := finishing(func(*worker.Shard, worker.FinishReason) error { pass(14 * time.Second); return nil })
		l := f.start("l", nil)
		f.until("l leads", 5*time.Second, func() bool { return l.Status().Leader == "l" })
		a := f.start("a", slow)
		f.settled(time.Minute, 4, l, a)
		f.put(100)
		f.all(5 * time.Second)
		before := len(j.since(0))
		b := f.start("b", nil)
		f.until("a lease of a is asked for", 30*time.Second, func() bool {
			return slices.ContainsFunc(j.since(before), func(e entry) bool { return e.op == memory.OpAsk && e.before.Owner == "a" })
		})
		asked := map[string]string{}
		for _, e := range j.since(before) {
			if e.op == memory.OpAsk && e.before.Owner == "a" {
				asked[e.key] = e.after.Owner
			}
		}
		l.crash()
		f.put(100)
		f.all(20 * time.Second)
		for _, e := range j.since(before) {
			if to := asked[e.key]; to != "" && e.before.Holder() != e.after.Holder() && (e.op != memory.OpRelease || e.after.Owner != to) {
				if !(e.op == memory.OpTake && e.after.Owner == "b" && e.before.Owner == "b") {
					t.Errorf("%s changed %s from %q to %q, asked for by %q", e.op, e.key, e.before.Holder(), e.after.Holder(), to)
				}
			}
		}
		stop(t, a, b)
		if n := f.verify(); n > 0 {
			t.Errorf("%d records were repeated", n) // l had none left that was not checkpointed
		}
	})
}

func TestTheItemOfAWorkerThatDiedIsDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{})
		a := f.start("a", nil)
		pass(3 * time.Second)
		b := f.start("b", nil)
		f.settled(time.Minute, 2, a, b)
		b.crash()
		died := time.Now()
		f.until("its item is gone", 15*time.Second, func() bool {
			_, members, err := f.store.Survey(context.Background())
			return err == nil && len(members) == 1 && members[0].Worker == "a"
		})
		t.Logf("deleted %v after its death", time.Since(died))
		stop(t, a)
	})
}

// Two that both believe that they lead: their writes are conditional, so they cost each other some of them and nothing
// more.
func TestTwoLeadersAtATimeLoseAndRepeatNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 8, memstream.Options{})
		j := f.journal()
		a := f.start("a", nil)
		b := f.start("b", func(c *worker.Config) { c.Leases = ownLock{c.Leases, memory.New()} })
		pass(5 * time.Second)
		if a.Status().Leader != "a" || b.Status().Leader != "b" {
			t.Fatalf("the leaders are %q and %q", a.Status().Leader, b.Status().Leader)
		}
		f.settled(time.Minute, 4, a, b)
		c := f.start("c", nil)
		for range 10 {
			f.put(50)
			pass(time.Second)
		}
		f.split(id(0))
		f.merge(id(2), id(3))
		f.put(50)
		f.all(20 * time.Second)
		pass(2 * time.Minute) // the rows of the finished shards go
		before := len(j.since(0))
		pass(time.Minute)
		for _, e := range j.since(before) {
			if e.before.Holder() != e.after.Holder() {
				t.Errorf("%s moved %s from %q to %q in a fleet at rest", e.op, e.key, e.before.Holder(), e.after.Holder())
			}
		}
		stop(t, c)
		f.put(50)
		f.all(5 * time.Second)
		stop(t, b, a)
		f.once()
	})
}

// ownLock is a store whose lock nobody else sees.
type ownLock struct {
	lease.Store
	lock lease.Fleet
}

func (s ownLock) Leader(ctx context.Context) (lease.Lock, error) { return s.lock.Leader(ctx) }
func (s ownLock) PutLeader(ctx context.Context, seen, next lease.Lock) error {
	return s.lock.PutLeader(ctx, seen, next)
}
func (s ownLock) Beat(ctx context.Context, held, next lease.Lock) error {
	return s.lock.Beat(ctx, held, next)
}
func (s ownLock) DeleteLeader(ctx context.Context, held lease.Lock) error {
	return s.lock.DeleteLeader(ctx, held)
}

// stepping is a clock whose time of day is an hour off every other minute; its monotonic readings are true.
func stepping(c *worker.Config) {
	began := time.Now()
	c.Clock = clock.Clock{NowFunc: func() time.Time {
		now := time.Now()
		since, off := now.Sub(began), time.Duration(0)
		if int(since/time.Minute)%2 == 1 {
			off = time.Hour
		}
		return monotonic(now.Add(off), since)
	}}
}

// started is a time with a monotonic reading, which those of a bubble have not.
var started = time.Now()

// monotonic is a time of day with a monotonic reading of its own, which a time.Time has in its second word.
func monotonic(at time.Time, since time.Duration) time.Time {
	reading := started.Add(since)
	t := reading.Add(at.Sub(reading.Round(0)))
	*(*int64)(unsafe.Add(unsafe.Pointer(&t), 8)) = *(*int64)(unsafe.Add(unsafe.Pointer(&reading), 8))
	if t.Sub(started) != since || !t.Round(0).Equal(at) {
		panic("a time.Time is not made as this test thinks")
	}
	return t
}

func TestATimeOfDayThatStepsMovesNothingAndIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 6, memstream.Options{})
		var mu sync.Mutex
		var reports []error
		listen := func(c *worker.Config) {
			c.Hooks.Failed = func(_ worker.ShardInfo, err error) { mu.Lock(); reports = append(reports, err); mu.Unlock() }
		}
		a, b, c := f.start("a", listen), f.start("b", config(stepping, listen)), f.start("c", listen)
		f.settled(time.Minute, 2, a, b, c)
		before := f.tenureCount()
		for range 60 {
			f.put(5)
			pass(5 * time.Second)
		}
		f.all(5 * time.Second)
		if n := f.tenureCount() - before; n != 0 {
			t.Errorf("%d leases moved", n)
		}
		mu.Lock()
		if !slices.ContainsFunc(reports, func(err error) bool { return strings.Contains(err.Error(), "clock") }) {
			t.Error("nobody reported the clock")
		}
		for _, err := range reports {
			if !strings.Contains(err.Error(), "clock") {
				t.Errorf("trouble: %v", err)
			}
		}
		mu.Unlock()
		stop(t, a, b, c)
		f.once()
	})
}

// The operations that a life of TestEveryCallOfTheTableMayFailOnceInEitherWay does not make by itself.
func TestWhatALeaderDoesForTheDeadMayFailInEitherWay(t *testing.T) {
	for _, op := range []string{memory.OpDeleteMember, memory.OpTake, memory.OpBeat, memory.OpSurvey} {
		for name, apply := range map[string]bool{"refused": false, "answer lost": true} {
			t.Run(op+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFleet(t, 4, memstream.Options{})
					var calls tally
					var died atomic.Bool
					f.store.Fault = func(_ context.Context, what, _ string) (bool, error) {
						if what == op && died.Load() && calls.add(op) == 1 {
							return apply, errors.New("connection reset")
						}
						return true, nil
					}
					a := f.start("a", nil)
					pass(3 * time.Second)
					b := f.start("b", nil)
					f.settled(time.Minute, 2, a, b)
					b.crash()
					died.Store(true)
					f.put(40)
					f.all(16 * time.Second)
					f.until("its item is gone", 15*time.Second, func() bool {
						_, members, err := f.store.Survey(context.Background())
						return err == nil && len(members) == 1
					})
					stop(t, a)
					f.verify()
					if calls.of(op) == 0 {
						t.Errorf("there was no %s", op)
					}
				})
			})
		}
	}
}

// The last word that a worker says of itself may be under way when it stops.
func TestAWorkerThatStopsLeavesNoItemWhateverBecameOfItsWrites(t *testing.T) {
	for _, c := range []struct {
		name, op string
		applied  bool
	}{
		{"its last write was refused", memory.OpPutMember, false}, {"its last write was applied and not answered", memory.OpPutMember, true},
		{"the deletion is refused once", memory.OpDeleteMember, false}, {"the deletion is not answered", memory.OpDeleteMember, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				var calls tally
				failed := make(chan struct{})
				f.store.Fault = func(ctx context.Context, op, _ string) (bool, error) {
					if n := calls.add(op); op == c.op && (op == memory.OpDeleteMember && n == 1 || op == memory.OpPutMember && n == 2) {
						close(failed)
						if op == memory.OpPutMember {
							<-ctx.Done() // the worker stops meanwhile
						}
						return c.applied, errTest
					}
					return true, nil
				}
				a := f.start("a", nil)
				if c.op == memory.OpPutMember {
					<-failed
				} else {
					pass(5 * time.Second)
				}
				stop(t, a)
				if _, members, err := f.store.Survey(t.Context()); err != nil || len(members) != 0 {
					t.Errorf("the table still has %v, error %v", members, err)
				}
				<-failed
			})
		})
	}
}

// damaged is a table with a row that cannot be read.
type damaged struct{ lease.Store }

func (s damaged) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	rows, members, err := s.Store.Survey(ctx)
	if err == nil {
		err = fmt.Errorf("%w: %q: attribute leaseCounter", lease.ErrDamaged, "foreign")
	}
	return rows, members, err
}

// A row that cannot be read delays nothing: the others are assigned as soon as ever. It is reported, and once.
func TestADamagedRowDelaysNoFailoverAndIsReportedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 6, memstream.Options{})
		var reports tally
		broken := func(c *worker.Config) {
			c.Leases = damaged{c.Leases}
			c.Hooks.Failed = func(_ worker.ShardInfo, err error) {
				if errors.Is(err, lease.ErrDamaged) && strings.Contains(err.Error(), "assign") {
					reports.add(c.WorkerID)
				}
			}
		}
		a := f.start("a", broken)
		f.until("a leads", time.Second, func() bool { return a.Status().Leader == "a" })
		b, c := f.start("b", broken), f.start("c", broken)
		f.settled(time.Minute, 2, a, b, c)
		pass(time.Minute)
		b.kill()
		f.put(100)
		if took := f.all(time.Minute); took > 12*time.Second {
			t.Errorf("the shards flow again after %v, want at most 12s", took)
		}
		if n := reports.of("a"); n != 1 {
			t.Errorf("the leader has reported it %d times, want once", n)
		}
		stop(t, a, c)
		f.verify()
	})
}
