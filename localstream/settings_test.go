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

func (c *client) startEncryption(key string) error {
	return second(c.StartStreamEncryption(c.t.Context(), &kinesis.StartStreamEncryptionInput{StreamName: quakes, EncryptionType: types.EncryptionTypeKms, KeyId: &key}))
}

func (c *client) stopEncryption() error {
	return second(c.StopStreamEncryption(c.t.Context(), &kinesis.StopStreamEncryptionInput{StreamName: quakes, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/aws/kinesis")}))
}

func TestRecordsShowEncryptionFromTheMomentItIsActive(t *testing.T) {
	bubble(t, localstream.Options{Transition: time.Second}, func(t *testing.T, c *client) {
		ctx := t.Context()
		wantError(t, c.startEncryption("k"), "ResourceNotFoundException", "Stream quakes under account 000000000000 not found.")
		c.create(1)
		time.Sleep(time.Second)
		step := 0
		put := func(want types.EncryptionType) {
			t.Helper()
			if out := c.put(step, 1); out.EncryptionType != want {
				t.Errorf("put %d: EncryptionType %q, want %q", step, out.EncryptionType, want)
			}
			one, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("k"), Data: []byte{1}})
			if err != nil || one.EncryptionType != want {
				t.Errorf("put %d: %+v, %v, want %q", step, one, err, want)
			}
			step++
		}
		put("")
		if err := c.startEncryption("alias/aws/kinesis"); err != nil {
			t.Fatal(err)
		}
		put("")
		wantError(t, c.startEncryption("k"), "ResourceInUseException", "Stream quakes under account 000000000000 not ACTIVE, instead in state UPDATING")
		time.Sleep(time.Second)
		put(types.EncryptionTypeKms)
		if d := c.describe(); d.EncryptionType != types.EncryptionTypeKms || *d.KeyId != "alias/aws/kinesis" {
			t.Errorf("described with %s %s", d.EncryptionType, aws.ToString(d.KeyId))
		}
		if err := c.startEncryption("other"); err != nil { // another key
			t.Fatal(err)
		}
		put(types.EncryptionTypeKms)
		time.Sleep(time.Second)
		if err := c.stopEncryption(); err != nil {
			t.Fatal(err)
		}
		put(types.EncryptionTypeKms)
		time.Sleep(time.Second)
		put("")
		if s := c.summary(); s.EncryptionType != types.EncryptionTypeNone || s.KeyId != nil {
			t.Errorf("described with %s %s", s.EncryptionType, aws.ToString(s.KeyId))
		}
		records, _ := c.all(0, 0)
		var got string
		for _, r := range records {
			got += map[types.EncryptionType]string{"": "-", types.EncryptionTypeKms: "E"}[r.EncryptionType]
		}
		if got != "----EEEEEE--" {
			t.Errorf("read back as %s", got)
		}
		_, err := c.StopStreamEncryption(ctx, &kinesis.StopStreamEncryptionInput{StreamName: quakes, EncryptionType: types.EncryptionTypeNone, KeyId: aws.String("k")})
		wantError(t, err, "InvalidArgumentException", "EncryptionType NONE is not valid for this operation. The only valid value is KMS.")
	})
}

func TestEnhancedMonitoringIsRemembered(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		enable := func(m ...types.MetricsName) string {
			out, err := c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: quakes, ShardLevelMetrics: m})
			if err != nil || *out.StreamName != "quakes" || *out.StreamARN != arn {
				t.Fatalf("%+v, %v", out, err)
			}
			return fmt.Sprint(out.CurrentShardLevelMetrics, out.DesiredShardLevelMetrics)
		}
		if got := enable(types.MetricsNameOutgoingBytes, types.MetricsNameIncomingBytes); got != "[] [IncomingBytes OutgoingBytes]" {
			t.Error(got)
		}
		if got := enable(types.MetricsNameIncomingRecords); got != "[IncomingBytes OutgoingBytes] [IncomingBytes IncomingRecords OutgoingBytes]" {
			t.Error(got)
		}
		out, err := c.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamARN: aws.String(arn), ShardLevelMetrics: []types.MetricsName{types.MetricsNameIncomingBytes}})
		if got := fmt.Sprint(out.CurrentShardLevelMetrics, out.DesiredShardLevelMetrics); err != nil || got != "[IncomingBytes IncomingRecords OutgoingBytes] [IncomingRecords OutgoingBytes]" {
			t.Error(got, err)
		}
		enable(types.MetricsNameAll)
		if d := c.describe(); len(d.EnhancedMonitoring) != 1 || len(d.EnhancedMonitoring[0].ShardLevelMetrics) != 7 {
			t.Errorf("ALL is %+v", d.EnhancedMonitoring)
		}
		if _, err := c.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamName: quakes, ShardLevelMetrics: []types.MetricsName{types.MetricsNameAll}}); err != nil {
			t.Error(err)
		}
		if s := c.summary(); len(s.EnhancedMonitoring) != 1 || s.EnhancedMonitoring[0].ShardLevelMetrics == nil || len(s.EnhancedMonitoring[0].ShardLevelMetrics) != 0 {
			t.Errorf("none is %+v", s.EnhancedMonitoring)
		}
		_, err = c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: aws.String("none"), ShardLevelMetrics: []types.MetricsName{types.MetricsNameAll}})
		wantError(t, err, "ResourceNotFoundException", "Stream none under account 000000000000 not found.")
	})
}

func (c *client) commit(status types.MinimumThroughputBillingCommitmentInputStatus) *types.MinimumThroughputBillingCommitmentOutput {
	c.t.Helper()
	out, err := c.UpdateAccountSettings(c.t.Context(), &kinesis.UpdateAccountSettingsInput{MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: status}})
	if err != nil {
		c.t.Fatal(err)
	}
	return out.MinimumThroughputBillingCommitment
}

func TestCommitmentEndsNotBeforeItMay(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		status := func() string {
			out, err := c.DescribeAccountSettings(t.Context(), &kinesis.DescribeAccountSettingsInput{})
			if err != nil {
				t.Fatal(err)
			}
			return string(out.MinimumThroughputBillingCommitment.Status)
		}
		start := time.Now()
		if got := status(); got != "DISABLED" {
			t.Errorf("at first %s", got)
		}
		got := c.commit("ENABLED")
		if got.Status != "ENABLED" || !got.StartedAt.Equal(start) || !got.EarliestAllowedEndAt.Equal(start.Add(24*time.Hour)) || got.EndedAt != nil {
			t.Errorf("enabled: %+v", got)
		}
		time.Sleep(time.Hour)
		if got := c.commit("DISABLED"); got.Status != "ENABLED_UNTIL_EARLIEST_ALLOWED_END" {
			t.Errorf("ended early: %+v", got)
		}
		if got := c.commit("ENABLED"); got.Status != "ENABLED" || !got.StartedAt.Equal(start) {
			t.Errorf("enabled again: %+v", got)
		}
		c.commit("DISABLED")
		time.Sleep(23*time.Hour - time.Millisecond)
		if got := status(); got != "ENABLED_UNTIL_EARLIEST_ALLOWED_END" {
			t.Errorf("just before its end %s", got)
		}
		time.Sleep(time.Millisecond)
		if got := status(); got != "DISABLED" {
			t.Errorf("at its end %s", got)
		}
	})
}

func TestDescribeLimitsCountsShardsAndStreams(t *testing.T) {
	bubble(t, localstream.Options{Limits: localstream.Limits{Shards: 9}}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(3)
		onDemand := &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
		if _, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("free"), StreamModeDetails: onDemand}); err != nil {
			t.Fatal(err)
		}
		out, err := c.DescribeLimits(ctx, &kinesis.DescribeLimitsInput{})
		if err != nil || *out.ShardLimit != 9 || *out.OpenShardCount != 7 || *out.OnDemandStreamCount != 1 || *out.OnDemandStreamCountLimit != 50 || *out.ChannelCount != 0 {
			t.Errorf("%+v, %v", out, err)
		}
		_, err = c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("more"), ShardCount: aws.Int32(3)})
		wantError(t, err, "LimitExceededException", "This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count for the account: 7. Limit: 9. Number of additional shards that would have resulted from this request: 3. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.")
	})
}
