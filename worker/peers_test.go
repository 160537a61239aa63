package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// The tests of this file show one by one that a worker has none of the defects that other libraries were found to have.

func TestReshardsUnderLatestLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		f.stream.Put("old", nil)
		pass(3 * time.Second)
		a, b := f.start("a", startAt(record.Latest)), f.start("b", startAt(record.Latest))
		pass(3 * time.Second)
		for second := range 60 {
			switch second {
			case 10:
				f.split(id(0)) // 2 and 3
			case 12:
				f.split(id(2)) // 4 and 5, before anybody has listed 2
			case 25:
				f.merge(id(3), id(1)) // 6
			case 26:
				f.merge(id(5), id(6)) // 7
			case 40:
				f.split(id(7))
			}
			for range 5 {
				f.put(2)
				pass(200 * time.Millisecond)
			}
		}
		f.all(20 * time.Second)
		stop(t, a, b)
		f.once()
		f.nothingElse()
	})
}

func TestAFreshGroupAtLatestReplaysNothingFromBeforeItsStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		old := func(n int) {
			for i := range n {
				f.stream.Put(fmt.Sprint("old-", i), nil)
			}
			time.Sleep(2 * time.Second)
		}
		old(100)
		lower, _ := f.split(id(0))
		old(100)
		f.split(lower)
		old(100)
		f.merge(id(1), id(3))
		old(100)
		a, b := f.start("a", startAt(record.Latest)), f.start("b", startAt(record.Latest))
		pass(3 * time.Second)
		f.put(50)
		f.split(id(6))
		f.put(50)
		f.all(15 * time.Second)
		stop(t, a, b)
		f.once()
		f.nothingElse()
	})
}

// The second worker finds only some of the rows that the first makes for its first listing.
func TestAFreshGroupAtLatestReplaysNothingWhileItsRowsAreBeingMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		var made tally
		f.store.Fault = func(_ context.Context, op, key string) (bool, error) {
			if op == "Create" && (key == id(2) || key == id(3)) {
				time.Sleep(time.Duration(1+made.add(key)) * time.Second) // 2 s the first's, 3 s the second's
			}
			return true, nil
		}
		f.stream.Put("old", nil)
		pass(time.Second)
		f.split(id(0))
		for i := range 100 {
			f.stream.Put(fmt.Sprint("old-", i), nil)
		}
		pass(3 * time.Second)
		a := f.start("a", startAt(record.Latest))
		pass(time.Second)
		b := f.start("b", startAt(record.Latest))
		f.put(50) // from here on nothing may be lost
		pass(4 * time.Second)
		f.put(50)
		f.all(15 * time.Second)
		stop(t, a, b)
		f.once()
		f.nothingElse()
	})
}

func TestARestartBeforeTheFirstCheckpointUnderLatestLosesNothing(t *testing.T) {
	for name, meanwhile := range map[string]func(*fleet){
		"records that were handed over and not checkpointed": func(f *fleet) { f.put(30); f.all(5 * time.Second) },
		"records put while nobody runs":                      func(*fleet) {},
		"a split while nobody runs":                          func(f *fleet) { f.put(10); f.split(id(0)) },
		"a merge while nobody runs":                          func(f *fleet) { f.put(10); f.merge(id(0), id(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				f.stream.Put("old", nil)
				pass(3 * time.Second)
				a := f.start("a", config(startAt(record.Latest), f.logOnly("a")))
				pass(3 * time.Second)
				meanwhile(f)
				a.crash()
				f.log.given = nil // as if nobody had ever had them
				f.put(30)
				pass(time.Minute)
				b := f.start("b", startAt(record.Latest))
				f.all(15 * time.Second)
				stop(t, b)
				f.once()
				f.nothingElse()
			})
		})
	}
}

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

// A worker that slept while its lease went to another wakes up with a batch in hand and checkpoints it.
func TestAZombiesCheckpointIsRefused(t *testing.T) {
	for name, successor := range map[string]string{"by another worker's lease": "b", "by its own next life": "a"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{PageRecords: 10})
				f.put(30)
				refused := make(chan error, 1)
				zombie := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, next func() error) error {
					if f.log.count() < 10 {
						return next()
					}
					time.Sleep(time.Minute) // does not look at its context
					select {
					case refused <- s.Checkpoint(context.WithoutCancel(ctx), b.Last()):
					default:
					}
					return nil
				}))
				f.until("a batch is in hand", 10*time.Second, func() bool { return f.log.count() == 10 })
				pass(time.Second)
				zombie.link.cut.Store(true)
				b := f.start(successor, nil)
				f.all(30 * time.Second)
				zombie.link.cut.Store(false)
				before := f.row(id(0)).Checkpoint
				if err := <-refused; !errors.Is(err, lease.ErrLost) {
					t.Errorf("the zombie's checkpoint gave %v, want lease.ErrLost", err)
				}
				if after := f.row(id(0)).Checkpoint; after != before {
					t.Errorf("the checkpoint went from %v to %v", before, after)
				}
				b.crash() // both may claim the lease by now; neither may move the checkpoint back
				zombie.crash()
				f.verify()
			})
		})
	}
}

func TestALeaseIsRenewedWhateverTheShardIsDoing(t *testing.T) {
	t.Run("a batch that takes ten leases", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f := newFleet(t, 1, memstream.Options{})
			f.put(10)
			slow := processing(func(_ context.Context, _ *worker.Shard, _ *worker.Batch, next func() error) error {
				time.Sleep(100 * time.Second)
				return next()
			})
			a := f.start("a", slow)
			time.Sleep(3 * time.Second)
			b := f.start("b", slow)
			f.all(2 * time.Minute)
			stop(t, b, a)
			f.once()
			if n := f.tenureCount(); n != 1 {
				t.Errorf("the shard had %d tenures, want 1", n)
			}
		})
	})
	t.Run("waiting for a parent for ten leases", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f, a, b, child := waitingChild(t, 100*time.Second)
			epoch := f.row(child).OwnerSwitches
			f.all(3 * time.Minute)
			if row := f.row(child); row.Owner != "b" || row.OwnerSwitches != epoch {
				t.Errorf("the waiting child's lease went to %q", row.Owner)
			}
			stop(t, a, b)
			f.once()
		})
	})
	t.Run("idle for hours", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f := newFleet(t, 4, memstream.Options{})
			a, b := f.start("a", nil), f.start("b", nil)
			f.until("two shards each", 20*time.Second, func() bool { return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 })
			time.Sleep(time.Second)
			before := f.tenureCount()
			time.Sleep(3 * time.Hour)
			if n := f.tenureCount() - before; n != 0 {
				t.Errorf("%d leases moved while nothing happened", n)
			}
			f.put(40)
			f.all(5 * time.Second)
			stop(t, a, b)
			f.once()
		})
	})
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

func TestALeaseThatAnotherTookIsNoticedAtTheNextRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		var tenure context.Context
		a := f.start("a", func(c *worker.Config) {
			inner := c.NewProcessor
			c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				tenure = ctx
				return inner(ctx, s)
			}
		})
		f.put(5)
		f.all(10 * time.Second)
		row := f.row(id(0))
		row.Owner, row.Counter = "thief", row.Counter+1
		f.store.Put(*row)
		stolen := time.Now()
		<-tenure.Done()
		if after := time.Since(stolen); after > 4*time.Second {
			t.Errorf("noticed after %v, want within a third of the lease", after)
		}
		if !errors.Is(context.Cause(tenure), lease.ErrLost) {
			t.Errorf("the context's cause is %v, want lease.ErrLost", context.Cause(tenure))
		}
		f.put(5) // the thief does nothing, so the shard comes back after a lease
		f.all(20 * time.Second)
		stop(t, a)
		f.once()
	})
}

func TestTroubleWithReadsEndsNothingSkipsNothingAndRepeatsNothing(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
	throttle := func(context.Context) error { return fmt.Errorf("rate exceeded: %w", worker.ErrThrottled) }
	broken := func(context.Context) error { return errors.New("500 internal failure") }
	expired := func(context.Context) error { return errors.New("iterator expired") }
	for _, c := range []struct {
		name  string
		fail  func(context.Context) error
		fails func(read int) bool // read counts from 1
	}{
		{"the first read is throttled", throttle, func(n int) bool { return n == 1 }},
		{"every third read is throttled", throttle, func(n int) bool { return n%3 == 0 }},
		{"a storm of throttles", throttle, func(n int) bool { return n > 5 && n < 25 }},
		{"every second read is a server error", broken, func(n int) bool { return n%2 == 0 }},
		{"an outage", broken, func(n int) bool { return n > 7 && n < 20 }},
		{"iterators expire all the time", expired, func(n int) bool { return n%4 == 1 }},
		{"a read that never answers", hang, func(n int) bool { return n == 3 || n == 9 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var reads tally
				f := newFleet(t, 2, memstream.Options{PageRecords: 7, Fault: func(ctx context.Context, call memstream.Call) error {
					if call.Op == "Read" && c.fails(reads.add(call.Shard)) {
						return c.fail(ctx)
					}
					return nil
				}})
				f.put(100)
				pass(time.Second)
				f.split(id(0))
				f.put(100)
				a := f.start("a", nil)
				f.all(10 * time.Minute)
				if a.Status().LastError == nil {
					t.Error("Status tells of no error")
				}
				stop(t, a)
				f.once()
				if n := f.tenureCount(); n != 4 {
					t.Errorf("%d processors for 4 shards: trouble with reads must not restart a shard", n)
				}
			})
		})
	}
}

func TestAHungReadIsGivenUpAfterThePacesTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var reads tally
		f := newFleet(t, 1, memstream.Options{
			Pace: worker.Pace{PerSecond: 5, Idle: time.Second, Timeout: 7 * time.Second},
			Fault: func(ctx context.Context, call memstream.Call) error {
				if call.Op == "Read" && reads.add("") == 1 {
					<-ctx.Done()
					return context.Cause(ctx)
				}
				return nil
			},
		})
		f.put(10)
		a := f.start("a", nil)
		if took := f.all(time.Minute); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("the records came after %v, want the timeout of 7s and a pause", took)
		}
		stop(t, a)
		f.once()
	})
}

func TestAShardEndsOnlyAfterItsLastBatchWasProcessed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		last := f.putIn(id(0), 30)[29]
		pass(time.Second)
		f.split(id(0))
		f.put(20)
		fails := 0
		a := f.start("a", processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
			if b.Last() == last && fails < 6 {
				fails++
				if f.row(id(0)).Finished() || f.row(id(1)).Key != "" {
					t.Error("the shard was closed before its last batch was processed")
				}
				return errTest
			}
			return next()
		}))
		f.all(time.Minute)
		f.until("the shard is done", time.Second, func() bool { return f.row(id(0)).Finished() })
		stop(t, a)
		f.once()
		if fails != 6 {
			t.Errorf("the last batch failed %d times, want 6", fails)
		}
	})
}

func TestAnErrorOfFinishAtTheEndOfAShardIsRetried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.put(10)
		pass(time.Second)
		f.split(id(0))
		f.put(10)
		finishes := 0
		a := f.start("a", finishing(func(s *worker.Shard, reason worker.FinishReason) error {
			if s.ID != id(0) {
				return nil
			}
			finishes++
			if reason != worker.ShardEnd || f.row(id(0)).Finished() || f.row(id(1)).Key != "" {
				t.Errorf("Finish(%v) with the row %+v", reason, f.row(id(0)))
			}
			if finishes <= 3 {
				return errTest
			}
			return nil
		}))
		f.all(20 * time.Second)
		stop(t, a)
		f.once()
		if finishes != 4 {
			t.Errorf("Finish was called %d times, want 3 failures and a success", finishes)
		}
	})
}

func TestADamagedAggregateIsAnOrdinaryRecordAndCostsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		whole := aggregate(record.HashKey{}, "a", "b", "c")
		damaged := strings.Replace(whole, "b", "x", 1) // its checksum is wrong now
		for _, data := range []string{"one", whole, damaged, whole[:len(whole)-1], "two", whole} {
			f.putData(id(0), data)
		}
		var got []string
		a := f.start("a", processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
			for _, r := range b.Records {
				got = append(got, string(r.Data))
			}
			return next()
		}))
		f.until("the page is processed", 10*time.Second, func() bool { return len(got) > 0 })
		stop(t, a)
		want := []string{"one", "a", "b", "c", damaged, whole[:len(whole)-1], "two", "a", "b", "c"}
		if !slices.Equal(got, want) {
			t.Errorf("handed over %q, want %q", got, want)
		}
		f.verify()
	})
}

func TestARestartResumesAtTheExactSubRecordOfAnAggregate(t *testing.T) {
	datas := []string{"a0", "a1", "a2", "a3"}
	for done := range datas {
		t.Run(fmt.Sprintf("checkpoint at %d", done), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				f.putData(id(0), "before")
				f.putData(id(0), aggregate(record.HashKey{}, datas...))
				f.putData(id(0), "after")
				first := true
				a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
					if !first {
						return nil
					}
					first = false
					return s.Checkpoint(ctx, b.Records[1+done].Position())
				}))
				f.until("a checkpoint", 10*time.Second, func() bool { return f.row(id(0)).Checkpoint.Kind() == record.KindSequence })
				if sub := f.row(id(0)).Checkpoint.Sub(); sub != uint64(done) {
					t.Errorf("the row's sub-sequence number is %d, want %d", sub, done)
				}
				a.crash()
				var got []string
				b := f.start("b", processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
					for _, r := range b.Records {
						got = append(got, string(r.Data))
					}
					return next()
				}))
				f.until("the rest", 30*time.Second, func() bool { return len(got) > 0 })
				stop(t, b)
				if want := append(slices.Clone(datas[done+1:]), "after"); !slices.Equal(got, want) {
					t.Errorf("the next owner got %v, want %v", got, want)
				}
			})
		})
	}
}

func TestForeignSubRecordsAreDeliveredAndCountedOrDroppedByOption(t *testing.T) {
	for _, drop := range []bool{false, true} {
		t.Run(fmt.Sprintf("DropForeign %t", drop), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				f.putData(id(0), aggregate(record.MaxHashKey, "foreign-1", "foreign-2"))
				f.putData(id(0), aggregate(record.HashKey{}, "own"))
				var got []string
				a := f.start("a", config(func(c *worker.Config) { c.DropForeign = drop },
					processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
						for _, r := range b.Records {
							got = append(got, string(r.Data))
						}
						return next()
					})))
				f.until("the page is processed", 10*time.Second, func() bool { return len(got) > 0 })
				if n := a.Status().Shards[0].Foreign; n != 2 {
					t.Errorf("Status counts %d foreign sub-records, want 2", n)
				}
				stop(t, a)
				want := []string{"foreign-1", "foreign-2", "own"}
				if drop {
					want = want[2:]
				}
				if !slices.Equal(got, want) {
					t.Errorf("handed over %v, want %v", got, want)
				}
			})
		})
	}
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

func TestAStopWhileTheLeaseTableIsDownKeepsToTheDrainTimeout(t *testing.T) {
	for name, answer := range map[string]func(context.Context) error{
		"refusing": func(context.Context) error { return errors.New("503 unavailable") },
		"silent":   func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 3, memstream.Options{})
				var down atomic.Bool
				f.store.Fault = func(ctx context.Context, _, _ string) (bool, error) {
					if !down.Load() {
						return true, nil
					}
					return false, answer(ctx)
				}
				a := f.start("a", nil)
				f.put(30)
				f.all(10 * time.Second)
				down.Store(true)
				if err, took := a.halt(); err != nil || took > 20*time.Second {
					t.Errorf("Run = %v after %v, want nil within the DrainTimeout of 20s", err, took)
				}
				f.verify()
			})
		})
	}
}

func TestOneBadShardDoesNotStopTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{Fault: func(_ context.Context, c memstream.Call) error {
			if c.Shard == id(1) {
				return errors.New("500 internal failure")
			}
			return nil
		}})
		a := f.start("a", processing(func(_ context.Context, s *worker.Shard, _ *worker.Batch, next func() error) error {
			if s.ID == id(2) {
				panic("poison")
			}
			return next()
		}))
		for _, shard := range []string{id(1), id(2)} { // not expected, so not noted
			f.stream.PutTo(f.rangeOf(shard).Start, "key", nil)
		}
		for range 30 {
			f.putIn(id(0), 3)
			f.putIn(id(3), 3)
			time.Sleep(2 * time.Second)
		}
		f.all(2 * time.Second)
		stop(t, a)
		f.verify()
		f.nothingElse()
	})
}

func TestAShardIsReadAtItsPaceAndNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var reads, calls tally
		f := newFleet(t, 3, memstream.Options{PageRecords: 10, Fault: func(_ context.Context, c memstream.Call) error {
			if n := reads.add(c.Op + c.Shard + time.Now().Format(time.TimeOnly)); n > 5 && c.Op == "Read" {
				t.Errorf("read %d of %s within one second", n, c.Shard)
			}
			calls.add(c.Op + c.Shard)
			return nil
		}})
		f.store.Fault = func(_ context.Context, op, _ string) (bool, error) { calls.add(op); return true, nil }
		f.putIn(id(0), 500)
		a := f.start("a", nil)
		if took := f.all(time.Minute); took > 11*time.Second {
			t.Errorf("50 pages took %v, want 5 a second: no idle time while behind", took)
		}
		pass(5 * time.Second)
		before := calls.all()
		pass(100 * time.Second)
		for name, want := range map[string]int{"Read" + id(0): 100, "Read" + id(2): 100, "List": 5, "Survey": 115, "Owned": 225, "Renew": 95, "Beat": 33, "PutMember": 11, "Leader": 0, "Shards": 6, "Get": 0, "Take": 0} {
			if n := calls.of(name) - before[name]; n > want+want/20+1 || n < want/2 {
				t.Errorf("%d calls of %s in 100 idle seconds, want about %d", n, name, want)
			}
		}
		stop(t, a)
		f.once()
	})
}

func TestTheFirstRecordsComeSoonFromAnyNumberOfShards(t *testing.T) {
	for _, c := range []struct {
		shards int
		within time.Duration
	}{{4, time.Second}, {100, 1500 * time.Millisecond}, {1000, 3 * time.Second}, {2500, 6 * time.Second}} {
		t.Run(fmt.Sprint(c.shards, " shards"), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				stream, table := latency(5 * time.Millisecond)
				f := newFleet(t, c.shards, memstream.Options{Fault: stream})
				f.store.Fault = table
				shards, _, _ := f.stream.Shards(t.Context(), record.Position{})
				for _, s := range shards {
					if _, _, err := f.stream.PutTo(s.Range.Start, "key", nil); err != nil {
						t.Fatal(err)
					}
				}
				var seen atomic.Int64
				a := f.start("a", func(c *worker.Config) {
					c.NewProcessor = worker.Stateless(func(_ context.Context, b *worker.Batch) error {
						seen.Add(int64(len(b.Records)))
						return nil
					})
				})
				took := f.until("a record of every shard", time.Minute, func() bool { return seen.Load() == int64(c.shards) })
				if took > c.within {
					t.Errorf("the last first record came after %v, want within %v", took, c.within)
				}
				stop(t, a)
			})
		})
	}
}

func TestAFirstCallThatFailsIsRetried(t *testing.T) {
	for _, op := range []string{"Identify", "Shards", "Open", "List", "Create", "Take"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var calls tally
				fail := func(name string) error {
					if name == op && calls.add(name) <= 3 {
						return errors.New("500 internal failure")
					}
					return nil
				}
				f := newFleet(t, 2, memstream.Options{Fault: func(_ context.Context, c memstream.Call) error { return fail(c.Op) }})
				f.store.Fault = func(_ context.Context, op, _ string) (bool, error) { return false, fail(op) }
				f.put(20)
				a := f.start("a", nil)
				f.all(20 * time.Second)
				stop(t, a)
				f.once()
			})
		})
	}
}

func TestRunNamesAStreamThatDoesNotExistAndReturns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{Fault: func(_ context.Context, c memstream.Call) error {
			return fmt.Errorf("ResourceNotFoundException: %w", worker.ErrNoStream)
		}})
		began := time.Now()
		err := <-f.start("a", nil).done
		if !errors.Is(err, worker.ErrNoStream) || !strings.Contains(err.Error(), "stream s") {
			t.Errorf("Run = %v, want ErrNoStream with the stream's name", err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("Run returned after %v, want at once", took)
		}
	})
}

func TestRunRefusesATableOfAForeignSchema(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.store.Fault = func(_ context.Context, op, _ string) (bool, error) {
			return false, fmt.Errorf("hash key is id: %w", lease.ErrSchema)
		}
		if err := <-f.start("a", nil).done; !errors.Is(err, lease.ErrSchema) {
			t.Errorf("Run = %v, want lease.ErrSchema", err)
		}
	})
}
