package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/integration/bench/calm"
	"github.com/shoal-stream/shoal/internal/plainbody"
)

// The load: writers that put batches into the shards as fast as they can, then a reader a shard.
const (
	shardCount   = 4
	writers      = 4
	batchRecords = 500
	recordBytes  = 1024
	pageRecords  = 10_000
)

// configure makes the SDK's configuration for a server. One attempt a call: no figure hides a retry.
func configure(url string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDLOCAL", "secret", ""),
		HTTPClient:  plainbody.Wrap(&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}),
	}
}

// A measurement is what one pass over a server gave.
type measurement struct {
	written   int
	writeTime time.Duration
	puts      []time.Duration // latency of each PutRecords
	read      int
	readTime  time.Duration
	putCPU    time.Duration   // of the server, while writing
	getCPU    time.Duration   // of the server, while reading
	putting   calm.Processors // while writing
	getting   calm.Processors // while reading
}

func (m *measurement) writeRate() float64 { return float64(m.written) / m.writeTime.Seconds() }
func (m *measurement) readRate() float64  { return float64(m.read) / m.readTime.Seconds() }
func (m *measurement) putP99() float64    { return percentile(m.puts, 99).Seconds() * 1000 }
func (m *measurement) putP50() float64    { return percentile(m.puts, 50).Seconds() * 1000 }

// run writes into a new stream until the time is over or bytes are written, whichever is first, and reads everything.
func run(ctx context.Context, s *server, stream string, limit time.Duration, bytes int) (*measurement, error) {
	api := kinesis.NewFromConfig(configure(s.url))
	if err := createStream(ctx, api, stream, shardCount); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	defer func() {
		// Room for the next round. What remains behind is only in the way of the others' speed.
		_, _ = api.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &stream})
	}()
	m := new(measurement)
	start := calm.Read()
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	if err := m.write(ctx, api, stream, limit, bytes); err != nil {
		return nil, fmt.Errorf("%s: writing: %w", s.name, err)
	}
	written := calm.Read()
	between, err := s.cpu()
	if err != nil {
		return nil, err
	}
	if err := m.readAll(ctx, api, stream); err != nil {
		return nil, fmt.Errorf("%s: reading: %w", s.name, err)
	}
	after, err := s.cpu()
	if err != nil {
		return nil, err
	}
	m.putting, m.getting = written.Since(start), calm.Read().Since(written)
	m.putCPU, m.getCPU = between-before, after-between
	if m.read != m.written {
		return nil, fmt.Errorf("%s: %d records read, %d written", s.name, m.read, m.written)
	}
	return m, nil
}

func createStream(ctx context.Context, api *kinesis.Client, stream string, shards int32) error {
	if _, err := api.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: &shards}); err != nil {
		return fmt.Errorf("creating a stream: %w", err)
	}
	time.Sleep(100 * time.Millisecond) // kinesalite makes streams active on a later turn of its loop
	return nil
}

// batches are a few PutRecords of random data with keys that spread over the shards; writers send them by turns.
func batches(stream string, count, records int) []*kinesis.PutRecordsInput {
	rng := rand.NewChaCha8([32]byte{'s', 'h', 'o', 'a', 'l'})
	keys := rand.New(rng)
	var all []*kinesis.PutRecordsInput
	for range count {
		in := &kinesis.PutRecordsInput{StreamName: &stream}
		for range records {
			data := make([]byte, recordBytes)
			_, _ = rng.Read(data) // never fails
			key := fmt.Sprintf("%010d", keys.IntN(1e9))
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: data, PartitionKey: &key})
		}
		all = append(all, in)
	}
	return all
}

func (m *measurement) write(ctx context.Context, api *kinesis.Client, stream string, limit time.Duration, bytes int) error {
	inputs := batches(stream, 2*writers, batchRecords)
	most := int64(bytes / (batchRecords * recordBytes))
	var begun atomic.Int64
	var mu sync.Mutex // guards m.puts and m.written
	start := time.Now()
	group := gather(ctx)
	for w := range writers {
		group.Go(func(ctx context.Context) error {
			var puts []time.Duration
			for i := w; time.Since(start) < limit && begun.Add(1) <= most; i++ {
				at := time.Now()
				out, err := api.PutRecords(ctx, inputs[i%len(inputs)])
				if err != nil {
					return err
				}
				if n := aws.ToInt32(out.FailedRecordCount); n > 0 || len(out.Records) != batchRecords {
					return fmt.Errorf("PutRecords: %d of %d records failed", n, len(out.Records))
				}
				puts = append(puts, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			m.puts = append(m.puts, puts...)
			m.written += len(puts) * batchRecords
			return nil
		})
	}
	err := group.Wait()
	m.writeTime = time.Since(start)
	return err
}

// readAll reads what was written, all shards at once, each to its tip.
func (m *measurement) readAll(ctx context.Context, api *kinesis.Client, stream string) error {
	var read atomic.Int64
	start := time.Now()
	group := gather(ctx)
	for i := range shardCount {
		group.Go(func(ctx context.Context) error {
			id := fmt.Sprintf("shardId-%012d", i)
			it, err := api.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
				StreamName: &stream, ShardId: &id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
			})
			if err != nil {
				return err
			}
			for next := it.ShardIterator; ; {
				page, err := api.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next, Limit: aws.Int32(pageRecords)})
				if err != nil {
					return err
				}
				read.Add(int64(len(page.Records)))
				if aws.ToInt64(page.MillisBehindLatest) == 0 && len(page.Records) < pageRecords {
					return nil
				}
				next = page.NextShardIterator
			}
		})
	}
	err := group.Wait()
	m.read, m.readTime = int(read.Load()), time.Since(start)
	return err
}

// gather runs goroutines until the first error, which ends the others' context.
func gather(ctx context.Context) *pool.ContextPool {
	return pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
}

// percentile is the p-th percentile of latencies, by the nearest rank.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)*p+99)/100-1]
}

// median is the middle of the values, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
