package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record/producer"
)

// sendAll puts all lines and returns how many records were acknowledged, and how many that were read were not. It ends
// at the first record that cannot be put.
func sendAll(ctx context.Context, client *kinesis.Client, o options, in *lines) (put, failed int, err error) {
	cfg := producer.Config{Stream: o.stream, Deadline: o.patience}
	if !o.aws {
		cfg.RateLimit = -1 // localstream has no limits unless it is told to
	}
	p, err := producer.New(client, cfg)
	if err != nil {
		return 0, 0, err
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	var taken, acknowledged atomic.Int64
	done := func(_ producer.Ack, err error) {
		if err != nil {
			giveUp(err)
			return
		}
		acknowledged.Add(1)
	}
	began, told := time.Now(), time.Now()
	for err == nil {
		r, failure := in.next()
		if failure != nil {
			err = failure
			break
		}
		taken.Add(1)
		err = p.PutAsync(ctx, r, done)
		if time.Since(told) >= time.Second {
			told = time.Now()
			n := acknowledged.Load()
			fmt.Fprintf(os.Stderr, "put %d, %.0f a second\n", n, float64(n)/time.Since(began).Seconds())
		}
		if err == nil && o.rate > 0 {
			err = pause(ctx, time.Until(began.Add(time.Duration(taken.Load())*time.Second/time.Duration(o.rate))))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	closed := p.Close(ctx) // waits for the answers, unless ctx has ended
	put = int(acknowledged.Load())
	return put, int(taken.Load()) - put, cmp.Or(context.Cause(ctx), err, closed)
}

// create makes the stream unless there is one, and waits until it can be used.
func create(ctx context.Context, client *kinesis.Client, o options) error {
	ctx, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	for {
		_, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &o.stream, ShardCount: aws.Int32(int32(o.create))})
		exists := (*types.ResourceInUseException)(nil)
		refused := (*types.InvalidArgumentException)(nil)
		if err == nil || errors.As(err, &exists) {
			break
		}
		if errors.As(err, &refused) || pause(ctx, time.Second) != nil {
			return fmt.Errorf("create stream %s: %w", o.stream, err)
		}
	}
	for {
		out, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &o.stream})
		if err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return nil
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			return fmt.Errorf("wait for stream %s to be active: %w", o.stream, cmp.Or(err, context.Cause(ctx)))
		}
	}
}

// pause waits for d; it returns the cause if ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
