package main

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

// createStream makes the stream and waits until it can be used.
func (p *play) createStream(ctx context.Context) error {
	_, err := p.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(streamName), ShardCount: aws.Int32(streamShards)})
	if err != nil {
		return fmt.Errorf("create stream: %w", err)
	}
	return p.active(ctx)
}

// active waits until the stream is not being changed any more.
func (p *play) active(ctx context.Context) error {
	for {
		out, err := p.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(streamName)})
		if err != nil {
			return fmt.Errorf("describe stream: %w", err)
		}
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// A span is an open shard with its part of the hash key space.
type span struct {
	id          string
	first, last *big.Int
}

// openShards are the shards that take records, in the order of their hash keys.
func (p *play) openShards(ctx context.Context) ([]span, error) {
	out, err := p.client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String(streamName)}) // few: one page
	if err != nil {
		return nil, fmt.Errorf("list shards: %w", err)
	}
	var open []span
	for _, s := range out.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber != nil {
			continue
		}
		first, ok1 := new(big.Int).SetString(aws.ToString(s.HashKeyRange.StartingHashKey), 10)
		last, ok2 := new(big.Int).SetString(aws.ToString(s.HashKeyRange.EndingHashKey), 10)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("list shards: %s has no hash key range", aws.ToString(s.ShardId))
		}
		open = append(open, span{aws.ToString(s.ShardId), first, last})
	}
	slices.SortFunc(open, func(a, b span) int { return a.first.Cmp(b.first) })
	return open, nil
}

// split halves the shard that was the busiest, while its worker's lease has yet to expire.
func (p *play) split(ctx context.Context) error {
	if err := p.active(ctx); err != nil {
		return err
	}
	busiest := p.feed.busiest()
	open, err := p.openShards(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(open, func(s span) bool { return s.id == busiest })
	if i < 0 {
		return fmt.Errorf("split: %s is not open", busiest)
	}
	middle := new(big.Int).Add(open[i].first, open[i].last)
	middle.Rsh(middle, 1).Add(middle, big.NewInt(1))
	_, err = p.client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: aws.String(streamName), ShardToSplit: aws.String(busiest), NewStartingHashKey: aws.String(middle.String()),
	})
	if err != nil {
		return fmt.Errorf("split %s: %w", busiest, err)
	}
	p.screen.announce("%s is split in two", short(busiest))
	return nil
}

// merge joins the last two shards of the hash key space, which are neighbours.
func (p *play) merge(ctx context.Context) error {
	if err := p.active(ctx); err != nil {
		return err
	}
	open, err := p.openShards(ctx)
	if err != nil {
		return err
	}
	if len(open) < 2 {
		return fmt.Errorf("merge: the stream has %d open shards", len(open))
	}
	a, b := open[len(open)-2].id, open[len(open)-1].id
	_, err = p.client.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: aws.String(streamName), ShardToMerge: aws.String(a), AdjacentShardToMerge: aws.String(b),
	})
	if err != nil {
		return fmt.Errorf("merge %s and %s: %w", a, b, err)
	}
	p.screen.announce("%s and %s are merged", short(a), short(b))
	return nil
}
