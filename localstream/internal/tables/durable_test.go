package tables_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream/internal/tables"
)

func TestOfRacingConditionalWritesExactlyOneWins(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	const rounds, racers = 50, 32
	race := func(write func(round, racer int) error) (winners [rounds]int32) {
		for round := range rounds {
			var won atomic.Int32
			var all sync.WaitGroup
			for racer := range racers {
				all.Go(func() {
					err := write(round, racer)
					switch {
					case err == nil:
						won.Add(1)
					case !errors.As(err, new(*types.ConditionalCheckFailedException)):
						t.Error(err)
					}
				})
			}
			all.Wait()
			winners[round] = won.Load()
		}
		return winners
	}
	var one [rounds]int32
	for i := range one {
		one[i] = 1
	}
	created := race(func(round, racer int) error {
		_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("t-1"), Item: item{"p": str(fmt.Sprint(round)), "owner": num(fmt.Sprint(racer))},
			ConditionExpression: aws.String("attribute_not_exists(p)")})
		return err
	})
	if created != one {
		t.Errorf("winners of creation: %v", created)
	}
	s.put(t, "t-1", item{"p": str("counter"), "n": num("0")})
	counted := race(func(round, _ int) error {
		_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("t-1"), Key: item{"p": str("counter")},
			Expected: expected{"n": equals(num(fmt.Sprint(round)))}, AttributeUpdates: updates{"n": adding(num("1"))}})
		return err
	})
	if counted != one {
		t.Errorf("winners of counting: %v", counted)
	}
	wantItem(t, s.get(t, "t-1", item{"p": str("counter")}), item{"p": str("counter"), "n": num(fmt.Sprint(rounds))})
}

func TestEverythingSurvivesARestart(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, tables.Options{})
	s.create(t, simple("gone", "p"))
	s.put(t, "gone", item{"p": str("a")})
	s.create(t, sorted("t-1", "N"))
	for i := range 20 {
		s.put(t, "t-1", item{"p": str("a"), "s": num(fmt.Sprint(i)), "g": str("g")})
	}
	s.addIndex(t, "t-1", "by-g", false, &types.Projection{ProjectionType: types.ProjectionTypeAll})
	s.settled(t, "t-1")
	arn := aws.String("arn:aws:dynamodb:us-east-1:000000000000:table/t-1")
	if _, err := s.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String("gone")}); err != nil {
		t.Fatal(err)
	}
	view := func() (seen []any) {
		d, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("t-1")})
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.ListTables(ctx, &dynamodb.ListTablesInput{})
		if err != nil {
			t.Fatal(err)
		}
		q, err := s.Query(ctx, &dynamodb.QueryInput{TableName: aws.String("t-1"), IndexName: aws.String("by-g"), KeyConditionExpression: aws.String("g = :g"),
			ExpressionAttributeValues: item{":g": str("g")}})
		if err != nil {
			t.Fatal(err)
		}
		tags, err := s.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: arn})
		if err != nil {
			t.Fatal(err)
		}
		return []any{d.Table, l.TableNames, q.Items, tags.Tags}
	}
	before := view()
	s.close(t)
	s = open(t, fs, tables.Options{})
	defer s.close(t)
	if after := view(); !reflect.DeepEqual(before, after) {
		t.Errorf("after the restart\n%+v, before\n%+v", after, before)
	}
	// A table of the same name begins empty.
	s.create(t, simple("gone", "p"))
	if it := s.get(t, "gone", item{"p": str("a")}); it != nil {
		t.Errorf("the deleted table's item is back: %v", it)
	}
	out, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("gone")})
	if err != nil || *out.Table.ItemCount != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}
