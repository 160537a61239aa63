package localstream_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

const middle = "170141183460469231731687303715884105728"

func ids(shards []types.Shard) (ids []string) {
	for _, s := range shards {
		ids = append(ids, (*s.ShardId)[len("shardId-00000000000"):])
	}
	return ids
}

// checkCover makes sure that the open shards cover the hash key space exactly once, and returns how many there are.
func checkCover(t *testing.T, shards []types.Shard) int {
	t.Helper()
	var ranges []record.HashKeyRange
	for _, s := range shards {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			ranges = append(ranges, hashRange(t, s))
		}
	}
	slices.SortFunc(ranges, func(a, b record.HashKeyRange) int { return a.Start.Compare(b.Start) })
	want := record.HashKey{}
	for _, r := range ranges {
		if r.Start != want {
			t.Fatalf("open shards leave a hole or overlap before %s: %v", r, ranges)
		}
		want = r.End.Next()
	}
	if want != (record.HashKey{}) {
		t.Fatalf("open shards end before the last hash key: %v", ranges)
	}
	return len(ranges)
}

func TestSplitAndMergeKeepLineageAndOrder(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		before := c.put(0, 50)
		c.split(0, middle)
		time.Sleep(time.Second)
		between := c.put(50, 50)
		c.merge(1, 2)
		after := c.put(100, 50)
		shards := c.shards()
		if len(shards) != 4 || checkCover(t, shards) != 1 {
			t.Fatalf("shards %v", ids(shards))
		}
		if *shards[1].ParentShardId != *shardID(0) || shards[1].AdjacentParentShardId != nil || *shards[3].ParentShardId != *shardID(1) || *shards[3].AdjacentParentShardId != *shardID(2) {
			t.Errorf("lineage %+v", shards)
		}
		for i, s := range shards {
			start, end := record.SequenceNumber(*s.SequenceNumberRange.StartingSequenceNumber), s.SequenceNumberRange.EndingSequenceNumber
			if (end == nil) != (i == 3) || end != nil && record.SequenceNumber(*end).Compare(start) <= 0 {
				t.Errorf("shard %d has numbers %s to %v", i, start, end)
			}
		}
		newest := map[string]record.SequenceNumber{}
		for _, r := range slices.Concat(before.Records, between.Records, after.Records) {
			for _, parent := range map[string][]string{*shardID(1): {*shardID(0)}, *shardID(2): {*shardID(0)}, *shardID(3): {*shardID(1), *shardID(2)}}[*r.ShardId] {
				if record.SequenceNumber(*r.SequenceNumber).Compare(newest[parent]) <= 0 {
					t.Fatalf("a record of %s lies below one of its parent", *r.ShardId)
				}
			}
			newest[*r.ShardId] = record.SequenceNumber(*r.SequenceNumber)
		}
	})
}

func TestClosedShardEndsWithItsChildren(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(2)
		c.put(0, 100)
		latest := c.iterator(kinesis.GetShardIteratorInput{ShardId: shardID(0), ShardIteratorType: types.ShardIteratorTypeLatest})
		c.merge(0, 1)
		c.split(2, middle)
		end := func(shard int) (int, []types.ChildShard) {
			n := 0
			for it := c.horizon(shard); ; {
				out := c.get(it, 10)
				n += len(out.Records)
				if (out.NextShardIterator == nil) != (out.ChildShards != nil) {
					t.Fatalf("next iterator %v with children %v", out.NextShardIterator, out.ChildShards)
				}
				if it = out.NextShardIterator; it == nil {
					return n, out.ChildShards
				}
			}
		}
		n0, children0 := end(0)
		n1, children1 := end(1)
		n2, children2 := end(2)
		if n0+n1 != 100 || n2 != 0 {
			t.Errorf("read %d, %d, %d records", n0, n1, n2)
		}
		for _, children := range [][]types.ChildShard{children0, children1} {
			if len(children) != 1 || *children[0].ShardId != *shardID(2) || fmt.Sprint(children[0].ParentShards) != fmt.Sprint([]string{*shardID(0), *shardID(1)}) ||
				*children[0].HashKeyRange.StartingHashKey != "0" || *children[0].HashKeyRange.EndingHashKey != record.MaxHashKey.String() {
				t.Errorf("children of a merged shard: %+v", children)
			}
		}
		if len(children2) != 2 || *children2[1].ShardId != *shardID(4) || fmt.Sprint(children2[1].ParentShards) != fmt.Sprint([]string{*shardID(2)}) || *children2[1].HashKeyRange.StartingHashKey != middle {
			t.Errorf("children of a split shard: %+v", children2)
		}
		for _, it := range []*string{latest, c.iterator(kinesis.GetShardIteratorInput{ShardId: shardID(0), ShardIteratorType: types.ShardIteratorTypeLatest})} {
			if out := c.get(it, 0); len(out.Records) != 0 || out.NextShardIterator != nil || len(out.ChildShards) != 1 {
				t.Errorf("LATEST on a closed shard: %+v", out)
			}
		}
	})
}

func TestReshardingRefusesWhatTheServiceRefuses(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(4)
		split := func(shard, key string) error {
			_, err := c.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: quakes, ShardToSplit: &shard, NewStartingHashKey: &key})
			return err
		}
		merge := func(one, other int) error {
			_, err := c.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: quakes, ShardToMerge: shardID(one), AdjacentShardToMerge: shardID(other)})
			return err
		}
		scale := func(n int32) error {
			_, err := c.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: quakes, TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling})
			return err
		}
		c.split(0, "1000")
		in := " in stream quakes under account 000000000000"
		for _, key := range []string{"0", "1", "999", middle} {
			wantError(t, split(*shardID(4), key), "InvalidArgumentException", "NewStartingHashKey "+key+" used in SplitShard() on shard shardId-000000000004"+in+" is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey 999.")
		}
		wantError(t, split(*shardID(0), "500"), "InvalidArgumentException", "Shard shardId-000000000000"+in+" has already been merged or split, and thus is not eligible for merging or splitting.")
		wantError(t, split(*shardID(9), "500"), "ResourceNotFoundException", "Could not find shard shardId-000000000009"+in+".")
		wantError(t, merge(4, 1), "InvalidArgumentException", "Shards shardId-000000000004 and shardId-000000000001"+in+" are not an adjacent pair of shards eligible for merging")
		wantError(t, merge(2, 1), "InvalidArgumentException", "Shards shardId-000000000002 and shardId-000000000001"+in+" are not an adjacent pair of shards eligible for merging")
		wantError(t, merge(3, 4), "InvalidArgumentException", "Shards shardId-000000000003 and shardId-000000000004"+in+" are not an adjacent pair of shards eligible for merging")
		wantError(t, merge(0, 1), "InvalidArgumentException", "Shard shardId-000000000000"+in+" has already been merged or split, and thus is not eligible for merging or splitting.")
		wantError(t, scale(11), "LimitExceededException", "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 5 Target shard count: 11")
		wantError(t, scale(2), "LimitExceededException", "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 5 Target shard count: 2")
		if err := scale(5); err == nil {
			t.Error("scaling to the current count succeeded")
		}
		if checkCover(t, c.shards()) != 5 {
			t.Error("a refused reshard changed something")
		}
	})
}

func TestUpdateShardCountEndsUniform(t *testing.T) {
	for _, targets := range [][]int32{{2}, {4, 8, 16}, {3, 5, 4, 2, 1}, {7, 11}} {
		bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
			current := max(1, targets[0]-targets[0]/2)
			c.create(current)
			for _, target := range targets {
				c.put(0, 100)
				out, err := c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: quakes, TargetShardCount: &target, ScalingType: types.ScalingTypeUniformScaling})
				if err != nil || *out.CurrentShardCount != current || *out.TargetShardCount != target {
					t.Fatalf("%d to %d: %+v, %v", current, target, out, err)
				}
				open := c.list(&types.ShardFilter{Type: types.ShardFilterTypeAtLatest})
				if checkCover(t, open) != int(target) {
					t.Fatalf("%d to %d: %d open shards", current, target, len(open))
				}
				var sizes []uint64
				for _, s := range open {
					r := hashRange(t, s)
					sizes = append(sizes, r.End.Hi-r.Start.Hi)
				}
				if slices.Max(sizes)-slices.Min(sizes) > 2 {
					t.Errorf("%d shards of unequal size", target)
				}
				current = target
			}
		})
	}
}

// Random reshards while records are put: the space stays covered, and every record is found once behind its shard.
func TestReshardsLoseNothing(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		rng := rand.New(rand.NewPCG(1, 2))
		c.create(3)
		put := 0
		for range 60 {
			c.put(put, 20)
			put += 20
			open := c.list(&types.ShardFilter{Type: types.ShardFilterTypeAtLatest})
			slices.SortFunc(open, func(a, b types.Shard) int { return hashRange(t, a).Start.Compare(hashRange(t, b).Start) })
			i := rng.IntN(len(open))
			if rng.IntN(2) == 0 && i+1 < len(open) {
				if _, err := c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: quakes, ShardToMerge: open[i].ShardId, AdjacentShardToMerge: open[i+1].ShardId}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			r := hashRange(t, open[i])
			key := record.HashKey{Hi: r.Start.Hi + (r.End.Hi-r.Start.Hi)/2, Lo: 7}
			if _, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: quakes, ShardToSplit: open[i].ShardId, NewStartingHashKey: aws.String(key.String())}); err != nil {
				t.Fatal(err)
			}
		}
		shards := c.shards()
		checkCover(t, shards)
		seen := map[string]int{}
		for i := range shards {
			records, _ := c.all(i, 0)
			for _, r := range records {
				seen[string(r.Data)]++
				if !hashRange(t, shards[i]).Contains(record.HashOf(*r.PartitionKey)) {
					t.Fatalf("record with key %s in the wrong shard", *r.PartitionKey)
				}
			}
		}
		for i := range put {
			if n := seen[fmt.Sprint("record ", i)]; n != 1 {
				t.Fatalf("record %d is there %d times", i, n)
			}
		}
	})
}

func TestListShardsFiltersAndPages(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		start := time.Now()
		c.create(2) // 0, 1
		time.Sleep(time.Hour)
		c.split(0, "1000") // 2, 3
		time.Sleep(time.Hour)
		c.merge(3, 1) // 4
		time.Sleep(time.Hour)
		at := func(kind types.ShardFilterType, d time.Duration) *types.ShardFilter {
			return &types.ShardFilter{Type: kind, Timestamp: aws.Time(start.Add(d))}
		}
		for _, test := range []struct {
			filter *types.ShardFilter
			want   string
		}{
			{nil, "[0 1 2 3 4]"},
			{&types.ShardFilter{Type: types.ShardFilterTypeFromTrimHorizon}, "[0 1 2 3 4]"},
			{&types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}, "[0 1]"},
			{&types.ShardFilter{Type: types.ShardFilterTypeAtLatest}, "[2 4]"},
			{&types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: shardID(2)}, "[3 4]"},
			{at(types.ShardFilterTypeAtTimestamp, 30*time.Minute), "[0 1]"},
			{at(types.ShardFilterTypeAtTimestamp, 90*time.Minute), "[1 2 3]"},
			{at(types.ShardFilterTypeAtTimestamp, 3*time.Hour), "[2 4]"},
			{at(types.ShardFilterTypeAtTimestamp, -time.Hour), "[0 1]"},
			{at(types.ShardFilterTypeFromTimestamp, 30*time.Minute), "[0 1 2 3 4]"},
			{at(types.ShardFilterTypeFromTimestamp, 90*time.Minute), "[1 2 3 4]"},
			{at(types.ShardFilterTypeFromTimestamp, 150*time.Minute), "[2 4]"},
		} {
			if got := fmt.Sprint(ids(c.list(test.filter))); got != test.want {
				t.Errorf("filter %+v lists %s, want %s", test.filter, got, test.want)
			}
		}
		first, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: quakes, MaxResults: aws.Int32(2), ExclusiveStartShardId: shardID(0)})
		if err != nil || fmt.Sprint(ids(first.Shards)) != "[1 2]" || first.NextToken == nil {
			t.Fatalf("page %v, %v", ids(first.Shards), err)
		}
		second, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: first.NextToken, MaxResults: aws.Int32(2)})
		if err != nil || fmt.Sprint(ids(second.Shards)) != "[3 4]" || second.NextToken != nil {
			t.Fatalf("page %v, %v", ids(second.Shards), err)
		}
		time.Sleep(301 * time.Second)
		_, err = c.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: first.NextToken})
		wantError(t, err, "ExpiredNextTokenException", "The pagination token has expired: tokens are valid for 300 seconds.")
		_, err = c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: quakes, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp}})
		wantError(t, err, "InvalidArgumentException", "Timestamp must be provided when ShardFilter Type is AT_TIMESTAMP.")
	})
}

func TestManyShardsAreListedInPages(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(2500)
		if shards := c.shards(); len(shards) != 2500 || checkCover(t, shards) != 2500 {
			t.Errorf("%d shards listed", len(shards))
		}
		n := 0
		p := kinesis.NewDescribeStreamPaginator(c.Client, &kinesis.DescribeStreamInput{StreamName: quakes, Limit: aws.Int32(1000)})
		for p.HasMorePages() {
			out, err := p.NextPage(t.Context())
			if err != nil || len(out.StreamDescription.Shards) > 100 {
				t.Fatal(len(out.StreamDescription.Shards), err)
			}
			n += len(out.StreamDescription.Shards)
		}
		if n != 2500 {
			t.Errorf("%d shards described", n)
		}
	})
}

func TestAReshardHappensWhenTheStreamHasBeenUpdated(t *testing.T) {
	bubble(t, localstream.Options{Transition: 10 * time.Second}, func(t *testing.T, c *client) {
		c.create(1)
		time.Sleep(10 * time.Second)
		c.split(0, middle)
		time.Sleep(10*time.Second - 1)
		if d := c.describe(); d.StreamStatus != types.StreamStatusUpdating || len(d.Shards) != 1 || d.Shards[0].SequenceNumberRange.EndingSequenceNumber != nil {
			t.Errorf("while it is updated: %s, %v", d.StreamStatus, ids(d.Shards))
		}
		if id := *c.put(0, 1).Records[0].ShardId; id != *shardID(0) {
			t.Errorf("a record went to %s", id)
		}
		_, err := c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: quakes, ShardToMerge: shardID(0), AdjacentShardToMerge: shardID(1)})
		wantError(t, err, "ResourceInUseException", "Stream quakes under account 000000000000 not ACTIVE, instead in state UPDATING")
		time.Sleep(1)
		synctest.Wait()
		if d := c.describe(); d.StreamStatus != types.StreamStatusActive || len(d.Shards) != 3 || checkCover(t, d.Shards) != 2 {
			t.Errorf("afterwards: %s, %v", d.StreamStatus, ids(d.Shards))
		}
		c.merge(1, 2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, err := c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: quakes, TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if shards := c.shards(); len(shards) != 6 || checkCover(t, shards) != 2 {
			t.Errorf("in the end %v", ids(shards))
		}
		if records, _ := c.all(0, 10); len(records) != 1 {
			t.Errorf("%d records in the first shard", len(records))
		}
	})
}

func TestAReshardThatIsPendingSurvivesARestartAndNotItsStream(t *testing.T) {
	o := localstream.Options{Transition: time.Minute, FS: vfs.NewCrashableMem()}
	open := func(t *testing.T) (*localstream.Server, *client) {
		srv, err := localstream.Open("data", o)
		if err != nil {
			t.Fatal(err)
		}
		return srv, newClient(t, srv)
	}
	synctest.Test(t, func(t *testing.T) {
		srv, c := open(t)
		c.create(1)
		time.Sleep(time.Minute)
		c.split(0, middle)
		srv.Close()
		time.Sleep(time.Hour)
		srv, c = open(t)
		synctest.Wait()
		if d := c.describe(); d.StreamStatus != types.StreamStatusActive || len(d.Shards) != 3 {
			t.Errorf("after a restart: %s, %v", d.StreamStatus, ids(d.Shards))
		}
		c.merge(1, 2)
		if _, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: quakes}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		_, err := c.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: quakes})
		wantError(t, err, "ResourceNotFoundException", "Stream quakes under account 000000000000 not found.")
		srv.Close()
	})
}

func TestShardIDsAreReadBeforeTheStreamIsLookedFor(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		for id, want := range map[string]string{
			"2147483648": "Could not find shard 2147483648 in stream quakes under account 000000000000.",
			"abc":        "Could not find shard abc in stream quakes under account 000000000000.",
			"x-7":        "Stream quakes under account 000000000000 not found.",
		} {
			_, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: quakes, ShardToSplit: &id, NewStartingHashKey: aws.String("2")})
			wantError(t, err, "ResourceNotFoundException", want)
			_, err = c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: quakes, ShardToMerge: aws.String("0"), AdjacentShardToMerge: &id})
			wantError(t, err, "ResourceNotFoundException", want)
			if id == "x-7" {
				want = "Shard shardId-000000000007 in stream quakes under account 000000000000 does not exist"
			}
			_, err = c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: quakes, ShardId: &id, ShardIteratorType: types.ShardIteratorTypeLatest})
			wantError(t, err, "ResourceNotFoundException", want)
		}
	})
}

func TestReshardsOnAScheduleLoseNothingAndKeepTheNumberOfShards(t *testing.T) {
	bubble(t, localstream.Options{ReshardEvery: time.Minute}, func(t *testing.T, c *client) {
		c.create(2)
		onDemand := &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
		if _, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), StreamModeDetails: onDemand}); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			c.put(10*i, 10)
			time.Sleep(time.Minute)
			synctest.Wait()
			if open := checkCover(t, c.shards()); open != 3-i%2 {
				t.Fatalf("%d open shards after %d reshards", open, i+1)
			}
		}
		n := 0
		shards := c.shards()
		for i := range shards {
			records, _ := c.all(i, 1000)
			n += len(records)
		}
		if n != 100 || len(shards) != 2+5*3 {
			t.Errorf("%d of 100 records in %d shards", n, len(shards))
		}
		out, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("clicks")})
		if err != nil || len(out.Shards) != 4 {
			t.Errorf("the on-demand stream has %+v, %v", out, err)
		}
	})
}
