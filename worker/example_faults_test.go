package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/workertest"
)

// The processors of the examples are there to be copied: they bear whatever a fleet goes through.

func TestTheStatelessExampleLosesNothing(t *testing.T) {
	workertest.Run(t, workertest.Options{}, func(p *workertest.Process) worker.Config {
		return worker.Config{NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
			for _, r := range b.Records {
				if err := p.Effect(ctx, string(r.Data)); err != nil {
					return err
				}
			}
			return b.Checkpoint(ctx)
		})}
	})
}

func TestTheArchiverOfTheExampleLosesNothing(t *testing.T) {
	large := func(i int) workertest.Record { // so that objects are cut while records come
		id := fmt.Sprint("record-", i)
		return workertest.Record{ID: id, Key: fmt.Sprint(i % 9), Data: append([]byte(id+" "), bytes.Repeat([]byte("."), 50_000)...)}
	}
	workertest.Run(t, workertest.Options{Record: large, Records: 120, Histories: 8}, func(p *workertest.Process) worker.Config {
		upload := func(ctx context.Context, _ string, body []byte) error {
			var ids []string
			for line := range bytes.Lines(body) {
				id, _, _ := bytes.Cut(line, []byte(" "))
				ids = append(ids, string(id))
			}
			return p.Effect(ctx, ids...)
		}
		return worker.Config{NewProcessor: func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return newArchiver(s, upload), nil
		}}
	})
}

func TestTheAggregatorOfTheExampleCountsExactlyOnce(t *testing.T) {
	keys := func(i int) workertest.Record { // each record has a key of its own, whose count is the record's effect
		key := fmt.Sprint("key-", i)
		return workertest.Record{ID: key, Key: key}
	}
	workertest.Run(t, workertest.Options{Record: keys, ExactlyOnce: true}, func(p *workertest.Process) worker.Config {
		sum := workertest.Shared(p, newTotals)
		add := func(ctx context.Context, a addition) error {
			a.counts = maps.Clone(a.counts) // the request may arrive when the processor has gone on
			var refused error
			err := p.Call(ctx, func() (ids []string) {
				if refused = sum.add(ctx, a); refused != nil {
					return nil
				}
				for key, n := range a.counts {
					for range n {
						ids = append(ids, key)
					}
				}
				return ids
			})
			if err == nil {
				err = refused
			}
			return err
		}
		return worker.Config{
			StartAt: func(_ context.Context, stream, shard string) (record.Position, error) {
				return sum.position(stream + "/" + shard), nil
			},
			NewProcessor: func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				return newAggregator(s, sum.position(s.Stream+"/"+s.ID), add), nil
			},
		}
	})
}
