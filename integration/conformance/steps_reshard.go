package main

import "time"

const quarter = "85070591730234615865843651857942052864"

func reshardSteps() []step {
	lowChild := aShard(2, "0", "85070591730234615865843651857942052863", obj{"ParentShardId": shardID(0)})
	highChild := aShard(3, quarter, "170141183460469231731687303715884105727", obj{"ParentShardId": shardID(0)})
	merged := aShard(4, quarter, highest, obj{"ParentShardId": shardID(3), "AdjacentParentShardId": shardID(1)})
	child := func(n int, from, to string, parents ...any) obj {
		return obj{"ShardId": shardID(n), "ParentShards": list(parents), "HashKeyRange": obj{"StartingHashKey": from, "EndingHashKey": to}}
	}
	children := list{
		child(2, "0", "85070591730234615865843651857942052863", shardID(0)),
		child(3, quarter, "170141183460469231731687303715884105727", shardID(0)),
	}
	split := func(shard int, key string) step {
		return kinesisCall("SplitShard", of(obj{"ShardToSplit": shardID(shard), "NewStartingHashKey": key}))
	}
	merge := func(one, other int) step {
		return kinesisCall("MergeShards", of(obj{"ShardToMerge": shardID(one), "AdjacentShardToMerge": shardID(other)}))
	}
	shards := kinesisCall("ListShards", quakes)
	open := kinesisCall("ListShards", of(obj{"ShardFilter": obj{"Type": "AT_LATEST"}}))
	ended := func(id int) string {
		return "Shard " + shardID(id) + " in stream quakes under account " + account + " has already been merged or split, and thus is not eligible for merging or splitting."
	}
	return []step{
		split(0, "1").fails("InvalidArgumentException", "NewStartingHashKey 1 used in SplitShard() on shard "+shardID(0)+" in stream quakes under account "+account+
			" is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey 170141183460469231731687303715884105727.").named("bad key"),
		split(7, quarter).fails("ResourceNotFoundException", "Could not find shard "+shardID(7)+" in stream quakes under account "+account+".").named("no shard"),
		split(0, quarter).gives(obj{}),
		shards.becomes(obj{"Shards": list{join(firstShard, closed), secondShard, lowChild, highChild}}).named("after the split"),
		split(0, quarter).fails("InvalidArgumentException", ended(0)).named("closed shard"),
		merge(2, 1).fails("InvalidArgumentException", "Shards "+shardID(2)+" and "+shardID(1)+" in stream quakes under account "+account+
			" are not an adjacent pair of shards eligible for merging").named("far apart"),
		merge(3, 1).gives(obj{}),
		shards.becomes(obj{"Shards": list{join(firstShard, closed), join(secondShard, closed), lowChild, join(highChild, closed), merged}}).named("after the merge"),
		open.gives(obj{"Shards": list{lowChild, merged}}).named("open"),

		kinesisCall("GetShardIterator", of(obj{"ShardId": shardID(0), "ShardIteratorType": "TRIM_HORIZON"})).gives(obj{"ShardIterator": keep("at", matcher(present))}).named("of a closed shard"),
		kinesisCall("GetRecords", obj{"ShardIterator": ref("at")}).gives(with(obj{"Records": firstRecords()})).named("of a closed shard"),
		kinesisCall("GetShardIterator", of(obj{"ShardId": shardID(0), "ShardIteratorType": "LATEST"})).gives(obj{"ShardIterator": keep("at", matcher(present))}).named("at a closed shard's end"),
		kinesisCall("GetRecords", obj{"ShardIterator": ref("at")}).gives(obj{"Records": list{}, "MillisBehindLatest": 0, "ChildShards": unordered(children...)}).named("at a closed shard's end"),
		kinesisCall("SubscribeToShard", obj{"ConsumerARN": ref("consumer"), "ShardId": shardID(0), "StartingPosition": obj{"Type": "TRIM_HORIZON"}, "$records": 1000}).gives(
			obj{"Events": events(obj{"Records": matcher(present), "MillisBehindLatest": 0, "ChildShards": unordered(children...)}, firstRecords()...)}).named("to a closed shard").after(5500 * time.Millisecond),

		kinesisCall("UpdateShardCount", of(obj{"TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"})).gives(
			obj{"StreamName": "quakes", "StreamARN": streamARN, "CurrentShardCount": 2, "TargetShardCount": 4}),
		kinesisCall("DescribeStreamSummary", quakes).becomes(summary(obj{"OpenShardCount": 4, "ConsumerCount": 1})).named("four shards"),
		open.gives(obj{"Shards": each(4, with(obj{"SequenceNumberRange": obj{"StartingSequenceNumber": text(sequence)}}))}).named("four open"),
		kinesisCall("UpdateShardCount", of(obj{"TargetShardCount": 9, "ScalingType": "UNIFORM_SCALING"})).fails("LimitExceededException",
			starts("UpdateShardCount cannot scale up over double your current open shard count.")).named("more than double"),
		kinesisCall("UpdateShardCount", of(obj{"TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"})).fails("LimitExceededException",
			starts("UpdateShardCount cannot scale down below half your current open shard count.")).named("less than half"),
		kinesisCall("UpdateShardCount", of(obj{"TargetShardCount": 4, "ScalingType": "BY_HAND"})).fails("ValidationException",
			"1 validation error detected: Value 'BY_HAND' at 'scalingType' failed to satisfy constraint: Member must satisfy enum value set: [UNIFORM_SCALING]"),
	}
}

func modeSteps() []step {
	onDemand := obj{"StreamModeDetails": obj{"StreamMode": "ON_DEMAND"}, "OpenShardCount": 4, "ConsumerCount": 1}
	mode := func(m string) step {
		return kinesisCall("UpdateStreamMode", obj{"StreamARN": streamARN, "StreamModeDetails": obj{"StreamMode": m}})
	}
	distribute := func(s string) step {
		return kinesisCall("UpdateStreamRecordDistributionStrategy", obj{"StreamARN": streamARN, "RecordDistributionStrategy": s})
	}
	return []step{
		distribute("AUTO").fails("InvalidArgumentException", matcher(present)).named("provisioned"),
		mode("ON_DEMAND").gives(obj{}),
		kinesisCall("DescribeStreamSummary", quakes).becomes(summary(onDemand)).named("on demand"),
		kinesisCall("SplitShard", of(obj{"ShardToSplit": shardID(2), "NewStartingHashKey": "77"})).fails("ValidationException",
			"Request is invalid. Stream quakes under account "+account+" is in On-Demand mode.").named("on demand"),
		kinesisCall("UpdateShardCount", of(obj{"TargetShardCount": 5, "ScalingType": "UNIFORM_SCALING"})).fails("ValidationException",
			"Request is invalid. Stream quakes under account "+account+" is in On-Demand mode.").named("on demand"),
		distribute("AUTO").gives(obj{}),
		kinesisCall("DescribeStreamSummary", quakes).becomes(summary(join(onDemand, obj{"RecordDistributionStrategy": may("AUTO")}))).named("distributed by the service"),
		distribute("USER_PARTITION_KEY").gives(obj{}).named("back"),
		mode("PROVISIONED").gives(obj{}).named("back"),
		kinesisCall("DescribeStreamSummary", quakes).becomes(summary(obj{"OpenShardCount": 4, "ConsumerCount": 1})).named("provisioned"),
		mode("SOMEHOW").fails("ValidationException",
			starts("1 validation error detected: Value 'SOMEHOW' at 'streamModeDetails.streamMode' failed to satisfy constraint: Member must satisfy enum value set: [")).named("unknown"),
	}
}

func accountSteps() []step {
	warm := kinesisCall("UpdateStreamWarmThroughput", obj{"StreamName": "another", "WarmThroughputMiBps": 10})
	commitment := func(status string) obj {
		return obj{"MinimumThroughputBillingCommitment": obj{"Status": status}}
	}
	channel := "arn:aws:kinesis:us-east-1:" + account + ":channel/archive"
	role := "arn:aws:iam::" + account + ":role/archive"
	denied := "AccessDeniedException"
	return []step{
		kinesisCall("DescribeAccountSettings", obj{}).gives(obj{"MinimumThroughputBillingCommitment": with(obj{"Status": "DISABLED"})}),
		warm.fails("InvalidArgumentException", matcher(present)).named("without commitment"),
		kinesisCall("UpdateAccountSettings", commitment("ENABLED")).gives(obj{"MinimumThroughputBillingCommitment": with(obj{"Status": "ENABLED", "StartedAt": matcher(recent)})}),
		kinesisCall("DescribeAccountSettings", obj{}).gives(obj{"MinimumThroughputBillingCommitment": with(obj{"Status": "ENABLED"})}).named("enabled"),
		warm.gives(obj{"StreamName": "another", "StreamARN": may(starts("arn:aws:kinesis:")), "WarmThroughput": with(obj{"TargetMiBps": 10})}),
		kinesisCall("UpdateAccountSettings", commitment("MAYBE")).fails("ValidationException", starts("1 validation error detected: Value 'MAYBE' at 'minimumThroughputBillingCommitment.status' failed to satisfy constraint: ")),

		kinesisCall("ListChannels", obj{}).fails(denied, matcher(present)),
		kinesisCall("DescribeChannel", obj{"ChannelARN": channel}).fails(denied, matcher(present)),
		kinesisCall("DeleteChannel", obj{"ChannelARN": channel}).fails(denied, matcher(present)),
		kinesisCall("UpdateChannel", obj{"ChannelARN": channel}).fails(denied, matcher(present)),
		kinesisCall("CreateChannel", obj{"ChannelName": "archive", "ServiceExecutionRoleARN": role,
			"StreamConfigurationList": list{obj{"StreamARN": streamARN, "RecordConfiguration": obj{"RecordFormatType": "JSON"}}}}).fails(denied, matcher(present)),
	}
}

func deleteSteps() []step {
	return []step{
		kinesisCall("DeleteStream", obj{"StreamName": "none"}).fails("ResourceNotFoundException", noStream),
		kinesisCall("DeleteStream", quakes).fails("ResourceInUseException", matcher(present)).named("with a consumer"),
		kinesisCall("DeleteStream", of(obj{"EnforceConsumerDeletion": true})).gives(obj{}),
		kinesisCall("DescribeStreamSummary", quakes).fails("ResourceNotFoundException", "Stream quakes under account "+account+" not found.").named("deleted").after(100 * time.Millisecond),
		kinesisCall("GetRecords", obj{"ShardIterator": ref("at")}).fails("ResourceNotFoundException", matcher(present)).named("deleted"),
		kinesisCall("DeleteStream", obj{"StreamARN": "arn:aws:kinesis:us-east-1:" + account + ":stream/another"}).gives(obj{}).named("by ARN"),
		kinesisCall("ListStreams", obj{}).becomes(obj{"StreamNames": list{}, "HasMoreStreams": false, "StreamSummaries": list{}}).named("none left"),
	}
}
