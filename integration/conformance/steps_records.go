package main

import (
	"errors"
	"fmt"
	"math/big"
)

// putSteps leave four records in the first shard, see firstRecords.
func putSteps() []step {
	one := func(more obj) step {
		return kinesisCall("PutRecord", of(join(obj{"PartitionKey": "alaska", "ExplicitHashKey": "0", "Data": blob("magnitude 4.1")}, more)))
	}
	entry := func(key, hash, data string) obj {
		e := obj{"PartitionKey": key, "Data": blob(data)}
		if hash != "" {
			e["ExplicitHashKey"] = hash
		}
		return e
	}
	stored := func(shard string) obj { return obj{"ShardId": shard, "SequenceNumber": text(sequence)} }
	return []step{
		one(nil).gives(obj{"ShardId": shardID(0), "SequenceNumber": keep("first", text(sequence)), "EncryptionType": may("NONE")}),
		one(obj{"StreamARN": streamARN, "SequenceNumberForOrdering": ref("first"), "Data": blob("magnitude 4.2")}).gives(
			obj{"ShardId": shardID(0), "SequenceNumber": keep("second", above("first")), "EncryptionType": may("NONE")}).named("in order"),
		// The MD5 of "a" is 0cc1…, that of "hawaii" is in the first half too, that of "b" in the second: 92eb….
		kinesisCall("PutRecords", of(obj{"Records": list{entry("a", "", "magnitude 2"), entry("b", "", "magnitude 3"), entry("nevada", middle, "magnitude 5"), entry("ünïcode ☃", "1", "")}})).gives(
			obj{"FailedRecordCount": 0, "EncryptionType": may("NONE"), "Records": list{stored(shardID(0)), stored(shardID(1)), stored(shardID(1)), stored(shardID(0))}}),
		one(obj{"StreamName": "none"}).fails("ResourceNotFoundException", noStream).named("no stream"),
		one(obj{"ExplicitHashKey": "340282366920938463463374607431768211456"}).fails("InvalidArgumentException",
			"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was 340282366920938463463374607431768211456").named("hash key too high"),
		one(obj{"ExplicitHashKey": "-1"}).fails("ValidationException",
			`1 validation error detected: Value '-1' at 'explicitHashKey' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})`).named("hash key below 0"),
		one(obj{"SequenceNumberForOrdering": "1000000000000000000000000000000000000000000000000000000000000"}).fails("InvalidArgumentException",
			"ExclusiveMinimumSequenceNumber 1000000000000000000000000000000000000000000000000000000000000 used in PutRecord on stream quakes under account "+account+" is invalid.").named("foreign number for ordering"),
		one(obj{"DryRun": true}).fails("DryRunOperationException", matcher(present)).named("dry run"),
		kinesisCall("PutRecords", of(obj{"DryRun": true, "Records": list{entry("a", "", "x")}})).fails("DryRunOperationException", matcher(present)).named("dry run"),
		kinesisCall("PutRecords", of(obj{"Records": list{entry("a", "", "x"), entry("a", "340282366920938463463374607431768211456", "y")}})).fails(
			"InvalidArgumentException", starts("Invalid ExplicitHashKey.")).named("one bad hash key"),
		kinesisCall("PutRecords", obj{"StreamName": "none", "Records": list{entry("a", "", "x")}}).fails("ResourceNotFoundException", noStream).named("no stream"),
	}
}

// above accepts a sequence number that is higher than a kept one.
func above(name string) matcher {
	return func(vars obj, got any, ok bool) error {
		text, _ := got.(string)
		n, valid := new(big.Int).SetString(text, 10)
		if kept, _ := new(big.Int).SetString(vars[name].(string), 10); !valid || n.Cmp(kept) <= 0 {
			return fmt.Errorf("is %s; want a number above %v", show(got), vars[name])
		}
		return nil
	}
}

// aRecord is a record in an answer.
func aRecord(key, content string, number any) obj {
	return obj{"PartitionKey": key, "Data": data(content), "SequenceNumber": number, "ApproximateArrivalTimestamp": matcher(recent)}
}

// firstRecords are those that the first shard holds after putSteps.
func firstRecords() list {
	return list{
		aRecord("alaska", "magnitude 4.1", ref("first")), aRecord("alaska", "magnitude 4.2", ref("second")),
		aRecord("a", "magnitude 2", text(sequence)), aRecord("ünïcode ☃", "", text(sequence)),
	}
}

func getSteps() []step {
	iterator := func(kind string, more obj) step {
		return kinesisCall("GetShardIterator", of(join(obj{"ShardId": shardID(0), "ShardIteratorType": kind}, more))).
			gives(obj{"ShardIterator": keep("at", text(".{1,512}"))}).named(kind)
	}
	get := func(records ...any) step {
		return kinesisCall("GetRecords", obj{"ShardIterator": ref("at")}).gives(obj{"Records": list(records), "NextShardIterator": keep("next", text(".{1,512}")), "MillisBehindLatest": 0})
	}
	all := firstRecords()
	either := "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified "
	return []step{
		iterator("TRIM_HORIZON", nil), get(all...),
		kinesisCall("GetRecords", obj{"ShardIterator": ref("next")}).gives(obj{"Records": list{}, "NextShardIterator": text(".{1,512}"), "MillisBehindLatest": 0}).named("at the tip"),
		kinesisCall("GetRecords", obj{"ShardIterator": ref("at"), "Limit": 1}).gives(
			obj{"Records": list{all[0]}, "NextShardIterator": text(".{1,512}"), "MillisBehindLatest": number(0, 120_000)}).named("one"),
		iterator("AT_SEQUENCE_NUMBER", obj{"StartingSequenceNumber": ref("second")}), get(all[1:]...),
		iterator("AFTER_SEQUENCE_NUMBER", obj{"StartingSequenceNumber": ref("second")}), get(all[2:]...),
		iterator("LATEST", nil), get(),
		iterator("AT_TIMESTAMP", obj{"Timestamp": obj{"$time": 1_500_000_000_000}}), get(all...),
		iterator("AT_TIMESTAMP", obj{"Timestamp": now}), get(),
		kinesisCall("GetShardIterator", of(obj{"ShardId": shardID(9), "ShardIteratorType": "LATEST"})).fails("ResourceNotFoundException",
			"Shard "+shardID(9)+" in stream quakes under account "+account+" does not exist"),
		kinesisCall("GetShardIterator", of(obj{"ShardId": shardID(0), "ShardIteratorType": "LATEST", "StartingSequenceNumber": ref("first")})).fails(
			"InvalidArgumentException", either+"LATEST and also a StartingSequenceNumber.").named("number with LATEST"),
		kinesisCall("GetShardIterator", of(obj{"ShardId": shardID(0), "ShardIteratorType": "AT_SEQUENCE_NUMBER"})).fails(
			"InvalidArgumentException", either+"AT_SEQUENCE_NUMBER and no StartingSequenceNumber.").named("no number"),
		kinesisCall("GetShardIterator", of(obj{"ShardId": shardID(1), "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": ref("first")})).fails("InvalidArgumentException",
			"Invalid StartingSequenceNumber. It encodes "+shardID(0)+", while it was used in a call to a shard with "+shardID(1)).named("another shard's number"),
		kinesisCall("GetShardIterator", of(obj{"ShardId": shardID(0), "ShardIteratorType": "LATEST", "DryRun": true})).fails("DryRunOperationException", matcher(present)).named("dry run"),
		kinesisCall("GetRecords", obj{"ShardIterator": ref("at"), "DryRun": true}).fails("DryRunOperationException", matcher(present)).named("dry run"),
		kinesisCall("GetRecords", obj{"ShardIterator": "nonsense"}).fails("InvalidArgumentException", "Invalid ShardIterator."),
		kinesisCall("GetRecords", obj{"ShardIterator": ref("at"), "Limit": 10_001}).fails("ValidationException",
			"1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000").named("too high a limit"),
	}
}

// events accepts what a subscription gave: these records in this order, however they are spread over events.
func events(last any, records ...any) matcher {
	return func(vars obj, got any, ok bool) error {
		all, _ := got.([]any)
		if len(all) == 0 {
			return errors.New("holds no event")
		}
		found := list{}
		for i, e := range all {
			event, _ := e.(obj)
			want := any(obj{"Records": matcher(present), "ContinuationSequenceNumber": text(sequence), "MillisBehindLatest": number(0, 120_000)})
			if i == len(all)-1 && last != nil {
				want = last
			}
			if err := match(vars, want, e, true); err != nil {
				return fmt.Errorf("[%d] %w", i, err)
			}
			more, _ := event["Records"].([]any)
			found = append(found, more...)
		}
		return match(vars, list(records), found, true)
	}
}
