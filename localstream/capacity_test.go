package localstream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
)

func (c *client) mode(m types.StreamMode) error {
	return second(c.UpdateStreamMode(c.t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: aws.String(arn), StreamModeDetails: &types.StreamModeDetails{StreamMode: m}}))
}

func (c *client) createOnDemand(in kinesis.CreateStreamInput) error {
	in.StreamName, in.StreamModeDetails = quakes, &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
	return second(c.CreateStream(c.t.Context(), &in))
}

func TestModeChangesBothWays(t *testing.T) {
	bubble(t, localstream.Options{Transition: time.Second}, func(t *testing.T, c *client) {
		wantError(t, c.mode(types.StreamModeOnDemand), "ResourceNotFoundException", "Stream quakes under account 000000000000 not found.")
		c.create(2)
		time.Sleep(time.Second)
		if err := c.mode(types.StreamModeOnDemand); err != nil {
			t.Fatal(err)
		}
		if s := c.summary(); s.StreamStatus != types.StreamStatusUpdating || s.StreamModeDetails.StreamMode != types.StreamModeOnDemand || *s.OpenShardCount != 2 || s.RecordDistributionStrategy != types.RecordDistributionStrategyUserPartitionKey {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		_, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: quakes, ShardToSplit: shardID(0), NewStartingHashKey: aws.String("100")})
		wantError(t, err, "ValidationException", "Request is invalid. Stream quakes under account 000000000000 is in On-Demand mode.")
		wantError(t, c.mode(types.StreamModeOnDemand), "InvalidArgumentException", "Stream quakes under account 000000000000 is already in mode ON_DEMAND.")
		if err := c.mode(types.StreamModeProvisioned); err != nil {
			t.Fatal(err)
		}
		if s := c.summary(); s.StreamModeDetails.StreamMode != types.StreamModeProvisioned || s.RecordDistributionStrategy != "" {
			t.Errorf("%+v", s)
		}
	})
}

func TestWarmThroughputBringsShards(t *testing.T) {
	bubble(t, localstream.Options{Transition: time.Second}, func(t *testing.T, c *client) {
		ctx := t.Context()
		warm := func(mibps int32) (*kinesis.UpdateStreamWarmThroughputOutput, error) {
			return c.UpdateStreamWarmThroughput(ctx, &kinesis.UpdateStreamWarmThroughputInput{StreamName: quakes, WarmThroughputMiBps: &mibps})
		}
		const uncommitted = "Warm throughput requires MinimumThroughputBillingCommitment to be enabled for account 000000000000."
		wantError(t, c.createOnDemand(kinesis.CreateStreamInput{WarmThroughputMiBps: aws.Int32(8)}), "InvalidArgumentException", uncommitted)
		if err := c.createOnDemand(kinesis.CreateStreamInput{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_, err := warm(8)
		wantError(t, err, "InvalidArgumentException", uncommitted)
		c.commit("ENABLED")
		if s := c.summary(); *s.OpenShardCount != 4 || s.WarmThroughput != nil {
			t.Errorf("at first %+v", s)
		}
		out, err := warm(8)
		if err != nil || *out.StreamARN != arn || *out.WarmThroughput.TargetMiBps != 8 || *out.WarmThroughput.CurrentMiBps != 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		time.Sleep(time.Second)
		if s := c.summary(); *s.OpenShardCount != 8 || *s.WarmThroughput.CurrentMiBps != 8 {
			t.Errorf("warm %+v", s)
		}
		if _, err := warm(0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := c.summary(); *s.OpenShardCount != 4 || s.WarmThroughput != nil {
			t.Errorf("cool %+v", s)
		}
		_, err = warm(10241)
		wantError(t, err, "LimitExceededException", "WarmThroughputMiBps 10241 for stream quakes under account 000000000000 exceeds the maximum of 10240.")
		if err := c.mode(types.StreamModeProvisioned); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_, err = warm(8)
		wantError(t, err, "InvalidArgumentException", "Warm throughput is only supported for streams in On-Demand mode. Stream quakes under account 000000000000 is in PROVISIONED mode.")
	})
}

func TestRecordsGrowToTheSizeThatTheStreamAllows(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		put := func(data int) error {
			return second(c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("key"), Data: make([]byte, data)}))
		}
		resize := func(kib int32) {
			t.Helper()
			if _, err := c.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{StreamARN: aws.String(arn), MaxRecordSizeInKiB: &kib}); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(size, most int) string {
			return fmt.Sprintf("Record size of %d bytes exceeds the maximum of %d bytes.", size, most)
		}
		for _, kib := range []int{1024, 2048, 10240} {
			if kib > 1024 {
				resize(int32(kib))
			}
			most := kib << 10
			for _, data := range []int{most - 4, most - 3} {
				if err := put(data); err != nil {
					t.Errorf("%d KiB, %d bytes: %v", kib, data, err)
				}
			}
			wantError(t, put(most-2), "InvalidArgumentException", refused(most+1, most))
		}
		if s := c.summary(); *s.MaxRecordSizeInKiB != 10240 {
			t.Errorf("%d KiB", *s.MaxRecordSizeInKiB)
		}
		resize(1024)
		wantError(t, put(1<<20), "InvalidArgumentException", refused(1<<20+3, 1<<20))
		records, _ := c.all(0, 0)
		if len(records) != 6 || len(records[5].Data) != 10240<<10-3 {
			t.Errorf("%d records", len(records))
		}
		_, err := c.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{MaxRecordSizeInKiB: aws.Int32(1024)})
		wantError(t, err, "InvalidArgumentException", "Either StreamName or StreamARN should be provided.")
	})
}

func TestAutoDistributionIgnoresKeys(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		distribute := func(s types.RecordDistributionStrategy) error {
			return second(c.UpdateStreamRecordDistributionStrategy(ctx, &kinesis.UpdateStreamRecordDistributionStrategyInput{StreamARN: aws.String(arn), RecordDistributionStrategy: s}))
		}
		if err := c.createOnDemand(kinesis.CreateStreamInput{RecordDistributionStrategy: types.RecordDistributionStrategyAuto}); err != nil {
			t.Fatal(err)
		}
		var same []types.PutRecordsRequestEntry
		for range 400 {
			same = append(same, types.PutRecordsRequestEntry{PartitionKey: aws.String("same"), ExplicitHashKey: aws.String("0"), Data: []byte("x")})
		}
		same[0].PartitionKey = nil
		if out, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: same}); err != nil || *out.FailedRecordCount != 0 {
			t.Fatal(err)
		}
		total, keyless := 0, 0
		for shard := range 4 {
			records, _ := c.all(shard, 0)
			if total += len(records); len(records) < 50 || len(records) > 150 {
				t.Errorf("shard %d has %d of 400 records", shard, len(records))
			}
			for _, r := range records {
				if *r.PartitionKey == "" {
					keyless++
				} else if *r.PartitionKey != "same" {
					t.Errorf("key %q", *r.PartitionKey)
				}
			}
		}
		if total != 400 || keyless != 1 {
			t.Errorf("%d records, %d without a key", total, keyless)
		}
		_, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: quakes, Data: []byte{1}, SequenceNumberForOrdering: aws.String("0")})
		wantError(t, err, "InvalidArgumentException", "SequenceNumberForOrdering is not supported for stream quakes under account 000000000000 because its RecordDistributionStrategy is AUTO.")
		if s := c.summary(); s.RecordDistributionStrategy != types.RecordDistributionStrategyAuto {
			t.Errorf("%+v", s)
		}
		if err := distribute(types.RecordDistributionStrategyUserPartitionKey); err != nil {
			t.Fatal(err)
		}
		_, err = c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: quakes, Data: []byte{1}})
		wantError(t, err, "ValidationException", "1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: Member must not be null")
		same[7].PartitionKey = nil
		_, err = c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: same})
		wantError(t, err, "ValidationException", "2 validation errors detected: Value null at 'records.1.member.partitionKey' failed to satisfy constraint: Member must not be null; Value null at 'records.8.member.partitionKey' failed to satisfy constraint: Member must not be null")
		if err := c.mode(types.StreamModeProvisioned); err != nil {
			t.Fatal(err)
		}
		wantError(t, distribute(types.RecordDistributionStrategyAuto), "InvalidArgumentException", "RecordDistributionStrategy AUTO is only supported for streams in On-Demand mode. Stream quakes under account 000000000000 is in PROVISIONED mode.")
	})
}

func TestDryRunChecksAndDoesNothing(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		dry := aws.Bool(true)
		it := c.horizon(0)
		put := func(name string, data int) error {
			return second(c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), Data: make([]byte, data), DryRun: dry}))
		}
		const would = "Request would have succeeded, but DryRun flag is set."
		for name, err := range map[string]error{
			"PutRecord":        put("quakes", 1),
			"PutRecords":       second(c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(0, 3), DryRun: dry})),
			"GetRecords":       second(c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it, DryRun: dry})),
			"GetShardIterator": second(c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: quakes, ShardId: shardID(0), ShardIteratorType: types.ShardIteratorTypeLatest, DryRun: dry})),
		} {
			t.Log(name)
			wantError(t, err, "DryRunOperationException", would)
		}
		wantError(t, put("none", 1), "ResourceNotFoundException", "Stream none under account 000000000000 not found.")
		wantError(t, put("quakes", 1<<20), "InvalidArgumentException", "Record size of 1048577 bytes exceeds the maximum of 1048576 bytes.")
		if records, _ := c.all(0, 0); len(records) != 0 {
			t.Errorf("%d records were written", len(records))
		}
	})
}
