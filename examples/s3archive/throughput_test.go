package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/klauspost/compress/gzip"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/integration/processes"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/worker"
)

// A load is a stream that is full, to be emptied into buckets.
type load struct {
	stream  aws.Config
	client  *kinesis.Client
	shards  []string
	records int
	bytes   int64
}

// newLoad fills a stream of 4 shards with 256 MiB of flights, about 2 KB a record.
func newLoad(b *testing.B) *load {
	srv, err := localstream.Open("", localstream.Options{Memory: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { srv.Close() })
	l := &load{stream: srv.AWSConfig()}
	l.client = kinesis.NewFromConfig(l.stream)
	if _, err := l.client.CreateStream(b.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("load"), ShardCount: aws.Int32(4)}); err != nil {
		b.Fatal(err)
	}
	flights, err := processes.Flights()
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; l.bytes < 256<<20; i++ {
		var entries []types.PutRecordsRequestEntry
		for j := range 400 {
			from := (i*400 + j) * 13 % (len(flights) - 24)
			data := []byte(`{"flights":[` + strings.Join(flights[from:from+24], ",") + `]}`)
			entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(i, j)), Data: data})
			l.bytes += int64(len(data))
			l.records++
		}
		if _, err := l.client.PutRecords(b.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("load"), Records: entries}); err != nil {
			b.Fatal(err)
		}
	}
	out, err := l.client.ListShards(b.Context(), &kinesis.ListShardsInput{StreamName: aws.String("load")})
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range out.Shards {
		l.shards = append(l.shards, *s.ShardId)
	}
	return l
}

// BenchmarkThroughput empties one stream twice each round: with a plain loop for each shard that reads, compresses and
// puts, and with the archiver. It reports both in MB/s of data.
func BenchmarkThroughput(b *testing.B) {
	l := newLoad(b)
	var plain, archiver time.Duration
	for b.Loop() {
		plain += l.plain(b)
		archiver += l.archiver(b)
	}
	rate := func(d time.Duration) float64 { return float64(l.bytes) * float64(b.N) / 1e6 / d.Seconds() }
	b.ReportMetric(rate(plain), "plain-MB/s")
	b.ReportMetric(rate(archiver), "archiver-MB/s")
	b.ReportMetric(100*rate(archiver)/rate(plain), "%of-plain")
}

// plain is the loop that people write.
func (l *load) plain(b *testing.B) time.Duration {
	bucket, err := inProcess("load")
	if err != nil {
		b.Fatal(err)
	}
	client := s3.NewFromConfig(bucket, func(o *s3.Options) { o.UsePathStyle = true })
	began := time.Now()
	var wg sync.WaitGroup
	for _, shard := range l.shards {
		wg.Go(func() {
			if err := l.plainShard(b.Context(), client, shard); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

func (l *load) plainShard(ctx context.Context, client *s3.Client, shard string) error {
	at, err := l.client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: aws.String("load"), ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return err
	}
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	for next := at.ShardIterator; ; {
		page, err := l.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			if _, err := z.Write(append(r.Data, '\n')); err != nil {
				return err
			}
		}
		if len(page.Records) == 0 && *page.MillisBehindLatest == 0 {
			break
		}
		next = page.NextShardIterator
	}
	if err := z.Close(); err != nil {
		return err
	}
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("load"), Key: &shard, Body: bytes.NewReader(body.Bytes())})
	return err
}

// archiver runs the archiver until everything is stored.
func (l *load) archiver(b *testing.B) time.Duration {
	bucket, err := inProcess("load")
	if err != nil {
		b.Fatal(err)
	}
	s := &settings{}
	s.defaults()
	s.stream, s.bucket, s.app, s.maxBytes, s.maxAge = "load", "load", fmt.Sprint("load-", time.Now().UnixNano()), 15<<20, time.Second // the last objects wait for it
	c, err := newConnection(s, l.stream, bucket)
	if err != nil {
		b.Fatal(err)
	}
	c.pace = worker.Pace{PerSecond: 1000} // the plain loop keeps to no limit either
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var mu sync.Mutex
	left := l.records
	c.config.Hooks.Stored = func(o archive.Object) {
		mu.Lock()
		defer mu.Unlock()
		if left -= o.Records; left == 0 {
			stop()
		}
	}
	w, err := c.newWorker(zap.NewNop(), worker.Hooks{})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := w.Run(ctx); err != nil {
		b.Error(err)
	}
	took := time.Since(began)
	if left != 0 {
		b.Errorf("%d records are not stored", left)
	}
	return took
}
