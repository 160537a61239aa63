// Package tables is localstream's DynamoDB: tables, items, indexes, expressions and the older parameters.
//
//	s, err := tables.New(store, tables.Options{})
//	h := wire.NewHandler(wire.Options{}, s.Wire())
//	…
//	s.Close()
//
// Every write is one update of the store: its condition is tested and the item and all its index entries are written
// there, so writes to a table are linearizable and an item never disagrees with its indexes. Tables are immutable
// values: readers take the published ones, updates the newest.
package tables

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// Options of a Service; the zero value is ready to use.
type Options struct {
	Clock clock.Clock
	// Logger takes failures of work in the background. Nil logs nothing.
	Logger *zap.Logger
	// Region and Account are those in ARNs, us-east-1 and 000000000000 by default.
	Region, Account string
	// Delay is how long tables and indexes take from one status to the next. With 0 a change is done before the answer.
	Delay time.Duration
}

// Service serves the operations. Create it with New.
type Service struct {
	o       Options
	store   *storage.Store
	parsed  expr.Cache
	catalog atomic.Pointer[map[string]*table] // what is on disk, for readers

	// newest is what updates see: all tables, including those of updates that are not on disk yet. Only functions
	// running in Store.Update touch it.
	newest map[string]*table

	ctx    context.Context // of background work, ended by Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu     sync.Mutex // guards closed, and tasks' counting up
	closed bool
}

// New serves the tables in store and takes up the work on them that was under way. Close the service before the store.
func New(store *storage.Store, o Options) (*Service, error) {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.Account = cmp.Or(o.Account, "000000000000")
	o.Logger = cmp.Or(o.Logger, zap.NewNop())
	s := &Service{o: o, store: store, newest: map[string]*table{}}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	published := maps.Clone(s.newest)
	s.catalog.Store(&published)
	for _, t := range published {
		s.settle(t)
	}
	s.tasks.Go(s.sweep)
	return s, nil
}

// Close ends the background work. Operations must not be called any more.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.tasks.Wait()
}

func (s *Service) load() error {
	it, err := s.store.Iter(metaKey(""), after(metaKey("")))
	if err != nil {
		return fmt.Errorf("tables: listing: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		t, err := decodeTable(it.Value())
		if err != nil {
			return err
		}
		s.newest[t.Name] = t
	}
	return it.Error()
}

// table is the published table that item operations work on.
func (s *Service) table(name string) (*table, error) {
	if t := (*s.catalog.Load())[name]; t.readable() {
		return t, nil
	}
	return nil, errNoTable()
}

// save writes t within an update and makes it the newest; readers see it when it is on disk. It must come after all
// checks of the update.
func (s *Service) save(tx *storage.Tx, t *table) {
	t.derive()
	tx.Set(metaKey(t.Name), t.encode())
	s.newest[t.Name] = t
	tx.OnCommit(s.publish)
}

// saveAndSettle is save for a table that has to come to rest. The task starts with the commit, whether or not anybody
// still waits for the answer.
func (s *Service) saveAndSettle(tx *storage.Tx, t *table) {
	s.save(tx, t)
	tx.OnCommit(func() { s.settle(t) })
}

// forget removes t and all that belongs to it.
func (s *Service) forget(tx *storage.Tx, t *table) {
	tx.Delete(metaKey(t.Name))
	for _, space := range []byte{spaceItems, spaceStats} {
		tx.DeleteRange(tableRange(space, t.Number))
	}
	delete(s.newest, t.Name)
	tx.OnCommit(s.publish)
}

// publish runs on the store's writer when the group is on disk, so newest holds exactly that group's state.
func (s *Service) publish() {
	published := maps.Clone(s.newest)
	s.catalog.Store(&published)
}

// Target is the prefix of X-Amz-Target.
const Target = "DynamoDB_20120810"

// Wire is the service with its table of operations.
func (s *Service) Wire() wire.Service {
	return wire.Service{Target: Target, JSON: "1.0", InternalError: "InternalServerError", Qualify: qualify, Operations: s.Operations()}
}

// Operations are the operations served.
func (s *Service) Operations() []wire.Operation {
	return []wire.Operation{
		wire.Op("BatchGetItem", s.batchGetItem),
		wire.Op("BatchWriteItem", s.batchWriteItem),
		wire.Op("CreateTable", s.createTable),
		wire.Op("DeleteItem", s.deleteItem),
		wire.Op("DeleteTable", s.deleteTable),
		wire.Op("DescribeContinuousBackups", s.describeContinuousBackups),
		wire.Op("DescribeTable", s.describeTable),
		wire.Op("DescribeTimeToLive", s.describeTimeToLive),
		wire.Op("GetItem", s.getItem),
		wire.Op("ListTables", s.listTables),
		wire.Op("ListTagsOfResource", s.listTagsOfResource),
		wire.Op("PutItem", s.putItem),
		wire.Op("Query", s.query),
		wire.Op("Scan", s.scan),
		wire.Op("TagResource", s.tagResource),
		wire.Op("TransactGetItems", s.transactGetItems),
		wire.Op("TransactWriteItems", s.transactWriteItems),
		wire.Op("UntagResource", s.untagResource),
		wire.Op("UpdateContinuousBackups", s.updateContinuousBackups),
		wire.Op("UpdateItem", s.updateItem),
		wire.Op("UpdateTable", s.updateTable),
		wire.Op("UpdateTimeToLive", s.updateTimeToLive),
	}
}
