package localstream_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
)

// A subscription is the client's end of one.
type subscription struct {
	*kinesis.SubscribeToShardEventStream
	t *testing.T
}

// trySubscribe subscribes by a client of its own: streams of one client share a buffer of the SDK's without a lock
// (smithy-go v1.28.8, its event stream codec).
func (c *client) trySubscribe(consumer *string, shard int, at types.StartingPosition) (*subscription, error) {
	own := kinesis.New(c.Options())
	out, err := own.SubscribeToShard(c.t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: consumer, ShardId: shardID(shard), StartingPosition: &at})
	if err != nil {
		return nil, err
	}
	return &subscription{out.GetStream(), c.t}, nil
}

func (c *client) subscribe(consumer *string, shard int, at types.StartingPosition) *subscription {
	c.t.Helper()
	s, err := c.trySubscribe(consumer, shard, at)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// next waits for the next event, nil at the end of the stream.
func (s *subscription) next() *types.SubscribeToShardEvent {
	e, ok := <-s.Events()
	if !ok {
		return nil
	}
	return &e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
}

// records reads events until one has records, or the stream ends.
func (s *subscription) records() []string {
	for {
		e := s.next()
		if e == nil || len(e.Records) > 0 {
			if e == nil {
				return nil
			}
			return texts(e.Records)
		}
	}
}

// rest reads the stream to its end and returns all its records and its last event.
func (s *subscription) rest() (all []string, last *types.SubscribeToShardEvent) {
	for e := s.next(); e != nil; e = s.next() {
		all, last = append(all, texts(e.Records)...), e
	}
	return all, last
}

var trimHorizon = types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}

func TestRecordsArePushedAtOnceAndPositionsEveryFiveSeconds(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		c.put(0, 3)
		s := c.subscribe(c.register("alerts"), 0, trimHorizon)
		defer s.Close()
		first := s.next()
		if got := fmt.Sprint(texts(first.Records)); got != "[record 0 record 1 record 2]" || first.ChildShards != nil ||
			*first.ContinuationSequenceNumber != *first.Records[2].SequenceNumber {
			t.Fatalf("first event: %s, %+v", got, first)
		}
		last := *first.ContinuationSequenceNumber
		for i := range 4 {
			start := time.Now()
			e := s.next()
			if d := time.Since(start); d != 5*time.Second || len(e.Records) != 0 || e.Records == nil || *e.ContinuationSequenceNumber <= last || *e.MillisBehindLatest != 0 {
				t.Fatalf("after %v: %+v", d, e)
			}
			last = *e.ContinuationSequenceNumber
			time.Sleep(time.Second)
			start = time.Now()
			c.put(3+i, 1)
			e = s.next()
			if d := time.Since(start); d != 0 || fmt.Sprint(texts(e.Records)) != fmt.Sprintf("[record %d]", 3+i) || *e.ContinuationSequenceNumber <= last {
				t.Fatalf("%v after a put: %+v", d, e)
			}
			last = *e.ContinuationSequenceNumber
		}
	})
}

func TestSubscriptionsEndAfterFiveMinutesAndGoOnWhereTheyWere(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		consumer := c.register("alerts")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 1000 {
				c.put(i, 1)
				time.Sleep(time.Second)
			}
		}()
		var all []string
		at := trimHorizon
		for len(all) < 1000 {
			start := time.Now()
			s := c.subscribe(consumer, 0, at)
			got, last := s.rest()
			if d := time.Since(start); d != 5*time.Minute || s.Err() != nil {
				t.Fatalf("ended after %v: %v", d, s.Err())
			}
			all = append(all, got...)
			at = types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: last.ContinuationSequenceNumber}
		}
		<-done
		for i, text := range all {
			if text != fmt.Sprint("record ", i) {
				t.Fatalf("%q in place %d of %d", text, i, len(all))
			}
		}
	})
}

func TestSubscriptionsStartWhereTheyAreTold(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		var numbers []*string
		var times []time.Time
		for i := range 5 {
			time.Sleep(time.Second)
			times = append(times, time.Now())
			numbers = append(numbers, c.put(i, 1).Records[0].SequenceNumber)
		}
		for i, test := range []struct {
			at   types.StartingPosition
			want string
		}{
			{trimHorizon, "[record 0 record 1 record 2 record 3 record 4]"},
			{types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber, SequenceNumber: numbers[3]}, "[record 3 record 4]"},
			{types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: numbers[3]}, "[record 4]"},
			{types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: &times[2]}, "[record 2 record 3 record 4]"},
			{types.StartingPosition{Type: types.ShardIteratorTypeLatest}, "[record 5]"},
		} {
			s := c.subscribe(c.register(fmt.Sprint("alerts-", i)), 0, test.at)
			if test.at.Type == types.ShardIteratorTypeLatest {
				c.put(5, 1)
			}
			if got := fmt.Sprint(s.records()); got != test.want {
				t.Errorf("%s: %s; want %s", test.at.Type, got, test.want)
			}
			s.Close()
		}
		consumer := c.register("wrong")
		_, err := c.trySubscribe(consumer, 0, types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber})
		wantError(t, err, "InvalidArgumentException", "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber.")
		_, err = c.trySubscribe(consumer, 0, types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp})
		wantError(t, err, "InvalidArgumentException", "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
		_, err = c.trySubscribe(consumer, 7, trimHorizon)
		wantError(t, err, "ResourceNotFoundException", "Shard shardId-000000000007 in stream quakes under account 000000000000 does not exist")
		_, err = c.trySubscribe(aws.String(arn+"/consumer/nobody:1"), 0, trimHorizon)
		wantError(t, err, "ResourceNotFoundException", "Consumer nobody, account 000000000000 not found.")
		_, err = c.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: consumer, ShardId: shardID(0), StartingPosition: &trimHorizon, DryRun: aws.Bool(true)})
		wantError(t, err, "DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")
		c.subscribe(consumer, 0, trimHorizon).Close()
	})
}

func TestTheEndOfAShardNamesItsChildrenAndEndsTheSubscription(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		consumer := c.register("alerts")
		s := c.subscribe(consumer, 0, trimHorizon)
		s.next()
		c.put(0, 10)
		c.split(0, middle)
		all, last := s.rest()
		if s.Err() != nil || len(all) != 10 || last.ContinuationSequenceNumber != nil || len(last.ChildShards) != 2 || *last.ChildShards[1].ShardId != *shardID(2) ||
			!slices.Equal(last.ChildShards[0].ParentShards, []string{*shardID(0)}) || *last.MillisBehindLatest != 0 {
			t.Errorf("%d records, %v, last %+v", len(all), s.Err(), last)
		}
		time.Sleep(5 * time.Second)
		s = c.subscribe(consumer, 0, trimHorizon)
		all, last = s.rest()
		if s.Err() != nil || len(all) != 10 || last.ContinuationSequenceNumber != nil || len(last.ChildShards) != 2 {
			t.Errorf("on the closed shard: %d records, %v, last %+v", len(all), s.Err(), last)
		}
		time.Sleep(25 * time.Hour)
		_, err := c.trySubscribe(consumer, 0, trimHorizon)
		wantError(t, err, "ResourceNotFoundException", "Shard shardId-000000000000 in stream quakes under account 000000000000 does not exist")
	})
}

func TestANewSubscriptionTakesOverAfterFiveSeconds(t *testing.T) {
	const message = "Another active subscription exists for this consumer"
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(2)
		consumer := c.register("alerts")
		old := c.subscribe(consumer, 0, trimHorizon)
		old.next()
		c.subscribe(consumer, 1, trimHorizon).Close() // other shards and other consumers are not in the way
		c.subscribe(c.register("other"), 0, trimHorizon).Close()
		time.Sleep(5*time.Second - 1)
		_, err := c.trySubscribe(consumer, 0, trimHorizon)
		wantError(t, err, "ResourceInUseException", message)
		time.Sleep(1)
		s := c.subscribe(consumer, 0, trimHorizon)
		old.rest()
		wantError(t, old.Err(), "ResourceInUseException", message)
		if s.next() == nil {
			t.Errorf("the new subscription: %v", s.Err())
		}
		s.Close()
		_, err = c.trySubscribe(consumer, 0, trimHorizon)
		wantError(t, err, "ResourceInUseException", message)
	})
}

func TestSubscriptionsEndWithWhatTheyAreTo(t *testing.T) {
	for name, test := range map[string]struct {
		end           func(c *client, consumer *string) error
		code, message string
	}{
		"the stream": {func(c *client, _ *string) error {
			_, err := c.DeleteStream(c.t.Context(), &kinesis.DeleteStreamInput{StreamName: quakes, EnforceConsumerDeletion: aws.Bool(true)})
			return err
		}, "ResourceNotFoundException", "Stream quakes under account 000000000000 not found."},
		"the consumer": {func(c *client, consumer *string) error {
			_, err := c.DeregisterStreamConsumer(c.t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: consumer})
			return err
		}, "ResourceNotFoundException", "Consumer alerts:946684803, account 000000000000 not found."},
	} {
		for _, transition := range []time.Duration{0, time.Second} {
			bubble(t, localstream.Options{Transition: transition}, func(t *testing.T, c *client) {
				c.create(1)
				time.Sleep(3 * time.Second)
				consumer := c.register("alerts")
				time.Sleep(2 * time.Second)
				s := c.subscribe(consumer, 0, trimHorizon)
				s.next()
				start := time.Now()
				if err := test.end(c, consumer); err != nil {
					t.Fatal(err)
				}
				s.rest()
				if d := time.Since(start); d != 0 {
					t.Errorf("%s: ended after %v", name, d)
				}
				wantError(t, s.Err(), test.code, test.message)
			})
		}
	}
}

func TestCloseEndsSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, srv)
		c.create(1)
		s := c.subscribe(c.register("alerts"), 0, trimHorizon)
		s.next()
		start := time.Now()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		s.rest()
		if d := time.Since(start); d != 0 || s.Err() != nil {
			t.Errorf("ended after %v: %v", d, s.Err())
		}
	})
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		s := c.subscribe(c.register("alerts"), 0, trimHorizon)
		for range 16 {
			if _, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("k"), Data: make([]byte, 1<<20-1)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		n := 0
		for e := s.next(); e != nil; e = s.next() {
			n += len(e.Records)
		}
		if s.Err() == nil || n < 2 || n > 8 {
			t.Errorf("%d of 16 MiB read, then %v", n, s.Err())
		}
	})
}

func TestAClientThatGoesAwayLeavesNothingBehind(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		ctx, cancel := context.WithCancel(t.Context())
		out, err := c.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: c.register("alerts"), ShardId: shardID(0), StartingPosition: &trimHorizon})
		if err != nil {
			t.Fatal(err)
		}
		s := &subscription{out.GetStream(), t}
		s.next()
		cancel()
		s.rest()
	}) // the bubble ends only when no goroutine is left
}

func TestSubscriptionsKeepToTheConsumersOwnRate(t *testing.T) {
	o := localstream.Options{Limits: localstream.Limits{ReadCalls: 5, ReadBytes: 2 << 20}}
	bubble(t, o, func(t *testing.T, c *client) {
		c.create(1)
		for range 10 {
			if _, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("k"), Data: make([]byte, 1<<20-1)}); err != nil {
				t.Fatal(err)
			}
		}
		s := c.subscribe(c.register("alerts"), 0, trimHorizon)
		defer s.Close()
		start, n := time.Now(), 0
		for n < 10 {
			n += len(s.next().Records)
		}
		if d := time.Since(start); d != 4500*time.Millisecond { // the first event is free
			t.Errorf("10 MiB came in %v", d)
		}
	})
}
