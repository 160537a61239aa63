package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

const (
	stream = "leases"
	// idle is the time between two reads of a shard that has nothing: reads are not what is measured.
	idle = 10 * time.Second
)

// mode is what processors do with a record, one every 3 s.
type mode int32

const (
	resting mode = iota
	checkpointing
	marking
)

// A fleet is the workers, with the localstream that they use.
type fleet struct {
	srv     *localstream.Server
	api     *kinesis.Client
	workers []*worker.Worker
	hashes  []string // a hash key in each shard
	end     context.CancelFunc
	ended   sync.WaitGroup
	meter   meter
	how     atomic.Int32

	mu  sync.Mutex
	err error // the first of a worker's Run, or of a checkpoint
}

func newFleet(ctx context.Context, workers, leases int) (*fleet, error) {
	srv, err := localstream.Open("", localstream.Options{Memory: true})
	if err != nil {
		return nil, err
	}
	f := &fleet{srv: srv, api: kinesis.NewFromConfig(srv.AWSConfig())}
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	f.end = end
	if err := f.create(ctx, leases); err != nil {
		return nil, errors.Join(err, f.close())
	}
	for i := range workers {
		w, err := f.worker(i)
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.workers = append(f.workers, w)
		f.ended.Go(func() { f.fail(w.Run(run)) })
	}
	return f, nil
}

// create makes the stream.
func (f *fleet) create(ctx context.Context, shards int) error {
	_, err := f.api.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(int32(shards))})
	if err != nil {
		return err
	}
	all, _, err := kinesisstream.New(f.api, stream).Shards(ctx, record.Position{})
	if err != nil {
		return err
	}
	for _, s := range all {
		f.hashes = append(f.hashes, s.Range.Start.String())
	}
	return nil
}

func (f *fleet) worker(i int) (*worker.Worker, error) {
	table := dynamo.NewWith(dynamodb.NewFromConfig(f.srv.AWSConfig()), dynamo.Config{Table: stream, Units: f.meter.units, NoOldTables: true})
	return worker.New(worker.Config{
		Application: stream, WorkerID: fmt.Sprintf("worker-%02d", i), Leases: table,
		Streams: []worker.Stream{kinesisstream.New(f.api, stream, kinesisstream.Options{Pace: worker.Pace{Idle: idle}})},
		Start:   record.TrimHorizon, MaxBatchRecords: 1,
		NewProcessor: func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return &processor{f: f, shard: s}, nil
		},
	})
}

// settle waits until every lease is held and the counts are even within one.
func (f *fleet) settle(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	even := 0
	for ctx.Err() == nil {
		sum, least, greatest := 0, len(f.hashes), 0
		for _, w := range f.workers {
			n := len(w.Status().Shards)
			sum, least, greatest = sum+n, min(least, n), max(greatest, n)
		}
		if sum == len(f.hashes) && greatest-least <= 1 {
			if even++; even == 15 { // seconds: the last moves have been renewed
				return time.Since(began) - 15*time.Second, nil
			}
		} else {
			even = 0
		}
		if err := f.check(); err != nil {
			return 0, err
		}
		if time.Since(began) > 10*time.Minute {
			return 0, fmt.Errorf("%d of %d leases are held, %d to %d by a worker, after 10 minutes", sum, len(f.hashes), least, greatest)
		}
		sleep(ctx, time.Second)
	}
	return 0, context.Cause(ctx)
}

// measure has the processors go on in a mode and counts for a time.
func (f *fleet) measure(ctx context.Context, name string, how mode, length time.Duration) (phase, error) {
	f.how.Store(int32(how))
	if how == checkpointing { // for the phase that follows, too: a page that is read ahead must not be an empty one
		if err := f.put(ctx, int((2*length+idle+5*every)/every)+5); err != nil {
			return phase{}, err
		}
		sleep(ctx, idle) // every shard was read
	}
	sleep(ctx, 2*every)
	f.meter.start(name)
	sleep(ctx, length)
	p := f.meter.stop()
	return p, errors.Join(context.Cause(ctx), f.check())
}

// put stores n records in each shard.
func (f *fleet) put(ctx context.Context, n int) error {
	const batch = 500
	entries := make([]types.PutRecordsRequestEntry, 0, batch)
	flush := func() error {
		out, err := f.api.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(stream), Records: entries})
		if err == nil && aws.ToInt32(out.FailedRecordCount) > 0 {
			err = fmt.Errorf("%d records were refused", aws.ToInt32(out.FailedRecordCount))
		}
		entries = entries[:0]
		return err
	}
	for i := range f.hashes {
		for range n {
			entries = append(entries, types.PutRecordsRequestEntry{Data: []byte("x"), PartitionKey: aws.String("k"), ExplicitHashKey: &f.hashes[i]})
			if len(entries) == batch {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if len(entries) > 0 {
		return flush()
	}
	return nil
}

// close stops the workers and the server.
func (f *fleet) close() error {
	f.end()
	f.ended.Wait()
	return errors.Join(f.check(), f.srv.Close())
}

func (f *fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *fleet) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// A processor takes a record every 3 s. A record that is left over from the phase before is part of the next.
type processor struct {
	f     *fleet
	shard *worker.Shard
	next  time.Time
}

func (p *processor) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	if wait := time.Until(p.next); wait > 0 {
		sleep(ctx, wait)
		p.next = p.next.Add(every)
	} else {
		p.next = time.Now().Add(every)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.f.meter.say()
	if mode(p.f.how.Load()) == checkpointing {
		return b.Checkpoint(ctx)
	}
	p.shard.Mark(b.Last())
	return nil
}

func (p *processor) Finish(context.Context, worker.FinishReason) error { return nil }

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
