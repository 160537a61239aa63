package tables_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// scanAll pages through a scan.
func (s *server) scanAll(t testing.TB, in dynamodb.ScanInput) (items []item, pages int) {
	t.Helper()
	for p := dynamodb.NewScanPaginator(s.Client, &in); p.HasMorePages(); pages++ {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		items = append(items, out.Items...)
	}
	return items, pages
}

func TestParallelScansCoverEachItemOnce(t *testing.T) {
	s := start(t)
	s.create(t, sorted("t-1", "N"))
	const n = 600
	for i := range n {
		s.put(t, "t-1", item{"p": str(fmt.Sprint(i / 3)), "s": num(fmt.Sprint(i % 3))})
	}
	for _, total := range []int32{1, 2, 3, 7, 32, 1000000} {
		var mu sync.Mutex
		seen := map[string]int{}
		var scans sync.WaitGroup
		segments := min(total, 32) // of a million only the first few, which are empty
		for segment := range segments {
			scans.Go(func() {
				items, _ := s.scanAll(t, dynamodb.ScanInput{TableName: aws.String("t-1"), Segment: aws.Int32(segment), TotalSegments: aws.Int32(total), Limit: aws.Int32(13)})
				mu.Lock()
				defer mu.Unlock()
				for _, it := range items {
					seen[show(it)]++
				}
			})
		}
		scans.Wait()
		if total <= 32 && len(seen) != n {
			t.Errorf("%d segments cover %d items of %d", total, len(seen), n)
		}
		for it, times := range seen {
			if times != 1 {
				t.Errorf("%d segments give %s %d times", total, it, times)
			}
		}
	}
	key := item{"p": str("0"), "s": num("0")}
	refused := 0
	for segment := range int32(4) {
		_, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("t-1"), Segment: aws.Int32(segment), TotalSegments: aws.Int32(4), ExclusiveStartKey: key})
		if err != nil {
			refused++
			wantError(t, err, validation, fmt.Sprintf("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: 4 Segment: %d", segment))
		}
	}
	if refused != 3 {
		t.Errorf("%d of 4 segments refuse a start key", refused)
	}
}

func TestPagesEndAtOneMegabyte(t *testing.T) {
	s := start(t)
	s.create(t, sorted("t-1", "N"))
	const n, size = 30, 100_000
	for i := range n {
		s.put(t, "t-1", item{"p": str("a"), "s": num(fmt.Sprint(i)), "d": str(strings.Repeat("x", size))})
	}
	in := &dynamodb.QueryInput{TableName: aws.String("t-1"), KeyConditionExpression: aws.String("p = :p"), ExpressionAttributeValues: item{":p": str("a"), ":s": num("999")},
		FilterExpression: aws.String("gone <> :s"), ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal}
	var counts []int32
	var units []float64
	for {
		out, err := s.Query(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, out.Count)
		units = append(units, *out.ConsumedCapacity.CapacityUnits)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; out.LastEvaluatedKey == nil {
			break
		}
	}
	// 11 items are the first to pass 1 MiB; a page of them is 1,100,088 bytes or so.
	if !slices.Equal(counts, []int32{11, 11, 8}) || !slices.Equal(units, []float64{269, 269, 196}) {
		t.Errorf("pages have %v items and take %v units", counts, units)
	}
}

func TestLimitsCountBeforeFilters(t *testing.T) {
	s := start(t)
	s.create(t, sorted("t-1", "N"))
	for i := range 10 {
		s.put(t, "t-1", item{"p": str("a"), "s": num(fmt.Sprint(i)), "even": num(fmt.Sprint((i + 1) % 2))})
	}
	in := dynamodb.QueryInput{TableName: aws.String("t-1"), KeyConditionExpression: aws.String("p = :p"), FilterExpression: aws.String("even = :one"),
		ExpressionAttributeValues: item{":p": str("a"), ":one": num("1")}, Limit: aws.Int32(5)}
	out, err := s.Query(ctx, &in)
	if err != nil || out.Count != 3 || out.ScannedCount != 5 || !reflect.DeepEqual(out.LastEvaluatedKey, item{"p": str("a"), "s": num("4")}) {
		t.Errorf("%+v, %v", out, err)
	}
	in.ExclusiveStartKey = out.LastEvaluatedKey
	out, err = s.Query(ctx, &in)
	if err != nil || out.Count != 2 || out.LastEvaluatedKey == nil {
		t.Errorf("a page that ends with the partition: %+v, %v; the service gives a key there", out, err)
	}
	in.ExclusiveStartKey = out.LastEvaluatedKey
	out, err = s.Query(ctx, &in)
	if err != nil || out.Count != 0 || out.ScannedCount != 0 || out.LastEvaluatedKey != nil {
		t.Errorf("the page after: %+v, %v", out, err)
	}
	count, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("t-1"), Select: types.SelectCount})
	if err != nil || count.Count != 10 || count.Items != nil {
		t.Errorf("%+v, %v", count, err)
	}
	legacy, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("t-1"), ConditionalOperator: "OR", AttributesToGet: []string{"s"},
		ScanFilter: map[string]types.Condition{"s": {ComparisonOperator: "GT", AttributeValueList: []value{num("8")}}, "gone": {ComparisonOperator: "NOT_NULL"}}})
	if err != nil || !reflect.DeepEqual(legacy.Items, []item{{"s": num("9")}}) {
		t.Errorf("%+v, %v", legacy, err)
	}
}

func TestQueriesFindTheSortKeysAsked(t *testing.T) {
	s := start(t)
	tables := map[types.ScalarAttributeType][]value{"S": nil, "N": nil, "B": nil}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 40 {
		text := strings.Repeat(string(rune('a'+i%3)), 1+i%4) + string(rune(r.IntN(3)))
		tables["S"] = append(tables["S"], str(text))
		tables["B"] = append(tables["B"], &types.AttributeValueMemberB{Value: append([]byte(text), 0xff, byte(i%2))})
		tables["N"] = append(tables["N"], num(fmt.Sprint(r.IntN(50)-25, "e", r.IntN(4)-2)))
	}
	for kind, keys := range tables {
		name := "t-" + string(kind)
		s.create(t, sorted(name, kind))
		stored := map[string]bool{}
		for _, k := range keys {
			s.put(t, name, item{"p": str("a"), "s": k})
			s.put(t, name, item{"p": str("a\x00"), "s": k})
			if kind != "N" {
				stored[showValue(k)] = true
			}
		}
		conditions := []string{"s = :x", "s < :x", "s <= :x", "s > :x", "s >= :x", "s BETWEEN :x AND :y", ":x >= s"}
		if kind != "N" {
			conditions = append(conditions, "begins_with(s, :x)")
		}
		for range 60 {
			x, y := keys[r.IntN(len(keys))], keys[r.IntN(len(keys))]
			condition := conditions[r.IntN(len(conditions))]
			values := item{":x": x, ":p": str("a")}
			if strings.Contains(condition, ":y") {
				values[":y"] = y
			}
			in := &dynamodb.QueryInput{TableName: &name, KeyConditionExpression: aws.String("p = :p AND " + condition), ExpressionAttributeValues: values}
			out, err := s.Query(ctx, in)
			if err != nil {
				if strings.Contains(err.Error(), "upper bound to be greater") {
					continue
				}
				t.Fatal(err)
			}
			// The same condition as a filter over everything must find the same items.
			all, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: &name, FilterExpression: aws.String("p = :p AND (" + condition + ")"), ExpressionAttributeValues: values})
			if err != nil {
				t.Fatal(err)
			}
			got, want := map[string]bool{}, map[string]bool{}
			for _, it := range out.Items {
				got[showValue(it["s"])+fmt.Sprint(it["s"])] = true
			}
			for _, it := range all.Items {
				want[showValue(it["s"])+fmt.Sprint(it["s"])] = true
			}
			if len(got) != len(want) || out.Count != all.Count {
				t.Fatalf("%s with %s, %s: query finds %d, scan %d", condition, showValue(x), showValue(y), out.Count, all.Count)
			}
			in.ScanIndexForward = aws.Bool(false)
			back, err := s.Query(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			slices.Reverse(back.Items)
			if !reflect.DeepEqual(back.Items, out.Items) {
				t.Fatalf("%s backwards gives other items", condition)
			}
		}
	}
}

func TestPagingMeetsEveryItemInBothDirections(t *testing.T) {
	s := start(t)
	s.create(t, sorted("t-1", "N"))
	var want []item
	for i := range 23 {
		it := item{"p": str("a"), "s": num(fmt.Sprint(i - 11))}
		want = append(want, it)
		s.put(t, "t-1", it)
		s.put(t, "t-1", item{"p": str("b"), "s": num("0")})
	}
	for _, forward := range []bool{true, false} {
		for limit := int32(1); limit < 25; limit += 4 {
			var got []item
			p := dynamodb.NewQueryPaginator(s.Client, &dynamodb.QueryInput{TableName: aws.String("t-1"), ScanIndexForward: &forward, Limit: &limit,
				KeyConditions: map[string]types.Condition{"p": {ComparisonOperator: "EQ", AttributeValueList: []value{str("a")}}}})
			for p.HasMorePages() {
				out, err := p.NextPage(ctx)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, out.Items...)
			}
			if !forward {
				slices.Reverse(got)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("forward %v, limit %d: %d items", forward, limit, len(got))
			}
		}
	}
}
