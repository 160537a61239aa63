// Package bench measures Shoal beside other ways to do the same, in one run on one machine: only ratios mean something.
package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/proc"
	"github.com/shoal-stream/shoal/internal/plainbody"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

const (
	shards      = 4
	records     = 100_000
	recordBytes = 1024
	stream      = "bench"
	// allowed is how much more CPU a record may cost in a worker than in the raw loop.
	allowed = 1.25
)

// BenchmarkConsume reads one stream by turns with the SDK's GetRecords in a bare loop and with a worker whose leases are
// in the same server, a process of its own. It reports the medians of the records per second and the CPU of this
// process a record, and fails if the worker costs more than allowed.
func BenchmarkConsume(b *testing.B) {
	cfg := serve(b)
	fill(b, cfg)
	rawLoop(b, cfg) // warm up both
	consume(b, cfg, "warm-up")
	var raw, shoal []cost
	b.ResetTimer()
	for i := range b.N {
		raw = append(raw, measure(func() { rawLoop(b, cfg) }))
		shoal = append(shoal, measure(func() { consume(b, cfg, fmt.Sprintf("app-%d-%d", b.N, i)) }))
	}
	b.StopTimer()
	var ratios, speeds []float64
	for i := range raw {
		ratios = append(ratios, float64(shoal[i].cpu)/float64(raw[i].cpu))
		speeds = append(speeds, float64(raw[i].wall)/float64(shoal[i].wall))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(of(raw, cost.rate)), "raw-records/s")
	b.ReportMetric(median(of(shoal, cost.rate)), "worker-records/s")
	b.ReportMetric(median(of(raw, cost.cpuPerRecord)), "raw-cpu-ns/record")
	b.ReportMetric(median(of(shoal, cost.cpuPerRecord)), "worker-cpu-ns/record")
	b.ReportMetric(median(speeds), "speed-ratio")
	b.ReportMetric(median(ratios), "cpu-ratio")
	if m := median(ratios); b.N >= 3 && m > allowed {
		b.Errorf("the worker costs %.2f times the CPU of the raw loop a record; want at most %.2f", m, allowed)
	}
}

// A cost is what one pass over all records took.
type cost struct{ wall, cpu time.Duration }

func (c cost) rate() float64         { return records / c.wall.Seconds() }
func (c cost) cpuPerRecord() float64 { return float64(c.cpu.Nanoseconds()) / records }

func measure(f func()) cost {
	cpu, wall := cpuTime(), time.Now()
	f()
	return cost{wall: time.Since(wall), cpu: cpuTime() - cpu}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func of(costs []cost, f func(cost) float64) []float64 {
	var out []float64
	for _, c := range costs {
		out = append(out, f(c))
	}
	return out
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// serve starts a localstream in memory.
func serve(tb testing.TB) aws.Config {
	tb.Helper()
	bin := proc.Build(tb, "localstream/cmd/localstream")
	server := proc.Start(tb, "localstream", filepath.Join(bin, "localstream"), "serve", "-memory", "-addr", "127.0.0.1:0")
	line, err := server.Line("ready", 10*time.Second)
	if err != nil {
		tb.Fatal(err)
	}
	url := "http://" + strings.TrimPrefix(line, "ready ")
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKIDLOCAL", "secret", ""),
		HTTPClient: plainbody.Wrap(&http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 100, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		}}),
	}
}

// fill puts the records, evenly over the shards.
func fill(tb testing.TB, cfg aws.Config) {
	tb.Helper()
	api := kinesis.NewFromConfig(cfg)
	if _, err := api.CreateStream(tb.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(shards)}); err != nil {
		tb.Fatal(err)
	}
	data := make([]byte, recordBytes)
	for i := range data {
		data[i] = byte('a' + i%26)
	}
	for i := 0; i < records; i += 500 {
		in := &kinesis.PutRecordsInput{StreamName: aws.String(stream)}
		for j := range 500 {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: data, PartitionKey: aws.String(fmt.Sprint(i + j))})
		}
		out, err := api.PutRecords(tb.Context(), in)
		if err != nil || aws.ToInt32(out.FailedRecordCount) > 0 {
			tb.Fatalf("PutRecords: %v", err)
		}
	}
}

// rawLoop is the least that a program can do with the SDK: a goroutine a shard that calls GetRecords.
func rawLoop(tb testing.TB, cfg aws.Config) {
	api := kinesis.NewFromConfig(cfg)
	out, err := api.ListShards(tb.Context(), &kinesis.ListShardsInput{StreamName: aws.String(stream)})
	if err != nil {
		tb.Fatal(err)
	}
	var read atomic.Int64
	var wg sync.WaitGroup
	for _, s := range out.Shards {
		wg.Go(func() {
			it, err := api.GetShardIterator(tb.Context(), &kinesis.GetShardIteratorInput{
				StreamName: aws.String(stream), ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
			})
			if err != nil {
				tb.Error(err)
				return
			}
			for next := it.ShardIterator; ; {
				page, err := api.GetRecords(tb.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
				if err != nil {
					tb.Error(err)
					return
				}
				read.Add(int64(len(page.Records)))
				if aws.ToInt64(page.MillisBehindLatest) == 0 {
					return
				}
				next = page.NextShardIterator
			}
		})
	}
	wg.Wait()
	if n := read.Load(); n != records {
		tb.Fatalf("the raw loop read %d records, want %d", n, records)
	}
}

// consume runs a worker until it has processed and checkpointed everything.
func consume(tb testing.TB, cfg aws.Config, app string) {
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	var done atomic.Int64
	w, err := worker.New(worker.Config{
		Application: app,
		Streams: []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), stream, kinesisstream.Options{
			Pace: worker.Pace{PerSecond: 1000, Idle: time.Second}, // the raw loop keeps to no limit either
		})},
		Leases: dynamo.New(dynamodb.NewFromConfig(cfg), app),
		NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
			if err := b.Checkpoint(ctx); err != nil {
				return err
			}
			if done.Add(int64(len(b.Records))) == records {
				cancel()
			}
			return nil
		}),
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		tb.Fatal(err)
	}
	if n := done.Load(); n != records {
		tb.Fatalf("the worker processed %d records, want %d", n, records)
	}
}
