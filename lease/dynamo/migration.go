package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

// The attributes of a migration's item (MigrationState.java, TableMigrationState.java).
const (
	attrClientVersion = "cv"  // S, the state of lease.ClientVersion
	attrTableStatus   = "tm"  // S, the state of lease.SingleTable
	attrModifiedBy    = "mb"  // S
	attrModifiedTime  = "mts" // N, milliseconds since 1970
	attrHistory       = "h"   // L of M of the three others, the latest first

	entityClientVersion = "CLIENT_VERSION_MIGRATION"
	entityTableStatus   = "TABLE_MIGRATION"

	mostHistory = 10
)

// stateOf is the attribute of a migration's state and the type of its item.
func stateOf(key lease.MigrationKey) (attr, entity string, err error) {
	switch key {
	case lease.ClientVersion:
		return attrClientVersion, entityClientVersion, nil
	case lease.SingleTable:
		return attrTableStatus, entityTableStatus, nil
	}
	return "", "", fmt.Errorf("%w: there is no migration %q", lease.ErrInvalid, key)
}

// Migration reads the state of a migration, consistently. Where everything else is follows from what it last read of
// lease.SingleTable.
func (s *Store) Migration(ctx context.Context, key lease.MigrationKey) (lease.Migration, error) {
	_, it, err := s.migration(ctx, key)
	if errors.Is(err, lease.ErrNotFound) {
		s.layout.follow(key, "")
	}
	if err != nil {
		return lease.Migration{}, err
	}
	m, err := decodeMigration(key, it)
	if err == nil {
		s.layout.follow(key, m.State)
	}
	return m, err
}

// migration is the item of a migration and where it is: in the table of KCL 3.0 to 3.4, or else in the lease table.
func (s *Store) migration(ctx context.Context, key lease.MigrationKey) (place, item, error) {
	if _, _, err := stateOf(key); err != nil {
		return place{}, nil, err
	}
	if s.layout.apart() {
		p := s.coordinators()
		it, err := s.getItem(ctx, p, "read migration", string(key))
		if !errors.Is(err, lease.ErrNotFound) {
			return p, it, err
		}
	}
	p := s.leases()
	it, err := s.getItem(ctx, p, "read migration", string(key))
	return p, it, err
}

func decodeMigration(key lease.MigrationKey, it item) (lease.Migration, error) {
	attr, _, err := stateOf(key)
	if err != nil {
		return lease.Migration{}, err
	}
	d := decoder{item: it}
	m := lease.Migration{
		Key: key, State: d.text(attr, true), By: d.text(attrModifiedBy, false),
		At: time.UnixMilli(d.integer(attrModifiedTime, false)),
	}
	if d.err != nil {
		return lease.Migration{}, fmt.Errorf("%w: migration %s: %w", lease.ErrDamaged, key, d.err)
	}
	return m, nil
}

// PutMigration writes the state of a migration. To write the history it reads the item first.
func (s *Store) PutMigration(ctx context.Context, seen, next lease.Migration) error {
	if err := next.Validate(); err != nil {
		return err
	}
	doing := "write migration " + string(next.Key)
	p, it, err := s.migration(ctx, next.Key)
	switch {
	case errors.Is(err, lease.ErrNotFound) && seen.State != "":
		return fmt.Errorf("%s: there is none: %w", doing, lease.ErrConflict)
	case errors.Is(err, lease.ErrNotFound):
		err = s.createMigration(ctx, doing, next)
	case err != nil:
		return err
	case seen.State == "":
		return fmt.Errorf("%s: there is one: %w", doing, lease.ErrConflict)
	default:
		err = s.updateMigration(ctx, p, doing, it, seen, next)
	}
	if err == nil {
		s.layout.follow(next.Key, next.State)
	}
	return err
}

func (s *Store) createMigration(ctx context.Context, doing string, next lease.Migration) error {
	p := s.leases()
	if s.layout.apart() && (next.Key == lease.SingleTable || !s.layout.moved()) {
		p = s.coordinators()
	}
	attr, entity, err := stateOf(next.Key)
	if err != nil {
		return err
	}
	it := p.keyOf(string(next.Key))
	it[attrEntityType] = text(entity)
	it[attr], it[attrModifiedBy], it[attrModifiedTime] = text(next.State), text(next.By), number(next.At.UnixMilli())
	u := newUpdate()
	u.when(u.is(p.keyAttr, text("")))
	return s.putItem(ctx, p, doing, it, u)
}

func (s *Store) updateMigration(ctx context.Context, p place, doing string, it item, seen, next lease.Migration) error {
	attr, _, err := stateOf(next.Key)
	if err != nil {
		return err
	}
	u := newUpdate()
	u.set(attr, text(next.State))
	u.set(attrModifiedBy, text(next.By))
	u.set(attrModifiedTime, number(next.At.UnixMilli()))
	u.set(attrHistory, lengthen(attr, it))
	u.when(u.is(attr, text(seen.State)))
	_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &p.table, Key: p.keyOf(string(next.Key)), UpdateExpression: u.expression(),
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
	})
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", doing, lease.ErrConflict)
	}
	return s.failed(p, doing, err)
}

// lengthen is the history of it with its present state.
func lengthen(attr string, it item) types.AttributeValue {
	entry := make(item)
	for _, a := range []string{attr, attrModifiedBy, attrModifiedTime} {
		if v, ok := it[a]; ok {
			entry[a] = v
		}
	}
	entries := []types.AttributeValue{&types.AttributeValueMemberM{Value: entry}}
	if old, ok := it[attrHistory].(*types.AttributeValueMemberL); ok {
		entries = append(entries, old.Value...)
	}
	return &types.AttributeValueMemberL{Value: entries[:min(len(entries), mostHistory)]}
}
