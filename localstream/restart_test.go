package localstream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream"
)

func TestSettingsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		start := func() (*localstream.Server, *client) {
			srv, err := localstream.Open("data", localstream.Options{FS: disk, Limits: localstream.RealLimits})
			if err != nil {
				t.Fatal(err)
			}
			return srv, newClient(t, srv)
		}
		srv, c := start()
		ctx := t.Context()
		c.commit("ENABLED")
		began := time.Now()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(c.createOnDemand(kinesis.CreateStreamInput{
			WarmThroughputMiBps: aws.Int32(6), MaxRecordSizeInKiB: aws.Int32(2048), Tags: map[string]string{"a": "b"},
			RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
		}))
		must(second(c.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: aws.String(arn), Policy: aws.String(`{"Id":"p"}`)})))
		must(second(c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: quakes, ShardLevelMetrics: []types.MetricsName{"OutgoingBytes"}})))
		for range 25 {
			must(c.startEncryption("alias/k"))
		}
		one, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: quakes, Data: []byte("kept")})
		must(err)
		must(srv.Close())
		srv, c = start()

		s := c.summary()
		if *s.WarmThroughput.CurrentMiBps != 6 || *s.OpenShardCount != 6 || *s.MaxRecordSizeInKiB != 2048 || s.RecordDistributionStrategy != types.RecordDistributionStrategyAuto ||
			s.EncryptionType != types.EncryptionTypeKms || *s.KeyId != "alias/k" || s.StreamModeDetails.StreamMode != types.StreamModeOnDemand ||
			len(s.EnhancedMonitoring[0].ShardLevelMetrics) != 1 || c.tags() != "a=b" {
			t.Errorf("after the restart %+v, tags %s", s, c.tags())
		}
		policy, err := c.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: aws.String(arn)})
		if err != nil || *policy.Policy != `{"Id":"p"}` {
			t.Errorf("policy %+v, %v", policy, err)
		}
		account, err := c.DescribeAccountSettings(ctx, &kinesis.DescribeAccountSettingsInput{})
		if err != nil || account.MinimumThroughputBillingCommitment.Status != "ENABLED" || !account.MinimumThroughputBillingCommitment.StartedAt.Equal(began) {
			t.Errorf("account %+v, %v", account, err)
		}
		it, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: quakes, ShardId: one.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		must(err)
		if out := c.get(it.ShardIterator, 0); len(out.Records) != 1 || out.Records[0].EncryptionType != types.EncryptionTypeKms || string(out.Records[0].Data) != "kept" {
			t.Errorf("records %+v", out.Records)
		}
		// What was done today counts across the restart.
		wantError(t, c.startEncryption("alias/k"), "LimitExceededException", "StartStreamEncryption was called successfully 25 times in the last 24 hours for stream quakes under account 000000000000, which is the limit.")
		must(srv.Close())
	})
}
