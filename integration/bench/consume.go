package main

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// consumeRaw is the least that a program can do with the SDK: a goroutine a shard that calls GetRecords.
func consumeRaw(ctx context.Context, j job.Job) (job.Figures, error) {
	api := kinesis.NewFromConfig(config(j))
	tally := job.NewTally(j.Records)
	out, err := api.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &j.Stream})
	if err != nil {
		return nil, err
	}
	readers := pool.New().WithContext(ctx).WithCancelOnError()
	for _, s := range out.Shards {
		readers.Go(func(ctx context.Context) error {
			it, err := api.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
				StreamName: &j.Stream, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
			})
			if err != nil {
				return err
			}
			for next := it.ShardIterator; ; {
				page, err := api.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
				if err != nil {
					return err
				}
				tally.Add(len(page.Records))
				if aws.ToInt64(page.MillisBehindLatest) == 0 {
					return nil
				}
				next = page.NextShardIterator
			}
		})
	}
	if err := readers.Wait(); err != nil {
		return nil, err
	}
	return tally.Figures()
}

// consumeShoal runs a worker until it has processed and checkpointed everything.
func consumeShoal(ctx context.Context, j job.Job) (job.Figures, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg, tally := config(j), job.NewTally(j.Records)
	w, err := worker.New(worker.Config{
		Application: j.App,
		Streams: []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), j.Stream, kinesisstream.Options{
			Pace: worker.Pace{PerSecond: 1000, Idle: time.Second}, // the raw loop keeps to no limit either
		})},
		Leases: dynamo.New(dynamodb.NewFromConfig(cfg), j.App),
		NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
			if err := b.Checkpoint(ctx); err != nil {
				return err
			}
			tally.Add(len(b.Records))
			return nil
		}),
	})
	if err != nil {
		return nil, err
	}
	return untilAll(ctx, cancel, w, tally)
}

// untilAll runs a worker until all records have come.
func untilAll(ctx context.Context, cancel context.CancelFunc, w *worker.Worker, tally *job.Tally) (job.Figures, error) {
	running := pool.New().WithErrors()
	running.Go(func() error {
		defer cancel()
		return w.Run(ctx)
	})
	select {
	case <-tally.All():
	case <-ctx.Done():
	}
	cancel()
	err := running.Wait()
	figures, short := tally.Figures()
	return figures, errors.Join(err, short)
}
