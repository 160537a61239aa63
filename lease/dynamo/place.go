package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

// A place is a table and the name of its partition key.
type place struct{ table, keyAttr string }

func (p place) keyOf(key string) item { return item{p.keyAttr: text(key)} }

// leases is the lease table.
func (s *Store) leases() place { return place{s.cfg.Table, attrKey} }

// lockPlace is where the leader's lock is.
func (s *Store) lockPlace() place { return s.leases() }

// memberPlace is where the items of workers are written.
func (s *Store) memberPlace() place { return s.leases() }

// getItem reads an item, consistently, or returns ErrNotFound.
func (s *Store) getItem(ctx context.Context, p place, doing, key string) (item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &p.table, Key: p.keyOf(key), ConsistentRead: aws.Bool(true)})
	switch {
	case err != nil:
		return nil, s.failed(p, doing+" "+key, err)
	case len(out.Item) == 0:
		return nil, fmt.Errorf("%s %s: %w", doing, key, lease.ErrNotFound)
	}
	return out.Item, nil
}

// deleteItem deletes an item under the conditions that when adds.
func (s *Store) deleteItem(ctx context.Context, p place, doing, key string, when func(*update)) error {
	u := newUpdate()
	when(u)
	_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &p.table, Key: p.keyOf(key),
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names, ExpressionAttributeValues: u.aliases(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return s.refused(ctx, p, doing, key, err)
}
