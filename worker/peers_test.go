package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// The tests of this file, and those in aggregate_test.go, latest_test.go, parents_test.go and reads_test.go, show one by one
// that a worker has none of the defects that other libraries were found to have.

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
