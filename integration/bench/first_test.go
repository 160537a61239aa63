package bench

import (
	"context"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// BenchmarkFirstRecords measures the time from Run until every shard of a new application has delivered its first
// record, by a worker and a server on this machine, with the table made before. It fails if that takes longer than the
// bound.
func BenchmarkFirstRecords(b *testing.B) {
	for _, c := range []struct {
		shards int
		bound  time.Duration
	}{{4, time.Second}, {100, 1500 * time.Millisecond}, {1000, 3 * time.Second}} {
		b.Run(fmt.Sprintf("shards=%d", c.shards), func(b *testing.B) {
			cfg := serve(b)
			name := oneRecordEach(b, cfg, c.shards)
			var took []float64
			for i := range b.N {
				took = append(took, firstRecords(b, cfg, name, fmt.Sprintf("%s-app-%d-%d", name, b.N, i), c.shards).Seconds())
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(took), "s")
			if m := median(took); m > c.bound.Seconds() {
				b.Errorf("the first records of %d shards came after %.2f s; want at most %v", c.shards, m, c.bound)
			}
		})
	}
}

// oneRecordEach makes a stream with a record in each shard.
func oneRecordEach(tb testing.TB, cfg aws.Config, shards int) string {
	tb.Helper()
	api := kinesis.NewFromConfig(cfg)
	name := fmt.Sprintf("first-%d", shards)
	if _, err := api.CreateStream(tb.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(int32(shards))}); err != nil {
		tb.Fatal(err)
	}
	step := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(int64(shards)))
	for i := range shards {
		key := new(big.Int).Mul(step, big.NewInt(int64(i)))
		_, err := api.PutRecord(tb.Context(), &kinesis.PutRecordInput{
			StreamName: &name, Data: []byte("first"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String(key.Add(key, big.NewInt(1)).String()),
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return name
}

func firstRecords(tb testing.TB, cfg aws.Config, name, app string, shards int) time.Duration {
	table := dynamo.New(dynamodb.NewFromConfig(cfg), app)
	if err := table.Open(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	seen, all := map[string]bool{}, time.Time{}
	w, err := worker.New(worker.Config{
		Application: app,
		Streams:     []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), name)},
		Leases:      table,
		NewProcessor: worker.Stateless(func(_ context.Context, b *worker.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if seen[b.Shard.ID] = true; len(seen) == shards && all.IsZero() {
				all = time.Now()
				cancel()
			}
			return nil
		}),
	})
	if err != nil {
		tb.Fatal(err)
	}
	began := time.Now()
	if err := w.Run(ctx); err != nil {
		tb.Fatal(err)
	}
	if all.IsZero() {
		tb.Fatalf("only %d of %d shards delivered", len(seen), shards)
	}
	return all.Sub(began)
}
