package fleet

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// ShardID is the ID of the nth shard that a stream got, from 0.
func ShardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

// resharded is the stream of which the methods below split and merge shards: the first, where there are several.
func (f *Fleet) resharded() *string { return &f.flows()[0].stream }

// Split splits the nth shard in the middle, and waits until the stream is active again.
func (f *Fleet) Split(ctx context.Context, n int) error {
	open, err := f.OpenShards(ctx)
	if err != nil {
		return err
	}
	for _, s := range open {
		if *s.ShardId == ShardID(n) {
			return f.split(ctx, s)
		}
	}
	return fmt.Errorf("the stream %s has no open shard %s", *f.resharded(), ShardID(n))
}

func (f *Fleet) split(ctx context.Context, s types.Shard) error {
	middle := width(s)
	middle.Rsh(middle.Add(middle, big.NewInt(1)), 1)
	_, err := f.site.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: f.resharded(), ShardToSplit: s.ShardId, NewStartingHashKey: aws.String(middle.Add(middle, firstKey(s)).String()),
	})
	if err != nil {
		return fmt.Errorf("split %s of %s: %w", *s.ShardId, *f.resharded(), err)
	}
	f.say("%s is split", *s.ShardId)
	return f.active(ctx)
}

// Merge merges two neighbours, and waits until the stream is active again.
func (f *Fleet) Merge(ctx context.Context, n, next int) error {
	return f.merge(ctx, ShardID(n), ShardID(next))
}

func (f *Fleet) merge(ctx context.Context, shard, next string) error {
	_, err := f.site.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: f.resharded(), ShardToMerge: &shard, AdjacentShardToMerge: &next,
	})
	if err != nil {
		return fmt.Errorf("merge %s and %s of %s: %w", shard, next, *f.resharded(), err)
	}
	f.say("%s and %s are merged", shard, next)
	return f.active(ctx)
}

// SplitWidest splits the widest open shard.
func (f *Fleet) SplitWidest(ctx context.Context) error {
	open, err := f.OpenShards(ctx)
	if err != nil {
		return err
	}
	return f.split(ctx, slices.MaxFunc(open, func(a, b types.Shard) int { return width(a).Cmp(width(b)) }))
}

// MergeAt merges two neighbouring open shards: the one at the given place among them, which wraps around, and the next.
func (f *Fleet) MergeAt(ctx context.Context, place int) error {
	open, err := f.OpenShards(ctx)
	if err != nil || len(open) < 2 {
		return err
	}
	at := place % (len(open) - 1)
	return f.merge(ctx, *open[at].ShardId, *open[at+1].ShardId)
}

// OpenShards are those that take records, in the order of their hash keys.
func (f *Fleet) OpenShards(ctx context.Context) ([]types.Shard, error) {
	open, err := f.shards(ctx, &types.ShardFilter{Type: types.ShardFilterTypeAtLatest})
	slices.SortFunc(open, func(a, b types.Shard) int { return firstKey(a).Cmp(firstKey(b)) })
	return open, err
}

// AllShards are the open and the closed ones, in the order in which they came to be.
func (f *Fleet) AllShards(ctx context.Context) ([]types.Shard, error) { return f.shards(ctx, nil) }

func (f *Fleet) shards(ctx context.Context, filter *types.ShardFilter) ([]types.Shard, error) {
	out, err := f.site.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: f.resharded(), ShardFilter: filter})
	if err != nil {
		return nil, fmt.Errorf("list the shards of %s: %w", *f.resharded(), err)
	}
	return out.Shards, nil
}

func firstKey(s types.Shard) *big.Int {
	n, _ := new(big.Int).SetString(aws.ToString(s.HashKeyRange.StartingHashKey), 10)
	return n
}

func width(s types.Shard) *big.Int {
	n, _ := new(big.Int).SetString(aws.ToString(s.HashKeyRange.EndingHashKey), 10)
	return n.Sub(n, firstKey(s))
}

func (f *Fleet) active(ctx context.Context) error {
	return f.wait(ctx, "the stream is active", time.Minute, func() (bool, error) {
		out, err := f.site.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: f.resharded()})
		if err != nil {
			return false, err
		}
		return out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive, nil
	})
}

// Resharded waits until the given new shards are processed and their parents done.
func (f *Fleet) Resharded(ctx context.Context, children []int, limit time.Duration) error {
	first := f.flows()[0]
	return f.WaitRows(ctx, fmt.Sprintf("the new shards %v flow", children), limit, func(rows []Row) bool {
		at := map[string]string{}
		for _, r := range rows {
			at[r.Key] = r.Checkpoint
		}
		for _, n := range children {
			if len(at[first.lease(ShardID(n))]) < 20 { // no number yet
				return false
			}
		}
		return true
	})
}
