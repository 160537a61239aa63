package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

// A sender puts records until all are acknowledged.
type sender struct {
	client   *kinesis.Client
	stream   string
	patience time.Duration
	rate     int // records a second, 0 for no limit
	put      int // acknowledged
}

// create makes the stream unless there is one, and waits until it can be used.
func (s *sender) create(ctx context.Context, shards int) error {
	again := s.newRetry()
	for {
		_, err := s.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &s.stream, ShardCount: aws.Int32(int32(shards))})
		exists := (*types.ResourceInUseException)(nil)
		if err == nil || errors.As(err, &exists) {
			break
		}
		if err := again.wait(ctx, err); err != nil {
			return fmt.Errorf("create stream %s: %w", s.stream, err)
		}
	}
	for {
		out, err := s.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &s.stream})
		if err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return nil
		}
		if err := again.wait(ctx, err); err != nil {
			return fmt.Errorf("wait for stream %s to be active: %w", s.stream, err)
		}
	}
}

// sendAll puts everything that the queue gives.
func (s *sender) sendAll(ctx context.Context, q *queue) error {
	began, told, again := time.Now(), time.Now(), s.newRetry()
	for {
		batch, err := q.batch(s.most())
		if err != nil || len(batch) == 0 {
			return err
		}
		acknowledged, refusal := s.send(ctx, batch)
		if n := q.done(acknowledged); n > 0 {
			s.put += n
			again = s.newRetry()
		}
		if refusal != nil {
			if err := again.wait(ctx, refusal); err != nil {
				return fmt.Errorf("put records: %w", err)
			}
		}
		if time.Since(told) >= time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "put %d, %.0f a second\n", s.put, float64(s.put)/time.Since(began).Seconds())
		}
		if s.rate > 0 {
			if err := pause(ctx, time.Until(began.Add(time.Duration(s.put)*time.Second/time.Duration(s.rate)))); err != nil {
				return err
			}
		}
	}
}

// most is how large a batch may be at the rate that is wanted: ten batches a second are enough.
func (s *sender) most() int {
	if s.rate == 0 {
		return maxBatchRecords
	}
	return max(1, s.rate/10)
}

// send makes one attempt at a batch. It tells which entries were acknowledged, and the error that the others met with.
func (s *sender) send(ctx context.Context, batch []types.PutRecordsRequestEntry) (acknowledged []bool, refusal error) {
	acknowledged = make([]bool, len(batch))
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := s.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &s.stream, Records: batch})
	if err != nil {
		return acknowledged, err
	}
	for i, r := range out.Records {
		acknowledged[i] = r.ErrorCode == nil
		if r.ErrorCode != nil {
			refusal = &smithy.GenericAPIError{Code: *r.ErrorCode, Message: aws.ToString(r.ErrorMessage), Fault: smithy.FaultServer}
		}
	}
	return acknowledged, refusal
}

// A retry paces the attempts at one thing.
type retry struct {
	attempt  int
	deadline time.Time
}

func (s *sender) newRetry() *retry { return &retry{deadline: time.Now().Add(s.patience)} }

// wait pauses before the next attempt, longer each time. It returns an error if there should be none: cause will not
// pass, or it has lasted too long, or ctx has ended. A nil cause means that there is only something to wait for.
func (r *retry) wait(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), cause)
	}
	if cause != nil && lasting(cause) {
		return cause
	}
	if time.Now().After(r.deadline) {
		return fmt.Errorf("given up after %d attempts: %w", r.attempt+1, cmp.Or(cause, errors.New("still not ready")))
	}
	longest := min(50*time.Millisecond<<min(r.attempt, 10), 5*time.Second)
	if r.attempt++; cause != nil && r.attempt%8 == 0 {
		fmt.Fprintf(os.Stderr, "produce: still trying: %v\n", cause)
	}
	return pause(ctx, longest/2+rand.N(longest/2))
}

// lasting tells whether the service will say the same again: it refuses the request as such, and not for its load.
func lasting(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorFault() != smithy.FaultClient {
		return false
	}
	switch api.ErrorCode() {
	case "ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException", "RequestTimeout",
		"KMSThrottlingException", "ResourceInUseException":
		return false
	default:
		return true
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
