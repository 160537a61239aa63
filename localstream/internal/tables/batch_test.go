package tables_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func putRequest(it item) types.WriteRequest {
	return types.WriteRequest{PutRequest: &types.PutRequest{Item: it}}
}

func deleteRequest(key item) types.WriteRequest {
	return types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}}
}

func TestBatchesWriteAndReadSeveralTables(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	s.create(t, sorted("t-2", types.ScalarAttributeTypeN))
	s.put(t, "t-1", item{"p": str("old")})
	written, err := s.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{ReturnConsumedCapacity: "TOTAL", RequestItems: map[string][]types.WriteRequest{
		"t-1": {putRequest(item{"p": str("a"), "n": num("1")}), deleteRequest(item{"p": str("old")})},
		"t-2": {putRequest(item{"p": str("a"), "s": num("1"), "d": str(strings.Repeat("x", 2000))})},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(written.UnprocessedItems) != 0 {
		t.Errorf("unprocessed: %v", written.UnprocessedItems)
	}
	for i, want := range []float64{2, 2} {
		if got := *written.ConsumedCapacity[i].CapacityUnits; got != want {
			t.Errorf("%s took %v write units, want %v", *written.ConsumedCapacity[i].TableName, got, want)
		}
	}
	read, err := s.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{ReturnConsumedCapacity: "TOTAL", RequestItems: map[string]types.KeysAndAttributes{
		"t-1": {Keys: []map[string]value{{"p": str("a")}, {"p": str("old")}}, ConsistentRead: aws.Bool(true)},
		"t-2": {Keys: []map[string]value{{"p": str("a"), "s": num("1")}}, ProjectionExpression: aws.String("s")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if items := read.Responses["t-1"]; len(items) != 1 {
		t.Errorf("t-1 gave %v", items)
	} else {
		wantItem(t, items[0], item{"p": str("a"), "n": num("1")})
	}
	if items := read.Responses["t-2"]; len(items) != 1 {
		t.Errorf("t-2 gave %v", items)
	} else {
		wantItem(t, items[0], item{"s": num("1")})
	}
	for i, want := range []float64{2, 0.5} {
		if got := *read.ConsumedCapacity[i].CapacityUnits; got != want {
			t.Errorf("%s took %v read units, want %v", *read.ConsumedCapacity[i].TableName, got, want)
		}
	}
}

func TestAnItemOfABatchCountsInTheTablesStatistics(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	var all []types.WriteRequest
	for i := range 25 {
		all = append(all, putRequest(item{"p": str(fmt.Sprintf("%02d", i))}))
	}
	if _, err := s.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"t-1": all}}); err != nil {
		t.Fatal(err)
	}
	out, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("t-1")})
	if err != nil {
		t.Fatal(err)
	}
	if *out.Table.ItemCount != 25 || *out.Table.TableSizeBytes != 75 {
		t.Errorf("%d items of %d bytes, want 25 of 75", *out.Table.ItemCount, *out.Table.TableSizeBytes)
	}
}

func TestABatchOfMoreThan16MBComesInParts(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	var keys []map[string]value
	for i := range 45 {
		key := item{"p": str(fmt.Sprintf("%02d", i))}
		keys = append(keys, key)
		s.put(t, "t-1", item{"p": key["p"], "d": str(strings.Repeat("x", 400_000))})
	}
	in := map[string]types.KeysAndAttributes{"t-1": {Keys: keys, ConsistentRead: aws.Bool(true)}}
	var sizes []int
	for len(in) > 0 {
		out, err := s.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: in})
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(out.Responses["t-1"]))
		if in = out.UnprocessedKeys; len(in) > 0 && !*in["t-1"].ConsistentRead {
			t.Error("the unprocessed keys have lost ConsistentRead")
		}
	}
	if got := fmt.Sprint(sizes); got != "[41 4]" { // 41 × 400,003 bytes fit in 16 MiB
		t.Errorf("items came in parts of %s, want [41 4]", got)
	}
}

func TestWrongBatches(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	s.create(t, simple("t-2", "p"))
	many := func(n int) (keys []map[string]value) {
		for i := range n {
			keys = append(keys, item{"p": str(fmt.Sprint(i))})
		}
		return keys
	}
	var puts []types.WriteRequest
	for _, key := range many(20) {
		puts = append(puts, putRequest(key))
	}
	gets := func(all map[string]types.KeysAndAttributes) error {
		_, err := s.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: all})
		return err
	}
	writes := func(all map[string][]types.WriteRequest) error {
		_, err := s.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: all})
		return err
	}
	const duplicates = "Provided list of item keys contains duplicates"
	wantError(t, gets(map[string]types.KeysAndAttributes{"t-1": {Keys: many(60)}, "t-2": {Keys: many(60)}}), validation,
		"Too many items requested for the BatchGetItem call")
	wantError(t, gets(map[string]types.KeysAndAttributes{"t-1": {Keys: append(many(2), many(1)...)}}), validation, duplicates)
	wantError(t, gets(map[string]types.KeysAndAttributes{"t-1": {Keys: []map[string]value{{"q": str("a")}}}}), validation,
		"The provided key element does not match the schema")
	wantError(t, gets(map[string]types.KeysAndAttributes{"t-3": {Keys: many(1)}}), "ResourceNotFoundException", "Requested resource not found")
	wantError(t, writes(map[string][]types.WriteRequest{"t-1": puts, "t-2": puts}), validation, "Too many items requested for the BatchWriteItem call")
	wantError(t, writes(map[string][]types.WriteRequest{"t-1": {putRequest(item{"p": str("a")}), deleteRequest(item{"p": str("a")})}}), validation, duplicates)
	wantError(t, writes(map[string][]types.WriteRequest{"t-1": {putRequest(item{"p": str("a"), "d": str(strings.Repeat("x", 410_000))})}}), validation,
		"Item size has exceeded the maximum allowed size")
	if got := s.get(t, "t-1", item{"p": str("0")}); got != nil {
		t.Errorf("a refused batch has written %v", show(got))
	}
}
