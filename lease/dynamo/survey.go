package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

// Survey reads the whole table by pages, eventually consistently. Items of other kinds than leases and members are left
// out.
func (s *Store) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	var leases []lease.Lease
	var members []lease.Member
	var damaged []error
	var next item
	for {
		out, err := s.client.Scan(ctx, &dynamodb.ScanInput{TableName: &s.cfg.Table, ExclusiveStartKey: next})
		if err != nil {
			return nil, nil, s.failed(s.leases(), "survey", err)
		}
		for _, it := range out.Items {
			switch kindOf(it) {
			case entityLease:
				l, err := decode(it)
				if err != nil {
					damaged = append(damaged, err)
					continue
				}
				leases = append(leases, l)
			case entityMember:
				m, err := decodeMember(it, attrKey)
				if err != nil {
					damaged = append(damaged, err)
					continue
				}
				members = append(members, m)
			}
		}
		if next = out.LastEvaluatedKey; len(next) == 0 {
			return leases, members, errors.Join(damaged...)
		}
	}
}

// Owned asks the owner index for the keys of a worker.
func (s *Store) Owned(ctx context.Context, worker string) ([]string, error) {
	if worker == "" {
		return nil, nil
	}
	var keys []string
	var next item
	for {
		out, err := s.client.Query(ctx, &dynamodb.QueryInput{
			TableName: &s.cfg.Table, IndexName: aws.String(indexName), ExclusiveStartKey: next,
			KeyConditionExpression:   aws.String("#" + attrOwner + " = :owner"),
			ExpressionAttributeNames: map[string]string{"#" + attrOwner: attrOwner}, ExpressionAttributeValues: item{":owner": text(worker)},
		})
		if err != nil {
			return nil, s.failed(s.leases(), "find the leases of "+worker, err)
		}
		for _, it := range out.Items {
			if key, ok := it[attrKey].(*types.AttributeValueMemberS); ok {
				keys = append(keys, key.Value)
			}
		}
		if next = out.LastEvaluatedKey; len(next) == 0 {
			return keys, nil
		}
	}
}
