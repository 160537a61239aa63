package localstream_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

// A client is an SDK client for one stream "quakes" with what the tests need often.
type client struct {
	*kinesis.Client
	t *testing.T
}

// bubble runs f in a synctest bubble with a server of its own, in memory unless o says otherwise.
func bubble(t *testing.T, o localstream.Options, f func(t *testing.T, c *client)) {
	t.Helper()
	o.Memory = o.FS == nil
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("data", o)
		if err != nil {
			t.Fatal(err)
		}
		f(t, newClient(t, srv))
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

func newClient(t *testing.T, srv *localstream.Server) *client {
	return &client{kinesis.NewFromConfig(srv.AWSConfig(), func(o *kinesis.Options) { o.RetryMaxAttempts = 1 }), t}
}

// wantError fails unless err is the AWS error of that type and text.
func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || e.ErrorMessage() != message {
		t.Errorf("got %v\nwant %s: %s", err, code, message)
	}
}

var quakes = aws.String("quakes")

func (c *client) create(shards int32) {
	c.t.Helper()
	_, err := c.CreateStream(c.t.Context(), &kinesis.CreateStreamInput{StreamName: quakes, ShardCount: &shards})
	if err != nil {
		c.t.Fatal(err)
	}
}

// entries makes n entries whose data says which they are, spread over all shards.
func entries(from, n int) []types.PutRecordsRequestEntry {
	var all []types.PutRecordsRequestEntry
	for i := from; i < from+n; i++ {
		all = append(all, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("key-", i)), Data: fmt.Appendf(nil, "record %d", i)})
	}
	return all
}

func (c *client) put(from, n int) *kinesis.PutRecordsOutput {
	c.t.Helper()
	out, err := c.PutRecords(c.t.Context(), &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(from, n)})
	if err != nil || *out.FailedRecordCount != 0 {
		c.t.Fatalf("PutRecords: %+v, %v", out, err)
	}
	return out
}

func (c *client) describe() *types.StreamDescription {
	c.t.Helper()
	out, err := c.DescribeStream(c.t.Context(), &kinesis.DescribeStreamInput{StreamName: quakes})
	if err != nil {
		c.t.Fatal(err)
	}
	return out.StreamDescription
}

func (c *client) summary() *types.StreamDescriptionSummary {
	c.t.Helper()
	out, err := c.DescribeStreamSummary(c.t.Context(), &kinesis.DescribeStreamSummaryInput{StreamARN: aws.String(arn)})
	if err != nil {
		c.t.Fatal(err)
	}
	return out.StreamDescriptionSummary
}

func (c *client) split(shard int, key string) {
	c.t.Helper()
	_, err := c.SplitShard(c.t.Context(), &kinesis.SplitShardInput{StreamName: quakes, ShardToSplit: shardID(shard), NewStartingHashKey: &key})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) merge(one, other int) {
	c.t.Helper()
	_, err := c.MergeShards(c.t.Context(), &kinesis.MergeShardsInput{StreamName: quakes, ShardToMerge: shardID(one), AdjacentShardToMerge: shardID(other)})
	if err != nil {
		c.t.Fatal(err)
	}
}

func hashRange(t *testing.T, s types.Shard) record.HashKeyRange {
	t.Helper()
	start, err1 := record.ParseHashKey(*s.HashKeyRange.StartingHashKey)
	end, err2 := record.ParseHashKey(*s.HashKeyRange.EndingHashKey)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return record.HashKeyRange{Start: start, End: end}
}

func (c *client) shards() []types.Shard { c.t.Helper(); return c.list(nil) }

// list reads all pages of ListShards.
func (c *client) list(filter *types.ShardFilter) []types.Shard {
	c.t.Helper()
	var all []types.Shard
	in := &kinesis.ListShardsInput{StreamName: quakes, ShardFilter: filter}
	for {
		out, err := c.ListShards(c.t.Context(), in)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, out.Shards...)
		if out.NextToken == nil {
			return all
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

func shardID(n int) *string { return aws.String(fmt.Sprintf("shardId-%012d", n)) }

func (c *client) iterator(in kinesis.GetShardIteratorInput) *string {
	c.t.Helper()
	in.StreamName = quakes
	out, err := c.GetShardIterator(c.t.Context(), &in)
	if err != nil {
		c.t.Fatal(err)
	}
	return out.ShardIterator
}

func (c *client) horizon(shard int) *string {
	c.t.Helper()
	return c.iterator(kinesis.GetShardIteratorInput{ShardId: shardID(shard), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
}

func (c *client) get(it *string, limit int32) *kinesis.GetRecordsOutput {
	c.t.Helper()
	in := &kinesis.GetRecordsInput{ShardIterator: it}
	if limit > 0 {
		in.Limit = &limit
	}
	out, err := c.GetRecords(c.t.Context(), in)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// all reads a shard from its horizon until nothing more comes.
func (c *client) all(shard int, limit int32) (records []types.Record, last *kinesis.GetRecordsOutput) {
	c.t.Helper()
	for it := c.horizon(shard); it != nil; it = last.NextShardIterator {
		last = c.get(it, limit)
		records = append(records, last.Records...)
		if len(last.Records) == 0 && *last.MillisBehindLatest == 0 {
			break
		}
	}
	return records, last
}

func texts(records []types.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.Data))
	}
	return all
}
