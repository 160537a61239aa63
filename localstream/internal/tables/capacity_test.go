package tables_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestConsumedCapacity(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	s.addIndex(t, "t-1", "by-g", false, &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly})
	s.settled(t, "t-1")
	table, key := aws.String("t-1"), item{"p": str("a")}
	put := func(it item) *types.ConsumedCapacity {
		t.Helper()
		it["p"] = str("a")
		out, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: it, ReturnConsumedCapacity: "INDEXES"})
		if err != nil {
			t.Fatal(err)
		}
		return out.ConsumedCapacity
	}
	get := func(consistent bool) *types.ConsumedCapacity {
		t.Helper()
		out, err := s.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key, ConsistentRead: &consistent, ReturnConsumedCapacity: "TOTAL"})
		if err != nil {
			t.Fatal(err)
		}
		return out.ConsumedCapacity
	}
	size := func(n int) value { return str(strings.Repeat("x", n)) }
	tests := []struct {
		name               string
		do                 func() *types.ConsumedCapacity
		total, table, byG  float64
		withoutDescription bool
	}{
		{"a small item outside the index", func() *types.ConsumedCapacity { return put(item{}) }, 1, 1, 0, false},
		{"exactly 1 KiB", func() *types.ConsumedCapacity { return put(item{"d": size(1021)}) }, 1, 1, 0, false},
		{"one byte more", func() *types.ConsumedCapacity { return put(item{"d": size(1022)}) }, 2, 2, 0, false},
		{"the larger of old and new", func() *types.ConsumedCapacity { return put(item{}) }, 2, 2, 0, false},
		{"into the index", func() *types.ConsumedCapacity { return put(item{"g": str("1"), "d": size(3000)}) }, 4, 3, 1, false},
		{"the index does not have what changed", func() *types.ConsumedCapacity { return put(item{"g": str("1"), "d": size(2999)}) }, 3, 3, 0, false},
		{"another index key: a delete and a put", func() *types.ConsumedCapacity { return put(item{"g": str("2")}) }, 5, 3, 2, false},
		{"out of the index", func() *types.ConsumedCapacity { return put(item{"d": size(5000)}) }, 6, 5, 1, false},
		{"eventually consistent read", func() *types.ConsumedCapacity { return get(false) }, 1, 0, 0, true},
		{"consistent read", func() *types.ConsumedCapacity { return get(true) }, 2, 0, 0, true},
		{"delete", func() *types.ConsumedCapacity {
			out, err := s.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key, ReturnConsumedCapacity: "INDEXES"})
			if err != nil {
				t.Fatal(err)
			}
			return out.ConsumedCapacity
		}, 5, 5, 0, false},
		{"read of nothing", func() *types.ConsumedCapacity { return get(true) }, 1, 0, 0, true},
		{"scan of nothing", func() *types.ConsumedCapacity {
			out, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: table, IndexName: aws.String("by-g"), ReturnConsumedCapacity: "INDEXES"})
			if err != nil {
				t.Fatal(err)
			}
			return out.ConsumedCapacity
		}, 0.5, 0, 0.5, false},
	}
	for _, test := range tests {
		got := test.do()
		want := &types.ConsumedCapacity{TableName: table, CapacityUnits: &test.total}
		if !test.withoutDescription {
			want.Table = &types.Capacity{CapacityUnits: &test.table}
			if test.byG > 0 {
				want.GlobalSecondaryIndexes = map[string]types.Capacity{"by-g": {CapacityUnits: &test.byG}}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: total %v, %+v", test.name, *got.CapacityUnits, got)
		}
	}
}

func TestReturnValues(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	key := item{"p": str("a")}
	old := item{"p": str("a"), "x": num("1"), "m": doc(item{"in": num("1"), "out": num("2")}), "gone": str("g")}
	tests := []struct {
		returns types.ReturnValue
		want    item
	}{
		{"NONE", nil},
		{"ALL_OLD", old},
		{"UPDATED_OLD", item{"x": num("1"), "m": doc(item{"in": num("1")}), "gone": str("g")}},
		{"ALL_NEW", item{"p": str("a"), "x": num("5"), "m": doc(item{"in": num("6"), "out": num("2")}), "new": num("7")}},
		{"UPDATED_NEW", item{"x": num("5"), "m": doc(item{"in": num("6")}), "new": num("7")}},
	}
	for _, test := range tests {
		s.put(t, "t-1", old)
		out, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("t-1"), Key: key, ReturnValues: test.returns,
			UpdateExpression:          aws.String("SET x = :five, m.#in = :six, new_one = :seven REMOVE gone"),
			ExpressionAttributeNames:  map[string]string{"#in": "in"},
			ExpressionAttributeValues: item{":five": num("5"), ":six": num("6"), ":seven": num("7")}})
		if err != nil {
			t.Fatal(err)
		}
		if v := out.Attributes["new_one"]; v != nil {
			delete(out.Attributes, "new_one")
			out.Attributes["new"] = v
		}
		if !reflect.DeepEqual(out.Attributes, test.want) {
			t.Errorf("%s gives %v", test.returns, show(out.Attributes))
		}
	}
	_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("t-1"), Item: key, ReturnValues: "ALL_NEW"})
	wantError(t, err, validation, "ReturnValues can only be ALL_OLD or NONE")
	out, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("t-1"), Item: key, ReturnValues: "ALL_OLD"})
	if err != nil || len(out.Attributes) != 4 {
		t.Errorf("%+v, %v", out, err)
	}
	projected, err := s.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("t-1"), Key: key, ProjectionExpression: aws.String("x, p")})
	if err != nil || !reflect.DeepEqual(projected.Item, key) {
		t.Errorf("%+v, %v", projected, err)
	}
}
