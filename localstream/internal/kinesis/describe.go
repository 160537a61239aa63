package kinesis

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
	"github.com/shoal-stream/shoal/record"
)

// maxDescribed is the most shards in an answer of DescribeStream, and streams in one of ListStreams.
const maxDescribed = 100

type describeStreamInput struct {
	streamRef
	Limit                 *int32  `range:"1..10000"`
	ExclusiveStartShardId *string `len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
}

func (s *Service) describeStream(_ context.Context, in *describeStreamInput) (any, error) {
	st, err := s.find(&in.streamRef)
	if err != nil {
		return nil, err
	}
	now := s.now()
	limit := maxDescribed
	if in.Limit != nil {
		limit = min(limit, int(*in.Limit))
	}
	after := int64(-1)
	if in.ExclusiveStartShardId != nil {
		index, ok := shardIndex(*in.ExclusiveStartShardId)
		if !ok {
			return nil, s.couldNotFindShard(st.Name, *in.ExclusiveStartShardId)
		}
		after = int64(index)
	}
	shards, more := s.listed(st, now, after, limit, func(*shard) bool { return true })
	arn, created := s.arn(st.Name), time.UnixMilli(st.Created)
	encryption, key := st.encryption()
	return &kinesis.DescribeStreamOutput{StreamDescription: &types.StreamDescription{
		StreamName: &st.Name, StreamARN: &arn, StreamStatus: types.StreamStatus(st.state(now)),
		StreamModeDetails: mode(st), Shards: shards, HasMoreShards: &more, RetentionPeriodHours: &st.Retention,
		StreamCreationTimestamp: &created, EnhancedMonitoring: st.monitoring(), EncryptionType: encryption, KeyId: key,
	}}, nil
}

type describeStreamSummaryInput struct{ streamRef }

func (s *Service) describeStreamSummary(_ context.Context, in *describeStreamSummaryInput) (any, error) {
	st, err := s.find(&in.streamRef)
	if err != nil {
		return nil, err
	}
	now := s.now()
	arn, created := s.arn(st.Name), time.UnixMilli(st.Created)
	encryption, key := st.encryption()
	open, size := int32(len(st.open())), int32(st.MaxRecord)
	registered, _ := st.consumers(now)
	consumers := int32(registered)
	if st.state(now) == creating {
		open = 0
	}
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{
		StreamName: &st.Name, StreamARN: &arn, StreamStatus: types.StreamStatus(st.state(now)),
		StreamModeDetails: mode(st), OpenShardCount: &open, ConsumerCount: &consumers, RetentionPeriodHours: &st.Retention,
		StreamCreationTimestamp: &created, EnhancedMonitoring: st.monitoring(), EncryptionType: encryption, KeyId: key,
		MaxRecordSizeInKiB: &size, WarmThroughput: st.warmth(now), RecordDistributionStrategy: st.distribution(),
	}}, nil
}

func mode(st *stream) *types.StreamModeDetails {
	return &types.StreamModeDetails{StreamMode: types.StreamMode(st.Mode)}
}

// listed describes up to limit of the stream's shards behind an index, oldest first, that are still listed and that
// want is true of; more tells that there are others behind them.
func (s *Service) listed(st *stream, now time.Time, after int64, limit int, want func(*shard) bool) (shards []types.Shard, more bool) {
	shards = []types.Shard{}
	if st.state(now) == creating || st.Unborn {
		return shards, false
	}
	horizon := st.horizon(now)
	for i := range st.Shards {
		sh := &st.Shards[i]
		if int64(sh.Index) <= after || sh.gone(horizon) || !want(sh) {
			continue
		}
		if len(shards) == limit {
			return shards, true
		}
		shards = append(shards, sh.describe())
	}
	return shards, false
}

func (sh *shard) describe() types.Shard {
	id, first := sh.id(), sh.first().String()
	d := types.Shard{ShardId: &id, HashKeyRange: hashKeyRange(sh.Range), SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: &first}}
	if sh.Closed != 0 {
		last := sh.last().String()
		d.SequenceNumberRange.EndingSequenceNumber = &last
	}
	if sh.Parent != nil {
		parent := shardID(*sh.Parent)
		d.ParentShardId = &parent
	}
	if sh.Adjacent != nil {
		adjacent := shardID(*sh.Adjacent)
		d.AdjacentParentShardId = &adjacent
	}
	return d
}

func (sh *shard) parents() []string {
	var ids []string
	for _, index := range []*uint32{sh.Parent, sh.Adjacent} {
		if index != nil {
			ids = append(ids, shardID(*index))
		}
	}
	return ids
}

func hashKeyRange(r record.HashKeyRange) *types.HashKeyRange {
	start, end := r.Start.String(), r.End.String()
	return &types.HashKeyRange{StartingHashKey: &start, EndingHashKey: &end}
}

type listStreamsInput struct {
	Limit                    *int32  `range:"1..10000"`
	ExclusiveStartStreamName *string `len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	NextToken                *string `len:"1..1048576"`
}

func (s *Service) listStreams(_ context.Context, in *listStreamsInput) (any, error) {
	limit, after := maxDescribed, ""
	if in.Limit != nil {
		limit = min(limit, int(*in.Limit))
	}
	if in.ExclusiveStartStreamName != nil {
		after = *in.ExclusiveStartStreamName
	}
	if in.NextToken != nil {
		t, err := s.openToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		after = t.Name
	}
	now, all := s.now(), s.streams()
	out := &kinesis.ListStreamsOutput{StreamNames: []string{}, HasMoreStreams: new(bool), StreamSummaries: []types.StreamSummary{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		st := all[name]
		state := st.state(now)
		if name <= after || state == "" {
			continue
		}
		if len(out.StreamNames) == limit {
			*out.HasMoreStreams = true
			token := s.sealToken(listToken{Name: out.StreamNames[limit-1]})
			out.NextToken = &token
			break
		}
		arn, created := s.arn(name), time.UnixMilli(st.Created)
		out.StreamNames = append(out.StreamNames, name)
		out.StreamSummaries = append(out.StreamSummaries, types.StreamSummary{
			StreamName: &st.Name, StreamARN: &arn, StreamStatus: types.StreamStatus(state), StreamModeDetails: mode(st), StreamCreationTimestamp: &created,
		})
	}
	return out, nil
}

// badToken is the answer to a NextToken that is not ours.
func badToken() error { return wire.Errorf(invalidArgument, "NextToken is invalid.") }
