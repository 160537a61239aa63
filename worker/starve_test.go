package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A shard whose processor fails for ever keeps its pages, but not its share of the memory budget.
func TestAShardThatKeepsFailingDoesNotStarveTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{PageRecords: 1})
		big := make([]byte, 700<<10)
		var failing, healthy atomic.Int64
		for range 3 {
			for _, h := range []record.HashKey{{}, record.MaxHashKey} {
				if _, _, err := f.stream.PutTo(h, "k", big); err != nil {
					t.Fatal(err)
				}
			}
		}
		m := f.start("a", func(c *worker.Config) {
			c.MemoryBudget = 1 << 20
			c.NewProcessor = func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				return processorFunc(func(ctx context.Context, b *worker.Batch) error {
					if s.ID == "shardId-000000000000" {
						failing.Add(1)
						return errors.New("never")
					}
					healthy.Add(int64(len(b.Records)))
					return b.Checkpoint(ctx)
				}), nil
			}
		})
		f.until("the healthy shard is done", time.Minute, func() bool { return healthy.Load() >= 3 && failing.Load() > 2 })
		m.halt()
	})
}
