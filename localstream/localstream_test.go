package localstream_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
)

// open starts a server in memory that ends with the test.
func open(t *testing.T, o localstream.Options) *localstream.Server {
	t.Helper()
	o.Memory = true
	srv, err := localstream.Open("", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return srv
}

func TestSDKClientPutsAndReadsBackInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		c := kinesis.NewFromConfig(srv.AWSConfig())
		ctx := t.Context()
		if _, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("quakes"), ShardCount: aws.Int32(1)}); err != nil {
			t.Fatal(err)
		}
		if err := kinesis.NewStreamExistsWaiter(c).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("quakes")}, time.Minute); err != nil {
			t.Fatal(err)
		}
		in := &kinesis.PutRecordsInput{StreamName: aws.String("quakes")}
		for i := range 100 {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(i)), Data: fmt.Appendf(nil, "record %d", i)})
		}
		put, err := c.PutRecords(ctx, in)
		if err != nil || *put.FailedRecordCount != 0 {
			t.Fatal(put, err)
		}
		shards, err := c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("quakes")})
		if err != nil || len(shards.Shards) != 1 {
			t.Fatal(shards, err)
		}
		it, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: aws.String("quakes"), ShardId: shards.Shards[0].ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Records) != 100 || *got.MillisBehindLatest != 0 || got.NextShardIterator == nil {
			t.Fatalf("got %d records, %d ms behind, next %v", len(got.Records), *got.MillisBehindLatest, got.NextShardIterator)
		}
		for i, r := range got.Records {
			if string(r.Data) != fmt.Sprintf("record %d", i) || *r.PartitionKey != fmt.Sprint(i) || *r.SequenceNumber != *put.Records[i].SequenceNumber || !r.ApproximateArrivalTimestamp.Equal(time.Now()) {
				t.Fatalf("record %d: %q %q %s at %v; put as %s", i, r.Data, *r.PartitionKey, *r.SequenceNumber, r.ApproximateArrivalTimestamp, *put.Records[i].SequenceNumber)
			}
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
