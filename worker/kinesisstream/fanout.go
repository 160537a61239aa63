package kinesisstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// What SubscribeToShard allows (Kinesis API reference): one call a second for a consumer and shard, and none in the
// five seconds after one that succeeded; after that a call takes the subscription over.
const (
	callPause     = time.Second
	takeoverPause = 5 * time.Second
)

// silence is how long a subscription may say nothing. The service sends an event every few seconds, records or not.
const silence = 30 * time.Second

// A follower reads one shard by enhanced fan-out: what the service pushes, one subscription after the other, each
// behind the place that the one before told. Its place is the polling reader's, which reads on while there is no room
// for a consumer.
type follower struct {
	*reader
	sub       *subscription // nil if none is open
	notBefore time.Time     // when the service takes the next call
	pollAt    time.Time     // when to poll next
}

// Close ends the subscription.
func (f *follower) Close() { f.drop() }

func (f *follower) drop() {
	if f.sub != nil {
		f.sub.close()
		f.sub = nil
	}
}

// Read waits for the next event. A subscription that has come to its time is followed by the next.
func (f *follower) Read(ctx context.Context) (record.Page, error) {
	s := f.stream
	if s.err != nil {
		return record.Page{}, s.err
	}
	for ctx.Err() == nil {
		if f.sub == nil {
			arn, err := s.consumer.active(ctx)
			if err != nil {
				return record.Page{}, err
			}
			if arn == "" {
				return f.poll(ctx)
			}
			if err := f.subscribe(ctx, arn); err != nil {
				return record.Page{}, err
			}
		}
		e, err := f.next(ctx)
		if err != nil {
			return record.Page{}, err
		}
		if e != nil {
			return f.take(e)
		}
	}
	return record.Page{}, context.Cause(ctx)
}

// subscribe begins the next subscription at the follower's place, when the service takes it.
func (f *follower) subscribe(ctx context.Context, arn string) error {
	s := f.stream
	f.iterator = nil
	var place kinesis.GetShardIteratorInput
	if err := f.aim(&place); err != nil {
		return f.failed(ctx, "subscribing to", err)
	}
	at := &types.StartingPosition{Type: place.ShardIteratorType, SequenceNumber: place.StartingSequenceNumber, Timestamp: place.Timestamp}
	f.refused = nil
	sent, out, err := f.call(ctx, arn, at)
	if is[*types.InvalidArgumentException](err) && f.at.Kind() == record.KindSequence {
		// As with an iterator: take looks whether all that there is comes after the place.
		f.refused = err
		sent, out, err = f.call(ctx, arn, &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon})
	}
	if err != nil {
		return f.broken(ctx, arn, "subscribing to", err)
	}
	if f.at.Kind() == record.KindLatest {
		// Should the subscription end before its first event, LATEST would mean a later place.
		f.at = record.AtTimestamp(s.serviceTime(out.ResultMetadata, sent))
	}
	return nil
}

// call makes one call of SubscribeToShard as soon as it may.
func (f *follower) call(ctx context.Context, arn string, at *types.StartingPosition) (sent time.Time, out *kinesis.SubscribeToShardOutput, err error) {
	clock := f.stream.o.Clock
	if err := clock.Sleep(ctx, f.notBefore.Sub(clock.Now())); err != nil {
		return sent, nil, err
	}
	sent = clock.Now()
	f.notBefore = sent.Add(callPause)
	f.sub, out, err = f.stream.subscribe(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: &arn, ShardId: &f.shardID, StartingPosition: at})
	if err == nil {
		f.notBefore = clock.Now().Add(takeoverPause)
	}
	return sent, out, err
}

// next waits for the next event. It returns nil without an error when the subscription has come to its end in order,
// or brought something that is no event of records.
func (f *follower) next(ctx context.Context) (*types.SubscribeToShardEvent, error) {
	quiet := f.stream.o.Clock.NewTimer(silence)
	defer quiet.Stop()
	sub := f.sub
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-quiet.C:
		f.drop()
		return nil, fmt.Errorf("following shard %s of stream %s: no event for %v", f.shardID, f.stream.name, silence)
	case e, ok := <-sub.stream.Events():
		if !ok {
			err := sub.stream.Err()
			f.drop()
			if err != nil {
				err = f.broken(ctx, sub.arn, "following", err)
			}
			return nil, err
		}
		sub.gate.open()
		if e, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
			return &e.Value, nil
		}
		return nil, nil
	}
}

// broken wraps an error of a subscription. What is not found may be the consumer too.
func (f *follower) broken(ctx context.Context, arn, doing string, err error) error {
	if is[*types.ResourceNotFoundException](err) {
		if _, looking := f.stream.consumer.describe(ctx); is[*types.ResourceNotFoundException](looking) && !errors.Is(looking, worker.ErrNoStream) {
			f.stream.consumer.forget(arn)
			return fmt.Errorf("%s shard %s of stream %s: consumer %s is gone: %w", doing, f.shardID, f.stream.name, arn, err)
		}
	}
	return f.failed(ctx, doing, err)
}

// take makes a page of an event and moves the follower behind it. An event that cannot be true ends the subscription
// and moves nothing.
func (f *follower) take(e *types.SubscribeToShardEvent) (record.Page, error) {
	page := record.Page{
		Records: recordsOf(e.Records),
		Behind:  time.Duration(aws.ToInt64(e.MillisBehindLatest)) * time.Millisecond,
	}
	err := f.follows(page.Records)
	onward := record.SequenceNumber(aws.ToString(e.ContinuationSequenceNumber))
	switch {
	case err != nil:
	case onward != "":
		err = onward.Validate()
	default:
		page.Children, err = childrenOf(e.ChildShards)
		if err == nil && len(page.Children) == 0 {
			err = errors.New("the event tells neither where to go on nor the shard's children")
		}
		page.End = true
	}
	if err != nil || page.End {
		f.drop()
	}
	if err != nil {
		return record.Page{}, fmt.Errorf("following shard %s of stream %s: %w", f.shardID, f.stream.name, err)
	}
	f.advance(page.Records, onward)
	return page, nil
}

// advance moves the place behind records and, if that is further, behind the number at which the service goes on.
func (f *follower) advance(records []record.Record, onward record.SequenceNumber) {
	if n := len(records); n > 0 {
		f.passed(records[n-1].SequenceNumber)
	}
	if onward != "" && (f.at.Kind() != record.KindSequence || onward.Compare(f.at.Sequence()) > 0) {
		f.passed(onward)
	}
}

// poll makes one read by polling, at the pace that the options give.
func (f *follower) poll(ctx context.Context) (record.Page, error) {
	clock, pace := f.stream.o.Clock, f.stream.o.Pace
	if err := clock.Sleep(ctx, f.pollAt.Sub(clock.Now())); err != nil {
		return record.Page{}, err
	}
	pause := time.Second / time.Duration(pace.PerSecond)
	f.pollAt = clock.Now().Add(pause)
	limited, cancel := clock.WithTimeout(ctx, pace.Timeout, errNoAnswer)
	defer cancel()
	page, err := f.reader.Read(limited)
	if err == nil && page.Behind == 0 {
		f.pollAt = clock.Now().Add(max(pause, pace.Idle))
	}
	return page, err
}
