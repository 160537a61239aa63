package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

const (
	moveBatch    = 25         // items of a transaction, as KCL has; each is put and deleted
	attrStreamID = "streamId" // S, of what KCL keeps of a stream
	entityStream = "STREAM"
)

// Apart reports whether there are tables of KCL 3.0 to 3.4 that are in use.
func (s *Store) Apart() bool { return s.layout.apart() }

// Unite has workers' items go to the lease table from lease.TableDeployed on.
func (s *Store) Unite() { s.layout.unite() }

// Leftovers reads both old tables.
func (s *Store) Leftovers(ctx context.Context) (int, []lease.Member, error) {
	if !s.layout.apart() {
		return 0, nil, nil
	}
	items, err := s.movable(ctx)
	if err != nil {
		return 0, nil, err
	}
	old := view{members: true, old: true}
	if apart, _ := s.layout.members(); apart {
		if err := s.scan(ctx, s.metrics(), 1, &old); err != nil {
			return 0, nil, s.failed(s.metrics(), "survey workers", err)
		}
	}
	return len(items), old.workers, errors.Join(old.damaged...)
}

// movable reads the items of the coordinator table that belong into the lease table: all but the lock, which is made anew
// there, and the migration itself, which Complete writes.
func (s *Store) movable(ctx context.Context) ([]item, error) {
	p := s.coordinators()
	in := &dynamodb.ScanInput{TableName: &p.table, ConsistentRead: aws.Bool(true)}
	var items []item
	for {
		out, err := s.client.Scan(ctx, in)
		if err != nil {
			return nil, s.failed(p, "list coordinator items", err)
		}
		for _, it := range out.Items {
			d := decoder{item: it}
			if key := d.text(p.keyAttr, true); key != leaderKey && key != string(lease.SingleTable) {
				items = append(items, it)
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return items, nil
		}
	}
}

// MoveItems moves the items of the coordinator table in batches, each in one transaction.
func (s *Store) MoveItems(ctx context.Context, held lease.Lock) error {
	if !s.layout.apart() {
		return nil
	}
	items, err := s.movable(ctx)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(items, moveBatch) {
		steps := []types.TransactWriteItem{s.leads(held)}
		for _, it := range batch {
			put, err := s.inLeaseTable(it)
			if err != nil {
				return err
			}
			steps = append(steps, put, s.taken(it))
		}
		if err := s.transact(ctx, "move coordinator items", steps); err != nil {
			return err
		}
	}
	return nil
}

// leads is the condition that the owner of held leads, by the old lock.
func (s *Store) leads(held lease.Lock) types.TransactWriteItem {
	p, u := s.coordinators(), newUpdate()
	u.when(u.is(attrLockOwner, text(held.Owner)))
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: &p.table, Key: p.keyOf(leaderKey),
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
	}}
}

// resigns gives up the old lock, under the condition of leads.
func (s *Store) resigns(held lease.Lock) types.TransactWriteItem {
	c := s.leads(held).ConditionCheck
	return types.TransactWriteItem{Delete: &types.Delete{
		TableName: c.TableName, Key: c.Key,
		ConditionExpression: c.ConditionExpression, ExpressionAttributeNames: c.ExpressionAttributeNames,
		ExpressionAttributeValues: c.ExpressionAttributeValues,
	}}
}

// inLeaseTable puts a coordinator item into the lease table, where there must be none yet. There it needs a type, which
// KCL 3.0 to 3.4 did not write.
func (s *Store) inLeaseTable(old item) (types.TransactWriteItem, error) {
	p, from, u := s.leases(), s.coordinators(), newUpdate()
	it := maps.Clone(old)
	key := it[from.keyAttr]
	delete(it, from.keyAttr)
	it[p.keyAttr] = key
	if _, ok := it[attrEntityType]; !ok {
		kind, err := coordinatorKind(it)
		if err != nil {
			return types.TransactWriteItem{}, err
		}
		it[attrEntityType] = text(kind)
	}
	u.when(u.is(p.keyAttr, text("")))
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &p.table, Item: it, ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(),
	}}, nil
}

// coordinatorKind is the type of a coordinator item that does not tell.
func coordinatorKind(it item) (string, error) {
	for attr, kind := range map[string]string{
		attrClientVersion: entityClientVersion, attrTableStatus: entityTableStatus, attrStreamID: entityStream,
	} {
		if _, ok := it[attr]; ok {
			return kind, nil
		}
	}
	d := decoder{item: it}
	return "", fmt.Errorf("move coordinator items: item %q is of no kind that is known: %w", d.text(attrKey, true), lease.ErrInvalid)
}

// taken deletes a coordinator item that has not changed since it was read.
func (s *Store) taken(it item) types.TransactWriteItem {
	p, u := s.coordinators(), newUpdate()
	u.when(u.exists(p.keyAttr))
	if modified, ok := it[attrModifiedTime]; ok {
		u.when(u.is(attrModifiedTime, modified))
	}
	return types.TransactWriteItem{Delete: &types.Delete{
		TableName: &p.table, Key: item{p.keyAttr: it[p.keyAttr]},
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
	}}
}

// Withdraw removes the item of the migration to one table.
func (s *Store) Withdraw(ctx context.Context, seen lease.Migration) error {
	p := s.leases()
	if s.layout.old() {
		p = s.coordinators()
	}
	err := s.deleteItem(ctx, p, "withdraw migration", string(lease.SingleTable), func(u *update) {
		u.when(u.is(attrTableStatus, text(seen.State)))
	})
	if err == nil {
		s.layout.follow(lease.SingleTable, "")
	}
	return err
}

// Complete ends the migration in both tables, and the old lock with it, in one transaction: who looks for the old lock
// afterwards learns that it is another one (PutLeader).
func (s *Store) Complete(ctx context.Context, held lease.Lock, by string) error {
	const doing = "complete the migration to one table"
	if by == "" {
		return fmt.Errorf("%s: %w: it is not said by whom", doing, lease.ErrInvalid)
	}
	if !s.layout.apart() {
		return nil
	}
	p := s.coordinators()
	old, err := s.getItem(ctx, p, "read migration", string(lease.SingleTable))
	if errors.Is(err, lease.ErrNotFound) {
		return fmt.Errorf("%s: nothing is stored: %w", doing, lease.ErrConflict)
	}
	if err != nil {
		return err
	}
	d := decoder{item: old}
	switch state := d.text(attrTableStatus, true); state {
	case lease.TablePending:
	case lease.TableComplete: // an answer was lost
		s.layout.follow(lease.SingleTable, state)
		return nil
	default:
		return fmt.Errorf("%s: it is %q: %w", doing, state, lease.ErrConflict)
	}
	done := maps.Clone(old)
	done[attrHistory] = lengthen(attrTableStatus, old)
	done[attrTableStatus], done[attrModifiedBy] = text(lease.TableComplete), text(by)
	done[attrModifiedTime] = number(s.cfg.Clock.Now().UnixMilli())
	done[attrEntityType] = text(entityTableStatus)
	copied, err := s.inLeaseTable(done)
	if err != nil {
		return err
	}
	u := newUpdate()
	u.when(u.is(attrTableStatus, text(lease.TablePending)))
	err = s.transact(ctx, doing, []types.TransactWriteItem{s.resigns(held), copied, {Put: &types.Put{
		TableName: &p.table, Item: done,
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
	}}})
	if err == nil {
		s.layout.follow(lease.SingleTable, lease.TableComplete)
	}
	return err
}

// transact writes all of steps or nothing.
func (s *Store) transact(ctx context.Context, doing string, steps []types.TransactWriteItem) error {
	_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: steps})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return s.failed(s.coordinators(), doing, err)
	}
	for i, reason := range cancelled.CancellationReasons {
		if aws.ToString(reason.Code) != "ConditionalCheckFailed" {
			continue
		}
		if i == 0 {
			return fmt.Errorf("%s: the lock is another's: %w", doing, lease.ErrConflict)
		}
		return fmt.Errorf("%s: %w", doing, lease.ErrConflict)
	}
	for _, reason := range cancelled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError":
			return fmt.Errorf("%s: %w: %w", doing, lease.ErrThrottled, err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
