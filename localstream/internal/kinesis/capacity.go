package kinesis

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// maxWarm is the most warm throughput of a stream, in MiB/s.
const maxWarm = 10 << 10

// byKey and auto are the record distribution strategies.
const (
	byKey = "USER_PARTITION_KEY"
	auto  = "AUTO"
)

type updateStreamModeInput struct {
	StreamARN           *string            `required:"true" len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"`
	StreamId            *string            `len:"1..24" pattern:"[a-z0-9]{20}-[a-z0-9]{3}"`
	StreamModeDetails   *streamModeDetails `required:"true"`
	WarmThroughputMiBps *int32             `range:"0.."`
}

// updateStreamMode changes how the stream's capacity is managed; its shards stay as they are.
func (s *Service) updateStreamMode(ctx context.Context, in *updateStreamModeInput) (any, error) {
	mode := *in.StreamModeDetails.StreamMode
	return nil, s.amend(ctx, &streamRef{StreamARN: in.StreamARN}, func(next *stream, now time.Time) error {
		if next.Mode == mode {
			return wire.Errorf(invalidArgument, "Stream %s under account %s is already in mode %s.", next.Name, s.o.Account, mode)
		}
		var err error
		if next.ModeChanges, err = s.today(next, "UpdateStreamMode", next.ModeChanges, maxModeChanges, now); err != nil {
			return err
		}
		next.Mode, next.Distribution = mode, ""
		if mode == onDemand {
			if err := s.roomForOnDemand(now); err != nil {
				return err
			}
		}
		if in.WarmThroughputMiBps != nil {
			return s.warm(next, *in.WarmThroughputMiBps, now)
		}
		next.Warm, next.WarmBefore = 0, 0
		return nil
	})
}

type updateStreamWarmThroughputInput struct {
	streamRef
	WarmThroughputMiBps *int32 `required:"true" range:"0.."`
}

func (s *Service) updateStreamWarmThroughput(ctx context.Context, in *updateStreamWarmThroughputInput) (any, error) {
	var out kinesis.UpdateStreamWarmThroughputOutput
	err := s.amend(ctx, &in.streamRef, func(next *stream, now time.Time) error {
		if err := s.warm(next, *in.WarmThroughputMiBps, now); err != nil {
			return err
		}
		arn := s.arn(next.Name)
		out = kinesis.UpdateStreamWarmThroughputOutput{StreamName: &next.Name, StreamARN: &arn, WarmThroughput: next.warmth(now)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// warm gives a stream that is being amended shards for that many MiB/s, at least as many as on-demand streams begin
// with.
func (s *Service) warm(next *stream, mibps int32, now time.Time) error {
	if err := s.mayWarm(next, mibps, now); err != nil {
		return err
	}
	shards := warmShards(mibps)
	if err := s.roomFor(now, int(shards)-len(next.open())); err != nil {
		return err
	}
	next.Warm = mibps
	next.rescale(now, shards)
	return nil
}

func warmShards(mibps int32) uint32 { return max(onDemandShards, uint32(mibps)) }

// mayWarm refuses a warm throughput that a stream cannot have. It runs on the store's writer.
func (s *Service) mayWarm(st *stream, mibps int32, now time.Time) error {
	switch {
	case st.Mode != onDemand:
		return wire.Errorf(invalidArgument, "Warm throughput is only supported for streams in On-Demand mode. Stream %s under account %s is in %s mode.", st.Name, s.o.Account, st.Mode)
	case !s.latestAccount.committed(now):
		return wire.Errorf(invalidArgument, "Warm throughput requires MinimumThroughputBillingCommitment to be enabled for account %s.", s.o.Account)
	case mibps > maxWarm:
		return wire.Errorf(limitExceeded, "WarmThroughputMiBps %d for stream %s under account %s exceeds the maximum of %d.", mibps, st.Name, s.o.Account, maxWarm)
	}
	return nil
}

// warmth is the stream's warm throughput as answers show it, nil if it has none.
func (st *stream) warmth(now time.Time) *types.WarmThroughputObject {
	target, current := st.Warm, st.Warm
	if st.state(now) == updating {
		current = st.WarmBefore
	}
	if target == 0 && current == 0 {
		return nil
	}
	return &types.WarmThroughputObject{TargetMiBps: &target, CurrentMiBps: &current}
}

type updateMaxRecordSizeInput struct {
	StreamARN          *string `len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"`
	StreamId           *string `len:"1..24" pattern:"[a-z0-9]{20}-[a-z0-9]{3}"`
	MaxRecordSizeInKiB *int32  `required:"true" range:"1024..10240"`
}

func (s *Service) updateMaxRecordSize(ctx context.Context, in *updateMaxRecordSizeInput) (any, error) {
	return nil, s.amend(ctx, &streamRef{StreamARN: in.StreamARN}, func(next *stream, _ time.Time) error {
		next.MaxRecord = int(*in.MaxRecordSizeInKiB)
		return nil
	})
}

type updateDistributionInput struct {
	StreamARN                  *string `required:"true" len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"`
	StreamId                   *string `len:"1..24" pattern:"[a-z0-9]{20}-[a-z0-9]{3}"`
	RecordDistributionStrategy *string `required:"true" enum:"AUTO, USER_PARTITION_KEY"`
}

// updateDistribution takes effect at once, without the stream being UPDATING.
func (s *Service) updateDistribution(ctx context.Context, in *updateDistributionInput) (any, error) {
	name, err := s.name(&streamRef{StreamARN: in.StreamARN})
	if err != nil {
		return nil, err
	}
	return nil, s.annotate(ctx, resource{stream: name}, func(next *stream) error {
		next.Distribution = *in.RecordDistributionStrategy
		return s.mayDistribute(next)
	})
}

// mayDistribute refuses AUTO for streams whose shards their owner manages.
func (s *Service) mayDistribute(st *stream) error {
	if st.Distribution == auto && st.Mode != onDemand {
		return wire.Errorf(invalidArgument, "RecordDistributionStrategy AUTO is only supported for streams in On-Demand mode. Stream %s under account %s is in %s mode.", st.Name, s.o.Account, st.Mode)
	}
	return nil
}

// distribution is the stream's strategy as descriptions show it: on-demand streams have one.
func (st *stream) distribution() types.RecordDistributionStrategy {
	switch {
	case st.Mode != onDemand:
		return ""
	case st.Distribution == "":
		return byKey
	default:
		return types.RecordDistributionStrategy(st.Distribution)
	}
}
