// Package memory keeps lease rows in memory: for an application of one process that needs no table, for tests and for
// simulations.
//
//	w, err := worker.New(worker.Config{Leases: memory.New(), …})
//
// The rows are gone when the process ends. Its semantics are those of a real table; faults can be injected.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// The operations by the names that the hooks of a Store hear.
const (
	OpOpen     = "Open"
	OpList     = "List"
	OpGet      = "Get"
	OpCreate   = "Create"
	OpRenew    = "Renew"
	OpTake     = "Take"
	OpAsk      = "Ask"
	OpRelease  = "Release"
	OpDescribe = "Describe"
	OpDelete   = "Delete"

	OpSurvey       = "Survey"
	OpOwned        = "Owned"
	OpAssign       = "Assign"
	OpPutMember    = "PutMember"
	OpDeleteMember = "DeleteMember"
	OpLeader       = "Leader"
	OpPutLeader    = "PutLeader"
	OpBeat         = "Beat"
	OpDeleteLeader = "DeleteLeader"
	OpMigration    = "Migration"
	OpPutMigration = "PutMigration"
)

// A Store is a lease.Store in memory. Make it with New. The hooks must be set before its first use; they may be called
// concurrently.
type Store struct {
	// Fault, if set, is asked before each operation. key is that of the lease or the migration, or the worker's ID, and ""
	// for Open, List, Survey and what is done to the leader's lock. It may wait, as a slow network does, but must then
	// honour ctx. An error that it returns is the operation's; a write is nevertheless applied if apply is true: its
	// answer was lost.
	Fault func(ctx context.Context, op, key string) (apply bool, err error)
	// Stale, if set, tells whether a List or Survey shall be answered with the rows that the one before saw, as an
	// eventually consistent read can be.
	Stale func() bool
	// Written, if set, hears of each applied write of a row in the order in which they were applied. A created row has no before,
	// a deleted one no after: their keys are empty. It must not call the Store.
	Written func(op string, before, after lease.Lease)

	mu         sync.Mutex // guards what follows; the hooks but Written are called without it
	rows       map[string]lease.Lease
	listed     []lease.Lease // what the last List that was not stale saw
	members    map[string]lease.Member
	leader     lease.Lock
	migrations map[lease.MigrationKey][]lease.Migration // the present state and then its history
}

// New makes an empty Store.
func New() *Store {
	return &Store{
		rows:       make(map[string]lease.Lease),
		members:    make(map[string]lease.Member),
		migrations: make(map[lease.MigrationKey][]lease.Migration),
	}
}

// Put places a row as it is, whatever was there: for tests and repairs by hand.
func (s *Store) Put(l lease.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put("Put", s.rows[l.Key], l.Clone())
}

// Row returns a row past all faults, for tests; the zero Lease if there is none.
func (s *Store) Row(key string) lease.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.rows[key]
	return l.Clone()
}

// Open does nothing: the store is ready.
func (s *Store) Open(ctx context.Context) error {
	_, err := s.fault(ctx, OpOpen, "")
	return err
}

// List returns all rows, ordered by key.
func (s *Store) List(ctx context.Context) ([]lease.Lease, error) {
	if _, err := s.fault(ctx, OpList, ""); err != nil {
		return nil, err
	}
	stale := s.Stale != nil && s.Stale()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(stale), nil
}

// list returns the rows, or those of the listing before if stale. s.mu is held.
func (s *Store) list(stale bool) []lease.Lease {
	if !stale || s.listed == nil {
		s.listed = make([]lease.Lease, 0, len(s.rows))
		for _, l := range s.rows {
			s.listed = append(s.listed, l)
		}
		slices.SortFunc(s.listed, func(a, b lease.Lease) int { return cmp.Compare(a.Key, b.Key) })
	}
	rows := make([]lease.Lease, len(s.listed))
	for i := range rows {
		rows[i] = s.listed[i].Clone()
	}
	return rows
}

// Get returns one row.
func (s *Store) Get(ctx context.Context, key string) (lease.Lease, error) {
	if _, err := s.fault(ctx, OpGet, key); err != nil {
		return lease.Lease{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.rows[key]
	if !ok {
		return lease.Lease{}, fmt.Errorf("lease %s: %w", key, lease.ErrNotFound)
	}
	return l.Clone(), nil
}

// Create writes a new row.
func (s *Store) Create(ctx context.Context, l lease.Lease) error {
	if err := l.Validate(); err != nil {
		return err
	}
	apply, fault := s.fault(ctx, OpCreate, l.Key)
	if fault != nil && !apply {
		return fault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rows[l.Key]; ok {
		return orFault(fault, fmt.Errorf("lease %s: %w", l.Key, lease.ErrExists))
	}
	l = l.Clone()
	l.Counter, l.OwnerSwitches = 0, 0
	s.put(OpCreate, lease.Lease{}, l)
	return fault
}

// Renew writes c for the holder of a row.
func (s *Store) Renew(ctx context.Context, held lease.Lease, worker string, c lease.Change) (lease.Lease, error) {
	if err := c.Validate(); err != nil {
		return lease.Lease{}, fmt.Errorf("lease %s: %w", held.Key, err)
	}
	return s.update(ctx, OpRenew, held.Key, func(row lease.Lease) (lease.Lease, bool) {
		ok := (row.Counter == held.Counter || mutant.Planted(mutant.RenewByOwner)) && (row.Owner == worker || row.CheckpointOwner == worker) ||
			mutant.Planted(mutant.RenewUnchecked)
		row = c.Apply(row)
		row.Counter++
		return row, ok
	})
}

// Take makes worker the owner of a row.
func (s *Store) Take(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	return s.update(ctx, OpTake, seen.Key, func(row lease.Lease) (lease.Lease, bool) {
		ok := row.Counter == seen.Counter && row.Owner == seen.Owner || mutant.Planted(mutant.TakeUnchecked)
		if row.Owner != "" && row.Owner != worker {
			row.OwnerSwitches++
		}
		row.Owner, row.CheckpointOwner = worker, ""
		if !mutant.Planted(mutant.TakeKeepsCounter) {
			row.Counter++
		}
		return row, ok
	})
}

// Ask begins a hand-over to worker.
func (s *Store) Ask(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	return s.update(ctx, OpAsk, seen.Key, func(row lease.Lease) (lease.Lease, bool) {
		ok := row.Owner != "" && row.Owner == seen.Owner && row.CheckpointOwner == ""
		row.Owner, row.CheckpointOwner = worker, row.Owner
		return row, ok
	})
}

// Release gives a held row away.
func (s *Store) Release(ctx context.Context, held lease.Lease, worker, next string) (lease.Lease, error) {
	return s.update(ctx, OpRelease, held.Key, func(row lease.Lease) (lease.Lease, bool) {
		ok := row.Counter == held.Counter || mutant.Planted(mutant.ReleaseUnchecked)
		if held.CheckpointOwner == worker {
			ok = ok && row.CheckpointOwner == worker
			next = row.Owner
		} else {
			ok = ok && row.Owner == worker && row.CheckpointOwner == ""
			if next != "" && next != worker {
				row.OwnerSwitches++
			}
		}
		row.Owner, row.CheckpointOwner = next, ""
		row.Counter++
		return row, ok
	})
}

// Describe records a shard's children and range.
func (s *Store) Describe(ctx context.Context, key string, children []string, r *record.HashKeyRange) error {
	_, err := s.update(ctx, OpDescribe, key, func(row lease.Lease) (lease.Lease, bool) {
		if len(children) > 0 {
			row.Children = slices.Clone(children)
		}
		if r != nil {
			known := *r
			row.Range = &known
		}
		return row, true
	})
	return err
}

// Delete removes a row.
func (s *Store) Delete(ctx context.Context, seen lease.Lease) error {
	apply, fault := s.fault(ctx, OpDelete, seen.Key)
	if fault != nil && !apply {
		return fault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[seen.Key]
	switch {
	case !ok:
		return orFault(fault, fmt.Errorf("lease %s: %w", seen.Key, lease.ErrNotFound))
	case row.Counter != seen.Counter:
		return orFault(fault, fmt.Errorf("lease %s: %w", seen.Key, lease.ErrConflict))
	}
	s.put(OpDelete, row, lease.Lease{})
	return fault
}

// update is a conditional write of one row: change returns the row to be and whether the condition holds.
func (s *Store) update(ctx context.Context, op, key string, change func(lease.Lease) (lease.Lease, bool)) (lease.Lease, error) {
	apply, fault := s.fault(ctx, op, key)
	if fault != nil && !apply {
		return lease.Lease{}, fault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[key]
	if !ok {
		return lease.Lease{}, orFault(fault, fmt.Errorf("lease %s: %w", key, lease.ErrNotFound))
	}
	after, ok := change(row.Clone())
	if !ok {
		return lease.Lease{}, orFault(fault, fmt.Errorf("lease %s: %w", key, lease.ErrConflict))
	}
	s.put(op, row, after)
	if fault != nil {
		return lease.Lease{}, fault
	}
	return after.Clone(), nil
}

// put replaces before by after. s.mu is held.
func (s *Store) put(op string, before, after lease.Lease) {
	if after.Key == "" {
		delete(s.rows, before.Key)
	} else {
		s.rows[after.Key] = after
	}
	if s.Written != nil {
		s.Written(op, before.Clone(), after.Clone())
	}
}

func (s *Store) fault(ctx context.Context, op, key string) (apply bool, err error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s lease %s: %w", op, key, context.Cause(ctx))
	}
	if s.Fault == nil {
		return true, nil
	}
	return s.Fault(ctx, op, key)
}

// orFault is the error of a write whose condition failed: where its answer was lost, its caller does not learn that.
func orFault(fault, refused error) error {
	if fault != nil {
		return fault
	}
	return refused
}
