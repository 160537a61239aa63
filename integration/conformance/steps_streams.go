package main

import (
	"fmt"
	"slices"
	"time"
)

// The stream of most steps, and what its answers contain.
const (
	account   = "000000000000"
	streamARN = "arn:aws:kinesis:us-east-1:" + account + ":stream/quakes"
	middle    = "170141183460469231731687303715884105728" // half of the hash keys
	highest   = "340282366920938463463374607431768211455"
	noStream  = "Stream none under account " + account + " not found."
	sequence  = `\d{50,60}` // a sequence number
)

var quakes = obj{"StreamName": "quakes"}

// of is the stream's name with further members.
func of(more obj) obj { return join(quakes, more) }

func join(maps ...obj) obj {
	out := obj{}
	for _, m := range maps {
		for name, value := range m {
			out[name] = value
		}
	}
	return out
}

func shardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

// allSteps is the whole table, in the order in which it is played.
func allSteps() []step { return append(streamSteps(), tablesSteps()...) }

// streamSteps are those of Kinesis.
func streamSteps() []step {
	return slices.Concat(createSteps(), shardSteps(), putSteps(), getSteps(), tagSteps(), settingSteps(), consumerSteps(), reshardSteps(),
		modeSteps(), accountSteps(), deleteSteps())
}

// tablesSteps are those of DynamoDB.
func tablesSteps() []step {
	return slices.Concat(tableSteps(), itemSteps(), conditionSteps(), updateSteps(), querySteps(), batchSteps(), transactionSteps(),
		tableSettingSteps(), tableEndSteps())
}

// summary is what DescribeStreamSummary gives for the stream, with some members as told.
func summary(changes obj) obj {
	return obj{"StreamDescriptionSummary": join(obj{
		"StreamName": "quakes", "StreamARN": streamARN, "StreamStatus": "ACTIVE", "StreamModeDetails": obj{"StreamMode": "PROVISIONED"},
		"RetentionPeriodHours": 24, "StreamCreationTimestamp": matcher(recent), "EnhancedMonitoring": list{obj{"ShardLevelMetrics": list{}}},
		"EncryptionType": "NONE", "OpenShardCount": 2, "ConsumerCount": 0, "MaxRecordSizeInKiB": 1024,
		"StreamId": may(text("[a-z0-9]{20}-[a-z0-9]{3}")), "WarmThroughput": may(matcher(present)), "ChannelCount": may(0), "QueueCount": may(0),
		"RecordDistributionStrategy": may("USER_PARTITION_KEY"),
	}, changes)}
}

func createSteps() []step {
	return []step{
		kinesisCall("ListStreams", obj{}).gives(obj{"StreamNames": list{}, "HasMoreStreams": false, "StreamSummaries": list{}}).named("none"),
		kinesisCall("DescribeStreamSummary", obj{"StreamName": "none"}).fails("ResourceNotFoundException", noStream),
		kinesisCall("DescribeStream", obj{"StreamName": "none"}).fails("ResourceNotFoundException", noStream),
		kinesisCall("CreateStream", obj{"StreamName": "two words", "ShardCount": 1}).fails("ValidationException",
			"1 validation error detected: Value 'two words' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
		kinesisCall("CreateStream", of(obj{"ShardCount": 2, "Tags": obj{"team": "seismology"}})).gives(obj{}),
		kinesisCall("CreateStream", of(obj{"ShardCount": 2})).fails("ResourceInUseException", "Stream quakes under account "+account+" already exists.").named("again"),
		kinesisCall("CreateStream", obj{"StreamName": "other", "ShardCount": 2_000_000}).fails("LimitExceededException",
			starts("This request would exceed the shard limit for the account "+account+" in us-east-1.")).named("too many shards"),
		kinesisCall("DescribeStreamSummary", quakes).becomes(summary(nil)),
		kinesisCall("DescribeStreamSummary", obj{"StreamARN": streamARN}).gives(summary(nil)).named("by ARN"),
		kinesisCall("DescribeStream", quakes).gives(obj{"StreamDescription": obj{
			"StreamName": "quakes", "StreamARN": streamARN, "StreamStatus": "ACTIVE", "StreamModeDetails": obj{"StreamMode": "PROVISIONED"},
			"RetentionPeriodHours": 24, "StreamCreationTimestamp": matcher(recent), "EnhancedMonitoring": list{obj{"ShardLevelMetrics": list{}}},
			"EncryptionType": "NONE", "HasMoreShards": false, "Shards": list{firstShard, secondShard},
		}}),
		kinesisCall("DescribeStream", of(obj{"Limit": 1})).gives(obj{"StreamDescription": with(obj{"HasMoreShards": true, "Shards": list{firstShard}})}).named("a page"),
		kinesisCall("DescribeStream", of(obj{"ExclusiveStartShardId": shardID(0)})).gives(
			obj{"StreamDescription": with(obj{"HasMoreShards": false, "Shards": list{secondShard}})}).named("the next page"),
		kinesisCall("CreateStream", obj{"StreamName": "another", "StreamModeDetails": obj{"StreamMode": "ON_DEMAND"}}).gives(obj{}).named("on demand"),
		kinesisCall("ListStreams", obj{"Limit": 1}).gives(obj{"StreamNames": list{"another"}, "HasMoreStreams": true, "NextToken": keep("streams", matcher(present)),
			"StreamSummaries": list{obj{"StreamName": "another", "StreamARN": starts("arn:aws:kinesis:"), "StreamStatus": "ACTIVE",
				"StreamModeDetails": obj{"StreamMode": "ON_DEMAND"}, "StreamCreationTimestamp": matcher(recent)}}}),
		kinesisCall("ListStreams", obj{"NextToken": ref("streams")}).gives(obj{"StreamNames": list{"quakes"}, "HasMoreStreams": false,
			"StreamSummaries": each(1, with(obj{"StreamName": "quakes"}))}).named("by token"),
		kinesisCall("ListStreams", obj{"ExclusiveStartStreamName": "another"}).gives(with(obj{"StreamNames": list{"quakes"}})).named("by name"),
		kinesisCall("DescribeLimits", obj{}).gives(obj{"ShardLimit": number(500, 1e6), "OpenShardCount": number(2, 6), "OnDemandStreamCount": 1,
			"OnDemandStreamCountLimit": 50, "ChannelCount": may(0), "ChannelCountLimit": may(matcher(present))}),
	}
}

// aShard is a shard in an answer, open.
func aShard(n int, from, to string, more obj) obj {
	return join(obj{"ShardId": shardID(n), "HashKeyRange": obj{"StartingHashKey": from, "EndingHashKey": to},
		"SequenceNumberRange": obj{"StartingSequenceNumber": text(sequence)}}, more)
}

// closed is the sequence number range of a closed shard.
var closed = obj{"SequenceNumberRange": obj{"StartingSequenceNumber": text(sequence), "EndingSequenceNumber": text(sequence)}}

var (
	firstShard  = aShard(0, "0", "170141183460469231731687303715884105727", nil)
	secondShard = aShard(1, middle, highest, nil)
)

func shardSteps() []step {
	filter := func(kind string, more obj) step {
		return kinesisCall("ListShards", of(obj{"ShardFilter": join(obj{"Type": kind}, more)})).named(kind)
	}
	both := obj{"Shards": list{firstShard, secondShard}}
	return []step{
		kinesisCall("ListShards", quakes).gives(both),
		kinesisCall("ListShards", of(obj{"MaxResults": 1})).gives(obj{"Shards": list{firstShard}, "NextToken": keep("shards", matcher(present))}).named("a page"),
		kinesisCall("ListShards", obj{"NextToken": ref("shards")}).gives(obj{"Shards": list{secondShard}}).named("the next page"),
		kinesisCall("ListShards", of(obj{"NextToken": ref("shards")})).fails("InvalidArgumentException", "NextToken and StreamName cannot be provided together."),
		kinesisCall("ListShards", of(obj{"ExclusiveStartShardId": shardID(0)})).gives(obj{"Shards": list{secondShard}}).named("behind a shard"),
		filter("AT_LATEST", nil).gives(both),
		filter("AT_TRIM_HORIZON", nil).gives(both),
		filter("FROM_TRIM_HORIZON", nil).gives(both),
		filter("AFTER_SHARD_ID", obj{"ShardId": shardID(0)}).gives(obj{"Shards": list{secondShard}}),
		filter("AT_TIMESTAMP", obj{"Timestamp": now}).gives(both),
		filter("FROM_TIMESTAMP", obj{"Timestamp": now}).gives(both),
		filter("SOMEWHERE", nil).fails("ValidationException", starts("1 validation error detected: Value 'SOMEWHERE' at 'shardFilter.type' failed to satisfy constraint: Member must satisfy enum value set: [")),
		kinesisCall("ListShards", obj{"StreamName": "none"}).fails("ResourceNotFoundException", noStream),
	}
}

// now is the present moment, in a request.
func now(obj) any { return obj{"$time": time.Now().UnixMilli()} }
