package main

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/producer"
)

// requests is how many are under way at a time, for all producers.
const requests = 4

func rate(j job.Job, began time.Time) job.Figures {
	return job.Figures{"records_per_s": float64(j.Records) / time.Since(began).Seconds()}
}

// putByHand is what a program does that calls PutRecords itself.
func putByHand(options ...func(*kinesis.Options)) func(context.Context, job.Job) (job.Figures, error) {
	return func(ctx context.Context, j job.Job) (job.Figures, error) {
		const batch = 500
		api, data := kinesis.NewFromConfig(config(j), options...), payload(j.Size)
		var next atomic.Int64
		began := time.Now()
		putting := pool.New().WithContext(ctx).WithCancelOnError()
		for range requests {
			putting.Go(func(ctx context.Context) error {
				for {
					from := int(next.Add(batch)) - batch
					if from >= j.Records {
						return nil
					}
					in := &kinesis.PutRecordsInput{StreamName: &j.Stream}
					for i := range min(batch, j.Records-from) {
						in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: data, PartitionKey: aws.String(j.Key(from + i))})
					}
					out, err := api.PutRecords(ctx, in)
					if err == nil && aws.ToInt32(out.FailedRecordCount) > 0 {
						err = fmt.Errorf("%d records were not put", *out.FailedRecordCount)
					}
					if err != nil {
						return err
					}
				}
			})
		}
		if err := putting.Wait(); err != nil {
			return nil, err
		}
		return rate(j, began), nil
	}
}

// putByProducer puts all from one goroutine and waits for every answer.
func putByProducer(c producer.Config) func(context.Context, job.Job) (job.Figures, error) {
	return func(ctx context.Context, j job.Job) (job.Figures, error) {
		c.Stream, c.MaxInFlight, c.RateLimit = j.Stream, requests, -1 // the loop by hand paces nothing either
		data, began := payload(j.Size), time.Now()
		p, err := producer.New(kinesis.NewFromConfig(config(j)), c)
		if err != nil {
			return nil, err
		}
		var failed error
		acked := 0
		count := func(_ producer.Ack, err error) {
			if err != nil {
				failed = err
				return
			}
			acked++
		}
		for n := range j.Records {
			if err := p.PutAsync(ctx, record.Record{PartitionKey: j.Key(n), Data: data}, count); err != nil {
				return nil, err
			}
		}
		if err := p.Close(ctx); err != nil || acked != j.Records {
			return nil, fmt.Errorf("%d of %d records were acknowledged: %v, %v", acked, j.Records, err, failed)
		}
		return rate(j, began), nil
	}
}

func payload(size int) []byte { return bytes.Repeat([]byte("abcdefghijklmnop"), size/16+1)[:size] }
