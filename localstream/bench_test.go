package localstream_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
)

// BenchmarkPutRecords puts records of 1 KiB, 500 a request, into 4 shards on disk by 4 SDK clients over loopback TCP.
func BenchmarkPutRecords(b *testing.B) {
	srv, err := localstream.Open(b.TempDir(), localstream.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, l) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			b.Error(err)
		}
	}()
	cfg := srv.AWSConfig()
	cfg.BaseEndpoint, cfg.HTTPClient = aws.String("http://"+l.Addr().String()), nil
	c := kinesis.NewFromConfig(cfg)
	shards := int32(4)
	if _, err := c.CreateStream(b.Context(), &kinesis.CreateStreamInput{StreamName: quakes, ShardCount: &shards}); err != nil {
		b.Fatal(err)
	}
	in := &kinesis.PutRecordsInput{StreamName: quakes}
	for i := range 500 {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(i)), Data: make([]byte, 1024)})
	}
	b.SetParallelism(2)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.PutRecords(b.Context(), in); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(500*b.N)/b.Elapsed().Seconds(), "records/s")
}
