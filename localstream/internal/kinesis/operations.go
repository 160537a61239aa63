package kinesis

import "github.com/shoal-stream/shoal/localstream/internal/wire"

// Wire is the service with its table of operations: all of the API model.
func (s *Service) Wire() wire.Service {
	operations := []wire.Operation{
		wire.Op("CreateStream", s.createStream),
		wire.Op("DecreaseStreamRetentionPeriod", s.decreaseRetention),
		wire.Op("DeleteStream", s.deleteStream),
		wire.Op("DescribeStream", s.describeStream),
		wire.Op("DescribeStreamSummary", s.describeStreamSummary),
		wire.Op("GetRecords", s.getRecords),
		wire.Op("GetShardIterator", s.getShardIterator),
		wire.Op("IncreaseStreamRetentionPeriod", s.increaseRetention),
		wire.Op("ListShards", s.listShards),
		wire.Op("ListStreams", s.listStreams),
		wire.Op("MergeShards", s.mergeShards),
		wire.Op("PutRecord", s.putRecord),
		wire.Op("PutRecords", s.putRecords),
		wire.Op("SplitShard", s.splitShard),
		wire.Op("UpdateShardCount", s.updateShardCount),
	}
	for i, op := range operations {
		operations[i] = s.metered(op)
	}
	return wire.Service{Target: "Kinesis_20131202", JSON: "1.1", CBOR: true, InternalError: "InternalFailure", Operations: operations}
}
