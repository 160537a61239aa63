// Package producer measures Shoal's producer beside PutRecords written by hand, in one run on one machine: only ratios
// mean something.
package producer

import (
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
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/proc"
	"github.com/shoal-stream/shoal/internal/plainbody"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/kinesiscbor"
	"github.com/shoal-stream/shoal/record/producer"
)

const (
	shards   = 4
	records  = 50_000
	keys     = 10_000
	requests = 4 // under way at a time, on both sides
	// wanted is the least rate of the producer in the order that it has by default, as a share of that by hand.
	wanted = 0.9
)

// BenchmarkProduce puts the same records of 1 KB by turns with PutRecords of 500 by hand, four at a time, and with
// producers of each kind, into a server that is a process of its own. It reports for each kind the median of the ratios
// of its rate, and of its CPU time in this process, to those of the loop by hand in the same round: by hand in the SDK's
// JSON, as programs do it; sdk-codec is the producer in JSON too, and hand-cbor the loop in record/kinesiscbor, as the
// producer is by default. It fails if the producer does not reach the share that is wanted, in its default order.
func BenchmarkProduce(b *testing.B) {
	cfg := serve(b)
	kinds := []struct {
		name string
		put  func(stream string)
	}{
		{"by-hand", func(stream string) { byHand(b, kinesis.NewFromConfig(cfg), stream) }},
		{"hand-cbor", func(stream string) { byHand(b, kinesis.NewFromConfig(cfg, kinesiscbor.Enable), stream) }},
		{"per-key", func(stream string) { produce(b, cfg, producer.Config{Stream: stream}) }},
		{"sdk-codec", func(stream string) { produce(b, cfg, producer.Config{Stream: stream, SDKCodec: true}) }},
		{"no-order", func(stream string) { produce(b, cfg, producer.Config{Stream: stream, Order: producer.OrderNone}) }},
		{"aggregated", func(stream string) { produce(b, cfg, producer.Config{Stream: stream, Aggregate: true}) }},
	}
	costs := make([][]cost, len(kinds))
	for i := range b.N + 1 {
		for k := range kinds {
			kind := (k + i) % len(kinds) // another one begins each round
			stream := fmt.Sprintf("%s-%d-%d", kinds[kind].name, b.N, i)
			api := create(b, cfg, stream)
			c := measure(func() { kinds[kind].put(stream) })
			remove(b, api, stream)
			if i > 0 { // the first round is for warming up
				costs[kind] = append(costs[kind], c)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for k, kind := range kinds {
		var rates, speeds, cpus []float64
		for i, c := range costs[k] {
			rates = append(rates, records/c.wall.Seconds())
			speeds = append(speeds, costs[0][i].wall.Seconds()/c.wall.Seconds())
			cpus = append(cpus, c.cpu.Seconds()/costs[0][i].cpu.Seconds())
		}
		b.ReportMetric(median(rates), kind.name+"-records/s")
		if k == 0 {
			continue
		}
		b.ReportMetric(median(speeds), kind.name+"-speed-ratio")
		b.ReportMetric(median(cpus), kind.name+"-cpu-ratio")
		if m := median(speeds); kind.name == "per-key" && b.N >= 3 && m < wanted {
			b.Errorf("the producer has %.2f of the rate by hand; want at least %.2f", m, wanted)
		}
	}
}

// data is what each record holds.
var data = []byte(strings.Repeat("abcdefghijklmnop", 64))

func key(n int) string { return fmt.Sprint("key-", n%keys) }

// byHand is what a program does that calls the SDK itself.
func byHand(tb testing.TB, api *kinesis.Client, stream string) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			for {
				from := int(next.Add(500)) - 500
				if from >= records {
					return
				}
				in := &kinesis.PutRecordsInput{StreamName: &stream, Records: make([]types.PutRecordsRequestEntry, 500)}
				for i := range in.Records {
					in.Records[i] = types.PutRecordsRequestEntry{Data: data, PartitionKey: aws.String(key(from + i))}
				}
				out, err := api.PutRecords(tb.Context(), in)
				if err != nil || aws.ToInt32(out.FailedRecordCount) > 0 {
					tb.Errorf("PutRecords: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// produce puts all from one goroutine and waits for every answer.
func produce(tb testing.TB, cfg aws.Config, c producer.Config) {
	c.MaxInFlight, c.RateLimit = requests, -1 // the loop by hand paces nothing either
	p, err := producer.New(kinesis.NewFromConfig(cfg), c)
	if err != nil {
		tb.Fatal(err)
	}
	acked := 0
	count := func(_ producer.Ack, err error) {
		if err != nil {
			tb.Error(err)
			return
		}
		acked++
	}
	for n := range records {
		if err := p.PutAsync(tb.Context(), record.Record{PartitionKey: key(n), Data: data}, count); err != nil {
			tb.Fatal(err)
		}
	}
	if err := p.Close(tb.Context()); err != nil || acked != records {
		tb.Fatalf("Close = %v after %d of %d acknowledgements", err, acked, records)
	}
}

// A cost is what one pass took.
type cost struct{ wall, cpu time.Duration }

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

func create(tb testing.TB, cfg aws.Config, stream string) *kinesis.Client {
	tb.Helper()
	api := kinesis.NewFromConfig(cfg)
	if _, err := api.CreateStream(tb.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(shards)}); err != nil {
		tb.Fatal(err)
	}
	return api
}

// remove deletes a stream, so that the server's memory does not fill.
func remove(tb testing.TB, api *kinesis.Client, stream string) {
	tb.Helper()
	if _, err := api.DeleteStream(tb.Context(), &kinesis.DeleteStreamInput{StreamName: &stream}); err != nil {
		tb.Fatal(err)
	}
}
