package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record"
)

type putID struct {
	w int
	n int64
}

// A state is all that a server has.
type state struct {
	puts      map[putID][]string // data of a request's records, in their order
	requests  map[int]int64      // how many there are of each putter
	items     map[string]map[string]ddb.AttributeValue
	entries   map[int64]bool // of transactions
	consumers []string
	reshards  int64
}

// read reads everything. What no run of the actors can have made is wrong.
func read(ctx context.Context, a api) (*state, error) {
	s := &state{puts: map[putID][]string{}, requests: map[int]int64{}, items: map[string]map[string]ddb.AttributeValue{}, entries: map[int64]bool{}}
	shards, err := a.streams.ListShards(ctx, &kinesis.ListShardsInput{StreamName: stream})
	if err != nil {
		return nil, err
	}
	if s.reshards, err = lineage(shards.Shards); err != nil {
		return nil, wrong(err)
	}
	for _, sh := range shards.Shards {
		if err := s.readShard(ctx, a, sh.ShardId); err != nil {
			return nil, fmt.Errorf("%s: %w", *sh.ShardId, err)
		}
	}
	for id := range s.puts {
		s.requests[id.w]++
	}
	for p := dynamodb.NewScanPaginator(a.tables, &dynamodb.ScanInput{TableName: table, ConsistentRead: aws.Bool(true)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			id, _ := item["id"].(*ddb.AttributeValueMemberS)
			if id == nil {
				return nil, wrong(errors.New("an item without its key"))
			}
			s.items[id.Value] = item
			var n int64
			if _, err := fmt.Sscanf(id.Value, "entry %d", &n); err == nil {
				if numberOf(item, "n") != n {
					return nil, wrong(fmt.Errorf("entry %d holds %d", n, numberOf(item, "n")))
				}
				s.entries[n] = true
			}
		}
	}
	consumers, err := a.streams.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: aws.String(streamARN)})
	if err != nil {
		return nil, err
	}
	for _, c := range consumers.Consumers {
		s.consumers = append(s.consumers, *c.ConsumerName)
	}
	return s, nil
}

// readShard reads a shard from its beginning to its end, or to its tip.
func (s *state) readShard(ctx context.Context, a api, shard *string) error {
	it, err := a.streams.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: stream, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return err
	}
	var last record.SequenceNumber
	newest := map[int]int64{}
	for next := it.ShardIterator; next != nil; {
		page, err := a.streams.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			number := record.SequenceNumber(*r.SequenceNumber)
			var w, i int
			var n int64
			if _, err := fmt.Sscanf(string(r.Data), "%d/%d/%d/", &w, &n, &i); err != nil {
				return wrong(fmt.Errorf("%.40q, which nobody sent", r.Data))
			}
			if number.Compare(last) <= 0 || n < newest[w] {
				return wrong(fmt.Errorf("%s after %s, request %d of putter %d after %d", number, last, n, w, newest[w]))
			}
			last, newest[w] = number, n
			id := putID{w, n}
			for len(s.puts[id]) <= i {
				s.puts[id] = append(s.puts[id], "")
			}
			if s.puts[id][i] != "" {
				return wrong(fmt.Errorf("record %d of request %d of putter %d twice", i, n, w))
			}
			s.puts[id][i] = string(r.Data)
		}
		if len(page.Records) == 0 && aws.ToInt64(page.MillisBehindLatest) == 0 {
			break
		}
		next = page.NextShardIterator
	}
	return nil
}

// lineage counts the reshards that made the shards, and makes sure that none is there in half: parents are closed, and
// the open shards cover all hash keys once.
func lineage(shards []types.Shard) (reshards int64, err error) {
	children, closed := map[string]int{}, map[string]bool{}
	var open []types.Shard
	halves := int64(0)
	for _, s := range shards {
		switch {
		case s.AdjacentParentShardId != nil:
			halves += 2
		case s.ParentShardId != nil:
			halves++
		}
		for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
			children[aws.ToString(p)]++
		}
		closed[*s.ShardId] = s.SequenceNumberRange.EndingSequenceNumber != nil
		if !closed[*s.ShardId] {
			open = append(open, s)
		}
	}
	for _, s := range shards {
		if id := *s.ShardId; closed[id] != (children[id] > 0) {
			return 0, fmt.Errorf("half a reshard: %s is closed: %t, has %d children", id, closed[id], children[id])
		}
	}
	slices.SortFunc(open, func(a, b types.Shard) int {
		return hashKey(a.HashKeyRange.StartingHashKey).Cmp(hashKey(b.HashKeyRange.StartingHashKey))
	})
	next := new(big.Int)
	for _, s := range open {
		if hashKey(s.HashKeyRange.StartingHashKey).Cmp(next) != 0 {
			return 0, fmt.Errorf("half a reshard: %s begins at %s, want %s", *s.ShardId, *s.HashKeyRange.StartingHashKey, next)
		}
		next.Add(hashKey(s.HashKeyRange.EndingHashKey), big.NewInt(1))
	}
	if want := new(big.Int).Lsh(big.NewInt(1), 128); next.Cmp(want) != 0 || halves%2 != 0 {
		return 0, fmt.Errorf("half a reshard: the open shards end before %s, %d halves", next, halves)
	}
	return halves / 2, nil
}

func hashKey(s *string) *big.Int {
	n, ok := new(big.Int).SetString(aws.ToString(s), 10)
	if !ok {
		return new(big.Int)
	}
	return n
}

// resharder splits the widest shard, or merges the first two of more than three.
func resharder() *actor {
	return &actor{name: "resharder", do: func(ctx context.Context, a api, _ int64) error {
		all, err := a.streams.ListShards(ctx, &kinesis.ListShardsInput{StreamName: stream, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
		if err != nil {
			return err
		}
		open := all.Shards
		slices.SortFunc(open, func(a, b types.Shard) int {
			return hashKey(a.HashKeyRange.StartingHashKey).Cmp(hashKey(b.HashKeyRange.StartingHashKey))
		})
		if len(open) > 3 {
			_, err := a.streams.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: stream, ShardToMerge: open[0].ShardId, AdjacentShardToMerge: open[1].ShardId})
			return err
		}
		width := func(s types.Shard) *big.Int {
			return new(big.Int).Sub(hashKey(s.HashKeyRange.EndingHashKey), hashKey(s.HashKeyRange.StartingHashKey))
		}
		widest := slices.MaxFunc(open, func(a, b types.Shard) int { return width(a).Cmp(width(b)) })
		middle := new(big.Int).Rsh(width(widest), 1)
		middle.Add(middle, hashKey(widest.HashKeyRange.StartingHashKey)).Add(middle, big.NewInt(1))
		_, err = a.streams.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: stream, ShardToSplit: widest.ShardId, NewStartingHashKey: aws.String(middle.String())})
		return err
	}, found: func(s *state, _, _ int64) (int64, error) { return s.reshards, nil }}
}
