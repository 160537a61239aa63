package dynamo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

// The tables that KCL 3.0 to 3.4 had beside the lease table, as they are called by default, and their partition keys
// (LegacyTableCoordinatorStateDAODelegate.java, LegacyTableWorkerMetricStatsDAODelegate.java).
const (
	coordinatorSuffix = "-CoordinatorState"
	metricsSuffix     = "-WorkerMetricStats"

	attrCoordinatorKey = "key"
	attrMetricsKey     = "wid"
)

// A place is a table and the name of its partition key.
type place struct{ table, keyAttr string }

func (p place) keyOf(key string) item { return item{p.keyAttr: text(key)} }

// leases is the lease table, coordinators and metrics are the tables of KCL 3.0 to 3.4.
func (s *Store) leases() place { return place{s.cfg.Table, attrKey} }

func (s *Store) coordinators() place {
	if s.cfg.CoordinatorTable != "" {
		return place{s.cfg.CoordinatorTable, attrCoordinatorKey}
	}
	return place{s.cfg.Table + coordinatorSuffix, attrCoordinatorKey}
}

func (s *Store) metrics() place {
	if s.cfg.MetricsTable != "" {
		return place{s.cfg.MetricsTable, attrMetricsKey}
	}
	return place{s.cfg.Table + metricsSuffix, attrMetricsKey}
}

// A layout says which tables there are and how far the migration to one table has come; from that follows where
// everything is (CoordinatorStateDAO.java, WorkerMetricStatsDAO.java).
type layout struct {
	mu           sync.Mutex // guards what follows
	coordinators bool       // the table is there
	metrics      bool
	state        string // of lease.SingleTable, as last read or written; "" if nothing is stored
	one          bool   // this worker is to use one table only
}

// apart reports whether leader and migrations are in a table of their own, and members reports the same of what workers
// tell of themselves; writing says where that is to be written.
func (l *layout) apart() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.coordinators && l.state != lease.TableComplete
}

func (l *layout) members() (apart, writing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	apart = l.coordinators && l.metrics && l.state != lease.TableComplete
	moved := l.state == lease.TablePending || l.one && l.state == lease.TableDeployed
	return apart, apart && !moved
}

// moved reports whether new items go to the lease table.
func (l *layout) moved() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == lease.TablePending || l.state == lease.TableComplete
}

// old reports whether there is a coordinator table, used or not.
func (l *layout) old() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.coordinators
}

func (l *layout) found(coordinators, metrics bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.coordinators, l.metrics = coordinators, metrics
}

func (l *layout) unite() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.one = true
}

// follow takes note of what is known of a migration.
func (l *layout) follow(key lease.MigrationKey, state string) {
	if key != lease.SingleTable {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
}

// lockPlace is where the leader's lock is.
func (s *Store) lockPlace() place {
	if s.layout.apart() {
		return s.coordinators()
	}
	return s.leases()
}

// memberPlace is where the items of workers are written.
func (s *Store) memberPlace() place {
	if _, writing := s.layout.members(); writing {
		return s.metrics()
	}
	return s.leases()
}

// lookForOldTables finds out which tables of KCL 3.0 to 3.4 are there and how far their migration has come.
func (s *Store) lookForOldTables(ctx context.Context) error {
	var there [2]bool
	for i, p := range []place{s.coordinators(), s.metrics()} {
		if s.cfg.NoOldTables {
			break
		}
		out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &p.table})
		var missing *types.ResourceNotFoundException
		switch {
		case errors.As(err, &missing):
			continue
		case err != nil:
			return fmt.Errorf("look for table %q of KCL 3.0 to 3.4 (with NoOldTables nothing looks for it): %w", p.table, err)
		}
		if err := checkKey(out.Table, p.keyAttr); err != nil {
			return fmt.Errorf("table %q of KCL 3.0 to 3.4: %w", p.table, err)
		}
		there[i] = true
	}
	s.layout.found(there[0], there[1])
	if !there[0] {
		return nil
	}
	if _, err := s.Migration(ctx, lease.SingleTable); err != nil && !errors.Is(err, lease.ErrNotFound) {
		return err
	}
	return nil
}

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

// putItem puts an item under a condition.
func (s *Store) putItem(ctx context.Context, p place, doing string, it item, u *update) error {
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &p.table, Item: it,
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
	})
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", doing, lease.ErrConflict)
	}
	return s.failed(p, doing, err)
}

// deleteItem deletes an item under the conditions that when adds.
func (s *Store) deleteItem(ctx context.Context, p place, doing, key string, when func(*update)) error {
	u := newUpdate()
	when(u)
	_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &p.table, Key: p.keyOf(key),
		ConditionExpression: u.condition(), ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return s.refused(ctx, p, doing, key, err)
}

// deleteFrom deletes an item from the first of places where the conditions that when adds hold.
func (s *Store) deleteFrom(ctx context.Context, places []place, doing, key string, when func(*update)) error {
	var found error
	for _, p := range places {
		err := s.deleteItem(ctx, p, doing, key, when)
		switch {
		case errors.Is(err, lease.ErrConflict):
			found = err
		case errors.Is(err, lease.ErrNotFound):
			if found == nil {
				found = err
			}
		default:
			return err
		}
	}
	return found
}
