package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// holdIdle is a worker that holds all shards of an empty stream, set up as for a large one: it looks for records every
// 30 s. It measures from the moment at which it holds all.
func holdIdle(ctx context.Context, j job.Job) (job.Figures, error) {
	before, err := status(os.Getpid(), "VmRSS")
	if err != nil {
		return nil, err
	}
	if j.Memory > 0 {
		debug.SetMemoryLimit(j.Memory)
	}
	cfg := config(j)
	w, err := worker.New(worker.Config{
		Application: j.App, LeaseDuration: j.Lease,
		Streams: []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), j.Stream, kinesisstream.Options{
			Pace: worker.Pace{Idle: 30 * time.Second},
		})},
		Leases:       dynamo.New(dynamodb.NewFromConfig(cfg), j.App),
		NewProcessor: worker.Stateless(func(context.Context, *worker.Batch) error { return nil }),
	})
	if err != nil {
		return nil, err
	}
	figures := job.Figures{}
	began := time.Now()
	return figures, beside(ctx, w, func(ctx context.Context) error {
		for len(w.Status().Shards) < j.Shards {
			if err := sleep(ctx, 100*time.Millisecond); err != nil {
				return fmt.Errorf("%d of %d leases held: %w", len(w.Status().Shards), j.Shards, err)
			}
		}
		figures["all_held_s"] = time.Since(began).Seconds()
		if err := sleep(ctx, j.Window/4); err != nil { // what comes with taking leases is over
			return err
		}
		cpu, from, held := cpuTime(), time.Now(), j.Shards
		for time.Since(from) < j.Window {
			if err := sleep(ctx, j.Window/6); err != nil { // a look makes the state of every shard
				return err
			}
			held = min(held, len(w.Status().Shards))
		}
		after, err := status(os.Getpid(), "VmRSS")
		figures["core_percent"] = 100 * (cpuTime() - cpu).Seconds() / time.Since(from).Seconds()
		figures["leases_kept"] = float64(held) / float64(j.Shards)
		figures["rss_mib"] = after / (1 << 20)
		figures["kib_per_shard"] = (after - before) / 1024 / float64(j.Shards)
		return err
	})
}

// consumeMany reads many shards that all have data, in small pages, and compares what each has got when half of all was
// read.
func consumeMany(ctx context.Context, j job.Job) (job.Figures, error) {
	before, err := status(os.Getpid(), "VmRSS")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg, tally := config(j), job.NewTally(j.Records)
	const pageRecords = 50
	var mu sync.Mutex
	counts, read := map[string]int{}, 0
	var began, firsts time.Time
	var fairness float64
	w, err := worker.New(worker.Config{
		Application: j.App, LeaseDuration: j.Lease,
		Streams: []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), j.Stream, kinesisstream.Options{
			Pace: worker.Pace{PerSecond: 1000, Idle: time.Second}, Limit: pageRecords,
		})},
		Leases: dynamo.New(dynamodb.NewFromConfig(cfg), j.App),
		NewProcessor: worker.Stateless(func(_ context.Context, b *worker.Batch) error {
			b.Shard.Mark(b.Last())
			mu.Lock()
			counts[b.Shard.ID] += len(b.Records)
			if len(counts) == j.Shards && firsts.IsZero() {
				firsts = time.Now()
			}
			if half := j.Records / 2; read < half && read+len(b.Records) >= half {
				fairness = slowest(counts, j.Shards)
			}
			read += len(b.Records)
			mu.Unlock()
			tally.Add(len(b.Records))
			return nil
		}),
	})
	if err != nil {
		return nil, err
	}
	began = time.Now()
	figures, err := untilAll(ctx, cancel, w, tally)
	if err != nil {
		return nil, err
	}
	peak, err := status(os.Getpid(), "VmHWM")
	figures["slowest_to_mean"] = fairness
	figures["firsts_s"] = firsts.Sub(began).Seconds()
	figures["kib_per_shard"] = (peak - before) / 1024 / float64(j.Shards)
	return figures, err
}

// slowest is the count of the shard that has least, as a share of the mean.
func slowest(counts map[string]int, shards int) float64 {
	if len(counts) < shards {
		return 0 // some have nothing
	}
	least, sum := -1, 0
	for _, n := range counts {
		if least < 0 || n < least {
			least = n
		}
		sum += n
	}
	return float64(least) * float64(shards) / float64(sum)
}

// beside runs a worker until f returns.
func beside(ctx context.Context, w *worker.Worker, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running := pool.New().WithErrors()
	running.Go(func() error {
		defer cancel()
		return w.Run(ctx)
	})
	err := f(ctx)
	cancel()
	return errors.Join(err, running.Wait())
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
