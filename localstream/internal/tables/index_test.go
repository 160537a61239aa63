package tables_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream/internal/tables"
)

// addIndex creates an index with partition key g (S) and perhaps a sort key h (N).
func (s *server) addIndex(t testing.TB, table, name string, ranged bool, projection *types.Projection) *types.TableDescription {
	t.Helper()
	in := &dynamodb.UpdateTableInput{TableName: &table,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("g"), AttributeType: "S"}},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: &name, KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("g"), KeyType: "HASH"}}, Projection: projection}}}}
	if ranged {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("h"), AttributeType: "N"})
		create := in.GlobalSecondaryIndexUpdates[0].Create
		create.KeySchema = append(create.KeySchema, types.KeySchemaElement{AttributeName: aws.String("h"), KeyType: "RANGE"})
	}
	out, err := s.UpdateTable(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out.TableDescription
}

// indexed reads the whole index by scanning and by querying each partition, and checks that both agree.
func (s *server) indexed(t testing.TB, table, index string) map[string]item {
	t.Helper()
	found := map[string]item{}
	partitions := map[string]int{}
	for p := dynamodb.NewScanPaginator(s.Client, &dynamodb.ScanInput{TableName: &table, IndexName: &index}); p.HasMorePages(); {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			key := it["p"].(*types.AttributeValueMemberS).Value
			if found[key] != nil {
				t.Errorf("index has %s twice", key)
			}
			found[key] = it
			partitions[it["g"].(*types.AttributeValueMemberS).Value]++
		}
	}
	for g, n := range partitions {
		out, err := s.Query(t.Context(), &dynamodb.QueryInput{TableName: &table, IndexName: &index, KeyConditionExpression: aws.String("g = :g"),
			ExpressionAttributeValues: item{":g": str(g)}, Select: types.SelectCount})
		if err != nil || int(out.Count) != n {
			t.Errorf("partition %s has %d, %v; scanned %d", g, out.Count, err, n)
		}
	}
	return found
}

func TestAnIndexAddedLaterHasAllItems(t *testing.T) {
	s := start(t)
	s.create(t, simple("big", "p"))
	const n = 5000
	want := map[string]item{}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < n; i += 8 {
				it := item{"p": str(fmt.Sprint("item-", i)), "x": str("not projected")}
				switch i % 4 {
				case 0: // not in the index: no g
				case 1:
					it["g"] = num("1") // not in the index: wrong type
				default:
					it["g"] = str(fmt.Sprint("group-", i%7))
					mu.Lock()
					want[fmt.Sprint("item-", i)] = item{"p": it["p"], "g": it["g"]}
					mu.Unlock()
				}
				s.put(t, "big", it)
			}
		})
	}
	writers.Wait()
	d := s.addIndex(t, "big", "by-g", false, &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly})
	if d.TableStatus != types.TableStatusUpdating || d.GlobalSecondaryIndexes[0].IndexStatus != types.IndexStatusCreating {
		t.Errorf("answer says %s, index %s", d.TableStatus, d.GlobalSecondaryIndexes[0].IndexStatus)
	}
	// Writes go on while the index is filled.
	for i := 2; i < n; i += 500 {
		key := fmt.Sprint("item-", i)
		if _, err := s.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String("big"), Key: item{"p": str(key)}}); err != nil {
			t.Fatal(err)
		}
		delete(want, key)
		s.put(t, "big", item{"p": str(key + "-new"), "g": str("late")})
		want[key+"-new"] = item{"p": str(key + "-new"), "g": str("late")}
	}
	s.settled(t, "big")
	if got := s.indexed(t, "big", "by-g"); !reflect.DeepEqual(got, want) {
		t.Errorf("index has %d items, want %d", len(got), len(want))
	}
	out, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("big")})
	if err != nil || *out.Table.GlobalSecondaryIndexes[0].ItemCount != int64(len(want)) || out.Table.GlobalSecondaryIndexes[0].IndexStatus != types.IndexStatusActive {
		t.Errorf("%+v, %v", out.Table.GlobalSecondaryIndexes[0], err)
	}
}

func TestIndexesFollowTheirItems(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	s.addIndex(t, "t-1", "all", true, &types.Projection{ProjectionType: types.ProjectionTypeAll})
	s.settled(t, "t-1")
	s.addIndex(t, "t-1", "some", false, &types.Projection{ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"x"}})
	s.settled(t, "t-1")
	check := func(all, some map[string]item) {
		t.Helper()
		if got := s.indexed(t, "t-1", "all"); !reflect.DeepEqual(got, all) {
			t.Errorf("index all has %v, want %v", got, all)
		}
		if got := s.indexed(t, "t-1", "some"); !reflect.DeepEqual(got, some) {
			t.Errorf("index some has %v, want %v", got, some)
		}
	}
	it := item{"p": str("a"), "g": str("g1"), "x": str("x"), "y": str("y")}
	s.put(t, "t-1", it)
	some := item{"p": str("a"), "g": str("g1"), "x": str("x")}
	check(map[string]item{}, map[string]item{"a": some})

	it = maps.Clone(it)
	it["h"] = num("1")
	s.put(t, "t-1", it)
	check(map[string]item{"a": it}, map[string]item{"a": some})

	update := func(u string, values item) {
		t.Helper()
		in := &dynamodb.UpdateItemInput{TableName: aws.String("t-1"), Key: item{"p": str("a")}, UpdateExpression: &u, ExpressionAttributeValues: values}
		if _, err := s.UpdateItem(ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	update("SET g = :g, h = h + :one, x = :x", item{":g": str("g2"), ":one": num("1"), ":x": str("x2")})
	all := item{"p": str("a"), "g": str("g2"), "h": num("2"), "x": str("x2"), "y": str("y")}
	check(map[string]item{"a": all}, map[string]item{"a": {"p": str("a"), "g": str("g2"), "x": str("x2")}})
	update("REMOVE g", nil)
	check(map[string]item{}, map[string]item{})
	update("SET g = :g", item{":g": str("g3")})
	if _, err := s.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String("t-1"), Key: item{"p": str("a")}}); err != nil {
		t.Fatal(err)
	}
	check(map[string]item{}, map[string]item{})

	_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("t-1"), Item: item{"p": str("b"), "g": num("1")}})
	wantError(t, err, validation, "One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N IndexName: all")
	if got := s.get(t, "t-1", item{"p": str("b")}); got != nil {
		t.Errorf("a refused item was written: %v", got)
	}
}

func TestLocalIndexes(t *testing.T) {
	s := start(t)
	in := sorted("t-1", "S")
	in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("when"), AttributeType: "N"})
	in.LocalSecondaryIndexes = []types.LocalSecondaryIndex{{IndexName: aws.String("by-time"), Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("p"), KeyType: "HASH"}, {AttributeName: aws.String("when"), KeyType: "RANGE"}}}}
	s.create(t, in)
	for i, name := range []string{"c", "a", "b", "none"} {
		it := item{"p": str("p"), "s": str(name), "x": str("x" + name)}
		if name != "none" {
			it["when"] = num(fmt.Sprint(i * 10))
		}
		s.put(t, "t-1", it)
	}
	query := func(sel types.Select, projection *string) []item {
		t.Helper()
		out, err := s.Query(ctx, &dynamodb.QueryInput{TableName: aws.String("t-1"), IndexName: aws.String("by-time"), ConsistentRead: aws.Bool(true), Select: sel,
			ProjectionExpression: projection, KeyConditionExpression: aws.String("p = :p AND #w >= :w"), ExpressionAttributeNames: map[string]string{"#w": "when"},
			ExpressionAttributeValues: item{":p": str("p"), ":w": num("10")}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Items
	}
	a := item{"p": str("p"), "s": str("a"), "when": num("10")}
	b := item{"p": str("p"), "s": str("b"), "when": num("20")}
	if got := query("", nil); !reflect.DeepEqual(got, []item{a, b}) {
		t.Errorf("index gives %v", got)
	}
	if got := query("", aws.String("x")); !reflect.DeepEqual(got, []item{{"x": str("xa")}, {"x": str("xb")}}) {
		t.Errorf("attributes fetched from the table: %v", got)
	}
	a["x"], b["x"] = str("xa"), str("xb")
	if got := query(types.SelectAllAttributes, nil); !reflect.DeepEqual(got, []item{a, b}) {
		t.Errorf("whole items: %v", got)
	}
}

func TestStatusesTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		s := open(t, fs, tables.Options{Delay: 5 * time.Second})
		defer func() { s.close(t) }()
		status := func() types.TableStatus {
			out, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("t-1")})
			if err != nil {
				return "GONE"
			}
			return out.Table.TableStatus
		}
		var seen []string
		watch := func(name string) {
			began, last := time.Now(), status()
			for last != types.TableStatusActive && last != "GONE" {
				time.Sleep(100 * time.Millisecond) // the bubble's
				if now := status(); now != last {
					seen = append(seen, fmt.Sprintf("%s %s %s %v", name, last, now, time.Since(began).Round(time.Second)))
					last = now
				}
			}
		}
		s.create(t, simple("t-1", "p"))
		_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("t-1"), Item: item{"p": str("a"), "g": str("g")}})
		wantError(t, err, "ResourceNotFoundException", "Requested resource not found")
		watch("create")
		s.put(t, "t-1", item{"p": str("a"), "g": str("g")})
		s.addIndex(t, "t-1", "by-g", false, &types.Projection{ProjectionType: types.ProjectionTypeAll})
		_, err = s.Query(ctx, &dynamodb.QueryInput{TableName: aws.String("t-1"), IndexName: aws.String("by-g"), KeyConditionExpression: aws.String("g = :g"), ExpressionAttributeValues: item{":g": str("g")}})
		wantError(t, err, validation, "Cannot read from backfilling global secondary index: by-g")
		_, err = s.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String("t-1")})
		wantError(t, err, "ResourceInUseException", "Attempt to change a resource which is still in use: Table is being updated: t-1")
		time.Sleep(3 * time.Second)
		s.close(t) // an index that was not finished is finished by the next process
		s = open(t, fs, tables.Options{Delay: 5 * time.Second})
		watch("index")
		if got := s.indexed(t, "t-1", "by-g"); len(got) != 1 {
			t.Errorf("index has %v", got)
		}
		if _, err := s.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String("t-1")}); err != nil {
			t.Fatal(err)
		}
		watch("delete")
		want := []string{"create CREATING ACTIVE 5s", "index UPDATING ACTIVE 5s", "delete DELETING GONE 5s"}
		if !slices.Equal(seen, want) {
			t.Errorf("saw %q, want %q", seen, want)
		}
	})
}
