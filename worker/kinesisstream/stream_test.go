package kinesisstream

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/internal/streamtest"
)

func TestConformance(t *testing.T) {
	for how, c := range map[string]struct {
		name string
		sdk  bool
	}{"by name": {"s", false}, "by ARN": {streamARN, false}, "in JSON": {"s", true}} {
		t.Run(how, func(t *testing.T) {
			streamtest.Run(t, func(t *testing.T, shards int) streamtest.Backend {
				f := newFake(t, shards)
				return streamtest.Backend{
					Stream: New(f.client(), c.name, Options{Limit: streamtest.PageRecords, SDKCodec: c.sdk}),
					Put: func(t *testing.T, h record.HashKey, data string) (string, record.SequenceNumber) {
						id, seq, err := f.stream.PutTo(h, "key", []byte(data))
						if err != nil {
							t.Fatal(err)
						}
						return id, seq
					},
					Split: func(t *testing.T, id string, at record.HashKey) {
						if _, _, err := f.stream.Split(id, at); err != nil {
							t.Fatal(err)
						}
					},
					Merge: func(t *testing.T, a, b string) {
						if _, err := f.stream.Merge(a, b); err != nil {
							t.Fatal(err)
						}
					},
				}
			})
		})
	}
}

func TestNewTakesNamesAndARNs(t *testing.T) {
	f := newFake(t, 1)
	for given, name := range map[string]string{"s": "s", "a.b_C-9": "a.b_C-9", streamARN: "s", "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/x.y": "x.y"} {
		if s := New(f.client(), given); s.Name() != name || s.err != nil {
			t.Errorf("New(%q): name %q, %v", given, s.Name(), s.err)
		}
	}
}

func TestBadArgumentsAreNamedByEveryCall(t *testing.T) {
	f := newFake(t, 1)
	for want, s := range map[string]*Stream{
		"Kinesis client":          New(nil, "s"),
		`""`:                      New(f.client(), ""),
		"a b":                     New(f.client(), "a b"),
		strings.Repeat("x", 129):  New(f.client(), strings.Repeat("x", 129)),
		"arn:nonsense":            New(f.client(), "arn:nonsense"),
		"arn:aws:s3:::bucket/key": New(f.client(), "arn:aws:s3:::bucket/key"),
		"Limit 10001":             New(f.client(), "s", Options{Limit: 10001}),
		"Limit -1":                New(f.client(), "s", Options{Limit: -1}),
	} {
		_, err1 := s.Identify(t.Context())
		_, _, err2 := s.Shards(t.Context(), record.Latest)
		_, err3 := s.Open("shardId-000000000000", record.Latest).Read(t.Context())
		for _, err := range []error{err1, err2, err3} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not name %s", err, want)
			}
		}
	}
	f.wantOps()
}

func TestPaceIsKinesisUnlessSaidOtherwise(t *testing.T) {
	f := newFake(t, 1)
	if p := New(f.client(), "s").Pace(); p != (worker.Pace{PerSecond: 5, Idle: time.Second, Timeout: 30 * time.Second}) {
		t.Errorf("pace %+v", p)
	}
	if p := New(f.client(), "s", Options{Pace: worker.Pace{PerSecond: 2}}).Pace(); p != (worker.Pace{PerSecond: 2, Idle: time.Second, Timeout: 30 * time.Second}) {
		t.Errorf("pace %+v", p)
	}
}

func TestOneCallIsOneAttemptAndLeavesTheGivenClientAlone(t *testing.T) {
	f := newFake(t, 1)
	given := kinesis.New(f.client().Options(), func(o *kinesis.Options) { o.RetryMaxAttempts = 7 })
	s := New(given, "s")
	f.setAnswer(func(call) *reply { return &reply{code: "InternalFailure", status: 500} })
	for range 100 { // more than the SDK's retry quota bears
		if _, err := s.Identify(t.Context()); err == nil {
			t.Fatal("no error")
		}
	}
	if n := len(f.ops()); n != 100 {
		t.Errorf("%d attempts for 100 calls", n)
	}
	if o := given.Options(); o.RetryMaxAttempts != 7 || o.Retryer.MaxAttempts() != 7 {
		t.Errorf("the given client now makes %d attempts", o.Retryer.MaxAttempts())
	}
}

func TestErrorsTellTheWorkerWhatToDo(t *testing.T) {
	sentinels := []error{worker.ErrThrottled, worker.ErrNoStream, worker.ErrShardGone}
	for _, c := range []struct {
		code       string
		list, read error // what Shards and Read are to wrap
	}{
		{"ProvisionedThroughputExceededException", worker.ErrThrottled, worker.ErrThrottled},
		{"LimitExceededException", worker.ErrThrottled, worker.ErrThrottled},
		{"ThrottlingException", worker.ErrThrottled, worker.ErrThrottled},
		{"KMSThrottlingException", worker.ErrThrottled, worker.ErrThrottled},
		{"ResourceNotFoundException", worker.ErrNoStream, worker.ErrShardGone},
		{"KMSNotFoundException", nil, nil},
		{"AccessDeniedException", nil, nil},
		{"InternalFailure", nil, nil},
		{"ExpiredIteratorException", nil, nil},
		{"InvalidArgumentException", nil, nil},
	} {
		t.Run(c.code, func(t *testing.T) {
			f := newFake(t, 1)
			s := New(f.client(), "s")
			f.setAnswer(func(got call) *reply {
				if got.op == "DescribeStreamSummary" || got.op == "GetShardIterator" {
					return nil
				}
				return refuse(c.code)
			})
			_, _, listErr := s.Shards(t.Context(), record.Position{})
			_, readErr := s.Open("shardId-000000000000", record.TrimHorizon).Read(t.Context())
			for _, sentinel := range sentinels {
				if errors.Is(listErr, sentinel) != (sentinel == c.list) || errors.Is(readErr, sentinel) != (sentinel == c.read) {
					t.Errorf("%v: Shards %v, Read %v", sentinel, listErr, readErr)
				}
			}
			for _, err := range []error{listErr, readErr} {
				if err == nil || !strings.Contains(err.Error(), c.code) {
					t.Errorf("error %v does not tell %s", err, c.code)
				}
			}
		})
	}
}

func TestAMissingShardIsToldFromAMissingStream(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		answer *reply // to DescribeStreamSummary
		want   error
	}{
		"stream active":    {"ACTIVE", nil, worker.ErrShardGone},
		"stream updating":  {"UPDATING", nil, worker.ErrShardGone},
		"stream deleting":  {"DELETING", nil, worker.ErrNoStream},
		"stream missing":   {"", refuse("ResourceNotFoundException"), worker.ErrNoStream},
		"being made again": {"CREATING", nil, nil},
		"not to be known":  {"", &reply{code: "InternalFailure", status: 500}, nil},
		"asked too often":  {"", refuse("LimitExceededException"), worker.ErrThrottled},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 1)
			f.status = c.status
			f.setAnswer(func(got call) *reply {
				if got.op == "DescribeStreamSummary" {
					return c.answer
				}
				return refuse("ResourceNotFoundException")
			})
			_, err := New(f.client(), "s").Open("shardId-000000000000", record.TrimHorizon).Read(t.Context())
			for _, sentinel := range []error{worker.ErrThrottled, worker.ErrNoStream, worker.ErrShardGone} {
				if errors.Is(err, sentinel) != (sentinel == c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			}
			if err == nil {
				t.Error("no error")
			}
		})
	}
	f := newFake(t, 1)
	if _, err := New(f.client(), "unknown").Identify(t.Context()); !errors.Is(err, worker.ErrNoStream) {
		t.Errorf("Identify of an unknown stream: %v", err)
	}
}

func TestALongListingNamesTheStreamOnce(t *testing.T) {
	f := newFake(t, 2300)
	shards, _, err := New(f.client(), streamARN).Shards(t.Context(), record.AtTimestamp(time.Now()))
	if err != nil || len(shards) != 2300 {
		t.Fatalf("%d shards, %v", len(shards), err)
	}
	for i, c := range f.calls {
		named := c.in.StreamARN == streamARN && c.in.StreamName == "" && c.in.ShardFilter != nil && c.in.NextToken == ""
		next := c.in.StreamARN == "" && c.in.StreamName == "" && c.in.ShardFilter == nil && c.in.NextToken != ""
		if i == 0 && !named || i > 0 && !next {
			t.Errorf("page %d asked for by %+v", i, c.in)
		}
	}
	f.wantOps("ListShards", "ListShards", "ListShards")
	f.setAnswer(func(c call) *reply {
		if c.in.NextToken != "" {
			return refuse("ExpiredNextTokenException")
		}
		return nil
	})
	if shards, _, err := New(f.client(), "s").Shards(t.Context(), record.Position{}); err == nil || shards != nil {
		t.Errorf("with its second page lost the listing is %d shards, %v", len(shards), err)
	}
}

func TestTheTimeOfAListingIsNotLaterThanItsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(700 * time.Millisecond)
		f := newFake(t, 2300)
		s := New(f.client(), "s")
		for _, noDate := range []bool{false, true} {
			f.noDate = noDate
			start := time.Now()
			f.setAnswer(func(c call) *reply {
				r := f.serve(c) // the work is done first, then the answer takes its time
				r.after = 3 * time.Second
				return r
			})
			_, now, err := s.Shards(t.Context(), record.Position{})
			if err != nil || now.After(start) || now.Before(start.Add(-2*time.Second)) || now.Nanosecond() != 0 {
				t.Errorf("without date %v: now %v for a listing asked for at %v, %v", noDate, now, start, err)
			}
		}
	})
}

func TestIncompleteAnswersAreErrors(t *testing.T) {
	type m = map[string]any
	keys := m{"StartingHashKey": "0", "EndingHashKey": "9"}
	numbers := m{"StartingSequenceNumber": "1"}
	for name, body := range map[string]any{
		"no summary":           m{},
		"no ARN":               m{"StreamDescriptionSummary": m{"StreamName": "s", "StreamCreationTimestamp": 1}},
		"no creation time":     m{"StreamDescriptionSummary": m{"StreamARN": streamARN}},
		"no iterator":          m{},
		"shard without id":     m{"Shards": []m{{"HashKeyRange": keys, "SequenceNumberRange": numbers}}},
		"shard without range":  m{"Shards": []m{{"ShardId": "a", "SequenceNumberRange": numbers}}},
		"shard with bad range": m{"Shards": []m{{"ShardId": "a", "SequenceNumberRange": numbers, "HashKeyRange": m{"StartingHashKey": "0", "EndingHashKey": "x"}}}},
		"shard of no numbers":  m{"Shards": []m{{"ShardId": "a", "HashKeyRange": keys}}},
	} {
		f := newFake(t, 1)
		f.setAnswer(func(call) *reply { return &reply{body: body} })
		s := New(f.client(), "s")
		var err error
		switch {
		case strings.HasPrefix(name, "shard"):
			_, _, err = s.Shards(t.Context(), record.Position{})
		case name == "no iterator":
			_, err = s.Open("shardId-000000000000", record.TrimHorizon).Read(t.Context())
		default:
			_, err = s.Identify(t.Context())
		}
		if err == nil || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestReadsEndWithTheirContext(t *testing.T) {
	f := newFake(t, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	f.setAnswer(func(c call) *reply {
		cancel(errors.New("stop"))
		return &reply{err: http.ErrHandlerTimeout}
	})
	_, err := New(f.client(), "s").Open("shardId-000000000000", record.TrimHorizon).Read(ctx)
	if !errors.Is(err, context.Canceled) && !errors.Is(err, http.ErrHandlerTimeout) {
		t.Errorf("Read = %v", err)
	}
	if ops := f.ops(); !slices.Equal(ops, []string{"TRIM_HORIZON"}) {
		t.Errorf("calls %v", ops)
	}
}
