package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/checkpoint"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// preparer prepares a checkpoint at the record with this index in the shard's first batch, and then does nothing more.
func preparer(f *fleet, index int, state []byte) func(*worker.Config) {
	return processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
		f.log.add("preparer", 0, s.ID, b.Records)
		if len(b.Records) <= index {
			return nil
		}
		_, err := s.Prepare(ctx, b.Records[index].Position(), state)
		return err
	})
}

func TestAPreparedCheckpointReachesTheNextOwner(t *testing.T) {
	for name, complete := range map[string]bool{"which completes it": true, "which leaves it": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				at := f.putIn(id(0), 10)
				a := f.start("a", preparer(f, 6, []byte("uploaded")))
				f.until("it is prepared", 10*time.Second, func() bool { return !f.row(id(0)).Pending.IsZero() })
				if row := f.row(id(0)); row.Checkpoint != record.TrimHorizon || row.Pending != at[6] || string(row.PendingState) != "uploaded" {
					t.Errorf("the row holds %v, pending %v with %q", row.Checkpoint, row.Pending, row.PendingState)
				}
				a.crash()
				var got []record.Record
				var started record.Position
				b := f.start("b", func(c *worker.Config) {
					c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
						if p := s.Prepared; p == nil || p.Position != at[6] || string(p.State) != "uploaded" {
							t.Errorf("the next owner sees %+v", p)
						} else if complete {
							for range 2 { // the second does nothing
								if err := p.Checkpoint(ctx); err != nil {
									t.Error(err)
								}
							}
						}
						return processorFunc(func(_ context.Context, b *worker.Batch) error {
							got, started = append(got, b.Records...), s.Start
							return nil
						}), nil
					}
				})
				f.until("the next owner has records", 30*time.Second, func() bool { return len(got) > 0 })
				stop(t, b)
				first, start := at[0], record.TrimHorizon
				if complete {
					first, start = at[7], at[6]
				}
				if got[0].Position() != first || started != start {
					t.Errorf("the next owner began at %v with Start %v, want %v and %v", got[0].Position(), started, first, start)
				}
				if row := f.row(id(0)); row.Pending.IsZero() != complete {
					t.Errorf("the row's pending checkpoint is %v", row.Pending)
				}
				f.verify()
			})
		})
	}
}

// The rules for what may be prepared are those of checkpoints; a state that is too large is refused before all else.
func TestPrepareRefusesAndReplaces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		at := f.putIn(id(0), 20)
		done := false
		a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, next func() error) error {
			if done {
				return next()
			}
			done = true
			f.log.add("a", 0, s.ID, b.Records)
			large := make([]byte, 64<<10)
			if _, err := s.Prepare(ctx, at[3], append(large, 1)); err == nil || !strings.Contains(err.Error(), "65537 bytes; want at most 65536") {
				t.Errorf("a state of 64 KiB and a byte: %v", err)
			}
			if _, err := s.Prepare(ctx, at[15], nil); !errors.Is(err, checkpoint.ErrRange) {
				t.Errorf("beyond what was handed over: %v, want ErrRange", err)
			}
			if err := s.Checkpoint(ctx, at[2]); err != nil {
				t.Error(err)
			}
			if _, err := s.Prepare(ctx, at[1], nil); !errors.Is(err, checkpoint.ErrRange) {
				t.Errorf("behind the checkpoint: %v, want ErrRange", err)
			}
			for _, state := range [][]byte{large, []byte("second"), nil} {
				for _, p := range []record.Position{at[2], at[4], at[3]} { // the checkpoint itself, forward, and back again
					prepared, err := s.Prepare(ctx, p, state)
					if err != nil || prepared.Position != p {
						t.Errorf("Prepare(%v) = %+v, %v", p, prepared, err)
					}
					if row := f.row(id(0)); row.Pending != p || !bytes.Equal(row.PendingState, state) || row.Checkpoint != at[2] {
						t.Errorf("after Prepare(%v) the row holds %v, pending %v with %d bytes", p, row.Checkpoint, row.Pending, len(row.PendingState))
					}
				}
			}
			prepared, err := s.Prepare(ctx, at[5], nil)
			if err == nil {
				err = prepared.Checkpoint(ctx)
			}
			if row := f.row(id(0)); err != nil || row.Checkpoint != at[5] || !row.Pending.IsZero() {
				t.Errorf("completed with %v: the row holds %v, pending %v", err, row.Checkpoint, row.Pending)
			}
			return b.Checkpoint(ctx)
		}))
		f.all(10 * time.Second)
		stop(t, a)
		f.once()
	})
}

func TestGoroutinesOfAShardCheckpointAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stream, table := latency(5 * time.Millisecond)
		f := newFleet(t, 1, memstream.Options{PageRecords: 10, Fault: stream})
		f.store.Fault = table
		at := f.putIn(id(0), 100)
		var wrong atomic.Int64
		a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
			f.log.add("a", 0, s.ID, b.Records)
			for _, r := range b.Records {
				s.Go(func(ctx context.Context) error {
					err := s.Checkpoint(ctx, r.Position())
					if err != nil && !errors.Is(err, checkpoint.ErrRange) { // one that is behind another's is refused
						wrong.Add(1)
						return err
					}
					s.Mark(r.Position())
					return nil
				})
			}
			return nil
		}))
		f.all(time.Minute)
		f.until("the last is checkpointed", time.Second, func() bool { return f.row(id(0)).Checkpoint == at[99] })
		stop(t, a)
		f.once()
		if wrong.Load() > 0 {
			t.Errorf("%d checkpoints failed", wrong.Load())
		}
	})
}

func TestACheckpointWhoseAnswerIsLostNeitherLosesTheLeaseNorGoesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		var losing atomic.Bool
		lost := 0
		f.store.Fault = func(_ context.Context, op, _ string) (bool, error) {
			if op == memory.OpRenew && losing.CompareAndSwap(true, false) {
				lost++
				return true, errors.New("connection reset")
			}
			return true, nil
		}
		f.putIn(id(0), 100)
		a := f.start("a", processing(func(_ context.Context, _ *worker.Shard, _ *worker.Batch, next func() error) error {
			losing.Store(true)
			return next()
		}))
		f.all(time.Minute)
		stop(t, a)
		f.once()
		if n := f.tenureCount(); n != 1 || lost != 10 {
			t.Errorf("%d tenures and %d lost answers, want 1 and 10", n, lost)
		}
	})
}

// A life of a shard with all kinds of calls of the table: rows are made, leases taken, checkpointed, renewed, handed over,
// closed, released. Each single call is once refused and once carried out with its answer lost.
func TestEveryCallOfTheTableMayFailOnceInEitherWay(t *testing.T) {
	var ops tally
	life := func(t *testing.T, fail func(n int) (apply bool, err error)) (calls int) {
		f := newFleet(t, 2, memstream.Options{PageRecords: 5})
		var n atomic.Int64
		f.store.Fault = func(_ context.Context, op, _ string) (bool, error) {
			ops.add(op)
			return fail(int(n.Add(1)))
		}
		f.put(20)
		a := f.start("a", nil)
		pass(3 * time.Second)
		b := f.start("b", nil)
		f.split(id(0))
		f.put(20)
		pass(5 * time.Second)
		f.merge(id(3), id(1))
		f.put(20)
		pass(5 * time.Second)
		stop(t, a)
		f.put(20)
		f.all(30 * time.Second)
		stop(t, b)
		f.verify()
		f.parentsFirst()
		return int(n.Load())
	}
	total := 0
	bubble(t, func(t *testing.T) { total = life(t, func(int) (bool, error) { return true, nil }) })
	if total < 30 {
		t.Fatalf("a life of %d calls is too short to show anything", total)
	}
	for _, op := range []string{ // Assign, and what is deleted: see TestAHolderThatIgnores… and TestWhatALeaderDoes…
		memory.OpOpen, memory.OpList, memory.OpGet, memory.OpCreate, memory.OpRenew, memory.OpTake, memory.OpAsk, memory.OpRelease,
		memory.OpSurvey, memory.OpOwned, memory.OpPutMember, memory.OpDeleteMember, memory.OpLeader, memory.OpPutLeader,
		memory.OpBeat, memory.OpDeleteLeader, memory.OpMigration, memory.OpPutMigration,
	} {
		if ops.of(op) == 0 {
			t.Errorf("there was no %s", op)
		}
	}
	for n := 1; n <= total; n++ {
		for name, apply := range map[string]bool{"refused": false, "answer lost": true} {
			t.Run(fmt.Sprintf("call %d %s", n, name), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					life(t, func(i int) (bool, error) {
						if i == n {
							return apply, errors.New("connection reset")
						}
						return true, nil
					})
				})
			})
		}
	}
}

func TestIdleCallGivesAnEmptyBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		last := f.putIn(id(0), 5)[4]
		var calls []time.Time
		a := f.start("a", config(func(c *worker.Config) { c.IdleCall = 3 * time.Second },
			processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
				f.log.add("a", 0, s.ID, b.Records)
				calls = append(calls, time.Now())
				if len(b.Records) > 0 {
					return nil
				}
				if b.Last() != last {
					t.Errorf("an empty batch after %v, want %v", b.Last(), last)
				}
				return b.Checkpoint(ctx)
			})))
		f.until("five calls", 20*time.Second, func() bool { return len(calls) == 5 })
		for i := range calls[1:] {
			if d := calls[i+1].Sub(calls[i]); d != 3*time.Second {
				t.Errorf("an idle call after %v, want 3s", d)
			}
		}
		if got := f.row(id(0)).Checkpoint; got != last {
			t.Errorf("checkpoint %v, want %v", got, last)
		}
		stop(t, a)
		f.once()
	})
}

func TestStartAtSaysWhereATenureBegins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		zero, one := f.putIn(id(0), 10), f.putIn(id(1), 10)
		first := map[string]record.Position{}
		var mu sync.Mutex
		asked := 0
		a := f.start("a", config(func(c *worker.Config) {
			c.StartAt = func(_ context.Context, stream, shard string) (record.Position, error) {
				mu.Lock()
				defer mu.Unlock()
				if asked++; stream != "s" {
					t.Errorf("asked for stream %q", stream)
				}
				if shard == id(0) {
					return zero[6], nil
				}
				return record.Position{}, nil
			}
		}, processing(func(_ context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
			mu.Lock()
			defer mu.Unlock()
			if _, ok := first[s.ID]; !ok {
				first[s.ID] = b.Records[0].Position()
			}
			return nil
		})))
		pass(5 * time.Second)
		stop(t, a)
		if first[id(0)] != zero[7] || first[id(1)] != one[0] {
			t.Errorf("began with %v, want the record behind StartAt's position, and the first where that is zero", first)
		}
		if asked != 2 {
			t.Errorf("StartAt was called %d times, want once for each shard", asked)
		}
	})
}

func TestAWorkerTakesNoMoreThanMaxLeases(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 10, memstream.Options{})
		four := func(c *worker.Config) { c.MaxLeases = 4 }
		a := f.start("a", four)
		for range 40 {
			time.Sleep(time.Second)
			if n := len(a.Status().Shards); n > 4 {
				t.Fatalf("%d leases, want at most 4", n)
			}
		}
		b, c := f.start("b", four), f.start("c", four)
		f.put(100)
		f.all(40 * time.Second)
		pass(10 * time.Second)
		for _, m := range []*member{a, b, c} {
			if n := len(m.Status().Shards); n != 3 && n != 4 {
				t.Errorf("%d leases, want 3 or 4", n)
			}
		}
		stop(t, a, b, c)
		f.verify()
	})
}

// An answer that was under way at the deadline may still come: the shard must go on then.
func TestALeaseRenewedAfterItsDeadlineGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		taken := time.Now()
		var renewals atomic.Int64
		f.store.Fault = func(_ context.Context, op, _ string) (bool, error) {
			if op == memory.OpRenew && renewals.Add(1) == 1 {
				time.Sleep(9500*time.Millisecond - time.Since(taken)) // past the deadline of the Take, at 9 s
			}
			return true, nil
		}
		a := f.start("a", nil)
		pass(8100 * time.Millisecond)
		f.put(5) // read while the lease cannot be trusted
		f.all(10 * time.Second)
		stop(t, a)
		f.once()
		if n := f.tenureCount(); n != 1 {
			t.Errorf("%d tenures, want 1", n)
		}
	})
}

// A shard at its end may have to wait for the other parent of its child before it can be closed. What it processed is
// checkpointed meanwhile, so that a stop then repeats nothing.
func TestAStopBeforeAShardCanBeClosedRepeatsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		f.put(20)
		pass(time.Second)
		_, upper := f.split(id(0)) // 2 and 3
		f.merge(upper, id(1))      // 4: 3 has no row while 0 is processed
		slow := processing(func(_ context.Context, s *worker.Shard, _ *worker.Batch, next func() error) error {
			if s.ID == id(0) {
				time.Sleep(10 * time.Second)
			}
			return next()
		})
		uncheckpointed := func(c *worker.Config) {
			c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				tenure := f.log.tenure()
				return worker.Stateless(func(_ context.Context, b *worker.Batch) error {
					f.log.add(c.WorkerID, tenure, s.ID, b.Records)
					return nil
				})(ctx, s)
			}
		}
		a := f.start("a", config(uncheckpointed, slow))
		f.until("shard 1 waits to be closed", 10*time.Second, func() bool { return a.state(id(1)) == worker.Finishing })
		stop(t, a)
		b := f.start("b", uncheckpointed)
		f.put(20)
		f.all(20 * time.Second)
		stop(t, b)
		f.once()
	})
}
