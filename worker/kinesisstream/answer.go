package kinesisstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// failed wraps an error of the service, with missing if that is a ResourceNotFound and with worker.ErrThrottled if it
// wants fewer calls.
func failed(doing string, err, missing error) error {
	switch {
	case missing != nil && is[*types.ResourceNotFoundException](err):
		return fmt.Errorf("%s: %w: %w", doing, missing, err)
	case throttled(err):
		return fmt.Errorf("%s: %w: %w", doing, worker.ErrThrottled, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// is reports whether err is, or wraps, an error of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func throttled(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	_, known := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	return known || is[*types.KMSThrottlingException](err)
}

// serviceTime is the service's time when it worked on a call, from the answer's Date, to the second and rather early
// than late: the Date may have been written as long after the work as the call took. Without a Date it is the time at
// which we sent the call.
func (s *Stream) serviceTime(m middleware.Metadata, sent time.Time) time.Time {
	t := sent
	if date, ok := awsmiddleware.GetServerTime(m); ok {
		t = date.Add(-s.o.Clock.Since(sent))
	}
	return t.Truncate(time.Second)
}

func shardOf(sh *types.Shard) (record.Shard, error) {
	keys, err := rangeOf(sh.HashKeyRange)
	if err == nil && (aws.ToString(sh.ShardId) == "" || sh.SequenceNumberRange == nil) {
		err = errors.New("no id or no sequence number range")
	}
	if err != nil {
		return record.Shard{}, fmt.Errorf("the answer describes shard %q badly: %w", aws.ToString(sh.ShardId), err)
	}
	out := record.Shard{
		ID:    *sh.ShardId,
		Range: keys,
		First: record.SequenceNumber(aws.ToString(sh.SequenceNumberRange.StartingSequenceNumber)),
		Last:  record.SequenceNumber(aws.ToString(sh.SequenceNumberRange.EndingSequenceNumber)),
	}
	for _, parent := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
		if aws.ToString(parent) != "" {
			out.Parents = append(out.Parents, *parent)
		}
	}
	return out, nil
}

// childrenOf reads the ChildShards of a shard's last answer. Children without parents are no children.
func childrenOf(list []types.ChildShard) ([]record.Shard, error) {
	var children []record.Shard
	for _, c := range list {
		keys, err := rangeOf(c.HashKeyRange)
		if err == nil && (aws.ToString(c.ShardId) == "" || len(c.ParentShards) == 0) {
			err = errors.New("no id or no parents")
		}
		if err != nil {
			return nil, fmt.Errorf("the answer describes child shard %q badly: %w", aws.ToString(c.ShardId), err)
		}
		children = append(children, record.Shard{ID: *c.ShardId, Parents: c.ParentShards, Range: keys})
	}
	return children, nil
}

func rangeOf(r *types.HashKeyRange) (record.HashKeyRange, error) {
	if r == nil {
		return record.HashKeyRange{}, errors.New("no hash key range")
	}
	start, err := record.ParseHashKey(aws.ToString(r.StartingHashKey))
	if err != nil {
		return record.HashKeyRange{}, err
	}
	end, err := record.ParseHashKey(aws.ToString(r.EndingHashKey))
	return record.HashKeyRange{Start: start, End: end}, err
}

func recordsOf(list []types.Record) []record.Record {
	records := make([]record.Record, len(list))
	for i := range list {
		r := &list[i]
		records[i] = record.Record{
			SequenceNumber: record.SequenceNumber(aws.ToString(r.SequenceNumber)),
			PartitionKey:   aws.ToString(r.PartitionKey),
			Data:           r.Data,
			ArrivalTime:    aws.ToTime(r.ApproximateArrivalTimestamp),
			EncryptionType: string(r.EncryptionType),
		}
	}
	return records
}
