package tables_test

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestItemsLiveThroughPutGetUpdateDelete(t *testing.T) {
	s := start(t)
	s.create(t, simple("things", "id"))
	key := item{"id": str("a")}
	first := item{"id": str("a"), "n": num("1.50"), "tags": strs("y", "x"), "deep": doc(item{"l": list(num("1"), str(""))})}
	s.put(t, "things", first)
	want := item{"id": str("a"), "n": num("1.5"), "tags": strs("x", "y"), "deep": doc(item{"l": list(num("1"), str(""))})}
	if got := s.get(t, "things", key); !reflect.DeepEqual(got, want) {
		t.Errorf("item is %v", got)
	}
	updated, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String("things"), Key: key, ReturnValues: types.ReturnValueAllNew,
		UpdateExpression:          aws.String("SET n = n + :one, #d.l[0] = :z REMOVE tags"),
		ExpressionAttributeNames:  map[string]string{"#d": "deep"},
		ExpressionAttributeValues: item{":one": num("1"), ":z": str("z")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want = item{"id": str("a"), "n": num("2.5"), "deep": doc(item{"l": list(str("z"), str(""))})}
	if !reflect.DeepEqual(updated.Attributes, want) {
		t.Errorf("updated item is %v", updated.Attributes)
	}
	deleted, err := s.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String("things"), Key: key, ReturnValues: types.ReturnValueAllOld})
	if err != nil || !reflect.DeepEqual(deleted.Attributes, want) {
		t.Errorf("deleted item is %v, %v", deleted.Attributes, err)
	}
	if got := s.get(t, "things", key); got != nil {
		t.Errorf("deleted item is still %v", got)
	}
}

func TestQueryAndScan(t *testing.T) {
	s := start(t)
	s.create(t, sorted("series", types.ScalarAttributeTypeN))
	for _, n := range []string{"-10", "-9.5", "0", "3", "20", "100"} {
		s.put(t, "series", item{"p": str("a"), "s": num(n)})
		s.put(t, "series", item{"p": str("b"), "s": num(n)})
	}
	out, err := s.Query(ctx, &dynamodb.QueryInput{
		TableName: aws.String("series"), KeyConditionExpression: aws.String("p = :p AND s BETWEEN :l AND :h"),
		ExpressionAttributeValues: item{":p": str("a"), ":l": num("-9.5"), ":h": num("20")}, ScanIndexForward: aws.Bool(false),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range out.Items {
		got = append(got, it["s"].(*types.AttributeValueMemberN).Value)
	}
	if want := []string{"20", "3", "0", "-9.5"}; !reflect.DeepEqual(got, want) {
		t.Errorf("query gives %v, want %v", got, want)
	}
	all, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("series")})
	if err != nil || all.Count != 12 || all.ScannedCount != 12 || all.LastEvaluatedKey != nil {
		t.Errorf("scan gives %v, %v", all, err)
	}
}

func TestDescribeTable(t *testing.T) {
	s := start(t)
	in := simple("leases", "leaseKey")
	in.DeletionProtectionEnabled = aws.Bool(true)
	created, err := s.CreateTable(ctx, in)
	if err != nil || created.TableDescription.TableStatus != types.TableStatusCreating {
		t.Fatalf("create: %v, %v", created, err)
	}
	s.put(t, "leases", item{"leaseKey": str("shard-1"), "x": str("1234567890")})
	out, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("leases")})
	if err != nil {
		t.Fatal(err)
	}
	d := out.Table
	if d.TableStatus != types.TableStatusActive || *d.TableArn != "arn:aws:dynamodb:us-east-1:000000000000:table/leases" || len(*d.TableId) != 36 ||
		d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || *d.ItemCount != 1 || *d.TableSizeBytes != 26 ||
		!*d.DeletionProtectionEnabled || *d.ProvisionedThroughput.ReadCapacityUnits != 0 || d.CreationDateTime.IsZero() {
		t.Errorf("description is %+v", d)
	}
	_, err = s.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String("leases")})
	wantError(t, err, validation, "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	_, err = s.CreateTable(ctx, in)
	wantError(t, err, "ResourceInUseException", "Table already exists: leases")
	_, err = s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("other")})
	wantError(t, err, "ResourceNotFoundException", "Requested resource not found: Table: other not found")
}
