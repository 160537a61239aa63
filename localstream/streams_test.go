package localstream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

const arn = "arn:aws:kinesis:us-east-1:000000000000:stream/quakes"

func TestStreamIsDescribedAsItWasCreated(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(3)
		d := c.describe()
		if *d.StreamName != "quakes" || *d.StreamARN != arn || d.StreamStatus != types.StreamStatusActive || *d.RetentionPeriodHours != 24 ||
			d.StreamModeDetails.StreamMode != types.StreamModeProvisioned || !d.StreamCreationTimestamp.Equal(time.Now()) || len(d.Shards) != 3 || *d.HasMoreShards ||
			d.EncryptionType != types.EncryptionTypeNone || len(d.EnhancedMonitoring) != 1 {
			t.Errorf("described as %+v", d)
		}
		want := []string{
			"0-113427455640312821154458202477256070484", "113427455640312821154458202477256070485-226854911280625642308916404954512140969",
			"226854911280625642308916404954512140970-340282366920938463463374607431768211455",
		}
		for i, s := range d.Shards {
			if got := *s.HashKeyRange.StartingHashKey + "-" + *s.HashKeyRange.EndingHashKey; got != want[i] || *s.ShardId != *shardID(i) {
				t.Errorf("shard %d is %s with %s, want %s", i, *s.ShardId, got, want[i])
			}
			if s.SequenceNumberRange.EndingSequenceNumber != nil || s.ParentShardId != nil {
				t.Errorf("shard %d is closed or has a parent", i)
			}
		}
		sum := c.summary()
		if *sum.OpenShardCount != 3 || *sum.MaxRecordSizeInKiB != 1024 || *sum.ConsumerCount != 0 {
			t.Errorf("summary %+v", sum)
		}
	})
}

func TestStreamPassesThroughItsStates(t *testing.T) {
	bubble(t, localstream.Options{Transition: 30 * time.Second}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		status := func() types.StreamStatus {
			d := c.describe()
			if d.StreamStatus == types.StreamStatusCreating && len(d.Shards) != 0 {
				t.Error("a stream being created shows shards")
			}
			return d.StreamStatus
		}
		if got := status(); got != types.StreamStatusCreating {
			t.Errorf("at first %s", got)
		}
		_, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(0, 1)})
		wantError(t, err, "ResourceNotFoundException", "Stream quakes under account 000000000000 not found.")
		_, err = c.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: quakes, ShardToSplit: shardID(0), NewStartingHashKey: aws.String("100")})
		wantError(t, err, "ResourceInUseException", "Stream quakes under account 000000000000 not ACTIVE, instead in state CREATING")
		time.Sleep(30 * time.Second)
		if got := status(); got != types.StreamStatusActive {
			t.Errorf("after 30 s %s", got)
		}
		c.put(0, 10)
		c.split(0, "100")
		if got := status(); got != types.StreamStatusUpdating {
			t.Errorf("after a split %s", got)
		}
		c.put(10, 10) // an updating stream works on
		time.Sleep(30 * time.Second)
		if _, err := c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: quakes}); err != nil {
			t.Fatal(err)
		}
		if got := status(); got != types.StreamStatusDeleting {
			t.Errorf("after DeleteStream %s", got)
		}
		time.Sleep(30 * time.Second)
		_, err = c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: quakes})
		wantError(t, err, "ResourceNotFoundException", "Stream quakes under account 000000000000 not found.")
		c.create(2)
		time.Sleep(30 * time.Second)
		if records, _ := c.all(0, 0); len(records) != 0 {
			t.Errorf("a new stream of the same name holds %d records of the old one", len(records))
		}
	})
}

func TestStreamsAreListedInPages(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		var want []string
		for i := range 7 {
			name := fmt.Sprint("stream-", 6-i)
			want = append([]string{name}, want...)
			if _, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}}); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		pages := 0
		p := kinesis.NewListStreamsPaginator(c.Client, &kinesis.ListStreamsInput{Limit: aws.Int32(3)})
		for ; p.HasMorePages(); pages++ {
			page, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.StreamNames...)
			if *page.HasMoreStreams != (page.NextToken != nil) || len(page.StreamSummaries) != len(page.StreamNames) {
				t.Errorf("page %+v", page)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || pages != 3 {
			t.Errorf("listed %v in %d pages", got, pages)
		}
		_, err := c.ListStreams(ctx, &kinesis.ListStreamsInput{NextToken: aws.String("forged")})
		wantError(t, err, "InvalidArgumentException", "NextToken is invalid.")
	})
}

func TestStreamOperationsRefuseWhatTheServiceRefuses(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(2)
		_, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: quakes, ShardCount: aws.Int32(1)})
		wantError(t, err, "ResourceInUseException", "Stream quakes under account 000000000000 already exists.")
		_, err = c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("bad name"), ShardCount: aws.Int32(0)})
		wantError(t, err, "ValidationException", "2 validation errors detected: Value 'bad name' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1")
		_, err = c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("big"), ShardCount: aws.Int32(19_999)})
		wantError(t, err, "LimitExceededException", "This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count for the account: 2. Limit: 20000. Number of additional shards that would have resulted from this request: 19999. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.")
		_, err = c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamARN: aws.String(strings.ReplaceAll(arn, "quakes", "other"))})
		wantError(t, err, "ResourceNotFoundException", "Stream other under account 000000000000 not found.")
		_, err = c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("other"), StreamARN: aws.String(arn)})
		wantError(t, err, "InvalidArgumentException", "StreamName other does not match the stream of StreamARN "+arn+".")
		_, err = c.ListShards(ctx, &kinesis.ListShardsInput{})
		wantError(t, err, "InvalidArgumentException", "Either NextToken or StreamName should be provided.")
		_, err = c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: quakes, NextToken: aws.String("x")})
		wantError(t, err, "InvalidArgumentException", "NextToken and StreamName cannot be provided together.")
	})
}

func TestRecordsGoWhereTheirHashSays(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(5)
		out := c.put(0, 200)
		shards := c.shards()
		for i, r := range out.Records {
			h := record.HashOf(fmt.Sprint("key-", i))
			for _, s := range shards {
				if in := hashRange(t, s).Contains(h); in != (*s.ShardId == *r.ShardId) {
					t.Fatalf("record %d with hash %s went to %s", i, h, *r.ShardId)
				}
			}
		}
		for _, key := range []string{"0", record.MaxHashKey.String()} {
			one, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("x"), ExplicitHashKey: &key, Data: []byte{}})
			if err != nil || *one.ShardId != *shardID(map[bool]int{true: 0, false: 4}[key == "0"]) {
				t.Errorf("explicit hash key %s: %+v, %v", key, one, err)
			}
		}
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("x"), ExplicitHashKey: aws.String("340282366920938463463374607431768211456"), Data: []byte{}})
		wantError(t, err, "InvalidArgumentException", "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was 340282366920938463463374607431768211456")
	})
}

func TestAStreamDeletedBeforeItWasActiveListsNoShards(t *testing.T) {
	bubble(t, localstream.Options{Transition: time.Minute}, func(t *testing.T, c *client) {
		c.create(3)
		if _, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: quakes}); err != nil {
			t.Fatal(err)
		}
		if d := c.describe(); d.StreamStatus != types.StreamStatusDeleting || len(d.Shards) != 0 {
			t.Errorf("%s, %v", d.StreamStatus, ids(d.Shards))
		}
	})
}
