package main

import "time"

func tagSteps() []step {
	tag := func(key, value string) obj { return obj{"Key": key, "Value": value} }
	return []step{
		kinesisCall("AddTagsToStream", of(obj{"Tags": obj{"cost": "42", "owner": "ünï"}})).gives(obj{}),
		kinesisCall("ListTagsForStream", quakes).gives(obj{"HasMoreTags": false, "Tags": list{tag("cost", "42"), tag("owner", "ünï"), tag("team", "seismology")}}),
		kinesisCall("ListTagsForStream", of(obj{"Limit": 1, "ExclusiveStartTagKey": "cost"})).gives(obj{"HasMoreTags": true, "Tags": list{tag("owner", "ünï")}}).named("a page"),
		kinesisCall("RemoveTagsFromStream", of(obj{"TagKeys": list{"cost", "unknown"}})).gives(obj{}),
		kinesisCall("AddTagsToStream", of(obj{"Tags": obj{"bad;key": "x"}})).fails("InvalidArgumentException", starts("Some tags contain invalid characters.")),
		kinesisCall("TagResource", obj{"ResourceARN": streamARN, "Tags": obj{"level": "7"}}).gives(obj{}),
		kinesisCall("UntagResource", obj{"ResourceARN": streamARN, "TagKeys": list{"owner"}}).gives(obj{}),
		kinesisCall("ListTagsForResource", obj{"ResourceARN": streamARN}).gives(obj{"Tags": unordered(tag("level", "7"), tag("team", "seismology"))}),
		kinesisCall("ListTagsForResource", obj{"ResourceARN": "arn:aws:kinesis:us-east-1:" + account + ":stream/none"}).fails("ResourceNotFoundException", matcher(present)),
	}
}

func settingSteps() []step {
	key := "arn:aws:kms:us-east-1:" + account + ":key/4d3c1f0e-5a9b-4c63-8b1d-0f6f6a6a1d11"
	policy := `{"Version":"2012-10-17","Statement":[{"Sid":"r","Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":["kinesis:GetRecords"],"Resource":"` + streamARN + `"}]}`
	metrics := func(current, desired any) obj {
		return obj{"StreamName": "quakes", "StreamARN": streamARN, "CurrentShardLevelMetrics": current, "DesiredShardLevelMetrics": desired}
	}
	active := kinesisCall("DescribeStreamSummary", quakes)
	return []step{
		kinesisCall("IncreaseStreamRetentionPeriod", of(obj{"RetentionPeriodHours": 48})).gives(obj{}),
		active.becomes(summary(obj{"RetentionPeriodHours": 48})).named("longer retention"),
		kinesisCall("IncreaseStreamRetentionPeriod", of(obj{"RetentionPeriodHours": 30})).fails("InvalidArgumentException",
			"Requested retention period (30 hours) for stream quakes can not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API."),
		kinesisCall("IncreaseStreamRetentionPeriod", of(obj{"RetentionPeriodHours": 9000})).fails("InvalidArgumentException", starts("Maximum allowed retention period is 8760 hours.")).named("too long"),
		kinesisCall("DecreaseStreamRetentionPeriod", of(obj{"RetentionPeriodHours": 72})).fails("InvalidArgumentException",
			text(`Requested retention period \(72 hours\) for stream quakes can not be longer than existing retention period \(48 hours\)\. Use IncreaseRetentionPeriod API\.`)),
		kinesisCall("DecreaseStreamRetentionPeriod", of(obj{"RetentionPeriodHours": 1})).fails("InvalidArgumentException",
			"Minimum allowed retention period is 24 hours. Requested retention period (1 hours) is too short.").named("too short"),
		kinesisCall("DecreaseStreamRetentionPeriod", of(obj{"RetentionPeriodHours": 24})).gives(obj{}),

		active.becomes(summary(nil)).named("active again"),
		kinesisCall("EnableEnhancedMonitoring", of(obj{"ShardLevelMetrics": list{"IncomingBytes", "OutgoingRecords"}})).gives(
			metrics(list{}, unordered("IncomingBytes", "OutgoingRecords"))),
		active.becomes(summary(obj{"EnhancedMonitoring": list{obj{"ShardLevelMetrics": unordered("IncomingBytes", "OutgoingRecords")}}})).named("monitored"),
		kinesisCall("DisableEnhancedMonitoring", of(obj{"ShardLevelMetrics": list{"ALL"}})).gives(metrics(unordered("IncomingBytes", "OutgoingRecords"), list{})),
		kinesisCall("EnableEnhancedMonitoring", of(obj{"ShardLevelMetrics": list{"Temperature"}})).fails("ValidationException", starts("1 validation error detected: Value '[Temperature]' at 'shardLevelMetrics' failed to satisfy constraint: ")),

		active.becomes(summary(nil)).named("not monitored"),
		kinesisCall("StartStreamEncryption", of(obj{"EncryptionType": "KMS", "KeyId": key})).gives(obj{}),
		active.becomes(summary(obj{"EncryptionType": "KMS", "KeyId": key})).named("encrypted"),
		kinesisCall("PutRecord", of(obj{"PartitionKey": "kept secret", "ExplicitHashKey": highest, "Data": blob("s")})).gives(
			obj{"ShardId": shardID(1), "SequenceNumber": keep("secret", text(sequence)), "EncryptionType": "KMS"}).named("encrypted"),
		kinesisCall("GetShardIterator", of(obj{"ShardId": shardID(1), "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": ref("secret")})).gives(
			obj{"ShardIterator": keep("at", matcher(present))}).named("of the encrypted record"),
		kinesisCall("GetRecords", obj{"ShardIterator": ref("at")}).gives(with(obj{"Records": list{join(aRecord("kept secret", "s", ref("secret")), obj{"EncryptionType": "KMS"})}})).named("encrypted"),
		kinesisCall("StopStreamEncryption", of(obj{"EncryptionType": "KMS", "KeyId": key})).gives(obj{}),
		active.becomes(summary(nil)).named("not encrypted"),

		kinesisCall("GetResourcePolicy", obj{"ResourceARN": streamARN}).gives(obj{"Policy": may("{}")}).named("none"),
		kinesisCall("PutResourcePolicy", obj{"ResourceARN": streamARN, "Policy": policy}).gives(obj{}),
		kinesisCall("GetResourcePolicy", obj{"ResourceARN": streamARN}).gives(obj{"Policy": policy}),
		kinesisCall("DeleteResourcePolicy", obj{"ResourceARN": streamARN}).gives(obj{}),
		kinesisCall("DeleteResourcePolicy", obj{"ResourceARN": streamARN}).fails("ResourceNotFoundException", matcher(present)).named("none"),

		kinesisCall("UpdateMaxRecordSize", obj{"StreamARN": streamARN, "MaxRecordSizeInKiB": 4096}).gives(obj{}),
		active.becomes(summary(obj{"MaxRecordSizeInKiB": 4096})).named("larger records"),
		kinesisCall("UpdateMaxRecordSize", obj{"StreamARN": streamARN, "MaxRecordSizeInKiB": 20_000}).fails("ValidationException",
			"1 validation error detected: Value '20000' at 'maxRecordSizeInKiB' failed to satisfy constraint: Member must have value less than or equal to 10240"),
		kinesisCall("UpdateMaxRecordSize", obj{"StreamARN": streamARN, "MaxRecordSizeInKiB": 1024}).gives(obj{}).named("back"),
	}
}

func consumerSteps() []step {
	consumer := obj{"ConsumerName": "map", "ConsumerARN": keep("consumer", text(streamARN+`/consumer/map:\d+`)), "ConsumerStatus": text("CREATING|ACTIVE"), "ConsumerCreationTimestamp": matcher(recent)}
	active := obj{"ConsumerName": "map", "ConsumerARN": ref("consumer"), "ConsumerStatus": "ACTIVE", "ConsumerCreationTimestamp": matcher(recent)}
	subscribe := func(shard, records int, position obj) step {
		return kinesisCall("SubscribeToShard", obj{"ConsumerARN": ref("consumer"), "ShardId": shardID(shard), "StartingPosition": position, "$records": records})
	}
	all := firstRecords()
	named := obj{"StreamARN": streamARN, "ConsumerName": "map"}
	return []step{
		kinesisCall("ListStreamConsumers", obj{"StreamARN": streamARN}).gives(obj{"Consumers": list{}}).named("none"),
		kinesisCall("RegisterStreamConsumer", join(named, obj{"Tags": obj{"kind": "screen"}})).gives(obj{"Consumer": consumer}),
		kinesisCall("RegisterStreamConsumer", named).fails("ResourceInUseException", matcher(present)).named("again"),
		kinesisCall("DescribeStreamConsumer", named).becomes(obj{"ConsumerDescription": join(active, obj{"StreamARN": streamARN})}),
		kinesisCall("DescribeStreamConsumer", obj{"ConsumerARN": ref("consumer")}).gives(obj{"ConsumerDescription": join(active, obj{"StreamARN": streamARN})}).named("by ARN"),
		kinesisCall("DescribeStreamConsumer", obj{"StreamARN": streamARN, "ConsumerName": "none"}).fails("ResourceNotFoundException", text("Consumer none, account "+account+" not found.*")),
		kinesisCall("ListStreamConsumers", obj{"StreamARN": streamARN}).gives(obj{"Consumers": list{active}}),
		kinesisCall("ListTagsForResource", obj{"ResourceARN": ref("consumer")}).gives(obj{"Tags": list{obj{"Key": "kind", "Value": "screen"}}}).named("of a consumer"),
		kinesisCall("DescribeStreamSummary", quakes).gives(summary(obj{"ConsumerCount": 1})).named("with a consumer"),
		subscribe(0, 4, obj{"Type": "TRIM_HORIZON"}).gives(obj{"Events": events(nil, all...)}),
		subscribe(0, 2, obj{"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": ref("second")}).gives(obj{"Events": events(nil, all[2:]...)}).named("again").after(5500 * time.Millisecond),
		subscribe(9, 1, obj{"Type": "LATEST"}).fails("ResourceNotFoundException", matcher(present)).named("no shard"),
		kinesisCall("RegisterStreamConsumer", obj{"StreamARN": streamARN, "ConsumerName": "brief"}).gives(obj{"Consumer": with(obj{"ConsumerName": "brief"})}).named("another"),
		kinesisCall("DeregisterStreamConsumer", obj{"StreamARN": streamARN, "ConsumerName": "brief"}).gives(obj{}),
		kinesisCall("ListStreamConsumers", obj{"StreamARN": streamARN}).becomes(obj{"Consumers": list{active}}).named("one left"),
	}
}
