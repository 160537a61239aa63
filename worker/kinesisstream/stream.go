// Package kinesisstream is the worker.Stream of Amazon Kinesis Data Streams, and of localstream, over the AWS SDK.
//
//	kinesisstream.New(kinesis.NewFromConfig(cfg), "earthquakes")
//
// It reads by polling: GetShardIterator once, then GetRecords with the iterator that each answer brings. With
// Options.FanOut it reads by enhanced fan-out instead: the service pushes records as they come, at a rate of their own.
package kinesisstream

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/internal/plainbody"
	"github.com/shoal-stream/shoal/internal/shortcut"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/kinesiscbor"
	"github.com/shoal-stream/shoal/worker"
)

// maxLimit is the most records that one GetRecords gives (Kinesis API reference, GetRecords).
const maxLimit = 10_000

// placingAtOnce bounds the calls of SubscribeToShard that a Stream has under way, so that a worker of a thousand shards
// does not drown its own renewals.
const placingAtOnce = 32

// Options are what may be changed about reading. The zero value is good.
type Options struct {
	// Pace is how the worker is to call. Each field that is zero has its default: 5 reads per second and shard, which
	// is the service's limit and shared by all applications; 1 s between reads of a shard that has nothing new; 30 s
	// for a read.
	Pace worker.Pace
	// Limit is the most records in a page that is polled, 1 to 10,000. The default goes by bytes: as many records as had
	// about 3 MiB in the page before. A page never exceeds 10 MiB.
	Limit int
	// FanOut is the name or the ARN of the consumer to read with by enhanced fan-out; the default is to poll. A consumer
	// of that name is registered when the first reader needs it, waited for, and left there; see Deregister. All workers
	// of an application share one, other applications need others. While the stream has as many consumers as it may have,
	// which the first Read to meet it returns as an error, readers poll, at the Pace, and every 5 minutes one tries to
	// register again.
	FanOut string
	// SDKCodec reads with the SDK's own codec, in JSON, in place of record/kinesiscbor, which costs a tenth of the CPU
	// time: for servers that do not speak CBOR 1.1.
	SDKCodec bool
	// Clock tells when iterators grow old.
	Clock clock.Clock
}

// Stream reads one Kinesis stream. It is safe for concurrent use.
type Stream struct {
	api      *kinesis.Client
	reads    *shortcut.Call // nil if every read goes through all of the SDK
	name     string
	arn      *string // nil if the stream was given by name
	o        Options
	consumer *consumer     // nil without fan-out
	placing  chan struct{} // a slot for each call of SubscribeToShard under way
	err      error         // what was wrong with New's arguments; every call returns it
}

var _ worker.Stream = (*Stream)(nil)

var validName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// New makes the Stream of a name or an ARN, with at most one Options. It does no I/O; what is wrong with the arguments
// is returned by every later call.
//
// The Stream calls through a client of its own with the options of api, except that it does not retry: the worker
// does, with back-off, and a storm of throttled reads must not use up the retries of others.
func New(api *kinesis.Client, nameOrARN string, options ...Options) *Stream {
	s := &Stream{name: nameOrARN}
	if len(options) > 0 {
		s.o = options[0]
	}
	s.o.Pace.PerSecond = cmp.Or(s.o.Pace.PerSecond, 5)
	s.o.Pace.Idle = cmp.Or(s.o.Pace.Idle, time.Second)
	s.o.Pace.Timeout = cmp.Or(s.o.Pace.Timeout, 30*time.Second)
	if strings.HasPrefix(nameOrARN, "arn:") {
		s.arn = &nameOrARN
		if parsed, err := arn.Parse(nameOrARN); err == nil {
			s.name = strings.TrimPrefix(parsed.Resource, "stream/")
		}
	}
	switch {
	case api == nil:
		s.err = fmt.Errorf("stream %s: no Kinesis client given", s.name)
	case !validName.MatchString(s.name):
		s.err = fmt.Errorf("%w: %.200q: want a name of 1 to 128 characters out of a-z, A-Z, 0-9, _ . -, or arn:…:stream/NAME", worker.ErrNoStream, nameOrARN)
	case s.o.FanOut != "" && badConsumer(s.o.FanOut) != nil:
		s.err = fmt.Errorf("stream %s: %w", s.name, badConsumer(s.o.FanOut))
	case s.o.Limit < 0 || s.o.Limit > maxLimit:
		s.err = fmt.Errorf("stream %s: Limit %d; want 0 for the default, or 1 to %d", s.name, s.o.Limit, maxLimit)
	default:
		options := api.Options()
		short := allowsShortcuts(&options)
		s.api = kinesis.New(options, func(o *kinesis.Options) {
			o.Retryer, o.HTTPClient = aws.NopRetryer{}, plainbody.Wrap(o.HTTPClient)
			o.APIOptions = append(slices.Clone(o.APIOptions), limitWaits(s.o.Clock, s.o.Pace.Timeout))
			if !s.o.SDKCodec {
				kinesiscbor.Enable(o)
			}
			if short {
				o.AuthSchemes = shortcut.Noting(o.AuthSchemes)
			}
		})
		if short {
			own := s.api.Options()
			s.reads = newReads(&own, s.o.Clock)
		}
		if s.o.FanOut != "" {
			s.consumer, s.placing = newConsumer(s, s.o.FanOut), make(chan struct{}, placingAtOnce)
		}
	}
	return s
}

// Name is the stream's name, also if it was given by ARN.
func (s *Stream) Name() string { return s.name }

// Pace is that of the Options, or none with fan-out, when Read waits by itself.
func (s *Stream) Pace() worker.Pace {
	if s.o.FanOut != "" {
		return worker.Pace{}
	}
	return s.o.Pace
}

// byName and byARN are the two ways to say which stream; one of them is nil.
func (s *Stream) byName() *string {
	if s.arn != nil {
		return nil
	}
	return &s.name
}

func (s *Stream) byARN() *string { return s.arn }

// Identify asks DescribeStreamSummary.
func (s *Stream) Identify(ctx context.Context) (worker.Identity, error) {
	if s.err != nil {
		return worker.Identity{}, s.err
	}
	d, err := s.describe(ctx)
	if err != nil {
		return worker.Identity{}, failed("identifying stream "+s.name, err, worker.ErrNoStream)
	}
	parsed, err := arn.Parse(aws.ToString(d.StreamARN))
	if err != nil || d.StreamCreationTimestamp == nil {
		return worker.Identity{}, fmt.Errorf("identifying stream %s: the answer has ARN %q and creation time %v; want both",
			s.name, aws.ToString(d.StreamARN), d.StreamCreationTimestamp)
	}
	return worker.Identity{
		Account:   parsed.AccountID,
		Name:      s.name,
		Epoch:     d.StreamCreationTimestamp.Unix(),
		Retention: time.Duration(aws.ToInt32(d.RetentionPeriodHours)) * time.Hour,
	}, nil
}

func (s *Stream) describe(ctx context.Context) (*types.StreamDescriptionSummary, error) {
	out, err := s.api.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: s.byName(), StreamARN: s.byARN()})
	if err != nil {
		return nil, err
	}
	if out.StreamDescriptionSummary == nil {
		return nil, fmt.Errorf("the answer has no StreamDescriptionSummary")
	}
	return out.StreamDescriptionSummary, nil
}

// Shards asks ListShards, all pages. The time is the service's when the first page was asked for, to the second.
func (s *Stream) Shards(ctx context.Context, at record.Position) (shards []record.Shard, now time.Time, err error) {
	if s.err != nil {
		return nil, time.Time{}, s.err
	}
	filter, err := shardFilter(at)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("listing the shards of stream %s: %w", s.name, err)
	}
	in := &kinesis.ListShardsInput{StreamName: s.byName(), StreamARN: s.byARN(), ShardFilter: filter}
	for {
		sent := s.o.Clock.Now()
		out, err := s.api.ListShards(ctx, in)
		if err != nil {
			return nil, time.Time{}, failed("listing the shards of stream "+s.name, err, worker.ErrNoStream)
		}
		if now.IsZero() {
			now = s.serviceTime(out.ResultMetadata, sent)
		}
		for i := range out.Shards {
			sh, err := shardOf(&out.Shards[i])
			if err != nil {
				return nil, time.Time{}, fmt.Errorf("listing the shards of stream %s: %w", s.name, err)
			}
			shards = append(shards, sh)
		}
		if aws.ToString(out.NextToken) == "" {
			return shards, now, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // which excludes all that names the stream
	}
}

func shardFilter(at record.Position) (*types.ShardFilter, error) {
	switch at.Kind() {
	case record.KindNone:
		return nil, nil
	case record.KindTrimHorizon:
		return &types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}, nil
	case record.KindLatest:
		return &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}, nil
	case record.KindAtTimestamp:
		return &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: aws.Time(at.Time())}, nil
	default:
		return nil, fmt.Errorf("position %v; want none, TRIM_HORIZON, LATEST or AT_TIMESTAMP", at)
	}
}
