package kinesis

import "github.com/shoal-stream/shoal/localstream/internal/wire"

// Wire is the service with its table of operations: all of the API model.
func (s *Service) Wire() wire.Service {
	operations := []wire.Operation{
		wire.Op("AddTagsToStream", s.addTagsToStream),
		wire.Op("CreateStream", s.createStream),
		wire.Op("DecreaseStreamRetentionPeriod", s.decreaseRetention),
		wire.Op("DeleteResourcePolicy", s.deleteResourcePolicy),
		wire.Op("DeleteStream", s.deleteStream),
		wire.Op("DeregisterStreamConsumer", s.deregisterStreamConsumer),
		wire.Op("DescribeAccountSettings", s.describeAccountSettings),
		wire.Op("DescribeLimits", s.describeLimits),
		wire.Op("DescribeStream", s.describeStream),
		wire.Op("DescribeStreamConsumer", s.describeStreamConsumer),
		wire.Op("DescribeStreamSummary", s.describeStreamSummary),
		wire.Op("DisableEnhancedMonitoring", s.disableEnhancedMonitoring),
		wire.Op("EnableEnhancedMonitoring", s.enableEnhancedMonitoring),
		wire.Op("GetRecords", s.getRecords),
		wire.Op("GetResourcePolicy", s.getResourcePolicy),
		wire.Op("GetShardIterator", s.getShardIterator),
		wire.Op("IncreaseStreamRetentionPeriod", s.increaseRetention),
		wire.Op("ListShards", s.listShards),
		wire.Op("ListStreamConsumers", s.listStreamConsumers),
		wire.Op("ListStreams", s.listStreams),
		wire.Op("ListTagsForResource", s.listTagsForResource),
		wire.Op("ListTagsForStream", s.listTagsForStream),
		wire.Op("MergeShards", s.mergeShards),
		wire.Op("PutRecord", s.putRecord),
		wire.Op("PutRecords", s.putRecords),
		wire.Op("RegisterStreamConsumer", s.registerStreamConsumer),
		wire.Op("PutResourcePolicy", s.putResourcePolicy),
		wire.Op("RemoveTagsFromStream", s.removeTagsFromStream),
		wire.Op("SplitShard", s.splitShard),
		wire.Op("SubscribeToShard", s.subscribeToShard),
		wire.Op("StartStreamEncryption", s.startStreamEncryption),
		wire.Op("StopStreamEncryption", s.stopStreamEncryption),
		wire.Op("TagResource", s.tagResource),
		wire.Op("UntagResource", s.untagResource),
		wire.Op("UpdateAccountSettings", s.updateAccountSettings),
		wire.Op("UpdateMaxRecordSize", s.updateMaxRecordSize),
		wire.Op("UpdateShardCount", s.updateShardCount),
		wire.Op("UpdateStreamMode", s.updateStreamMode),
		wire.Op("UpdateStreamRecordDistributionStrategy", s.updateDistribution),
		wire.Op("UpdateStreamWarmThroughput", s.updateStreamWarmThroughput),
	}
	operations = append(operations, s.channelOperations()...)
	for i, op := range operations {
		op.BodyFree = op.Name == "PutRecord" || op.Name == "PutRecords" // chunks are copies
		operations[i] = s.metered(op)
	}
	return wire.Service{Target: "Kinesis_20131202", JSON: "1.1", CBOR: true, InternalError: "InternalFailure", Operations: operations}
}
