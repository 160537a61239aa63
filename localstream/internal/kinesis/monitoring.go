package kinesis

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

type monitoringInput struct {
	streamRef
	ShardLevelMetrics []string `required:"true" len:"1..7" enum:"IncomingBytes, IncomingRecords, OutgoingBytes, OutgoingRecords, WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, IteratorAgeMilliseconds, ALL"`
}

// shardMetrics are all that there are, in the order in which answers list them.
var shardMetrics = []types.MetricsName{
	types.MetricsNameIncomingBytes, types.MetricsNameIncomingRecords, types.MetricsNameOutgoingBytes, types.MetricsNameOutgoingRecords,
	types.MetricsNameWriteProvisionedThroughputExceeded, types.MetricsNameReadProvisionedThroughputExceeded, types.MetricsNameIteratorAgeMilliseconds,
}

// enableEnhancedMonitoring remembers which metrics are wanted; nothing is measured.
func (s *Service) enableEnhancedMonitoring(ctx context.Context, in *monitoringInput) (any, error) {
	before, after, arn, err := s.monitor(ctx, in, func(enabled, named bool) bool { return enabled || named })
	if err != nil {
		return nil, err
	}
	return &kinesis.EnableEnhancedMonitoringOutput{StreamName: before.name(), StreamARN: &arn, CurrentShardLevelMetrics: before.metrics(), DesiredShardLevelMetrics: after.metrics()}, nil
}

// disableEnhancedMonitoring forgets metrics.
func (s *Service) disableEnhancedMonitoring(ctx context.Context, in *monitoringInput) (any, error) {
	before, after, arn, err := s.monitor(ctx, in, func(enabled, named bool) bool { return enabled && !named })
	if err != nil {
		return nil, err
	}
	return &kinesis.DisableEnhancedMonitoringOutput{StreamName: before.name(), StreamARN: &arn, CurrentShardLevelMetrics: before.metrics(), DesiredShardLevelMetrics: after.metrics()}, nil
}

// monitor keeps the metrics that keep is true of, and returns the stream before and after.
func (s *Service) monitor(ctx context.Context, in *monitoringInput, keep func(enabled, named bool) bool) (before, after *stream, arn string, err error) {
	err = s.amend(ctx, &in.streamRef, func(next *stream, _ time.Time) error {
		before, after = next.clone(), next
		next.Metrics = nil
		for _, m := range shardMetrics {
			named := slices.Contains(in.ShardLevelMetrics, string(m)) || slices.Contains(in.ShardLevelMetrics, string(types.MetricsNameAll))
			if keep(slices.Contains(before.Metrics, m), named) {
				next.Metrics = append(next.Metrics, m)
			}
		}
		arn = s.arn(next.Name)
		return nil
	})
	return before, after, arn, err
}

func (st *stream) name() *string { return &st.Name }

// metrics are the stream's shard-level metrics; answers have an empty list where there are none.
func (st *stream) metrics() []types.MetricsName { return append([]types.MetricsName{}, st.Metrics...) }

// monitoring is how descriptions show the metrics.
func (st *stream) monitoring() []types.EnhancedMetrics {
	return []types.EnhancedMetrics{{ShardLevelMetrics: st.metrics()}}
}
