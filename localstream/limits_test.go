package localstream_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream"
)

const rateExceeded = "Rate exceeded for shard shardId-000000000000 in stream quakes under account 000000000000."

func TestRealLimitsThrottleWritesPerShard(t *testing.T) {
	bubble(t, localstream.Options{Limits: localstream.RealLimits}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		c.put(0, 500)
		c.put(500, 500)
		out, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(1000, 10)})
		if err != nil || *out.FailedRecordCount != 10 {
			t.Fatalf("record 1,001 and on in a second: %+v, %v", out, err)
		}
		if r := out.Records[3]; r.SequenceNumber != nil || r.ShardId != nil || *r.ErrorCode != "ProvisionedThroughputExceededException" || *r.ErrorMessage != rateExceeded {
			t.Errorf("throttled entry %+v", r)
		}
		_, err = c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("k"), Data: []byte{1}})
		wantError(t, err, "ProvisionedThroughputExceededException", rateExceeded)
		time.Sleep(5 * time.Millisecond) // room for five more
		out, err = c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(1000, 10)})
		if err != nil || *out.FailedRecordCount != 5 || out.Records[4].ErrorCode != nil || out.Records[5].ErrorCode == nil {
			t.Errorf("after 5 ms: %+v, %v", out, err)
		}
		time.Sleep(time.Second)
		big := entries(0, 3)
		for i := range big {
			big[i].Data = make([]byte, 600<<10)
		}
		out, err = c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: big})
		if err != nil || *out.FailedRecordCount != 2 {
			t.Errorf("1.8 MiB in a second: %d of 3 refused, %v", *out.FailedRecordCount, err)
		}
		time.Sleep(time.Second)
		if records, _ := c.all(0, 0); len(records) != 1006 {
			t.Errorf("%d records are there, want the 1,006 that were taken", len(records))
		}
	})
}

func TestRealLimitsThrottleReadsPerShard(t *testing.T) {
	bubble(t, localstream.Options{Limits: localstream.RealLimits}, func(t *testing.T, c *client) {
		c.create(2)
		it := c.horizon(0)
		for range 5 {
			c.get(it, 0)
		}
		_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
		wantError(t, err, "ProvisionedThroughputExceededException", rateExceeded)
		c.get(c.horizon(1), 0) // another shard is another allowance
		time.Sleep(200 * time.Millisecond)
		c.get(it, 0)
	})
}

func TestLargeAnswersArePaidBack(t *testing.T) {
	bubble(t, localstream.Options{Limits: localstream.Limits{ReadCalls: 5, ReadBytes: 2 << 20}}, func(t *testing.T, c *client) {
		c.create(1)
		for range 10 {
			if _, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("k"), Data: make([]byte, 1<<20-1)}); err != nil {
				t.Fatal(err)
			}
		}
		it := c.horizon(0)
		if out := c.get(it, 0); len(out.Records) != 10 {
			t.Fatalf("%d records", len(out.Records))
		}
		time.Sleep(4900 * time.Millisecond)
		_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
		wantError(t, err, "ProvisionedThroughputExceededException", rateExceeded)
		time.Sleep(100 * time.Millisecond)
		c.get(it, 1)
	})
}
