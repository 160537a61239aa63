package leader_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/leader"
	"github.com/shoal-stream/shoal/lease/memory"
)

const duration = 10 * time.Second

func TestOneOfManyIsElectedAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var all []*candidate
		for i := range 10 {
			all = append(all, f.start(fmt.Sprint("w", i), nil))
		}
		pass(duration / 2)
		first := f.only(all)
		if first == nil {
			t.Fatal("nobody leads")
		}
		for range 100 {
			pass(3 * time.Second)
			if now := f.only(all); now != first {
				t.Fatalf("%v leads after %v", now, first)
			}
			for _, c := range all {
				if got := c.Leader(); got != first.id {
					t.Fatalf("%s takes %q for the leader, want %s", c.id, got, first.id)
				}
			}
		}
		if n := f.puts(); n != 1 {
			t.Errorf("the lock was taken %d times, want once", n)
		}
	})
}

func TestALeaderBeatsThreeTimesInTheDurationOfItsLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.start("a", nil)
		pass(time.Second)
		before := f.lock()
		want := lease.Lock{Owner: "a", Version: before.Version, Duration: duration, Data: []byte(`{"deputies":["b","c"]}`)}
		a.Announce([]string{"b", "c"}, false)
		pass(3 * time.Second)
		after := f.lock()
		want.Version = after.Version
		if after.Version == before.Version || fmt.Sprint(after) != fmt.Sprint(want) {
			t.Errorf("after a heartbeat the lock is %+v, want %+v with a version other than %s", after, want, before.Version)
		}
		pass(time.Minute)
		if n := f.beats(); n < 19 || n > 22 {
			t.Errorf("%d heartbeats in 64 s, want one each 3 s", n)
		}
	})
}

// An observer takes a lock over when its version has stood still for the lock's duration on the observer's own clock, no
// sooner and, where it is the first deputy, not much later, whatever the clocks show.
func TestALockIsTakenOverWhenItsVersionStoodStillForItsDuration(t *testing.T) {
	for name, own := range clocks() {
		for _, d := range []time.Duration{duration, 120 * time.Second} {
			t.Run(fmt.Sprintf("%s, a lock of %v", name, d), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t)
					f.put(lease.Lock{Owner: "java", Version: "v0", Duration: d}) // as Java has it, without data
					c := own()
					b := f.start("b", func(cfg *leader.Config) { cfg.Clock = c.clock })
					pass(d / 2)
					java := lease.Lock{Owner: "java", Version: "v1", Duration: d}
					if err := f.Beat(t.Context(), lease.Lock{Owner: "java", Version: "v0"}, java); err != nil {
						t.Fatal(err)
					}
					written := time.Now()
					for f.lock().Owner == "java" && time.Since(written) < 2*d {
						pass(10 * time.Millisecond)
					}
					took := c.own(time.Since(written))
					if took < d || took > d+3*time.Second { // the version is seen within a poll of 2 s
						t.Errorf("taken over %v after the last heartbeat on the observer's clock, want %v and no more than 3 s", took, d)
					}
					pass(time.Second)
					if !b.Leading() {
						t.Error("the new leader does not know")
					}
				})
			})
		}
	}
}

// The leader's own trust ends before anybody else may take its lock.
func TestACutOffLeaderStopsLeadingBeforeAnotherBegins(t *testing.T) {
	for name, own := range clocks() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				f.start("a", func(cfg *leader.Config) { cfg.Clock = own().clock })
				pass(time.Second)
				b := f.start("b", func(cfg *leader.Config) { cfg.Clock = clocks()["five percent fast"]().clock })
				pass(10 * time.Second)
				if !f.candidates[0].Leading() {
					t.Fatal("a does not lead")
				}
				f.cut("a")
				for began := time.Now(); !b.Leading(); pass(10 * time.Millisecond) {
					if time.Since(began) > 15*time.Second {
						t.Fatal("nobody took over")
					}
				}
				if f.candidates[0].Leading() {
					t.Error("a still leads when b begins")
				}
				f.heal("a")
				pass(20 * time.Second)
				if f.candidates[0].Leading() || !b.Leading() || f.candidates[0].Leader() != "b" {
					t.Error("a takes the lead from a leader that lives")
				}
			})
		})
	}
}

func TestDeputiesAreFirstAndWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.start("a", nil)
		pass(time.Second)
		a.Announce([]string{"d"}, false)
		pass(4 * time.Second)
		var others []*candidate
		for _, id := range []string{"b", "c", "d", "e"} {
			others = append(others, f.start(id, nil))
		}
		pass(8 * time.Second)
		for _, c := range others {
			if c.Watching() != (c.id == "d") {
				t.Errorf("%s watches: %v", c.id, c.Watching())
			}
		}
		if a.Watching() {
			t.Error("the leader watches itself")
		}
		for _, c := range others {
			c.heard() // what was before does not count
		}
		f.cut("a")
		pass(6500 * time.Millisecond)
		for _, c := range others {
			if !c.Watching() {
				t.Errorf("%s does not watch a lock that looks abandoned", c.id)
			}
			if c.id != "d" && !c.heard() {
				t.Errorf("%s was not told that it is to watch", c.id)
			}
		}
		pass(6500 * time.Millisecond)
		if got := f.only(others); got == nil || got.id != "d" {
			t.Errorf("%v follows, want the deputy d", got)
		}
	})
}

func TestSomebodyFollowsWhenLeaderAndDeputyAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.put(lease.Lock{Owner: "a", Version: "v", Duration: duration, Data: []byte(`{"deputies":["gone"]}`)})
		all := []*candidate{f.start("b", nil), f.start("c", nil)}
		pass(duration + duration/8 - 100*time.Millisecond)
		if f.only(all) != nil {
			t.Error("another took the lock in the deputy's time")
		}
		pass(time.Second)
		if f.only(all) == nil {
			t.Error("nobody follows")
		}
	})
}

func TestALockThatIsFreeIsTakenAtOnce(t *testing.T) {
	for name, there := range map[string]lease.Lock{
		"absent":                     {},
		"released":                   {Owner: "java", Version: "v", Duration: 120 * time.Second, Released: true},
		"own, from before a restart": {Owner: "b", Version: "v", Duration: 120 * time.Second},
		"released, and own":          {Owner: "b", Version: "v", Duration: 120 * time.Second, Released: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				if !there.IsZero() {
					f.put(there)
				}
				b := f.start("b", nil)
				pass(10 * time.Millisecond)
				if !b.Leading() || f.lock().Owner != "b" || f.lock().Released {
					t.Errorf("b does not lead; the lock is %+v", f.lock())
				}
			})
		})
	}
}

func TestOfTwoThatSeeAnAbsentLockOneLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.fault = func(ctx context.Context, id, op string) (bool, error) {
			if op == memory.OpPutLeader {
				time.Sleep(time.Second) // both have looked by then
			}
			return true, nil
		}
		all := []*candidate{f.start("a", nil), f.start("b", nil)}
		pass(2 * time.Second)
		first := f.only(all)
		if first == nil {
			t.Fatal("nobody leads")
		}
		pass(time.Minute)
		if f.only(all) != first {
			t.Error("the lead has moved")
		}
		if n := len(f.errors()); n != 0 {
			t.Errorf("a lost race was reported as trouble: %v", f.errors())
		}
	})
}

// Every write of the lock may be refused, or applied with its answer lost, also with the read that would settle it
// failing; nobody else gets the lead for that, and the fleet is without a leader for no longer than that lasts.
func TestALeaderOutlivesTroubleWithEveryWriteOfItsLock(t *testing.T) {
	for _, op := range []string{memory.OpPutLeader, memory.OpBeat} {
		for name, applied := range map[string]bool{"refused": false, "answer lost": true} {
			for _, blind := range []time.Duration{0, time.Second, 7 * time.Second} {
				t.Run(fmt.Sprintf("%s %s, and no reads for %v", op, name, blind), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := newFleet(t)
						var failed time.Time
						f.fault = func(_ context.Context, id, what string) (bool, error) {
							switch {
							case what == op && failed.IsZero():
								failed = time.Now()
								return applied, errors.New("connection reset")
							case !failed.IsZero() && time.Since(failed) < blind:
								return false, errors.New("connection refused")
							}
							return true, nil
						}
						a := f.start("a", nil)
						pass(5 * time.Second)
						b := f.start("b", func(cfg *leader.Config) {
							cfg.Stand = func() bool { looked(); return (op == memory.OpBeat || applied) && time.Since(failed) > 2*time.Second }
						})
						deadline := time.Now().Add(blind + 3*time.Second)
						for !a.Leading() || op == memory.OpBeat && failed.IsZero() {
							if time.Now().After(deadline) {
								t.Fatalf("a does not lead; the lock is %+v", f.lock())
							}
							pass(50 * time.Millisecond)
						}
						if op == memory.OpBeat { // within its trust all the time
							for time.Since(failed) < blind+2*time.Second {
								if blind < 5*time.Second && !a.Leading() {
									t.Fatal("the leader has given up")
								}
								pass(50 * time.Millisecond)
							}
						}
						pass(duration)
						if !a.Leading() || b.Leading() {
							t.Errorf("a leads: %v, b leads: %v", a.Leading(), b.Leading())
						}
						if len(f.errors()) == 0 && !(blind == 0 && applied) {
							t.Error("the trouble was not reported")
						}
					})
				})
			}
		}
	}
}

func TestALeaderGoesOnAfterTheTableWasDownLongerThanItsTrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.start("a", nil)
		pass(time.Second)
		b := f.start("b", nil)
		pass(5 * time.Second)
		down := true
		f.fault = func(context.Context, string, string) (bool, error) {
			if down {
				return false, lease.ErrThrottled
			}
			return true, nil
		}
		pass(25 * time.Second)
		if a.Leading() || b.Leading() {
			t.Fatal("somebody leads without the table")
		}
		down = false
		pass(3 * time.Second)
		if a.Leading() == b.Leading() {
			t.Errorf("a leads: %v, b leads: %v; want one", a.Leading(), b.Leading())
		}
	})
}

func TestResignLeavesNoItemWhateverHappensToItsWrites(t *testing.T) {
	for _, c := range []struct {
		name    string
		op      string // whose answers are lost, or that is refused, once
		applied bool
	}{
		{"nothing", "", true},
		{"the delete is refused", memory.OpDeleteLeader, false},
		{"the delete's answer is lost", memory.OpDeleteLeader, true},
		{"a heartbeat's answer is lost just before", memory.OpBeat, true},
		{"the taking's answer is lost just before", memory.OpPutLeader, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				a := f.add("a", nil)
				ctx, cancel := context.WithCancel(t.Context())
				done := false
				f.fault = func(_ context.Context, _, op string) (bool, error) {
					if op != c.op || done {
						return true, nil
					}
					done = true
					if op != memory.OpDeleteLeader {
						cancel() // Run ends with the write under way
					}
					return c.applied, errors.New("connection reset")
				}
				ended := make(chan struct{})
				go func() { defer close(ended); a.Run(ctx) }()
				pass(4 * time.Second)
				cancel()
				<-ended
				if l := f.lock(); l.IsZero() {
					t.Fatal("there is no lock to give up")
				}
				if err := a.Resign(t.Context()); err != nil {
					t.Fatal(err)
				}
				if l := f.lock(); !l.IsZero() {
					t.Errorf("the lock is still %+v", l)
				}
				if a.Leading() {
					t.Error("a leads after it has resigned")
				}
			})
		})
	}
}

func TestResignLeavesTheLockOfAnotherAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.Run(ctx) }()
		pass(time.Second)
		f.put(lease.Lock{Owner: "b", Version: "v", Duration: duration})
		cancel()
		<-ended
		if err := a.Resign(t.Context()); err != nil || f.lock().Owner != "b" {
			t.Errorf("Resign gave %v and left %+v", err, f.lock())
		}
	})
}

func TestResignEndsWithItsContextWhenTheTableIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.Run(ctx) }()
		pass(time.Second)
		cancel()
		<-ended
		down := errors.New("down")
		f.fault = func(context.Context, string, string) (bool, error) { return false, down }
		began := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := a.Resign(ctx); !errors.Is(err, down) || time.Since(began) != time.Second {
			t.Errorf("Resign gave %v after %v, want the table's error after 1s", err, time.Since(began))
		}
	})
}

func TestAWorkerThatIsNotToStandGivesTheLeadUpAndTakesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var mu sync.Mutex
		stand := true
		set := func(v bool) { mu.Lock(); stand = v; mu.Unlock() }
		a := f.start("a", func(cfg *leader.Config) {
			cfg.Stand = func() bool { mu.Lock(); defer mu.Unlock(); return stand }
		})
		pass(time.Second)
		if !a.Leading() {
			t.Fatal("a does not lead")
		}
		refused := false
		f.fault = func(_ context.Context, _, op string) (bool, error) {
			if op == memory.OpDeleteLeader && !refused {
				refused = true
				return false, errors.New("connection reset")
			}
			return true, nil
		}
		set(false)
		pass(5 * time.Second)
		if l := f.lock(); !l.IsZero() || a.Leading() {
			t.Errorf("the lock is %+v, a leads: %v", l, a.Leading())
		}
		pass(time.Minute)
		if l := f.lock(); !l.IsZero() || a.Leader() != "" {
			t.Errorf("the lock is %+v, leader %q", l, a.Leader())
		}
		set(true)
		pass(3 * time.Second)
		if !a.Leading() {
			t.Error("a does not lead again")
		}
	})
}

func TestItIsKnownWhoseLibraryLeads(t *testing.T) {
	for name, c := range map[string]struct {
		data        []byte
		want, mixed bool
	}{
		"Java":               {nil, false, true},
		"bytes that are not": {[]byte("x"), false, true},
		"Shoal":              {[]byte(`{"deputies":null}`), true, false},
		"and with deputies":  {[]byte(`{"deputies":["c"]}`), true, false},
		"and others with it": {[]byte(`{"deputies":[],"mixed":true}`), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				f.put(lease.Lock{Owner: "x", Version: "v", Duration: duration, Data: c.data})
				b := f.start("b", nil)
				pass(time.Second)
				if got := b.LedByShoal(); got != c.want {
					t.Errorf("LedByShoal = %v", got)
				}
				if got := b.Mixed(); got != c.mixed {
					t.Errorf("Mixed = %v", got)
				}
				pass(2 * duration)
				if !b.Leading() || !b.LedByShoal() {
					t.Error("b's own lead is not known as Shoal's")
				}
				if b.Mixed() || !json.Valid(f.lock().Data) {
					t.Errorf("mixed: %v, data %q", b.Mixed(), f.lock().Data)
				}
				b.Announce(nil, true)
				pass(4 * time.Second)
				if data := string(f.lock().Data); !b.Mixed() || data != `{"deputies":null,"mixed":true}` {
					t.Errorf("mixed: %v, data %q", b.Mixed(), data)
				}
			})
		})
	}
}

// only is the one that leads, nil if none does; two at a time fail the test.
func (f *fleet) only(all []*candidate) *candidate {
	f.t.Helper()
	leading := slices.DeleteFunc(slices.Clone(all), func(c *candidate) bool { return !c.Leading() })
	if len(leading) > 1 {
		f.t.Fatalf("%d lead at a time", len(leading))
	}
	if len(leading) == 0 {
		return nil
	}
	return leading[0]
}
