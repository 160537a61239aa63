package kinesiscbor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record/kinesiscbor"
)

var name = aws.String("s")

// A pair is two clients of one localstream: one with the codec, and the SDK's own.
type pair struct {
	fast, plain *kinesis.Client
	sent        *requests // of fast
}

// requests notes the operations and media types that go through a client.
type requests struct {
	next interface {
		Do(*http.Request) (*http.Response, error)
	}
	mu  sync.Mutex
	all []string
}

func (r *requests) Do(req *http.Request) (*http.Response, error) {
	resp, err := r.next.Do(req)
	_, op, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, op+" "+strings.TrimPrefix(req.Header.Get("Content-Type"), "application/x-amz-"))
	return resp, err
}

func newPair(t *testing.T, o localstream.Options, shards int32) *pair {
	t.Helper()
	o.Memory = true
	srv, err := localstream.Open("", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := srv.AWSConfig()
	p := &pair{sent: &requests{next: cfg.HTTPClient}, plain: kinesis.NewFromConfig(cfg)}
	cfg.HTTPClient = p.sent
	p.fast = kinesis.NewFromConfig(cfg, kinesiscbor.Enable)
	if _, err := p.plain.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) iterator(t *testing.T, in kinesis.GetShardIteratorInput) *string {
	t.Helper()
	in.StreamName = name
	out, err := p.fast.GetShardIterator(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	return out.ShardIterator
}

func (p *pair) get(t *testing.T, c *kinesis.Client, iterator *string) *kinesis.GetRecordsOutput {
	t.Helper()
	out, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: iterator})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameRecords compares what the two clients got, record by record.
func sameRecords(t *testing.T, got, want []types.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if !g.ApproximateArrivalTimestamp.Equal(*w.ApproximateArrivalTimestamp) {
			t.Errorf("record %d arrived %v, want %v", i, g.ApproximateArrivalTimestamp, w.ApproximateArrivalTimestamp)
		}
		g.ApproximateArrivalTimestamp = w.ApproximateArrivalTimestamp
		if !reflect.DeepEqual(g, w) {
			t.Errorf("record %d: %+v, want %+v", i, g, w)
		}
	}
}

func TestEveryDataOperationAnswersAsWithThePlainClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, localstream.Options{}, 1)
		one, err := p.fast.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String("schlüssel ✓"), Data: []byte{0, 255, 128}})
		if err != nil || *one.ShardId != "shardId-000000000000" || *one.SequenceNumber == "" {
			t.Fatalf("PutRecord: %+v, %v", one, err)
		}
		var entries []types.PutRecordsRequestEntry
		for i := range 500 {
			entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(strings.Repeat("k", i%256+1)), Data: bytes.Repeat([]byte{byte(i)}, i*i%3000), ExplicitHashKey: aws.String(fmt.Sprint(i))})
		}
		time.Sleep(1234 * time.Millisecond)
		many, err := p.fast.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: name, Records: entries})
		if err != nil || *many.FailedRecordCount != 0 || len(many.Records) != 500 {
			t.Fatalf("PutRecords: %+v, %v", many, err)
		}
		time.Sleep(10 * time.Second)
		for _, in := range []kinesis.GetShardIteratorInput{
			{ShardIteratorType: types.ShardIteratorTypeTrimHorizon},
			{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(-10 * time.Second))},
			{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: many.Records[10].SequenceNumber},
			{ShardIteratorType: types.ShardIteratorTypeLatest},
		} {
			in.ShardId = one.ShardId
			at := p.iterator(t, in)
			got, want := p.get(t, p.fast, at), p.get(t, p.plain, at)
			sameRecords(t, got.Records, want.Records)
			if *got.MillisBehindLatest != *want.MillisBehindLatest || got.NextShardIterator == nil || got.Records == nil || got.ChildShards != nil {
				t.Errorf("%s: answer %+v, want %+v", in.ShardIteratorType, got, want)
			}
			switch n := len(got.Records); in.ShardIteratorType {
			case types.ShardIteratorTypeTrimHorizon:
				if n != 501 || *got.Records[0].PartitionKey != "schlüssel ✓" || string(got.Records[0].Data) != "\x00\xff\x80" {
					t.Errorf("%d records, first %+v", n, got.Records[0])
				}
				for i, r := range got.Records[1:] {
					if !bytes.Equal(r.Data, entries[i].Data) || *r.PartitionKey != *entries[i].PartitionKey || *r.SequenceNumber != *many.Records[i].SequenceNumber {
						t.Errorf("record %d is not what was put", i)
					}
				}
			case types.ShardIteratorTypeAtTimestamp:
				if n != 500 {
					t.Errorf("%d records from the timestamp on", n)
				}
			}
		}
		list, err := p.fast.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: name})
		wantList, err2 := p.plain.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: name})
		if err != nil || err2 != nil || len(list.Shards) != 1 || !reflect.DeepEqual(list.Shards, wantList.Shards) {
			t.Errorf("ListShards %+v, %v; want %+v, %v", list, err, wantList, err2)
		}
		if _, err := p.fast.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: name}); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"PutRecord cbor-1.1", "PutRecords cbor-1.1", "GetShardIterator cbor-1.1", "GetRecords cbor-1.1", "ListShards cbor-1.1", "DescribeStreamSummary json-1.1"} {
			if !slices.Contains(p.sent.all, want) {
				t.Errorf("no request %q in %q", want, p.sent.all)
			}
		}
	})
}

func TestTheEndOfAShardNamesItsChildren(t *testing.T) {
	p := newPair(t, localstream.Options{}, 1)
	shard := aws.String("shardId-000000000000")
	at := p.iterator(t, kinesis.GetShardIteratorInput{ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if _, err := p.fast.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: name, ShardToSplit: shard, NewStartingHashKey: aws.String("1000")}); err != nil {
		t.Fatal(err)
	}
	got, want := p.get(t, p.fast, at), p.get(t, p.plain, at)
	if got.NextShardIterator != nil || len(got.ChildShards) != 2 || !reflect.DeepEqual(got.ChildShards, want.ChildShards) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestDataStaysAsItIsWhileOtherPagesAreRead(t *testing.T) {
	p := newPair(t, localstream.Options{}, 1)
	shard := aws.String("shardId-000000000000")
	at := p.iterator(t, kinesis.GetShardIteratorInput{ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	var pages []*kinesis.GetRecordsOutput
	for i := range 50 {
		for j := range 20 {
			if _, err := p.fast.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String(fmt.Sprint("key ", i, j)), Data: fmt.Appendf(nil, "data %d %d", i, j)}); err != nil {
				t.Fatal(err)
			}
		}
		page := p.get(t, p.fast, at)
		pages, at = append(pages, page), page.NextShardIterator
		_ = append(page.Records[3].Data, "appended by a user"...)
	}
	for i, page := range pages {
		if len(page.Records) != 20 {
			t.Fatalf("page %d has %d records", i, len(page.Records))
		}
		for j, r := range page.Records {
			if string(r.Data) != fmt.Sprintf("data %d %d", i, j) || *r.PartitionKey != fmt.Sprint("key ", i, j) {
				t.Errorf("record %d of page %d is now %q, %q", j, i, r.Data, *r.PartitionKey)
			}
		}
	}
}

func TestErrorsAreThoseOfThePlainClient(t *testing.T) {
	p := newPair(t, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
		switch c.Operation {
		case "ListShards":
			return localstream.Fault{Reject: &localstream.Error{Type: "NobodyKnowsThisException", Message: "what"}}
		case "PutRecords":
			return localstream.Fault{Reject: &localstream.Error{Type: "InternalFailure", Status: 500}}
		}
		return localstream.Fault{}
	}}, 1)
	once := func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }
	for what, call := range map[string]func(c *kinesis.Client) error{
		"not found": func(c *kinesis.Client) error {
			_, err := c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: aws.String("absent"), ShardId: name, ShardIteratorType: types.ShardIteratorTypeLatest}, once)
			return err
		},
		"invalid": func(c *kinesis.Client) error {
			_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String("nonsense")}, once)
			return err
		},
		"validation": func(c *kinesis.Client) error {
			_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String(strings.Repeat("x", 300)), Data: []byte{}}, once)
			return err
		},
		"not modelled": func(c *kinesis.Client) error {
			_, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: name}, once)
			return err
		},
		"without a message": func(c *kinesis.Client) error {
			_, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: name, Records: []types.PutRecordsRequestEntry{{PartitionKey: name, Data: []byte("d")}}}, once)
			return err
		},
		"subscription": func(c *kinesis.Client) error {
			_, err := c.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
				ConsumerARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1"), ShardId: name,
				StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
			}, once)
			return err
		},
	} {
		got, want := call(p.fast), call(p.plain)
		g, ok := errors.AsType[smithy.APIError](got)
		w, ok2 := errors.AsType[smithy.APIError](want)
		gotResponse, ok3 := errors.AsType[*smithyhttp.ResponseError](got)
		wantResponse, ok4 := errors.AsType[*smithyhttp.ResponseError](want)
		if !ok || !ok2 || !ok3 || !ok4 {
			t.Errorf("%s: %v; plain: %v", what, got, want)
			continue
		}
		if reflect.TypeOf(g) != reflect.TypeOf(w) || g.ErrorCode() != w.ErrorCode() || g.ErrorMessage() != w.ErrorMessage() || g.ErrorFault() != w.ErrorFault() ||
			gotResponse.HTTPStatusCode() != wantResponse.HTTPStatusCode() {
			t.Errorf("%s: %T %v, want %T %v", what, g, got, w, want)
		}
	}
}

func TestThrottledAndCutCallsAreTriedAgainBySDK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := newPair(t, localstream.Options{Keys: map[string]string{"localstream": "localstream"}, Fault: func(c localstream.Call) localstream.Fault {
			if c.Operation != "PutRecord" {
				return localstream.Fault{}
			}
			calls++
			return []localstream.Fault{{Reject: &localstream.Error{Type: "ProvisionedThroughputExceededException"}}, {CutBefore: true}, {}}[calls%3]
		}}, 1)
		for i := range 5 {
			if _, err := p.fast.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: name, Data: fmt.Appendf(nil, "data %d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		at := p.iterator(t, kinesis.GetShardIteratorInput{ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		out := p.get(t, p.fast, at)
		for i, r := range out.Records {
			if string(r.Data) != fmt.Sprintf("data %d", i) {
				t.Errorf("record %d is %q", i, r.Data)
			}
		}
		if len(out.Records) != 5 || calls < 10 {
			t.Errorf("%d records after %d calls", len(out.Records), calls)
		}
	})
}

func TestItCanBeSwitchedOffForAClientAndForACall(t *testing.T) {
	p := newPair(t, localstream.Options{}, 1)
	for _, c := range []struct {
		client *kinesis.Client
		call   func(*kinesis.Options)
		want   string
	}{
		{p.fast, func(*kinesis.Options) {}, "ListShards cbor-1.1"},
		{p.fast, kinesiscbor.Enable, "ListShards cbor-1.1"},
		{p.fast, kinesiscbor.Disable, "ListShards json-1.1"},
		{kinesis.New(p.fast.Options(), kinesiscbor.Enable, kinesiscbor.Disable), kinesiscbor.Disable, "ListShards json-1.1"},
		{kinesis.New(p.fast.Options(), kinesiscbor.Disable), kinesiscbor.Enable, "ListShards cbor-1.1"},
	} {
		if _, err := c.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: name}, c.call); err != nil {
			t.Fatal(err)
		}
		if got := p.sent.all[len(p.sent.all)-1]; got != c.want {
			t.Errorf("request %q, want %q", got, c.want)
		}
	}
}

// subscribe begins a subscription of a new consumer.
func subscribe(t *testing.T, c *kinesis.Client, consumer string) *kinesis.SubscribeToShardEventStream {
	t.Helper()
	registered, err := c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s"), ConsumerName: &consumer})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
		ConsumerARN: registered.Consumer.ConsumerARN, ShardId: aws.String("shardId-000000000000"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.GetStream()
}

// events reads a subscription to its end.
func events(t *testing.T, s *kinesis.SubscribeToShardEventStream) (records []types.Record, last types.SubscribeToShardEvent, err error) {
	t.Helper()
	for e := range s.Events() {
		last = e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		records = append(records, last.Records...)
	}
	return records, last, s.Close()
}

func TestSubscriptionsBringWhatThePlainClientGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, localstream.Options{}, 1)
		for i := range 30 {
			if _, err := p.fast.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: name, Data: bytes.Repeat([]byte{byte(i)}, 100_000)}); err != nil {
				t.Fatal(err)
			}
		}
		fast, plain := subscribe(t, p.fast, "fast"), subscribe(t, p.plain, "plain")
		time.Sleep(7 * time.Second) // long enough for an event without records
		if _, err := p.fast.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: name, ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1000")}); err != nil {
			t.Fatal(err)
		}
		got, gotLast, err := events(t, fast)
		want, wantLast, err2 := events(t, plain)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if len(got) != 30 {
			t.Errorf("%d records", len(got))
		}
		sameRecords(t, got, want)
		if len(gotLast.ChildShards) != 2 || gotLast.ContinuationSequenceNumber != nil || !reflect.DeepEqual(gotLast.ChildShards, wantLast.ChildShards) {
			t.Errorf("last event %+v, want %+v", gotLast, wantLast)
		}
	})
}

func TestManySubscriptionsOfOneClientAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, localstream.Options{}, 1)
		var all sync.WaitGroup
		for i := range 10 {
			s := subscribe(t, p.fast, fmt.Sprint("c", i))
			all.Go(func() {
				if records, _, err := events(t, s); err != nil || len(records) != 100 {
					t.Errorf("%d records, %v", len(records), err)
				}
			})
		}
		for range 100 {
			if _, err := p.fast.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: name, Data: []byte("d")}); err != nil {
				t.Fatal(err)
			}
		}
		all.Wait()
	})
}

func TestASubscriptionEndsWithTheServicesError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, localstream.Options{}, 1)
		fast, plain := subscribe(t, p.fast, "fast"), subscribe(t, p.plain, "plain")
		if _, err := p.fast.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: name, EnforceConsumerDeletion: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		_, _, got := events(t, fast)
		_, _, want := events(t, plain)
		g, ok := errors.AsType[*types.ResourceNotFoundException](got)
		w, ok2 := errors.AsType[*types.ResourceNotFoundException](want)
		if !ok || !ok2 || g.ErrorMessage() != w.ErrorMessage() || g.ErrorMessage() == "" {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// answers is an HTTP client that always answers the same.
type answers struct {
	status int
	header http.Header
	body   string
	length int64
}

func (a answers) Do(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: a.length, Request: req}, nil
}

func TestAnswersThatAreWrongAreErrors(t *testing.T) {
	cbor := http.Header{"Content-Type": {"application/x-amz-cbor-1.1"}}
	good := "\xa1\x67Records\x81\xa1\x64Data\x41d"
	for what, c := range map[string]struct {
		answers
		want string // in the error, none if it is ""
	}{
		"in order":                  {answers{200, cbor, good, int64(len(good))}, ""},
		"of unknown length":         {answers{200, cbor, good, -1}, ""},
		"with a parameter":          {answers{200, http.Header{"Content-Type": {"application/x-amz-cbor-1.1; charset=utf-8"}}, good, -1}, ""},
		"in JSON":                   {answers{200, http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, `{"Records":[{"Data":"ZA=="}]}`, -1}, ""},
		"empty":                     {answers{200, cbor, "", 0}, "no records"},
		"cut off":                   {answers{200, cbor, good[:8], int64(len(good))}, "unexpected EOF"},
		"cut off, length unknown":   {answers{200, cbor, good[:8], -1}, "longer than what is left"},
		"far too long":              {answers{200, cbor, good, 1 << 40}, "want at most"},
		"something else":            {answers{200, cbor, "<html>", -1}, "want a map"},
		"an error of bad CBOR":      {answers{400, cbor, "\xa1", -1}, "decode the error"},
		"an error without a body":   {answers{500, cbor, "", 0}, "UnknownError"},
		"an error by header":        {answers{400, http.Header{"Content-Type": cbor["Content-Type"], "X-Amzn-Errortype": {"ExpiredIteratorException:http://x"}}, "", 0}, "ExpiredIteratorException"},
		"an error with a namespace": {answers{400, cbor, "\xa2\x66__type\x78\x28com.amazon.kinesis#AccessDeniedException\x67message\x62no", -1}, "AccessDeniedException: no"},
		"an error with Message":     {answers{400, cbor, "\xa2\x66__type\x76SerializationException\x67Message\x62no", -1}, "SerializationException: no"},
	} {
		client := kinesis.New(kinesis.Options{Region: "us-east-1", HTTPClient: c.answers, Retryer: aws.NopRetryer{}, Credentials: aws.AnonymousCredentials{}}, kinesiscbor.Enable)
		out, err := client.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: name})
		if err == nil && (len(out.Records) != 1 || string(out.Records[0].Data) != "d") {
			err = errors.New("no records")
		}
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// inTurn is an HTTP client that gives one answer after the other.
type inTurn []answers

func (c *inTurn) Do(req *http.Request) (*http.Response, error) {
	now := (*c)[0]
	*c = (*c)[1:]
	return now.Do(req)
}

func TestAPageHasNothingOfAnAttemptThatFailed(t *testing.T) {
	cbor := http.Header{"Content-Type": {"application/x-amz-cbor-1.1"}}
	bad, good := "\xa2\x67Records\x81\xa1\x64Data\x41e\x61a\xff", "\xa1\x67Records\x81\xa1\x64Data\x41d"
	always := func(o *retry.StandardOptions) {
		o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(error) aws.Ternary { return aws.TrueTernary })}
		o.MaxBackoff = time.Nanosecond
	}
	for what, second := range map[string]answers{
		"of known length":   {200, cbor, good, int64(len(good))},
		"of unknown length": {200, cbor, good, -1},
		"in JSON":           {200, http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, `{"Records":[{"Data":"ZA=="}]}`, -1},
	} {
		client := kinesis.New(kinesis.Options{
			Region: "us-east-1", HTTPClient: &inTurn{{200, cbor, bad, int64(len(bad))}, second},
			Retryer: retry.NewStandard(always), Credentials: aws.AnonymousCredentials{},
		}, kinesiscbor.Enable)
		var page kinesiscbor.Page
		out, err := client.GetRecords(kinesiscbor.ReadInto(t.Context(), &page), &kinesis.GetRecordsInput{ShardIterator: name})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		var got []string
		for _, r := range page.Records {
			got = append(got, string(r.Data))
		}
		for _, r := range out.Records {
			got = append(got, string(r.Data))
		}
		if !slices.Equal(got, []string{"d"}) {
			t.Errorf("%s: records %q, want only that of the second answer", what, got)
		}
	}
}
