package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/checkpoint"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func mid(t *testing.T, f *fleet, shard string) record.HashKey {
	t.Helper()
	shards, _, err := f.stream.Shards(t.Context(), record.Position{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shards {
		if s.ID == shard {
			return record.HashKey{Hi: s.Range.Start.Hi/2 + s.Range.End.Hi/2, Lo: 1}
		}
	}
	t.Fatalf("no shard %s", shard)
	return record.HashKey{}
}

func (f *fleet) split(shard string) (lower, upper string) {
	f.t.Helper()
	lower, upper, err := f.stream.Split(shard, mid(f.t, f, shard))
	if err != nil {
		f.t.Fatal(err)
	}
	return lower, upper
}

func TestG1NothingLostOverCrashesSplitsAndMerges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{})
		f.put(200)
		a, b, c := f.start("a", nil), f.start("b", nil), f.start("c", nil)
		f.all(10 * time.Second)
		f.put(200)
		time.Sleep(5 * time.Second)
		lower, _ := f.split("shardId-000000000000")
		f.put(200)
		a.crash()
		f.put(200)
		f.split(lower)
		if _, err := f.stream.Merge("shardId-000000000002", "shardId-000000000003"); err != nil {
			t.Fatal(err)
		}
		f.put(200)
		f.all(40 * time.Second)
		for _, m := range []*member{b, c} {
			if err, _ := m.halt(); err != nil {
				t.Errorf("Run = %v, want nil after a clean drain", err)
			}
		}
		f.verify()
		f.parentsFirst()
	})
}

// A processor's error means that its records come again; nothing from the failed batch on may be checkpointed meanwhile.
func TestG1AnErrorNeverSkipsRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		f.put(50)
		fails, attempts := 3, 0
		var refused error
		m := f.start("a", func(c *worker.Config) {
			inner := c.NewProcessor
			c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				p, err := inner(ctx, s)
				return processorFunc(func(ctx context.Context, b *worker.Batch) error {
					if len(b.Records) > 0 && fails > 0 && f.log.count() >= 20 {
						fails--
						attempts = b.Attempt
						last := b.Last()
						s.Go(func(ctx context.Context) error {
							time.Sleep(time.Millisecond) // by then the batch has failed
							refused = s.Checkpoint(ctx, last)
							return nil
						})
						return errors.New("not today")
					}
					return p.ProcessRecords(ctx, b)
				}), err
			}
		})
		f.all(30 * time.Second)
		m.halt()
		if attempts != 3 {
			t.Errorf("the batch was tried %d times before it succeeded, want the same batch 3 times", attempts)
		}
		if !errors.Is(refused, checkpoint.ErrRange) {
			t.Errorf("a checkpoint of a failed batch gave %v, want ErrRange", refused)
		}
		if n := f.verify(); n != 0 {
			t.Errorf("%d records were repeated", n)
		}
	})
}

// processorFunc is a processor whose Finish does nothing.
type processorFunc func(ctx context.Context, b *worker.Batch) error

func (p processorFunc) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	looked()
	return p(ctx, b)
}

func (processorFunc) Finish(context.Context, worker.FinishReason) error { return nil }

func TestG2ChildrenStartAfterBothParentsOfAMerge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{PageRecords: 5})
		f.put(400) // many pages, so that the parents take a while
		child, err := f.stream.Merge("shardId-000000000000", "shardId-000000000001")
		if err != nil {
			t.Fatal(err)
		}
		f.put(50)
		a, b := f.start("a", nil), f.start("b", nil)
		f.all(3 * time.Minute)
		f.parentsFirst()
		row, err := f.store.Get(t.Context(), child)
		if err != nil || len(row.Parents) != 2 {
			t.Errorf("the child's row is %+v, error %v; want both parents in it", row, err)
		}
		a.halt()
		b.halt()
		if n := f.verify(); n != 0 {
			t.Errorf("%d records were repeated", n)
		}
	})
}

// A worker that was cut off and comes back cannot checkpoint any more, and its context ended in time.
func TestG3AStaleOwnerCannotCheckpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.put(10)
		var shard *worker.Shard
		var tenure context.Context
		a := f.start("a", func(c *worker.Config) {
			c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				shard, tenure = s, ctx
				return processorFunc(func(ctx context.Context, b *worker.Batch) error {
					f.log.add("a", 1000, s.ID, b.Records)
					return nil
				}), nil
			}
		})
		f.all(10 * time.Second)
		a.link.cut.Store(true)
		cut := time.Now()
		b := f.start("b", nil)
		<-tenure.Done()
		if after := time.Since(cut); after > 10*time.Second {
			t.Errorf("the stale owner's context ended after %v, want within the lease duration", after)
		}
		if cause := context.Cause(tenure); !errors.Is(cause, lease.ErrLost) {
			t.Errorf("its cause is %v, want lease.ErrLost", cause)
		}
		f.until("b has checkpointed", 20*time.Second, func() bool {
			row, _ := f.store.Get(t.Context(), "shardId-000000000000")
			return row.Owner == "b" && row.Checkpoint.Kind() == record.KindSequence
		})
		before, _ := f.store.Get(t.Context(), "shardId-000000000000")
		a.link.cut.Store(false)
		if err := shard.Checkpoint(t.Context(), record.At(f.log.put[shard.ID][0], 0)); !errors.Is(err, lease.ErrLost) {
			t.Errorf("a stale owner's checkpoint gave %v, want lease.ErrLost", err)
		}
		after, _ := f.store.Get(t.Context(), "shardId-000000000000")
		if after.Checkpoint != before.Checkpoint {
			t.Errorf("the checkpoint went from %v to %v", before.Checkpoint, after.Checkpoint)
		}
		a.halt()
		b.halt()
	})
}

func TestG4CheckpointsGoForwardAndStayWithinWhatWasGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		f.put(30)
		seqs := f.log.put["shardId-000000000000"]
		at := func(i int) record.Position { return record.At(seqs[i], 0) }
		type ask struct {
			p    record.Position
			want string
		}
		asks := []ask{
			{at(5), ""}, {at(5), ""}, {at(3), "behind the stored checkpoint"}, {at(15), "beyond the records handed over"},
			{record.TrimHorizon, "want the sequence number of a record"}, {record.ShardEnd, "want the sequence number"},
			{record.At("nonsense", 0), "want the sequence number"}, {at(9), ""},
		}
		done := false
		m := f.start("a", func(c *worker.Config) {
			c.NewProcessor = func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				return processorFunc(func(ctx context.Context, b *worker.Batch) error {
					for _, ask := range asks {
						err := s.Checkpoint(ctx, ask.p)
						if ask.want == "" && err != nil || ask.want != "" && (!errors.Is(err, checkpoint.ErrRange) || !strings.Contains(err.Error(), ask.want)) {
							t.Errorf("checkpoint at %v gave %v, want %q", ask.p, err, ask.want)
						}
					}
					done, asks = true, nil
					return nil
				}), nil
			}
		})
		f.until("checkpoints asked for", 10*time.Second, func() bool { return done })
		m.halt()
		if row, _ := f.store.Get(t.Context(), "shardId-000000000000"); row.Checkpoint != at(9) {
			t.Errorf("the row holds %v, want the end of the first batch", row.Checkpoint)
		}
	})
}

func TestG5ACrashedWorkersShardsFlowAgainWithinTheBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 6, memstream.Options{})
		a := f.start("a", nil)
		f.until("a leads", time.Second, func() bool { return a.Status().Leader == "a" })
		b, c := f.start("b", nil), f.start("c", nil)
		f.until("two shards each", 20*time.Second, func() bool {
			return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 && len(c.Status().Shards) == 2
		})
		time.Sleep(7 * time.Second)
		b.kill()
		f.put(100)
		if took := f.all(13 * time.Second); took > 12*time.Second {
			t.Errorf("failover took %v, want at most the lease duration and 2 s", took)
		}
		time.Sleep(5 * time.Second)
		a.kill()
		f.put(100)
		if took := f.all(16 * time.Second); took > 15*time.Second {
			t.Errorf("failover of the leader's own shards took %v, want at most 15 s", took)
		}
		c.halt()
		f.verify()
	})
}

func TestG5ACleanStopHandsOverAtOnceAndRepeatsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 8, memstream.Options{})
		a, b := f.start("a", nil), f.start("b", nil)
		f.until("four shards each", 30*time.Second, func() bool { return len(a.Status().Shards) == 4 && len(b.Status().Shards) == 4 })
		f.put(100)
		f.all(5 * time.Second)
		if err, took := a.halt(); err != nil || took > time.Second {
			t.Errorf("the stop took %v, error %v", took, err)
		}
		f.put(100)
		if took := f.all(10 * time.Second); took > 4*time.Second {
			t.Errorf("the shards flowed again after %v", took)
		}
		b.halt()
		if n := f.verify(); n != 0 {
			t.Errorf("%d records were repeated", n)
		}
	})
}

func TestG6LeasesSettleEvenlyAndStay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 20, memstream.Options{})
		members := []*member{f.start("a", nil)}
		time.Sleep(3 * time.Second)
		for _, id := range []string{"b", "c", "d"} {
			members = append(members, f.start(id, nil))
		}
		even := func() bool {
			for _, m := range members {
				if len(m.Status().Shards) != 5 {
					return false
				}
			}
			return true
		}
		f.until("five shards each", 20*time.Second, even)
		f.put(200)
		f.all(10 * time.Second)
		moves := f.log.tenures
		for range 60 {
			time.Sleep(2 * time.Second)
			if !even() {
				t.Fatal("the leases did not stay")
			}
		}
		if f.log.tenures != moves {
			t.Errorf("%d leases moved after they had settled", f.log.tenures-moves)
		}
		for _, m := range members {
			m.halt()
		}
		if n := f.verify(); n != 0 {
			t.Errorf("%d records were repeated by balancing", n)
		}
	})
}

func TestG7RunReturnsWithinDrainTimeoutAndNamesWhoDoesNotFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 3, memstream.Options{})
		f.put(60)
		free := make(chan struct{})
		stuck := ""
		m := f.start("a", func(c *worker.Config) {
			inner := c.NewProcessor
			c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				p, err := inner(ctx, s)
				if s.ID != "shardId-000000000001" {
					return p, err
				}
				return processorFunc(func(ctx context.Context, b *worker.Batch) error {
					stuck = s.ID
					<-free // ignores its context
					return b.Checkpoint(context.WithoutCancel(ctx))
				}), nil
			}
		})
		f.until("a processor hangs", 10*time.Second, func() bool { return stuck != "" && f.log.count() > 0 })
		err, took := m.halt()
		var shardErr *worker.ShardError
		if !errors.As(err, &shardErr) || shardErr.Shard != stuck || !errors.Is(err, worker.ErrAbandoned) {
			t.Errorf("Run = %v, want a ShardError that names %s and wraps ErrAbandoned", err, stuck)
		}
		if took > 20*time.Second {
			t.Errorf("Run returned after %v, want at most DrainTimeout", took)
		}
		rows, _ := f.store.List(t.Context())
		for _, row := range rows {
			if row.Owner != "" {
				t.Errorf("%s is still owned by %s", row.Key, row.Owner)
			}
		}
		close(free)
		time.Sleep(time.Second)
		if row, _ := f.store.Get(t.Context(), stuck); row.Checkpoint != record.TrimHorizon {
			t.Errorf("the processor left behind checkpointed %v", row.Checkpoint)
		}
	})
}

// The keeper renews until Finish returns, so that a slow Finish keeps its lease.
func TestG7ASlowFinishKeepsItsLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.put(10)
		a := f.start("a", func(c *worker.Config) {
			c.NewProcessor = func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				return &slowFinisher{f: f, shard: s}, nil
			}
		})
		f.all(10 * time.Second)
		b := f.start("b", nil)
		if err, took := a.halt(); err != nil || took < 15*time.Second || took > 16*time.Second {
			t.Errorf("Run = %v after %v, want nil after the 15s that Finish takes", err, took)
		}
		f.put(10)
		f.all(5 * time.Second)
		b.halt()
		if n := f.verify(); n != 0 {
			t.Errorf("%d records were repeated", n)
		}
	})
}

type slowFinisher struct {
	f     *fleet
	shard *worker.Shard
	last  *worker.Batch
}

func (p *slowFinisher) ProcessRecords(_ context.Context, b *worker.Batch) error {
	p.f.log.add("a", 5000, p.shard.ID, b.Records)
	p.last = b
	return nil
}

func (p *slowFinisher) Finish(ctx context.Context, reason worker.FinishReason) error {
	if reason != worker.Moving {
		return fmt.Errorf("finish for %v", reason)
	}
	time.Sleep(15 * time.Second)
	return p.last.Checkpoint(ctx)
}
