package kinesis

import (
	"slices"
	"strings"
)

// The types of the model.
const streamARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"

var (
	named     = matching("[a-zA-Z0-9_.-]+", []string{"a", "Z_9.-"}, []string{"a b", "ä", "a/b", ""})
	name      = []rule{chars(1, 128, ""), named}
	streamID  = []rule{chars(1, 24, ""), matching("[a-z0-9]{20}-[a-z0-9]{3}", []string{"abcdefghij0123456789-x9z"}, []string{"abc", "ABCDEFGHIJ0123456789-x9z"})}
	byARN     = []rule{chars(1, 2048, streamARN), matching(`arn:aws.*:kinesis:.*:\d{12}:stream/\S+`, []string{streamARN + "a", "arn:aws-cn:kinesis::123456789012:stream/b"}, []string{streamARN, "arn:aws:kinesis:us-east-1:1:stream/a", "a"})}
	byAnyARN  = []rule{chars(1, 2048, streamARN), matching(`arn:aws.*:kinesis:.*:\d{12}:.*stream/\S+`, []string{streamARN + "a", streamARN + "a/consumer/c:1"}, []string{streamARN, "a"})}
	hashKey   = matching(`0|([1-9]\d{0,38})`, []string{"0", "1", "1" + strings.Repeat("0", 37), "1" + strings.Repeat("0", 38)}, []string{"1" + strings.Repeat("0", 39), "01", "-1", "", "x"})
	seqNumber = matching(`0|([1-9]\d{0,128})`, []string{"0", "1" + strings.Repeat("0", 127), "1" + strings.Repeat("0", 128)}, []string{"1" + strings.Repeat("0", 129), "00", ""})
	token     = []rule{chars(1, 1048576, "")}
	tagMap    = []rule{entries(1, 200), keys(1, 128), values(0, 256)}
	tagKeys   = []rule{list(1, 50, "k"), each(1, 128)}
	places    = enum("AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON")
	metrics   = []string{"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds", "ALL"}
)

// must adds that the member is required.
func must(rules ...rule) []rule { return append(slices.Clone(rules), required) }

// A constrained is an operation with a valid input, as JSON, and the rules of its members. "ref" and "resource" stand
// for the members by which most operations name their stream.
type constrained struct {
	operation, input string
	members          map[string][]rule
}

type members = map[string][]rule

func ref(m members) members {
	m["StreamName"], m["StreamARN"], m["StreamId"] = name, byARN, streamID
	return m
}

func owned(m members) members {
	m["ResourceARN"], m["StreamId"] = must(byAnyARN...), streamID
	return m
}

var model = []constrained{
	{"AddTagsToStream", `{"StreamName":"s","Tags":{"k":"v"}}`, ref(members{"Tags": must(tagMap...)})},
	{"CreateStream", `{"StreamName":"s","ShardCount":1}`, members{
		"StreamName": must(name...), "ShardCount": {number(1, unbounded)}, "Tags": tagMap, "WarmThroughputMiBps": {number(0, unbounded)},
		"MaxRecordSizeInKiB": {number(1024, 10240)}, "RecordDistributionStrategy": {enum("AUTO", "USER_PARTITION_KEY")},
	}},
	{"CreateStream", `{"StreamName":"s","StreamModeDetails":{"StreamMode":"ON_DEMAND"}}`, members{"StreamModeDetails.StreamMode": must(enum("PROVISIONED", "ON_DEMAND"))}},
	{"DecreaseStreamRetentionPeriod", `{"StreamName":"s","RetentionPeriodHours":24}`, ref(members{"RetentionPeriodHours": must()})},
	{"DeleteResourcePolicy", `{"ResourceARN":"` + streamARN + `s"}`, owned(members{})},
	{"DeleteStream", `{"StreamName":"s"}`, ref(members{})},
	{"DescribeAccountSettings", `{}`, members{}},
	{"DescribeLimits", `{}`, members{}},
	{"DescribeStream", `{"StreamName":"s"}`, ref(members{"Limit": {number(1, 10000)}, "ExclusiveStartShardId": name})},
	{"DescribeStreamSummary", `{"StreamName":"s"}`, ref(members{})},
	{"DisableEnhancedMonitoring", `{"StreamName":"s","ShardLevelMetrics":["ALL"]}`, ref(members{"ShardLevelMetrics": must(list(1, 7, "ALL"), enums(metrics...))})},
	{"EnableEnhancedMonitoring", `{"StreamName":"s","ShardLevelMetrics":["ALL"]}`, ref(members{"ShardLevelMetrics": must(list(1, 7, "ALL"), enums(metrics...))})},
	{"GetRecords", `{"ShardIterator":"i"}`, members{"ShardIterator": must(chars(1, 512, "")), "Limit": {number(1, 10000)}, "StreamARN": byARN, "StreamId": streamID}},
	{"GetResourcePolicy", `{"ResourceARN":"` + streamARN + `s"}`, owned(members{})},
	{"GetShardIterator", `{"StreamName":"s","ShardId":"shardId-0","ShardIteratorType":"LATEST"}`, ref(members{
		"ShardId": must(name...), "ShardIteratorType": must(places), "StartingSequenceNumber": {seqNumber},
	})},
	{"IncreaseStreamRetentionPeriod", `{"StreamName":"s","RetentionPeriodHours":24}`, ref(members{"RetentionPeriodHours": must()})},
	{"ListShards", `{"StreamName":"s"}`, ref(members{"NextToken": token, "ExclusiveStartShardId": name, "MaxResults": {number(1, 10000)}})},
	{"ListShards", `{"StreamName":"s","ShardFilter":{"Type":"AT_LATEST"}}`, members{
		"ShardFilter.Type":    must(enum("AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP")),
		"ShardFilter.ShardId": name,
	}},
	{"ListStreams", `{}`, members{"Limit": {number(1, 10000)}, "ExclusiveStartStreamName": name, "NextToken": token}},
	{"ListTagsForResource", `{"ResourceARN":"` + streamARN + `s"}`, owned(members{})},
	{"ListTagsForStream", `{"StreamName":"s"}`, ref(members{"ExclusiveStartTagKey": {chars(1, 128, "")}, "Limit": {number(1, 50)}})},
	{"MergeShards", `{"StreamName":"s","ShardToMerge":"a","AdjacentShardToMerge":"b"}`, ref(members{"ShardToMerge": must(name...), "AdjacentShardToMerge": must(name...)})},
	{"PutRecord", `{"StreamName":"s","PartitionKey":"k","Data":""}`, ref(members{
		"PartitionKey": {chars(1, 256, "")}, "Data": must(blob(10485760)), "ExplicitHashKey": {hashKey}, "SequenceNumberForOrdering": {seqNumber},
	})},
	{"PutRecords", `{"StreamName":"s","Records":[{"PartitionKey":"k","Data":""},{"PartitionKey":"k","Data":""}]}`, ref(members{
		"Records":                must(list(1, 500, map[string]any{"PartitionKey": "k", "Data": ""})),
		"Records.1.PartitionKey": {chars(1, 256, "")}, "Records.1.Data": must(blob(10485760)), "Records.1.ExplicitHashKey": {hashKey},
	})},
	{"PutResourcePolicy", `{"ResourceARN":"` + streamARN + `s","Policy":"{}"}`, owned(members{"Policy": must()})},
	{"RemoveTagsFromStream", `{"StreamName":"s","TagKeys":["k"]}`, ref(members{"TagKeys": must(tagKeys...)})},
	{"SplitShard", `{"StreamName":"s","ShardToSplit":"a","NewStartingHashKey":"1"}`, ref(members{"ShardToSplit": must(name...), "NewStartingHashKey": must(hashKey)})},
	{"StartStreamEncryption", `{"StreamName":"s","EncryptionType":"KMS","KeyId":"k"}`, ref(members{"EncryptionType": must(enum("NONE", "KMS")), "KeyId": must(chars(1, 2048, ""))})},
	{"StopStreamEncryption", `{"StreamName":"s","EncryptionType":"KMS","KeyId":"k"}`, ref(members{"EncryptionType": must(enum("NONE", "KMS")), "KeyId": must(chars(1, 2048, ""))})},
	{"TagResource", `{"ResourceARN":"` + streamARN + `s","Tags":{"k":"v"}}`, owned(members{"Tags": must(tagMap...)})},
	{"UntagResource", `{"ResourceARN":"` + streamARN + `s","TagKeys":["k"]}`, owned(members{"TagKeys": must(tagKeys...)})},
	{"UpdateAccountSettings", `{"MinimumThroughputBillingCommitment":{"Status":"DISABLED"}}`, members{
		"MinimumThroughputBillingCommitment": must(), "MinimumThroughputBillingCommitment.Status": must(enum("ENABLED", "DISABLED")),
	}},
	{"UpdateMaxRecordSize", `{"StreamARN":"` + streamARN + `s","MaxRecordSizeInKiB":1024}`, members{"StreamARN": byARN, "StreamId": streamID, "MaxRecordSizeInKiB": must(number(1024, 10240))}},
	{"UpdateShardCount", `{"StreamName":"s","TargetShardCount":1,"ScalingType":"UNIFORM_SCALING"}`, ref(members{
		"TargetShardCount": must(number(1, unbounded)), "ScalingType": must(enum("UNIFORM_SCALING")),
	})},
	{"UpdateStreamMode", `{"StreamARN":"` + streamARN + `s","StreamModeDetails":{"StreamMode":"ON_DEMAND"}}`, members{
		"StreamARN": must(byARN...), "StreamId": streamID, "StreamModeDetails": must(), "StreamModeDetails.StreamMode": must(enum("PROVISIONED", "ON_DEMAND")),
		"WarmThroughputMiBps": {number(0, unbounded)},
	}},
	{"UpdateStreamRecordDistributionStrategy", `{"StreamARN":"` + streamARN + `s","RecordDistributionStrategy":"AUTO"}`, members{
		"StreamARN": must(byARN...), "StreamId": streamID, "RecordDistributionStrategy": must(enum("AUTO", "USER_PARTITION_KEY")),
	}},
	{"UpdateStreamWarmThroughput", `{"StreamName":"s","WarmThroughputMiBps":1}`, ref(members{"WarmThroughputMiBps": must(number(0, unbounded))})},
}
