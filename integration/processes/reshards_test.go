package processes

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/proc"
)

// TestG8KilledServerKeepsReshards kills localstream during splits and merges: after each restart the open shards cover
// all hash keys once, every acknowledged reshard is there with its parents closed, and one that was not acknowledged is
// wholly there or not at all.
func TestG8KilledServerKeepsReshards(t *testing.T) {
	s := newServer(t, proc.Build(t, "localstream/cmd/localstream"))
	s.start()
	stream := aws.String("reshards")
	if _, err := s.client().CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	closed := map[string]bool{} // by acknowledged reshards
	for round := range *kills {
		first := make(chan struct{}, 1)
		var wg sync.WaitGroup
		open := openShards(t, s.client(), *stream, closed)
		wg.Go(func() {
			ctx, api := context.WithoutCancel(t.Context()), s.client()
			for {
				parents, err := reshard(ctx, api, stream, open)
				if err != nil {
					return
				}
				for _, p := range parents {
					closed[p] = true
				}
				select {
				case first <- struct{}{}:
				default:
				}
				all, err := api.ListShards(ctx, &kinesis.ListShardsInput{StreamName: stream, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
				if err != nil {
					return
				}
				open = all.Shards
			}
		})
		s.killSoon(t, first)
		wg.Wait()
		s.start()
		openShards(t, s.client(), *stream, closed)
		if t.Failed() {
			t.Fatalf("in round %d, after %d reshards", round, len(closed))
		}
	}
	t.Logf("%d kills; %d parents were closed by acknowledged reshards", *kills, len(closed))
}

// reshard splits a shard of few, or merges two of many, and returns the parents.
func reshard(ctx context.Context, api *kinesis.Client, stream *string, open []types.Shard) ([]string, error) {
	if len(open) < 4 {
		sh := open[rand.IntN(len(open))]
		middle, err := midpoint(sh.HashKeyRange)
		if err != nil {
			return nil, err
		}
		_, err = api.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: stream, ShardToSplit: sh.ShardId, NewStartingHashKey: &middle})
		return []string{*sh.ShardId}, err
	}
	sortByHash(open)
	i := rand.IntN(len(open) - 1)
	_, err := api.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: stream, ShardToMerge: open[i].ShardId, AdjacentShardToMerge: open[i+1].ShardId})
	return []string{*open[i].ShardId, *open[i+1].ShardId}, err
}

// midpoint is the hash key that splits a range in half.
func midpoint(r *types.HashKeyRange) (string, error) {
	start, ok1 := new(big.Int).SetString(aws.ToString(r.StartingHashKey), 10)
	end, ok2 := new(big.Int).SetString(aws.ToString(r.EndingHashKey), 10)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("hash keys %s to %s are no numbers", aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey))
	}
	return new(big.Int).Rsh(start.Add(start, end).Add(start, big.NewInt(1)), 1).String(), nil
}

// hashStart is where a shard's hash keys begin, for putting shards in order.
func hashStart(s types.Shard) *big.Int {
	n, _ := new(big.Int).SetString(aws.ToString(s.HashKeyRange.StartingHashKey), 10)
	return n
}

func sortByHash(all []types.Shard) {
	slices.SortFunc(all, func(a, b types.Shard) int { return hashStart(a).Cmp(hashStart(b)) })
}

// openShards checks the shards of the stream and returns those that are open.
func openShards(t *testing.T, api *kinesis.Client, stream string, closed map[string]bool) []types.Shard {
	t.Helper()
	all, err := api.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		t.Fatal(err)
	}
	var open []types.Shard
	children := map[string]int{}
	ended := map[string]bool{}
	for _, s := range all.Shards {
		for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
			children[aws.ToString(p)]++
		}
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, s)
		} else {
			ended[*s.ShardId] = true
		}
	}
	for _, s := range all.Shards {
		if has := children[*s.ShardId] > 0; has != ended[*s.ShardId] {
			t.Errorf("%s is closed: %t, has children: %t", *s.ShardId, ended[*s.ShardId], has)
		}
	}
	for id := range closed {
		if !ended[id] {
			t.Errorf("%s was closed by an acknowledged reshard, and is not", id)
		}
	}
	sortByHash(open)
	next := new(big.Int)
	for _, s := range open {
		if hashStart(s).Cmp(next) != 0 {
			t.Errorf("open shard %s begins at %s; the one before ends before %s", *s.ShardId, *s.HashKeyRange.StartingHashKey, next)
		}
		end, _ := new(big.Int).SetString(*s.HashKeyRange.EndingHashKey, 10)
		next.Add(end, big.NewInt(1))
	}
	if want := new(big.Int).Lsh(big.NewInt(1), 128); next.Cmp(want) != 0 {
		t.Errorf("the open shards end before %s, want %s", next, want)
	}
	return open
}
