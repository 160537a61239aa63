package fleet

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// ShardID is the ID of the nth shard that a stream got, from 0.
func ShardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

// Split splits the nth shard in the middle, and waits until the stream is active again.
func (f *Fleet) Split(ctx context.Context, n int) error {
	out, err := f.site.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &f.Name})
	if err != nil {
		return fmt.Errorf("split a shard of %s: %w", f.Name, err)
	}
	for _, s := range out.Shards {
		if aws.ToString(s.ShardId) != ShardID(n) {
			continue
		}
		begin, _ := new(big.Int).SetString(aws.ToString(s.HashKeyRange.StartingHashKey), 10)
		end, _ := new(big.Int).SetString(aws.ToString(s.HashKeyRange.EndingHashKey), 10)
		middle := begin.Add(begin, end)
		middle.Rsh(middle.Add(middle, big.NewInt(1)), 1)
		_, err := f.site.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{
			StreamName: &f.Name, ShardToSplit: s.ShardId, NewStartingHashKey: aws.String(middle.String()),
		})
		if err != nil {
			return fmt.Errorf("split %s of %s: %w", ShardID(n), f.Name, err)
		}
		f.say("%s is split", ShardID(n))
		return f.active(ctx)
	}
	return fmt.Errorf("the stream %s has no shard %s", f.Name, ShardID(n))
}

// Merge merges two neighbours, and waits until the stream is active again.
func (f *Fleet) Merge(ctx context.Context, n, next int) error {
	_, err := f.site.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: &f.Name, ShardToMerge: aws.String(ShardID(n)), AdjacentShardToMerge: aws.String(ShardID(next)),
	})
	if err != nil {
		return fmt.Errorf("merge %s and %s of %s: %w", ShardID(n), ShardID(next), f.Name, err)
	}
	f.say("%s and %s are merged", ShardID(n), ShardID(next))
	return f.active(ctx)
}

func (f *Fleet) active(ctx context.Context) error {
	return f.wait(ctx, "the stream is active", time.Minute, func() (bool, error) {
		out, err := f.site.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &f.Name})
		if err != nil {
			return false, err
		}
		return out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive, nil
	})
}

// Resharded waits until the given new shards are processed and their parents done.
func (f *Fleet) Resharded(ctx context.Context, children []int, limit time.Duration) error {
	return f.WaitRows(ctx, fmt.Sprintf("the new shards %v flow", children), limit, func(rows []Row) bool {
		at := map[string]string{}
		for _, r := range rows {
			at[r.Key] = r.Checkpoint
		}
		for _, n := range children {
			if len(at[ShardID(n)]) < 20 { // no number yet
				return false
			}
		}
		return true
	})
}
