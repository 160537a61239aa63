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

// controlCalls are operations with a rate, and a call of each that is not refused otherwise for what it says.
var controlCalls = []struct {
	name string
	rate int
	call func(c *client, i int) error
	text string
}{
	{"DescribeStream", 10, func(c *client, _ int) error {
		return second(c.DescribeStream(c.t.Context(), &kinesis.DescribeStreamInput{StreamARN: aws.String(arn)}))
	}, "Rate exceeded for stream quakes under account 000000000000."},
	{"DescribeStreamSummary", 20, func(c *client, _ int) error {
		return second(c.DescribeStreamSummary(c.t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: quakes}))
	}, "Rate exceeded for stream quakes under account 000000000000."},
	{"DescribeLimits", 1, func(c *client, _ int) error {
		return second(c.DescribeLimits(c.t.Context(), &kinesis.DescribeLimitsInput{}))
	}, "Rate exceeded for account 000000000000."},
	{"ListStreams", 5, func(c *client, _ int) error {
		return second(c.ListStreams(c.t.Context(), &kinesis.ListStreamsInput{}))
	}, "Rate exceeded for account 000000000000."},
	{"AddTagsToStream", 5, func(c *client, _ int) error { return c.addTags(map[string]string{"a": "b"}) },
		"Rate exceeded for stream quakes under account 000000000000."},
	{"CreateStream", 5, func(c *client, i int) error {
		return second(c.CreateStream(c.t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(fmt.Sprint("s", i)), ShardCount: aws.Int32(1)}))
	}, "Rate exceeded for stream s%d under account 000000000000."},
	{"DescribeAccountSettings", 5, func(c *client, _ int) error {
		return second(c.DescribeAccountSettings(c.t.Context(), &kinesis.DescribeAccountSettingsInput{}))
	}, "Rate exceeded for account 000000000000."},
	{"ListShards", 1000, func(c *client, _ int) error {
		return second(c.ListShards(c.t.Context(), &kinesis.ListShardsInput{StreamName: quakes}))
	}, "Rate exceeded for stream quakes under account 000000000000."},
}

func TestControlCallsAreRefusedOverTheirRates(t *testing.T) {
	for _, factor := range []float64{1, 2} {
		bubble(t, localstream.Options{Limits: localstream.RealLimits.Scale(factor)}, func(t *testing.T, c *client) {
			c.create(1)
			time.Sleep(time.Second)
			n := 0
			for _, call := range controlCalls {
				rate := int(factor) * call.rate
				for range rate {
					if n++; call.call(c, n) != nil {
						t.Fatalf("%s: a call within its rate of %d was refused", call.name, rate)
					}
				}
				refused := func() {
					t.Helper()
					n++
					text := call.text
					if call.name == "CreateStream" {
						text = fmt.Sprintf(text, n)
					}
					wantError(t, call.call(c, n), "LimitExceededException", text)
				}
				refused()
				wait := time.Second / time.Duration(rate)
				time.Sleep(wait - time.Microsecond)
				refused()
				time.Sleep(time.Microsecond)
				if n++; call.call(c, n) != nil {
					t.Errorf("%s is refused after %v", call.name, wait)
				}
			}
		})
	}
}

func TestListShardsHasARatePerStream(t *testing.T) {
	bubble(t, localstream.Options{Limits: localstream.Limits{Control: 0.001}}, func(t *testing.T, c *client) {
		list := func(in kinesis.ListShardsInput) error { return second(c.ListShards(t.Context(), &in)) }
		wantError(t, list(kinesis.ListShardsInput{StreamName: quakes}), "ResourceNotFoundException", "Stream quakes under account 000000000000 not found.")
		wantError(t, list(kinesis.ListShardsInput{StreamARN: aws.String(arn)}), "LimitExceededException", "Rate exceeded for stream quakes under account 000000000000.")
		wantError(t, list(kinesis.ListShardsInput{StreamName: aws.String("other")}), "ResourceNotFoundException", "Stream other under account 000000000000 not found.")
	})
}

func TestIteratorsAreRefusedOverTheirRatePerShard(t *testing.T) {
	bubble(t, localstream.Options{Limits: localstream.RealLimits}, func(t *testing.T, c *client) {
		c.create(2)
		for range 5 {
			c.horizon(0)
		}
		in := &kinesis.GetShardIteratorInput{StreamName: quakes, ShardId: shardID(0), ShardIteratorType: types.ShardIteratorTypeLatest}
		_, err := c.GetShardIterator(t.Context(), in)
		wantError(t, err, "ProvisionedThroughputExceededException", rateExceeded)
		c.horizon(1)
		time.Sleep(200 * time.Millisecond)
		c.horizon(0)
	})
}

func TestLargeRecordsOverdrawAFullAllowance(t *testing.T) {
	bubble(t, localstream.Options{Limits: localstream.RealLimits}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		if _, err := c.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{StreamARN: aws.String(arn), MaxRecordSizeInKiB: aws.Int32(10240)}); err != nil {
			t.Fatal(err)
		}
		put := func(size int) error {
			return second(c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("k"), Data: make([]byte, size-1)}))
		}
		if err := put(10 << 20); err != nil {
			t.Fatal(err)
		}
		wantError(t, put(2), "ProvisionedThroughputExceededException", rateExceeded)
		time.Sleep(10*time.Second - time.Millisecond)
		wantError(t, put(2), "ProvisionedThroughputExceededException", rateExceeded)
		time.Sleep(time.Millisecond)
		for range 2 { // a whole second's worth is there again
			if err := put(1 << 19); err != nil {
				t.Error(err)
			}
		}
		wantError(t, put(2), "ProvisionedThroughputExceededException", rateExceeded)
	})
}

func TestDailyQuotas(t *testing.T) {
	for _, q := range []struct {
		name string
		most int
		call func(c *client, i int) error
	}{
		{"UpdateShardCount", 10, func(c *client, i int) error {
			return second(c.UpdateShardCount(c.t.Context(), &kinesis.UpdateShardCountInput{StreamName: quakes, TargetShardCount: aws.Int32(int32(2 - i%2)), ScalingType: types.ScalingTypeUniformScaling}))
		}},
		{"UpdateStreamMode", 2, func(c *client, i int) error {
			return c.mode([]types.StreamMode{types.StreamModeOnDemand, types.StreamModeProvisioned}[i%2])
		}},
		{"StartStreamEncryption", 25, func(c *client, _ int) error { return c.startEncryption("k") }},
		{"StopStreamEncryption", 25, func(c *client, _ int) error { return c.stopEncryption() }},
	} {
		t.Run(q.name, func(t *testing.T) {
			bubble(t, localstream.Options{Limits: localstream.RealLimits}, func(t *testing.T, c *client) {
				c.create(1)
				for i := range q.most {
					time.Sleep(time.Minute)
					if err := q.call(c, i); err != nil {
						t.Fatalf("call %d: %v", i+1, err)
					}
				}
				refused := fmt.Sprintf("%s was called successfully %d times in the last 24 hours for stream quakes under account 000000000000, which is the limit.", q.name, q.most)
				wantError(t, q.call(c, q.most), "LimitExceededException", refused)
				time.Sleep(24*time.Hour - time.Duration(q.most-1)*time.Minute - time.Millisecond)
				wantError(t, q.call(c, q.most), "LimitExceededException", refused)
				time.Sleep(time.Millisecond)
				if err := q.call(c, q.most); err != nil {
					t.Errorf("24 hours after the first: %v", err)
				}
			})
			bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
				c.create(1)
				for i := range 2*q.most + 1 {
					if err := q.call(c, i); err != nil {
						t.Fatalf("without limits, call %d: %v", i+1, err)
					}
				}
			})
		})
	}
}

func TestAccountsHaveFiftyOnDemandStreamsAndCreateFiveAtATime(t *testing.T) {
	bubble(t, localstream.Options{Transition: time.Second}, func(t *testing.T, c *client) {
		create := func(i int, mode types.StreamMode) error {
			in := &kinesis.CreateStreamInput{StreamName: aws.String(fmt.Sprint("s", i)), StreamModeDetails: &types.StreamModeDetails{StreamMode: mode}}
			if mode == types.StreamModeProvisioned {
				in.ShardCount = aws.Int32(1)
			}
			return second(c.CreateStream(t.Context(), in))
		}
		for i := range 50 {
			if err := create(i, types.StreamModeOnDemand); err != nil {
				t.Fatal(err)
			}
			if i == 4 {
				wantError(t, create(99, types.StreamModeProvisioned), "LimitExceededException", "Limit of 5 concurrent CreateStream requests exceeded for account 000000000000.")
			}
			if i%5 == 4 {
				time.Sleep(time.Second)
			}
		}
		const full = "Limit of 50 on-demand streams exceeded for account 000000000000."
		wantError(t, create(50, types.StreamModeOnDemand), "LimitExceededException", full)
		c.create(1)
		time.Sleep(time.Second)
		wantError(t, c.mode(types.StreamModeOnDemand), "LimitExceededException", full)
	})
}

func TestUpdateShardCountStopsAtTenThousand(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(9_999)
		update := func(target int32) error {
			return second(c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: quakes, TargetShardCount: &target, ScalingType: types.ScalingTypeUniformScaling}))
		}
		wantError(t, update(10_001), "LimitExceededException", "UpdateShardCount cannot scale a stream over 10000 shards. Current open shard count: 9999 Target shard count: 10001")
		if err := update(10_000); err != nil {
			t.Error(err)
		}
	})
}
