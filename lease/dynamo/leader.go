package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

// The item of the leader's lock, as the DynamoDB lock client 1.4.0 keeps it (AmazonDynamoDBLockClient.java,
// LeaderLock.java).
const (
	leaderKey = "Leader"

	attrLockOwner    = "ownerName"           // S
	attrLockVersion  = "recordVersionNumber" // S
	attrLockDuration = "leaseDuration"       // S, milliseconds
	attrLockReleased = "isReleased"          // S, "1", or absent
	attrLockData     = "data"                // B

	entityLeader = "LEADER"
	lockReleased = "1"
)

// Leader reads the lock, consistently.
func (s *Store) Leader(ctx context.Context) (lease.Lock, error) {
	it, err := s.getItem(ctx, s.lockPlace(), "read the leader's lock", leaderKey)
	if err != nil {
		return lease.Lock{}, err
	}
	d := decoder{item: it}
	l := lease.Lock{Owner: d.text(attrLockOwner, true), Version: d.text(attrLockVersion, true)}
	ms, err := strconv.ParseInt(d.text(attrLockDuration, true), 10, 64)
	if err != nil {
		d.bad(attrLockDuration, "a number of milliseconds as a string (S)")
	}
	l.Duration = time.Duration(ms) * time.Millisecond
	_, l.Released = it[attrLockReleased]
	if data, ok := it[attrLockData].(*types.AttributeValueMemberB); ok {
		l.Data = data.Value
	}
	if d.err != nil {
		return lease.Lock{}, fmt.Errorf("%w: leader's lock: %w", lease.ErrDamaged, d.err)
	}
	return l, nil
}

// PutLeader replaces the lock as a whole. In a table of KCL 3.0 to 3.4 it may be the lock no more since another leader has
// completed the migration to one table, so that is looked at first.
func (s *Store) PutLeader(ctx context.Context, seen, next lease.Lock) error {
	if err := next.Validate(); err != nil {
		return err
	}
	if s.layout.apart() {
		if _, err := s.Migration(ctx, lease.SingleTable); err != nil && !errors.Is(err, lease.ErrNotFound) {
			return fmt.Errorf("take the lead: %w", err)
		}
	}
	p := s.lockPlace()
	it := p.keyOf(leaderKey)
	it[attrEntityType] = text(entityLeader)
	it[attrLockOwner], it[attrLockVersion] = text(next.Owner), text(next.Version)
	it[attrLockDuration] = milliseconds(next.Duration)
	if next.Released {
		it[attrLockReleased] = text(lockReleased)
	}
	if len(next.Data) > 0 {
		it[attrLockData] = &types.AttributeValueMemberB{Value: next.Data}
	}
	u := newUpdate()
	switch {
	case seen.IsZero():
		u.when(u.is(p.keyAttr, text("")))
	case seen.Released:
		u.when(u.exists(p.keyAttr), u.is(attrLockReleased, text(lockReleased)))
	default:
		u.when(u.exists(p.keyAttr), u.is(attrLockVersion, text(seen.Version)))
	}
	return s.putItem(ctx, p, "take the lead", it, u)
}

// Beat writes a heartbeat of the leader.
func (s *Store) Beat(ctx context.Context, held, next lease.Lock) error {
	next.Owner = held.Owner
	if err := next.Validate(); err != nil {
		return err
	}
	u := newUpdate()
	u.set(attrLockDuration, milliseconds(next.Duration))
	u.set(attrLockVersion, text(next.Version))
	if len(next.Data) > 0 {
		u.set(attrLockData, &types.AttributeValueMemberB{Value: next.Data})
	} else if len(held.Data) > 0 {
		u.remove(attrLockData)
	}
	p := s.lockPlace()
	holds(u, p, held)
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &p.table, Key: p.keyOf(leaderKey), UpdateExpression: u.expression(),
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return s.refused(ctx, p, "keep the lead", leaderKey, err)
}

// DeleteLeader removes the lock.
func (s *Store) DeleteLeader(ctx context.Context, held lease.Lock) error {
	p := s.lockPlace()
	return s.deleteItem(ctx, p, "give up the lead", leaderKey, func(u *update) { holds(u, p, held) })
}

// holds adds the conditions of who has the lock.
func holds(u *update, p place, held lease.Lock) {
	u.when(u.exists(p.keyAttr), u.is(attrLockVersion, text(held.Version)), u.is(attrLockOwner, text(held.Owner)))
}

func milliseconds(d time.Duration) types.AttributeValue {
	return text(strconv.FormatInt(d.Milliseconds(), 10))
}
