package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// byKeys handles records that take 10 ms each in so many ways, for the length of the job's window, and checks the order
// of each key.
func byKeys(ways int) func(context.Context, job.Job) (job.Figures, error) {
	return func(ctx context.Context, j job.Job) (job.Figures, error) {
		const work = 10 * time.Millisecond
		var mu sync.Mutex
		var first time.Time
		begun := make(chan struct{})
		last := map[string]record.SequenceNumber{}
		count, done := 0, time.Time{}
		var disorder error
		cfg := config(j)
		w, err := worker.New(worker.Config{
			Application: j.App,
			Streams:     []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), j.Stream)},
			Leases:      dynamo.New(dynamodb.NewFromConfig(cfg), j.App),
			NewProcessor: worker.ByKey(ways, func(_ context.Context, _ *worker.Shard, r record.Record) error {
				mu.Lock()
				if first.IsZero() {
					first = time.Now()
					close(begun)
				}
				mu.Unlock()
				time.Sleep(work)
				mu.Lock()
				defer mu.Unlock()
				if before, ok := last[r.PartitionKey]; ok && r.SequenceNumber.Compare(before) <= 0 {
					disorder = fmt.Errorf("key %s: %s after %s", r.PartitionKey, r.SequenceNumber, before)
				}
				last[r.PartitionKey] = r.SequenceNumber
				if now := time.Now(); now.Sub(first) <= j.Window {
					count, done = count+1, now
				}
				return nil
			}),
		})
		if err != nil {
			return nil, err
		}
		err = beside(ctx, w, func(ctx context.Context) error {
			select {
			case <-begun:
				return sleep(ctx, j.Window)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if err = errors.Join(err, disorder); err != nil {
			return nil, err
		}
		if count >= j.Records {
			return nil, fmt.Errorf("all %d records were handled before the end; want more of them", j.Records)
		}
		return job.Figures{"records_per_s": float64(count) / done.Sub(first).Seconds()}, nil
	}
}
