// Package dynamo keeps leases in a DynamoDB table with the layout of Java KCL 3.5: a table that a KCL application used
// can be taken over with all its checkpoints, and the other way about.
//
//	leases := dynamo.New(dynamodb.NewFromConfig(cfg), "quake-alerts")
//
// makes the table if there is none, billed by request. NewWith takes what else can be set.
//
// All writes but the first of a row are UpdateItem calls with a condition; attributes that others have added survive.
//
// What a fleet shares beside its leases is in the same table, as with KCL 3.5, or in the two tables that KCL 3.0 to 3.4
// had beside it for as long as a migration to one table is not complete. Workers of KCL 2.x and of 3.0 to 3.4 cannot read
// a lease table that holds anything but leases. The store writes what it is told: while workers of KCL 2.x share the table,
// its caller must not use PutMember, PutLeader and PutMigration.
package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/internal/plainbody"
	"github.com/shoal-stream/shoal/internal/shortcut"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// Config says where leases are kept, and how a table is made. All but Table can be left out.
type Config struct {
	// Table is the name of the lease table: 3 to 255 letters, digits and the characters "_", "-", ".". Java KCL's
	// default is the application's name. Required.
	Table string
	// NoCreate leaves the table as it is: it must exist, and its index and settings are not touched. For tables that
	// are made by other means, and for credentials without the right to make any.
	NoCreate bool
	// ReadCapacity and WriteCapacity make a new table one of provisioned throughput, in units a second, from 1. By
	// default it is billed by request. A held lease needs a write unit every third of the lease duration.
	ReadCapacity, WriteCapacity int64
	// DeletionProtection keeps a new table from being deleted.
	DeletionProtection bool
	// PointInTimeRecovery turns on continuous backups of the table, also of one that exists.
	PointInTimeRecovery bool
	// Tags are given to a new table.
	Tags map[string]string
	// CoordinatorTable and MetricsTable are the tables that an application of Java KCL 3.0 to 3.4 has beside the lease
	// table. They are never made, but are used as KCL 3.5 does where Open finds them. Default: the Table with
	// "-CoordinatorState" and "-WorkerMetricStats".
	CoordinatorTable, MetricsTable string
	// NoOldTables says that there are no such tables, so that Open does not look for them: for an application that has
	// always been Shoal's, with credentials that are good for the lease table alone.
	NoOldTables bool
	// Units, if set, hears what each call consumed in request units, by the name of DynamoDB's operation. A write whose
	// condition failed counts as one. It may be called concurrently.
	Units func(op string, read, write float64)
	// Progress, if set, hears what Open is waiting for when that takes long: the index of a large table that KCL 2.x
	// left can take an hour.
	Progress func(waiting string)
	// Clock is for waiting until a table is ready, and for an answer: at most 10 s.
	Clock clock.Clock
}

// A Store is a lease.Store in a DynamoDB table.
type Store struct {
	client *dynamodb.Client
	cfg    Config

	short shortcuts

	layout   layout
	segments atomic.Int32 // in which the table is scanned at once; 0 until Open has asked for its size
	rows     atomic.Int32 // that the last scan found
}

// New makes a store in the table of that name, with the defaults of Config. It does no I/O. It does not use client
// itself but another one with the same options that makes one attempt a call: whoever writes leases knows best when to
// try again, and the throttling of other calls must not use up its retries. Most calls take a shortcut past the SDK's
// layers, unless client has middleware, interceptors, logging, tracing or metrics that want to see each call.
func New(client *dynamodb.Client, table string) *Store { return NewWith(client, Config{Table: table}) }

// NewWith is New with more to say.
func NewWith(client *dynamodb.Client, cfg Config) *Store {
	options := client.Options()
	short := allowsShortcuts(&options)
	own := dynamodb.New(options, func(o *dynamodb.Options) {
		o.Retryer, o.RetryMaxAttempts = aws.NopRetryer{}, 0
		o.Protocol = options.Protocol // which dynamodb.New has replaced
		o.HTTPClient = plainbody.Wrap(o.HTTPClient)
		o.APIOptions = append(slices.Clone(o.APIOptions), limitWaits(cfg.Clock))
		if cfg.Units != nil {
			o.APIOptions = append(o.APIOptions, countUnits(cfg.Units))
		}
		if short {
			o.AuthSchemes = shortcut.Noting(o.AuthSchemes)
		}
	})
	s := &Store{client: own, cfg: cfg}
	if short {
		o := own.Options()
		s.short = newShortcuts(&o, &cfg)
	}
	return s
}

// Get reads one row, consistently.
func (s *Store) Get(ctx context.Context, key string) (lease.Lease, error) {
	if n := s.short.get.Ready(); n != nil {
		row, found, err := s.postForRow(ctx, s.short.get, n, appendGet(make([]byte, 0, 256), s.cfg.Table, key, s.cfg.Units != nil))
		switch {
		case err == nil && !found:
			err = fmt.Errorf("get lease %s: %w", key, lease.ErrNotFound)
		case !errors.Is(err, lease.ErrDamaged):
			err = s.failed(s.leases(), "get lease "+key, err)
		}
		return row, err
	}
	it, err := s.getItem(s.short.get.Learn(ctx), s.leases(), "get lease", key)
	if err != nil {
		return lease.Lease{}, err
	}
	if kindOf(it) != entityLease {
		return lease.Lease{}, fmt.Errorf("get lease %s: %w", key, lease.ErrNotFound)
	}
	return decode(it)
}

// Create puts a new row.
func (s *Store) Create(ctx context.Context, l lease.Lease) error {
	if err := l.Validate(); err != nil {
		return err
	}
	u := newUpdate()
	u.when(u.is(attrKey, text("")))
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.cfg.Table, Item: encode(&l),
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(),
	})
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		return fmt.Errorf("create lease %s: %w", l.Key, lease.ErrExists)
	}
	return s.failed(s.leases(), "create lease "+l.Key, err)
}

// Renew raises the counter and writes c.
func (s *Store) Renew(ctx context.Context, held lease.Lease, worker string, c lease.Change) (lease.Lease, error) {
	if err := c.Validate(); err != nil {
		return lease.Lease{}, fmt.Errorf("renew lease %s: %w", held.Key, err)
	}
	u := newUpdate()
	u.set(attrCounter, number(held.Counter+1))
	switch {
	case !c.Checkpoint.IsZero():
		u.set(attrCheckpoint, text(c.Checkpoint.Sentinel()))
		u.set(attrCheckpointSub, number(c.Checkpoint.Sub()))
		u.set(attrSwitches, number(int64(0)))
		u.remove(attrPending, attrPendingSub, attrPendingState, attrStartTime)
	case !c.Pending.IsZero():
		u.set(attrPending, text(c.Pending.Sentinel()))
		u.set(attrPendingSub, number(c.Pending.Sub()))
		if len(c.PendingState) > 0 {
			u.set(attrPendingState, &types.AttributeValueMemberB{Value: c.PendingState})
		} else {
			u.remove(attrPendingState)
		}
	}
	if len(c.Children) > 0 {
		u.set(attrChildren, set(c.Children))
	}
	if c.ThroughputKBps != nil {
		u.set(attrThroughput, decimal(*c.ThroughputKBps))
	}
	me := text(worker)
	u.when(u.is(attrCounter, number(held.Counter)), "("+u.is(attrOwner, me)+" OR "+u.is(attrCheckpointOwner, me)+")")
	return s.update(ctx, "renew lease", held.Key, u)
}

// Take makes worker the owner.
func (s *Store) Take(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	u := newUpdate()
	u.set(attrOwner, text(worker))
	u.set(attrCounter, number(seen.Counter+1))
	u.remove(attrCheckpointOwner)
	if seen.Owner != "" && seen.Owner != worker {
		u.add(attrSwitches, number(int64(1)))
	}
	u.when(u.is(attrCounter, number(seen.Counter)), u.is(attrOwner, text(seen.Owner)))
	return s.update(ctx, "take lease", seen.Key, u)
}

// Assign makes worker the owner by a leader's decision.
func (s *Store) Assign(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	if worker == "" {
		return lease.Lease{}, fmt.Errorf("assign lease %s: %w: no worker is named", seen.Key, lease.ErrInvalid)
	}
	u := newUpdate()
	u.set(attrOwner, text(worker))
	u.remove(attrCheckpointOwner)
	u.add(attrCounter, number(int64(1)))
	if seen.Owner != "" && seen.Owner != worker || seen.CheckpointOwner == worker {
		u.add(attrSwitches, number(int64(1)))
	}
	u.when(u.exists(attrKey), u.is(attrOwner, text(seen.Owner)), u.is(attrCheckpointOwner, text(seen.CheckpointOwner)))
	return s.update(ctx, "assign lease", seen.Key, u)
}

// Ask begins a hand-over to worker.
func (s *Store) Ask(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	if seen.Owner == "" {
		return lease.Lease{}, fmt.Errorf("ask for lease %s: it has no owner: %w", seen.Key, lease.ErrConflict)
	}
	u := newUpdate()
	u.set(attrOwner, text(worker))
	u.set(attrCheckpointOwner, text(seen.Owner))
	u.when(u.is(attrOwner, text(seen.Owner)), u.is(attrCheckpointOwner, text("")))
	return s.update(ctx, "ask for lease", seen.Key, u)
}

// Release gives a held row away.
func (s *Store) Release(ctx context.Context, held lease.Lease, worker, next string) (lease.Lease, error) {
	u := newUpdate()
	u.set(attrCounter, number(held.Counter+1))
	u.when(u.is(attrCounter, number(held.Counter)))
	if held.CheckpointOwner == worker {
		u.remove(attrCheckpointOwner)
		u.when(u.is(attrCheckpointOwner, text(worker)))
		return s.update(ctx, "hand over lease", held.Key, u)
	}
	switch next {
	case "":
		u.remove(attrOwner)
	case worker:
	default:
		u.set(attrOwner, text(next))
		u.add(attrSwitches, number(int64(1)))
	}
	u.when(u.is(attrOwner, text(worker)), u.is(attrCheckpointOwner, text("")))
	return s.update(ctx, "release lease", held.Key, u)
}

// Describe records children and range.
func (s *Store) Describe(ctx context.Context, key string, children []string, r *record.HashKeyRange) error {
	u := newUpdate()
	if len(children) > 0 {
		u.set(attrChildren, set(children))
	}
	if r != nil {
		u.set(attrStartHash, text(r.Start.String()))
		u.set(attrEndHash, text(r.End.String()))
	}
	u.when(u.exists(attrKey))
	_, err := s.update(ctx, "describe lease", key, u)
	return err
}

// Delete removes a row.
func (s *Store) Delete(ctx context.Context, seen lease.Lease) error {
	return s.deleteItem(ctx, s.leases(), "delete lease", seen.Key, func(u *update) {
		u.when(u.is(attrCounter, number(seen.Counter)))
	})
}

// update writes one existing row and returns it as written.
func (s *Store) update(ctx context.Context, doing, key string, u *update) (lease.Lease, error) {
	if n := s.short.update.Ready(); n != nil {
		if body := appendUpdate(make([]byte, 0, 1<<10), s.cfg.Table, key, u, s.cfg.Units != nil); body != nil {
			row, found, err := s.postForRow(ctx, s.short.update, n, body)
			switch {
			case err == nil && !found:
				_, err = decode(nil)
			case err != nil && !errors.Is(err, lease.ErrDamaged):
				err = s.refused(ctx, s.leases(), doing, key, err)
			}
			return row, err
		}
	}
	out, err := s.client.UpdateItem(s.short.update.Learn(ctx), &dynamodb.UpdateItemInput{
		TableName: &s.cfg.Table, Key: item{attrKey: text(key)}, UpdateExpression: u.expression(),
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if err != nil {
		return lease.Lease{}, s.refused(ctx, s.leases(), doing, key, err)
	}
	return decode(out.Attributes)
}

// refused turns a failed condition into ErrConflict, or ErrNotFound where there is no such row.
func (s *Store) refused(ctx context.Context, p place, doing, key string, err error) error {
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) {
		return s.failed(p, doing+" "+key, err)
	}
	if len(refused.Item) == 0 {
		// No row, or a server that does not return it.
		if _, err := s.getItem(ctx, p, doing, key); errors.Is(err, lease.ErrNotFound) {
			return fmt.Errorf("%s %s: %w", doing, key, lease.ErrNotFound)
		}
	}
	return fmt.Errorf("%s %s: %w", doing, key, lease.ErrConflict)
}

// failed says what was being done and tells apart what callers must.
func (s *Store) failed(p place, doing string, err error) error {
	if err == nil {
		return nil
	}
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return fmt.Errorf("%s: there is no table %q: %w", doing, p.table, err)
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "Throttling":
			return fmt.Errorf("%s: %w: %w", doing, lease.ErrThrottled, err)
		case "ValidationException", "ItemCollectionSizeLimitExceededException":
			return fmt.Errorf("%s: %w: %w", doing, lease.ErrInvalid, err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
