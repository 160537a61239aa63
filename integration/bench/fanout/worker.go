package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// openWorker has a localstream in memory, and a worker that reads with the consumer, or by polling if that is "".
func openWorker(consumer string) func(context.Context, func([]byte)) (func(context.Context, []byte) error, func() error, error) {
	return func(ctx context.Context, arrive func([]byte)) (func(context.Context, []byte) error, func() error, error) {
		srv, err := localstream.Open("", localstream.Options{Memory: true})
		if err != nil {
			return nil, nil, err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, errors.Join(err, srv.Close())
		}
		serving, stop := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- srv.Serve(serving, l) }()
		shut := func() error {
			stop()
			return errors.Join(<-served, srv.Close())
		}
		api := kinesis.New(kinesis.Options{
			Region: "us-east-1", BaseEndpoint: aws.String("http://" + l.Addr().String()),
			Credentials: credentials.NewStaticCredentialsProvider("AKIDLOCAL", "secret", ""), HTTPClient: overHTTP2(),
		})
		name := aws.String("latency")
		if _, err := api.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)}); err != nil {
			return nil, nil, errors.Join(err, shut())
		}
		started := make(chan struct{})
		w, err := worker.New(worker.Config{
			Application: "latency", Leases: memory.New(), Start: record.TrimHorizon, DrainTimeout: 5 * time.Second,
			Streams: []worker.Stream{kinesisstream.New(api, *name, kinesisstream.Options{FanOut: consumer})},
			NewProcessor: func(context.Context, *worker.Shard) (worker.RecordProcessor, error) {
				close(started) // one shard, one tenure
				return processor(arrive), nil
			},
		})
		if err != nil {
			return nil, nil, errors.Join(err, shut())
		}
		ran := make(chan error, 1)
		go func() { ran <- w.Run(ctx) }()
		select {
		case <-started:
		case err := <-ran:
			return nil, nil, errors.Join(err, shut())
		}
		put := func(ctx context.Context, data []byte) error {
			_, err := api.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String("key"), Data: data})
			return err
		}
		return put, func() error { return errors.Join(<-ran, shut()) }, nil
	}
}

// A processor takes the time of what comes.
type processor func(data []byte)

func (p processor) ProcessRecords(_ context.Context, b *worker.Batch) error {
	for i := range b.Records {
		p(b.Records[i].Data)
	}
	return nil
}

func (p processor) Finish(context.Context, worker.FinishReason) error { return nil }
