package tables_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const failed = "ConditionalCheckFailedException"

// put, remove and add are the actions of the older AttributeUpdates.
func putting(v value) types.AttributeValueUpdate {
	return types.AttributeValueUpdate{Action: types.AttributeActionPut, Value: v}
}

func adding(v value) types.AttributeValueUpdate {
	return types.AttributeValueUpdate{Action: types.AttributeActionAdd, Value: v}
}

func removing() types.AttributeValueUpdate {
	return types.AttributeValueUpdate{Action: types.AttributeActionDelete}
}

func equals(v value) types.ExpectedAttributeValue { return types.ExpectedAttributeValue{Value: v} }

func absent() types.ExpectedAttributeValue {
	return types.ExpectedAttributeValue{Exists: aws.Bool(false)}
}

type (
	expected = map[string]types.ExpectedAttributeValue
	updates  = map[string]types.AttributeValueUpdate
)

// TestCallsOfKCL makes the calls that Java KCL 3.5.1 and its lock client make, in the order of a worker's life.
func TestCallsOfKCL(t *testing.T) {
	s := start(t)
	table := aws.String("app")
	in := simple("app", "leaseKey")
	in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("quakes")}}
	in.DeletionProtectionEnabled = aws.Bool(true)
	if _, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: table}); !errors.As(err, new(*types.ResourceNotFoundException)) {
		t.Fatalf("absent table: %v", err)
	}
	s.create(t, in)
	t.Run("the table is usable and described", func(t *testing.T) {
		out, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: table})
		if err != nil || out.Table.TableStatus != types.TableStatusActive || out.Table.BillingModeSummary == nil || out.Table.ProvisionedThroughput == nil ||
			out.Table.TableArn == nil || !*out.Table.DeletionProtectionEnabled {
			t.Fatalf("%+v, %v", out, err)
		}
		tags, err := s.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: out.Table.TableArn})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "quakes" {
			t.Errorf("tags: %+v, %v", tags, err)
		}
	})
	t.Run("point-in-time recovery", func(t *testing.T) {
		_, err := s.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{TableName: table,
			PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: table})
		if err != nil || out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
			t.Errorf("%+v, %v", out, err)
		}
	})
	lease := item{"leaseKey": str("shardId-0"), "leaseCounter": num("0"), "ownerSwitchesSinceCheckpoint": num("0"), "checkpoint": str("TRIM_HORIZON"),
		"checkpointSubSequenceNumber": num("0"), "parentShardId": strs("shardId-p"), "entityType": str("LEASE")}
	key := item{"leaseKey": str("shardId-0")}
	t.Run("create only if absent", func(t *testing.T) {
		put := &dynamodb.PutItemInput{TableName: table, Item: lease, Expected: expected{"leaseKey": absent()}}
		if _, err := s.PutItem(ctx, put); err != nil {
			t.Fatal(err)
		}
		_, err := s.PutItem(ctx, put)
		wantError(t, err, failed, "The conditional request failed")
	})
	update := func(e expected, u updates) (*dynamodb.UpdateItemOutput, error) {
		return s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: key, Expected: e, AttributeUpdates: u,
			ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
	}
	t.Run("assign, renew, hand over, checkpoint", func(t *testing.T) {
		steps := []struct {
			name string
			e    expected
			u    updates
			ok   bool
			want item // what is to be seen of the item
		}{
			{"assign a free lease", expected{"leaseOwner": absent(), "checkpointOwner": absent(), "leaseKey": equals(str("shardId-0"))},
				updates{"leaseOwner": putting(str("w1")), "checkpointOwner": removing(), "leaseCounter": adding(num("1")), "ownerSwitchesSinceCheckpoint": adding(num("1"))},
				true, item{"leaseOwner": str("w1"), "leaseCounter": num("1"), "ownerSwitchesSinceCheckpoint": num("1")}},
			{"assign it again", expected{"leaseOwner": absent(), "checkpointOwner": absent(), "leaseKey": equals(str("shardId-0"))},
				updates{"leaseOwner": putting(str("w2"))}, false, item{"leaseOwner": str("w1")}},
			{"renew", expected{"leaseCounter": equals(num("1")), "checkpointOwner": absent()},
				updates{"leaseCounter": putting(num("2")), "throughputKBps": putting(num("12.345678"))}, true, item{"leaseCounter": num("2"), "throughputKBps": num("12.345678")}},
			{"renew with an old counter", expected{"leaseCounter": equals(num("1")), "checkpointOwner": absent()},
				updates{"leaseCounter": putting(num("2"))}, false, item{"leaseCounter": num("2")}},
			{"start a hand-over", expected{"leaseOwner": {Exists: aws.Bool(true), Value: str("w1")}, "checkpointOwner": absent(), "leaseKey": equals(str("shardId-0"))},
				updates{"leaseOwner": putting(str("w2")), "checkpointOwner": putting(str("w1"))}, true, item{"leaseOwner": str("w2"), "checkpointOwner": str("w1"), "leaseCounter": num("2")}},
			{"renew in a hand-over", expected{"leaseCounter": equals(num("2")), "checkpointOwner": absent()},
				updates{"leaseCounter": putting(num("3"))}, false, item{"leaseOwner": str("w2"), "checkpointOwner": str("w1")}},
			{"checkpoint", expected{"leaseCounter": equals(num("2"))},
				updates{"leaseCounter": putting(num("3")), "checkpoint": putting(str("49")), "ownerSwitchesSinceCheckpoint": putting(num("0")), "pendingCheckpoint": removing(), "childShardIds": putting(strs("b", "a"))},
				true, item{"checkpoint": str("49"), "childShardIds": strs("a", "b"), "ownerSwitchesSinceCheckpoint": num("0")}},
			{"finish the hand-over", expected{"leaseOwner": equals(str("w2")), "checkpointOwner": equals(str("w1")), "leaseKey": equals(str("shardId-0"))},
				updates{"leaseOwner": putting(str("w2")), "checkpointOwner": removing(), "leaseCounter": adding(num("1"))}, true, item{"leaseOwner": str("w2"), "leaseCounter": num("4")}},
		}
		for _, step := range steps {
			out, err := update(step.e, step.u)
			var seen item
			var condition *types.ConditionalCheckFailedException
			switch {
			case err == nil:
				seen = out.Attributes
			case errors.As(err, &condition):
				seen = condition.Item
			default:
				t.Fatalf("%s: %v", step.name, err)
			}
			if step.ok != (err == nil) {
				t.Errorf("%s: %v", step.name, err)
			}
			for name, want := range step.want {
				if !reflect.DeepEqual(seen[name], want) {
					t.Errorf("%s: %s is %v, want %v", step.name, name, seen[name], want)
				}
			}
		}
		if it := s.get(t, "app", key); it["checkpointOwner"] != nil || it["pendingCheckpoint"] != nil {
			t.Errorf("lease is %v", it)
		}
	})
	t.Run("owners' index", func(t *testing.T) {
		index := aws.String("LeaseOwnerToLeaseKeyIndex")
		out, err := s.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: table,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseOwner"), AttributeType: "S"}, {AttributeName: aws.String("leaseKey"), AttributeType: "S"}},
			GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{IndexName: index,
				KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("leaseOwner"), KeyType: "HASH"}, {AttributeName: aws.String("leaseKey"), KeyType: "RANGE"}},
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}}}}})
		if err != nil || len(out.TableDescription.GlobalSecondaryIndexes) != 1 || *out.TableDescription.GlobalSecondaryIndexes[0].IndexName != *index {
			t.Fatalf("%+v, %v", out, err)
		}
		s.settled(t, "app")
		q, err := s.Query(ctx, &dynamodb.QueryInput{TableName: table, IndexName: index, KeyConditionExpression: aws.String("leaseOwner = :leaseOwner"),
			ExpressionAttributeValues: item{":leaseOwner": str("w2")}})
		if err != nil || len(q.Items) != 1 || !reflect.DeepEqual(q.Items[0], item{"leaseOwner": str("w2"), "leaseKey": str("shardId-0")}) {
			t.Errorf("%+v, %v", q, err)
		}
	})
	t.Run("leader's lock", func(t *testing.T) {
		lock := item{"leaseKey": str("Leader"), "ownerName": str("w1"), "leaseDuration": str("120000"), "recordVersionNumber": str("v1"), "entityType": str("LEADER")}
		leader := item{"leaseKey": str("Leader")}
		acquire := func() error {
			_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: lock, ConditionExpression: aws.String("attribute_not_exists(#pk)"),
				ExpressionAttributeNames: map[string]string{"#pk": "leaseKey"}})
			return err
		}
		if err := acquire(); err != nil {
			t.Fatal(err)
		}
		wantError(t, acquire(), failed, "The conditional request failed")
		beat := func(was, is string) error {
			_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: leader, UpdateExpression: aws.String("SET #ld = :ld, #rvn = :newRvn"),
				ConditionExpression:       aws.String("attribute_exists(#pk) AND #rvn = :rvn AND #on = :on"),
				ExpressionAttributeNames:  map[string]string{"#pk": "leaseKey", "#ld": "leaseDuration", "#rvn": "recordVersionNumber", "#on": "ownerName"},
				ExpressionAttributeValues: item{":ld": str("120000"), ":rvn": str(was), ":newRvn": str(is), ":on": str("w1")}})
			return err
		}
		if err := beat("v1", "v2"); err != nil {
			t.Fatal(err)
		}
		wantError(t, beat("v1", "v3"), failed, "The conditional request failed")
		_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: lock,
			ConditionExpression:       aws.String("attribute_exists(#pk) AND (#rvn = :rvn OR #ir = :ir)"),
			ExpressionAttributeNames:  map[string]string{"#pk": "leaseKey", "#rvn": "recordVersionNumber", "#ir": "isReleased"},
			ExpressionAttributeValues: item{":rvn": str("v2"), ":ir": str("1")}})
		if err != nil {
			t.Error(err)
		}
		release := func(version string) error {
			_, err := s.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: leader, ConditionExpression: aws.String("#rvn = :rvn AND attribute_exists (leaseKey)"),
				ExpressionAttributeNames: map[string]string{"#rvn": "recordVersionNumber"}, ExpressionAttributeValues: item{":rvn": str(version)}})
			return err
		}
		wantError(t, release("v9"), failed, "The conditional request failed")
		if err := release("v1"); err != nil {
			t.Error(err)
		}
	})
	t.Run("worker metrics", func(t *testing.T) {
		out, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: item{"leaseKey": str("w1")}, ReturnValues: types.ReturnValueAllNew,
			UpdateExpression: aws.String("SET #AMZN_MAPPED_lut = :AMZN_MAPPED_lut, #AMZN_MAPPED_sts = :AMZN_MAPPED_sts, #AMZN_MAPPED_entityType = :AMZN_MAPPED_entityType REMOVE #AMZN_MAPPED_properties"),
			ExpressionAttributeNames: map[string]string{"#AMZN_MAPPED_lut": "lut", "#AMZN_MAPPED_sts": "sts", "#AMZN_MAPPED_entityType": "entityType",
				"#AMZN_MAPPED_properties": "properties"},
			ExpressionAttributeValues: item{":AMZN_MAPPED_lut": num("1700000000"), ":AMZN_MAPPED_sts": doc(item{"C": list(num("12.5"), num("-1"))}), ":AMZN_MAPPED_entityType": str("WORKER_METRIC_STATS")}})
		want := item{"leaseKey": str("w1"), "lut": num("1700000000"), "sts": doc(item{"C": list(num("12.5"), num("-1"))}), "entityType": str("WORKER_METRIC_STATS")}
		if err != nil || !reflect.DeepEqual(out.Attributes, want) {
			t.Errorf("%+v, %v", out, err)
		}
	})
	t.Run("filtered scan", func(t *testing.T) {
		out, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: table, ConsistentRead: aws.Bool(true), FilterExpression: aws.String("entityType = :entityType"),
			ExpressionAttributeValues: item{":entityType": str("LEASE")}})
		if err != nil || out.Count != 1 || out.ScannedCount != 2 {
			t.Errorf("%+v, %v", out, err)
		}
	})
	t.Run("plain delete", func(t *testing.T) {
		if _, err := s.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key}); err != nil {
			t.Error(err)
		}
		if it := s.get(t, "app", key); it != nil {
			t.Errorf("lease is still %v", it)
		}
	})
}
