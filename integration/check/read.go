package check

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record"
)

// Read reads the whole stream with a plain SDK client: each shard from its oldest record to its end, or to the tip
// while it is open.
func Read(ctx context.Context, client *kinesis.Client, name string) (Stream, error) {
	var stream Stream
	in := &kinesis.ListShardsInput{StreamName: &name}
	for {
		out, err := client.ListShards(ctx, in, patient)
		if err != nil {
			return stream, fmt.Errorf("list shards of %s: %w", name, err)
		}
		for i := range out.Shards {
			s := shardOf(&out.Shards[i])
			if s.Records, err = readShard(ctx, client, name, s.ID); err != nil {
				return stream, err
			}
			stream.Shards = append(stream.Shards, s)
		}
		if out.NextToken == nil {
			return stream, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

// patient makes a call wait through throttling: a shard bears five reads a second.
func patient(o *kinesis.Options) { o.RetryMaxAttempts = 10 }

func shardOf(s *types.Shard) Shard {
	out := Shard{ID: aws.ToString(s.ShardId)}
	for _, parent := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if parent != nil {
			out.Parents = append(out.Parents, *parent)
		}
	}
	return out
}

func readShard(ctx context.Context, client *kinesis.Client, stream, shard string) ([]record.Record, error) {
	at, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}, patient)
	if err != nil {
		return nil, fmt.Errorf("get iterator of %s/%s: %w", stream, shard, err)
	}
	var records []record.Record
	for next := at.ShardIterator; next != nil; {
		page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next}, patient)
		if err != nil {
			return nil, fmt.Errorf("get records of %s/%s: %w", stream, shard, err)
		}
		for i := range page.Records {
			records = append(records, recordsOf(&page.Records[i])...)
		}
		next = page.NextShardIterator
		if aws.ToInt64(page.MillisBehindLatest) == 0 && len(page.ChildShards) == 0 && len(page.Records) == 0 {
			break // the tip of an open shard
		}
	}
	return records, nil
}

// recordsOf is a record of the service as a processor is to see it: opened if it is an aggregate.
func recordsOf(r *types.Record) []record.Record {
	whole := record.Record{
		SequenceNumber: record.SequenceNumber(aws.ToString(r.SequenceNumber)),
		PartitionKey:   aws.ToString(r.PartitionKey),
		Data:           r.Data,
		ArrivalTime:    aws.ToTime(r.ApproximateArrivalTimestamp),
		EncryptionType: string(r.EncryptionType),
	}
	if subs, ok := record.Deaggregate(whole); ok {
		return subs
	}
	return []record.Record{whole}
}
