package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// What a mark says is done need not come again, and a mark that is stored later must not refuse the new processor.
func TestMarksOutliveTheProcessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		at := f.putIn(id(0), 50)
		crashed := false
		a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, next func() error) error {
			f.log.add("a", 0, s.ID, b.Records)
			if crashed {
				time.Sleep(time.Second)
				return b.Checkpoint(ctx)
			}
			if b.Last() == at[29] {
				crashed = true
				return worker.ErrRestart
			}
			s.Mark(b.Last())
			return nil
		}))
		f.all(time.Minute)
		f.until("the last is checkpointed", 10*time.Second, func() bool { return f.row(id(0)).Checkpoint == at[49] })
		stop(t, a)
		if n := len(f.log.snapshot()) - 50; n != 10 {
			t.Errorf("%d records were repeated, want the 10 of the batch that failed", n)
		}
	})
}

// After an error nothing from the failed batch on may be stored, not even what was marked before.
func TestAMarkIsTakenBackWhenItsBatchFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		at := f.putIn(id(0), 20)
		a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, next func() error) error {
			if b.Last() == at[9] {
				return next()
			}
			s.Mark(b.Records[5].Position())
			return errTest
		}))
		pass(30 * time.Second)
		if got := f.row(id(0)).Checkpoint; got != at[9] {
			t.Errorf("a renewal stored %v, want the end of the batch that succeeded, %v", got, at[9])
		}
		stop(t, a)
		if got := f.row(id(0)).Checkpoint; got != at[9] {
			t.Errorf("the release stored %v, want %v", got, at[9])
		}
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
