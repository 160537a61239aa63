package tables_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream/internal/tables"
)

func transactPut(table string, it item, condition string) types.TransactWriteItem {
	p := &types.Put{TableName: &table, Item: it, ReturnValuesOnConditionCheckFailure: "ALL_OLD"}
	if condition != "" {
		p.ConditionExpression = &condition
	}
	return types.TransactWriteItem{Put: p}
}

func (s *server) transact(token string, items ...types.TransactWriteItem) (*dynamodb.TransactWriteItemsOutput, error) {
	in := &dynamodb.TransactWriteItemsInput{TransactItems: items, ReturnConsumedCapacity: "TOTAL"}
	if token != "" {
		in.ClientRequestToken = &token
	}
	return s.TransactWriteItems(ctx, in)
}

func TestATransactionDoesAllOrNothing(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	s.put(t, "t-1", item{"p": str("there"), "n": num("1")})
	s.put(t, "t-1", item{"p": str("doomed")})
	update := types.TransactWriteItem{Update: &types.Update{TableName: aws.String("t-1"), Key: item{"p": str("there")},
		UpdateExpression: aws.String("ADD n :v"), ExpressionAttributeValues: item{":v": num("1")}}}
	remove := types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String("t-1"), Key: item{"p": str("doomed")}}}
	check := types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: aws.String("t-1"), Key: item{"p": str("none")},
		ConditionExpression: aws.String("attribute_not_exists(p)")}}
	_, err := s.transact("", update, remove, transactPut("t-1", item{"p": str("new")}, "attribute_exists(p)"), check)
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) || fmt.Sprint(codes(cancelled)) != "[None None ConditionalCheckFailed None]" {
		t.Fatalf("error is %v", err)
	}
	wantItem(t, s.get(t, "t-1", item{"p": str("there")}), item{"p": str("there"), "n": num("1")})
	wantItem(t, s.get(t, "t-1", item{"p": str("doomed")}), item{"p": str("doomed")})

	out, err := s.transact("", update, remove, transactPut("t-1", item{"p": str("new")}, ""), check)
	if err != nil {
		t.Fatal(err)
	}
	wantItem(t, s.get(t, "t-1", item{"p": str("there")}), item{"p": str("there"), "n": num("2")})
	wantItem(t, s.get(t, "t-1", item{"p": str("new")}), item{"p": str("new")})
	if got := s.get(t, "t-1", item{"p": str("doomed")}); got != nil {
		t.Errorf("the deleted item is %s", show(got))
	}
	if got := *out.ConsumedCapacity[0].CapacityUnits; got != 8 {
		t.Errorf("four writes took %v units, want 8: each counts twice", got)
	}
}

func codes(err *types.TransactionCanceledException) (codes []string) {
	for _, r := range err.CancellationReasons {
		codes = append(codes, *r.Code)
	}
	return codes
}

func TestAFailedConditionShowsItsItem(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	s.put(t, "t-1", item{"p": str("a"), "n": num("7")})
	_, err := s.transact("", transactPut("t-1", item{"p": str("a")}, "attribute_not_exists(p)"))
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != 1 {
		t.Fatalf("error is %v", err)
	}
	wantItem(t, cancelled.CancellationReasons[0].Item, item{"p": str("a"), "n": num("7")})
}

func TestWrongTransactions(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	s.put(t, "t-1", item{"p": str("text"), "n": str("x")})
	put := transactPut("t-1", item{"p": str("a")}, "")
	both := put
	both.Delete = &types.Delete{TableName: aws.String("t-1"), Key: item{"p": str("b")}}
	var large []types.TransactWriteItem
	for i := range 11 {
		large = append(large, transactPut("t-1", item{"p": str(fmt.Sprint(i)), "d": str(strings.Repeat("x", 400_000))}, ""))
	}
	tests := map[string]struct {
		items   []types.TransactWriteItem
		kind    string
		message string
	}{
		"nothing to do":     {[]types.TransactWriteItem{{}}, validation, "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"},
		"two things in one": {[]types.TransactWriteItem{both}, validation, "TransactItems can only contain one of Check, Put, Update or Delete"},
		"one item twice, then a table that is missing":    {[]types.TransactWriteItem{put, put, transactPut("nowhere", item{"p": str("a")}, "")}, validation, "Transaction request cannot include multiple operations on one item"},
		"a table that is missing, then one item twice":    {[]types.TransactWriteItem{transactPut("nowhere", item{"p": str("a")}, ""), put, put}, validation, "Transaction request cannot include multiple operations on one item"},
		"a table that is missing, then a malformed value": {[]types.TransactWriteItem{transactPut("nowhere", item{"p": str("a")}, ""), transactPut("t-1", item{"p": str("a"), "n": num("123456789012345678901234567890123456789")}, "")}, validation, "Attempting to store more than 38 significant digits in a Number"},
		"one item twice":        {[]types.TransactWriteItem{put, put}, validation, "Transaction request cannot include multiple operations on one item"},
		"no such table":         {[]types.TransactWriteItem{transactPut("t-2", item{"p": str("a")}, "")}, "ResourceNotFoundException", "Requested resource not found"},
		"more than 4 MiB":       {large, validation, "Transaction request exceeds the limit: its items have 4400034 bytes, at most 4194304 are allowed"},
		"a wrong expression":    {[]types.TransactWriteItem{transactPut("t-1", item{"p": str("a")}, "size")}, validation, "Invalid ConditionExpression: Syntax error; token: \"<EOF>\", near: \"size\""},
		"a key of another kind": {[]types.TransactWriteItem{put, transactPut("t-1", item{"p": num("1")}, "")}, "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]"},
		"an update that cannot be": {[]types.TransactWriteItem{{Update: &types.Update{TableName: aws.String("t-1"), Key: item{"p": str("text")},
			UpdateExpression: aws.String("ADD n :v"), ExpressionAttributeValues: item{":v": num("1")}}}},
			"TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [ValidationError]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := s.transact("", test.items...)
			wantError(t, err, test.kind, test.message)
		})
	}
	if got := s.get(t, "t-1", item{"p": str("a")}); got != nil {
		t.Errorf("a refused transaction has written %v", show(got))
	}
}

func TestATokenMakesATransactionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		s := open(t, fs, tables.Options{})
		s.create(t, simple("t-1", "p"))
		count := types.TransactWriteItem{Update: &types.Update{TableName: aws.String("t-1"), Key: item{"p": str("a")},
			UpdateExpression: aws.String("ADD n :v"), ExpressionAttributeValues: item{":v": num("1")}}}
		for range 3 {
			if _, err := s.transact("once", count); err != nil {
				t.Fatal(err)
			}
		}
		wantItem(t, s.get(t, "t-1", item{"p": str("a")}), item{"p": str("a"), "n": num("1")})
		_, err := s.transact("once", transactPut("t-1", item{"p": str("b")}, ""))
		wantError(t, err, "IdempotentParameterMismatchException",
			"DynamoDB rejected the request because you retried a request with a different payload but with an idempotent token that was already used.")
		_, err = s.transact("once", transactPut("t-1", item{"p": num("1")}, "")) // a key of another type is looked at later
		if mismatch := (*types.IdempotentParameterMismatchException)(nil); !errors.As(err, &mismatch) {
			t.Errorf("another transaction with a wrong key: %v", err)
		}

		s.close(t)
		s = open(t, fs, tables.Options{}) // a restart forgets no token
		time.Sleep(10*time.Minute - time.Second)
		if _, err := s.transact("once", count); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s.get(t, "t-1", item{"p": str("a")}), item{"p": str("a"), "n": num("1")})
		time.Sleep(time.Second)
		if _, err := s.transact("once", count); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s.get(t, "t-1", item{"p": str("a")}), item{"p": str("a"), "n": num("2")})
		time.Sleep(12 * time.Minute)
		if n := keysUnder(t, s, "dt") + keysUnder(t, s, "dx"); n != 0 {
			t.Errorf("%d keys of old tokens are left", n)
		}
		s.close(t)
	})
}

// keysUnder counts the store's keys with that prefix.
func keysUnder(t *testing.T, s *server, prefix string) (n int) {
	t.Helper()
	it, err := s.store.Iter([]byte(prefix), []byte(prefix+"\xff"))
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTransactGetItems(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	s.put(t, "t-1", item{"p": str("a"), "n": num("1")})
	get := func(key item, projection *string) types.TransactGetItem {
		return types.TransactGetItem{Get: &types.Get{TableName: aws.String("t-1"), Key: key, ProjectionExpression: projection}}
	}
	out, err := s.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{ReturnConsumedCapacity: "TOTAL", TransactItems: []types.TransactGetItem{
		get(item{"p": str("none")}, nil), get(item{"p": str("a")}, aws.String("n")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Responses[0].Item != nil {
		t.Errorf("an item that is not there is %s", show(out.Responses[0].Item))
	}
	wantItem(t, out.Responses[1].Item, item{"n": num("1")})
	if got := *out.ConsumedCapacity[0].CapacityUnits; got != 4 {
		t.Errorf("two reads took %v units, want 4", got)
	}
	_, err = s.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{get(item{"p": str("a")}, nil), get(item{"q": str("a")}, nil)}})
	wantError(t, err, "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]")
}
