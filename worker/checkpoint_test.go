package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/checkpoint"
	"github.com/shoal-stream/shoal/lease"
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

func TestAMarkIsCarriedByTheNextRenewalAndByTheRelease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		var writes tally
		f.store.Fault = func(_ context.Context, op, _ string) (bool, error) { writes.add(op); return true, nil }
		a := f.start("a", processing(func(_ context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
			f.log.add("a", 0, s.ID, b.Records)
			s.Mark(b.Last())
			return nil
		}))
		pass(5 * time.Second)
		first := f.putIn(id(0), 10)[9]
		f.all(5 * time.Second)
		renewed := writes.of(memory.OpRenew)
		f.until("a renewal has carried the mark", 3400*time.Millisecond, func() bool { return f.row(id(0)).Checkpoint == first })
		if n := writes.of(memory.OpRenew) - renewed; n != 1 {
			t.Errorf("%d writes for a mark, want the renewal that was due", n)
		}
		if got := a.Status().Shards[0].Checkpoint; got != first {
			t.Errorf("Status tells of %v, want %v", got, first)
		}
		last := f.putIn(id(0), 10)[9]
		f.all(5 * time.Second)
		stop(t, a)
		if row := f.row(id(0)); row.Checkpoint != last || row.Owner != "" {
			t.Errorf("after the release the row holds %v, owner %q; want the mark %v and nobody", row.Checkpoint, row.Owner, last)
		}
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

func TestProcessTimeoutReportsASlowCallWhileItRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.put(5)
		var slow []time.Duration
		var began, reported time.Time
		a := f.start("a", config(processing(func(_ context.Context, _ *worker.Shard, _ *worker.Batch, next func() error) error {
			began = time.Now()
			time.Sleep(20 * time.Second)
			return next()
		}), func(c *worker.Config) {
			c.ProcessTimeout = 7 * time.Second
			c.Hooks.Slow = func(_ worker.ShardInfo, since time.Duration) { slow, reported = append(slow, since), time.Now() }
		}))
		f.all(time.Minute)
		if len(slow) != 1 || slow[0] != 7*time.Second || reported.Sub(began) != 7*time.Second {
			t.Errorf("reported %v, %v after the call began; want once after 7s", slow, reported.Sub(began))
		}
		if err := a.Status().LastError; err == nil || !strings.Contains(err.Error(), "ProcessTimeout is 7s") {
			t.Errorf("Status tells of %v", err)
		}
		stop(t, a)
		f.once()
	})
}

func TestSeveralStreamsInOneWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory.New()
		streams := []*memstream.Stream{memstream.New("x", 2, memstream.Options{Account: "123456789012"}), memstream.New("y", 3, memstream.Options{})}
		var got tally
		cfg := worker.Config{
			Application: "test", WorkerID: "a", Leases: store, Streams: []worker.Stream{streams[0], streams[1]},
			NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
				for _, r := range b.Records {
					got.add(b.Shard.Stream + "/" + string(r.Data))
				}
				return b.Checkpoint(ctx)
			}),
		}
		w, err := worker.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		created := time.Now().Unix()
		for _, s := range streams {
			for i := range 20 {
				s.Put(fmt.Sprint(i), []byte(s.Name()))
			}
			s.Split(id(0), record.HashKey{Hi: 1})
			s.Put("more", []byte(s.Name()))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		pass(20 * time.Second)
		rows, _ := store.List(t.Context())
		for _, row := range rows {
			stream := fmt.Sprintf("123456789012:x:%d", created)
			if strings.Contains(row.Key, ":y:") {
				stream = fmt.Sprintf("000000000000:y:%d", created)
			}
			if row.Stream != stream || row.Key != stream+":"+row.Shard {
				t.Errorf("row %q of stream %q and shard %q", row.Key, row.Stream, row.Shard)
			}
		}
		names := []string{}
		for _, s := range w.Status().Shards {
			names = append(names, s.Stream)
		}
		if want := []string{"x", "x", "x", "y", "y", "y", "y"}; !slices.Equal(names, want) {
			t.Errorf("Status tells of the streams %v, want %v", names, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if all := got.all(); all["x/x"] != 21 || all["y/y"] != 21 || len(all) != 2 {
			t.Errorf("handed over %v, want 21 of each stream", all)
		}
	})
}

// A table with rows of the other kind is left alone and complained about.
func TestATableOfTheOtherModalityIsRefused(t *testing.T) {
	for _, several := range []bool{false, true} {
		t.Run(fmt.Sprintf("several %t", several), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				f.put(5)
				row := lease.Lease{Key: id(0), Shard: id(0), Checkpoint: record.TrimHorizon}
				want := "reads one stream"
				if !several {
					row.Key, row.Stream = "000000000000:s:1:"+id(0), "000000000000:s:1"
					want = "reads several streams"
				}
				f.store.Put(row)
				a := f.start("a", func(c *worker.Config) {
					if several {
						c.Streams = append(c.Streams, memstream.New("t", 1, memstream.Options{}))
					}
				})
				pass(10 * time.Second)
				if err := a.Status().LastError; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), row.Key) {
					t.Errorf("Status tells of %v, want the row and that its application %s", err, want)
				}
				if rows, _ := f.store.List(t.Context()); len(rows) != 1 || rows[0].Counter != 0 || f.log.count() != 0 {
					t.Errorf("%d rows, %d records; want all left alone", len(rows), f.log.count())
				}
				stop(t, a)
			})
		})
	}
}

func TestTwinsAreReportedAndLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{})
		var reports tally
		hook := func(c *worker.Config) {
			c.Hooks.Twin = func(workerID string) { reports.add(workerID) }
		}
		one := f.start("same", hook)
		pass(5 * time.Second)
		two := f.start("same", hook)
		for range 60 {
			f.put(10)
			time.Sleep(time.Second)
		}
		f.all(30 * time.Second)
		if !one.Status().Twin && !two.Status().Twin {
			t.Error("neither Status tells of a twin")
		}
		if n := reports.of("same"); n < 1 || n > 2 {
			t.Errorf("%d reports, want at most one from each", n)
		}
		stop(t, one, two)
		f.verify()
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

func TestStatusTellsStatesCountsAndLag(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{PageRecords: 10})
		var release atomic.Bool
		a := f.start("a", processing(func(_ context.Context, s *worker.Shard, _ *worker.Batch, next func() error) error {
			for s.ID == id(0) && !release.Load() {
				time.Sleep(time.Second)
			}
			return next()
		}))
		if s := a.Status(); !s.Running && len(s.Shards) != 0 || s.Application != "test" || s.WorkerID != "a" {
			t.Errorf("at first: %+v", s)
		}
		f.until("both shards run", 5*time.Second, func() bool { return a.state(id(0)) == worker.Processing && a.state(id(1)) == worker.Processing })
		pass(5 * time.Second)
		if s := a.Status(); s.Lag != 0 || s.LastError != nil || s.Fleet["a"] != 2 {
			t.Errorf("idle: %+v", s)
		}
		f.putIn(id(0), 30)
		last := f.putIn(id(1), 10)[9]
		pass(30 * time.Second)
		s := a.Status()
		if lag := s.Shards[0].Lag; lag < 28*time.Second || lag > 31*time.Second || s.Lag != lag {
			t.Errorf("lag %v of the shard and %v in all, want about 30s", lag, s.Lag)
		}
		if one := s.Shards[1]; one.Lag != 0 || one.Records != 10 || one.Bytes != 90 || one.Checkpoint != last || one.Stream != "s" {
			t.Errorf("the other shard: %+v", one)
		}
		release.Store(true)
		f.all(10 * time.Second)
		pass(3 * time.Second)
		if s := a.Status(); s.Lag != 0 || s.Shards[0].Records != 30 {
			t.Errorf("caught up: %+v", s)
		}
		stop(t, a)
		if s := a.Status(); s.Running || len(s.Shards) != 0 {
			t.Errorf("at last: %+v", s)
		}
	})
}

func TestAShardThatIsFarBehindIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10, Retention: 24 * time.Hour})
		f.put(30)
		pass(13 * time.Hour)
		reports := 0
		a := f.start("a", func(c *worker.Config) {
			c.Hooks.Failed = func(_ worker.ShardInfo, err error) {
				if strings.Contains(err.Error(), "more than half of the stream's retention") {
					reports++
				}
			}
		})
		f.all(10 * time.Second)
		stop(t, a)
		if reports != 1 {
			t.Errorf("reported %d times, want once", reports)
		}
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
