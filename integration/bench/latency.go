package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// A path is one way from a put to a processor: it makes put, and calls arrive for what comes until ctx ends; done waits
// for that end.
type path func(ctx context.Context, j job.Job, arrive func(data []byte)) (put put, done func() error, err error)

// A put puts one record.
type put func(ctx context.Context, data []byte) error

// latency is a contender that puts records at the job's rate and takes the time until they come.
func latency(open path) func(context.Context, job.Job) (job.Figures, error) {
	return func(ctx context.Context, j job.Job) (job.Figures, error) {
		debug.SetGCPercent(800) // else the garbage of putting is collected five times a second in a heap of 2 MB
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var mu sync.Mutex
		var all []float64 // milliseconds
		put, done, err := open(ctx, j, func(data []byte) {
			now := time.Now().UnixNano()
			if len(data) < 8 {
				return
			}
			sent := int64(binary.BigEndian.Uint64(data))
			if sent == 0 { // to warm up
				return
			}
			mu.Lock()
			all = append(all, float64(now-sent)/1e6)
			mu.Unlock()
		})
		if err != nil {
			return nil, err
		}
		sent, err := putAll(ctx, put, j.Window, j.Rate)
		came := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(all)
		}
		for patience := time.Now().Add(10 * time.Second); err == nil && came() < sent && time.Now().Before(patience); {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		if err = errors.Join(err, done()); err != nil {
			return nil, err
		}
		if came() != sent {
			return nil, fmt.Errorf("%d of %d records came", came(), sent)
		}
		slices.Sort(all)
		return job.Figures{"p50_ms": quantile(all, 0.50), "p99_ms": quantile(all, 0.99)}, nil
	}
}

// quantile is that part of sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// putters is how many puts are under way at most.
const putters = 16

// putAll puts records, evenly spread, and tells how many.
func putAll(ctx context.Context, put put, length time.Duration, rate int) (int, error) {
	for range 20 {
		if err := put(ctx, make([]byte, recordSize)); err != nil {
			return 0, err
		}
	}
	each := int(length.Seconds() * float64(rate) / putters)
	all := pool.New().WithErrors()
	for i := range putters {
		all.Go(func() error {
			pause := time.Second * putters / time.Duration(rate)
			time.Sleep(pause * time.Duration(i) / putters)
			ticks := time.NewTicker(pause)
			defer ticks.Stop()
			for range each {
				data := make([]byte, recordSize)
				binary.BigEndian.PutUint64(data, uint64(time.Now().UnixNano()))
				if err := put(ctx, data); err != nil {
					return err
				}
				<-ticks.C
			}
			return nil
		})
	}
	return each * putters, all.Wait()
}

// openWorker has a worker that reads with the consumer of that name, or by polling if that is "".
func openWorker(consumer string, putter func(job.Job) put) path {
	return func(ctx context.Context, j job.Job, arrive func([]byte)) (put, func() error, error) {
		cfg := config(j)
		cfg.HTTPClient = overHTTP2()
		api := kinesis.NewFromConfig(cfg)
		started := make(chan struct{})
		w, err := worker.New(worker.Config{
			Application: j.App, Leases: memory.New(), DrainTimeout: 5 * time.Second,
			Streams: []worker.Stream{kinesisstream.New(api, j.Stream, kinesisstream.Options{FanOut: consumer})},
			NewProcessor: func(context.Context, *worker.Shard) (worker.RecordProcessor, error) {
				close(started) // one shard, one tenure
				return arrivals(arrive), nil
			},
		})
		if err != nil {
			return nil, nil, err
		}
		ran := make(chan error, 1)
		go func() { ran <- w.Run(ctx) }()
		select {
		case <-started:
		case err := <-ran:
			return nil, nil, errors.Join(errors.New("the worker ended"), err)
		}
		return putter(j), func() error { return <-ran }, nil
	}
}

// putRecord posts PutRecord and nothing more, as the floor's puts do: what an SDK does before it sends takes as much CPU
// time as all the rest of the way.
func putRecord(j job.Job) put {
	client, header := overHTTP2(), http.Header{
		"Content-Type":  {"application/x-amz-json-1.1"},
		"X-Amz-Target":  {"Kinesis_20131202.PutRecord"},
		"X-Amz-Date":    {time.Now().UTC().Format("20060102T150405Z")},
		"Authorization": {"AWS4-HMAC-SHA256 Credential=" + job.KeyID + ", SignedHeaders=host, Signature=0"}, // nobody verifies it
	}
	head := []byte(`{"StreamName":"` + j.Stream + `","PartitionKey":"key","Data":"`)
	return func(ctx context.Context, data []byte) error {
		body := base64.StdEncoding.AppendEncode(slices.Clip(head), data)
		return post(ctx, client, j.URL, header, append(body, `"}`...))
	}
}

// putBySDK calls PutRecord as most programs do.
func putBySDK(j job.Job) put {
	cfg := config(j)
	cfg.HTTPClient = overHTTP2()
	api := kinesis.NewFromConfig(cfg)
	return func(ctx context.Context, data []byte) error {
		_, err := api.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &j.Stream, PartitionKey: aws.String("key"), Data: data})
		return err
	}
}

// arrivals takes the time of what comes.
type arrivals func(data []byte)

func (p arrivals) ProcessRecords(_ context.Context, b *worker.Batch) error {
	for i := range b.Records {
		p(b.Records[i].Data)
	}
	return nil
}

func (p arrivals) Finish(context.Context, worker.FinishReason) error { return nil }
