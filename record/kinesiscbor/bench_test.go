package kinesiscbor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/rpcv2"
)

var getRecords = smithy.NewOperationSchema(schemas.GetRecords, schemas.GetRecordsInput, schemas.GetRecordsOutput)

// pageOf is an answer of n records with size bytes of data each.
func pageOf(n, size int) *kinesis.GetRecordsOutput {
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)
	out := &kinesis.GetRecordsOutput{MillisBehindLatest: aws.Int64(12), NextShardIterator: aws.String(strings.Repeat("AAAAAAAAAAH", 20))}
	for i := range n {
		out.Records = append(out.Records, types.Record{
			SequenceNumber: aws.String(fmt.Sprintf("49590338271490256608559692538361571095921575989136%06d", i)),
			PartitionKey:   aws.String(fmt.Sprintf("sensor-%d", i%1000)), Data: data[i%16 : i%16+size-16],
			ApproximateArrivalTimestamp: aws.Time(time.UnixMilli(1_700_000_000_000 + int64(i))),
		})
	}
	return out
}

// A codec is one way to read an answer, with an answer that it has written itself.
type codec struct {
	name     string
	protocol smithyhttp.ClientProtocol
	media    string
	body     []byte
}

func codecsFor(tb testing.TB, out *kinesis.GetRecordsOutput) []*codec {
	all := []*codec{
		{name: "kinesiscbor", protocol: &protocol{ClientProtocol: newJSON()}, media: mediaType},
		{name: "sdk-json", protocol: newJSON(), media: "application/x-amz-json-1.1"},
		{name: "sdk-cbor", protocol: rpcv2.NewCBOR(schemas.Kinesis_20131202), media: "application/cbor"},
	}
	for _, c := range all {
		req := &smithyhttp.Request{Request: &http.Request{URL: &url.URL{}, Header: http.Header{}}}
		if err := c.protocol.SerializeRequest(context.Background(), getRecords, out, req); err != nil {
			tb.Fatal(err)
		}
		var err error
		if c.body, err = io.ReadAll(req.GetStream()); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

func (c *codec) read(tb testing.TB) *kinesis.GetRecordsOutput {
	out := &kinesis.GetRecordsOutput{}
	resp := &smithyhttp.Response{Response: &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {c.media}},
		Body: io.NopCloser(pieces{bytes.NewReader(c.body)}), ContentLength: int64(len(c.body)),
	}}
	if err := c.protocol.DeserializeResponse(context.Background(), getRecords, kinesis.TypeRegistry, resp, out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// pieces gives a body as a connection does, in frames of 16 KiB.
type pieces struct{ r io.Reader }

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), 16<<10)]) }

// usage is the CPU time of this process, collection of garbage included.
func usage() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkGetRecords reads one answer by turns with this codec and with the SDK's two, and reports the medians of the
// CPU time a record and their ratios to this codec's. It fails, from three iterations on, if those are too low.
func BenchmarkGetRecords(b *testing.B) {
	for _, c := range []struct {
		records, size int
		json, cbor    float64 // how many times this codec's CPU time the SDK's must take, 0 if it does not matter
	}{{5_000, 1 << 10, 10, 4}, {10_000, 100, 6, 0}} {
		b.Run(fmt.Sprintf("%dx%dB", c.records, c.size), func(b *testing.B) {
			codecs := codecsFor(b, pageOf(c.records, c.size))
			others := make([]byte, 64<<20) // what else is in memory, as pages of other shards are: it spaces the collections
			times := map[string][]float64{}
			allocs := map[string]float64{}
			b.ResetTimer()
			for range max(7, b.N) {
				for _, codec := range codecs {
					const repeat = 20
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					start := usage()
					for range repeat {
						codec.read(b)
					}
					spent := usage() - start
					runtime.ReadMemStats(&after)
					times[codec.name] = append(times[codec.name], float64(spent.Nanoseconds())/float64(repeat*c.records))
					allocs[codec.name] = float64(after.Mallocs-before.Mallocs) / float64(repeat*c.records)
				}
			}
			runtime.KeepAlive(others)
			b.ReportMetric(0, "ns/op")
			for _, codec := range codecs {
				b.ReportMetric(median(times[codec.name]), codec.name+"-ns/record")
				b.ReportMetric(allocs[codec.name], codec.name+"-allocs/record")
			}
			json, cbor := ratio(times, "sdk-json"), ratio(times, "sdk-cbor")
			b.ReportMetric(json, "json-ratio")
			b.ReportMetric(cbor, "cbor-ratio")
			if b.N >= 3 && (json < c.json || cbor < c.cbor || allocs["kinesiscbor"] > 1) {
				b.Errorf("JSON takes %.1f times as long, the SDK's CBOR %.1f times; want %v and %v times; %.2f allocations a record, want at most 1",
					json, cbor, c.json, c.cbor, allocs["kinesiscbor"])
			}
		})
	}
}

// ratio is the median of how many times as long the codec of that name took in each round.
func ratio(times map[string][]float64, name string) float64 {
	var all []float64
	for i, t := range times[name] {
		all = append(all, t/times["kinesiscbor"][i])
	}
	return median(all)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// BenchmarkDecode is this codec alone, for profiles.
func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{100, 1 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			codec := codecsFor(b, pageOf(5_000, size))[0]
			others := make([]byte, 64<<20)
			defer runtime.KeepAlive(others)
			b.SetBytes(int64(len(codec.body)))
			b.ReportAllocs()
			for b.Loop() {
				codec.read(b)
			}
		})
	}
}
