package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/lease"
)

// history is how many former states of a migration are kept (MigrationState.java).
const history = 10

// Survey returns all rows, ordered by key, and all members, ordered by worker.
func (s *Store) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	if _, err := s.fault(ctx, OpSurvey, ""); err != nil {
		return nil, nil, err
	}
	stale := s.Stale != nil && s.Stale()
	s.mu.Lock()
	defer s.mu.Unlock()
	members := make([]lease.Member, 0, len(s.members))
	for _, m := range s.members {
		members = append(members, cloneMember(m))
	}
	slices.SortFunc(members, func(a, b lease.Member) int { return cmp.Compare(a.Worker, b.Worker) })
	return s.list(stale), members, nil
}

// Owned returns the keys of the rows whose Owner is worker, in order.
func (s *Store) Owned(ctx context.Context, worker string) ([]string, error) {
	if _, err := s.fault(ctx, OpOwned, worker); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key, l := range s.rows {
		if l.Owner == worker && worker != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Assign makes worker the owner of a row.
func (s *Store) Assign(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	if worker == "" {
		return lease.Lease{}, fmt.Errorf("assign lease %s: %w: no worker is named", seen.Key, lease.ErrInvalid)
	}
	return s.update(ctx, OpAssign, seen.Key, func(row lease.Lease) (lease.Lease, bool) {
		ok := row.Owner == seen.Owner && row.CheckpointOwner == seen.CheckpointOwner
		if row.Owner != "" && row.Owner != worker || row.CheckpointOwner == worker {
			row.OwnerSwitches++
		}
		row.Owner, row.CheckpointOwner = worker, ""
		row.Counter++
		return row, ok
	})
}

// PutMember writes the item of a worker.
func (s *Store) PutMember(ctx context.Context, m lease.Member) error {
	if err := m.Validate(); err != nil {
		return err
	}
	return s.write(ctx, OpPutMember, m.Worker, func() error {
		m = cloneMember(m)
		m.Updated = m.Updated.Round(0).Truncate(time.Second)
		m.SupportTime = m.SupportTime.Round(0).Truncate(time.Second)
		s.members[m.Worker] = m
		return nil
	})
}

// DeleteMember removes the item of a worker.
func (s *Store) DeleteMember(ctx context.Context, seen lease.Member) error {
	return s.write(ctx, OpDeleteMember, seen.Worker, func() error {
		switch m, ok := s.members[seen.Worker]; {
		case !ok:
			return fmt.Errorf("delete member %s: %w", seen.Worker, lease.ErrNotFound)
		case m.Updated.Unix() != seen.Updated.Unix():
			return fmt.Errorf("delete member %s: %w", seen.Worker, lease.ErrConflict)
		}
		delete(s.members, seen.Worker)
		return nil
	})
}

// Leader returns the lock.
func (s *Store) Leader(ctx context.Context) (lease.Lock, error) {
	if _, err := s.fault(ctx, OpLeader, ""); err != nil {
		return lease.Lock{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leader.IsZero() {
		return lease.Lock{}, fmt.Errorf("leader: %w", lease.ErrNotFound)
	}
	return cloneLock(s.leader), nil
}

// PutLeader replaces the lock.
func (s *Store) PutLeader(ctx context.Context, seen, next lease.Lock) error {
	if err := next.Validate(); err != nil {
		return err
	}
	return s.write(ctx, OpPutLeader, "", func() error {
		ok := s.leader.IsZero() == seen.IsZero()
		if seen.Released {
			ok = s.leader.Released
		} else {
			ok = ok && s.leader.Version == seen.Version
		}
		if !ok {
			return fmt.Errorf("take the lead: %w", lease.ErrConflict)
		}
		s.leader = cloneLock(next)
		return nil
	})
}

// Beat writes a heartbeat of the leader.
func (s *Store) Beat(ctx context.Context, held, next lease.Lock) error {
	next.Owner, next.Released = held.Owner, held.Released
	if err := next.Validate(); err != nil {
		return err
	}
	return s.write(ctx, OpBeat, "", func() error {
		if err := s.holds(held); err != nil {
			return fmt.Errorf("keep the lead: %w", err)
		}
		next.Released = s.leader.Released
		s.leader = cloneLock(next)
		return nil
	})
}

// DeleteLeader removes the lock.
func (s *Store) DeleteLeader(ctx context.Context, held lease.Lock) error {
	return s.write(ctx, OpDeleteLeader, "", func() error {
		if err := s.holds(held); err != nil {
			return fmt.Errorf("give up the lead: %w", err)
		}
		s.leader = lease.Lock{}
		return nil
	})
}

// holds returns nil if the lock is as held says. s.mu is held.
func (s *Store) holds(held lease.Lock) error {
	switch {
	case s.leader.IsZero():
		return lease.ErrNotFound
	case s.leader.Version != held.Version || s.leader.Owner != held.Owner:
		return lease.ErrConflict
	}
	return nil
}

// Migration returns the state of a migration.
func (s *Store) Migration(ctx context.Context, key lease.MigrationKey) (lease.Migration, error) {
	if _, err := s.fault(ctx, OpMigration, string(key)); err != nil {
		return lease.Migration{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.migrations[key]) == 0 {
		return lease.Migration{}, fmt.Errorf("migration %s: %w", key, lease.ErrNotFound)
	}
	return s.migrations[key][0], nil
}

// PutMigration writes the state of a migration.
func (s *Store) PutMigration(ctx context.Context, seen, next lease.Migration) error {
	if err := next.Validate(); err != nil {
		return err
	}
	return s.write(ctx, OpPutMigration, string(next.Key), func() error {
		var state string
		known := s.migrations[next.Key]
		if len(known) > 0 {
			state = known[0].State
		}
		if state != seen.State {
			return fmt.Errorf("migration %s is %q: %w", next.Key, state, lease.ErrConflict)
		}
		next.At = next.At.Round(0).Truncate(time.Millisecond)
		known = slices.Insert(slices.Clone(known), 0, next)
		s.migrations[next.Key] = known[:min(len(known), 1+history)]
		return nil
	})
}

// write is a write of something that is no row: do makes it, with s.mu held, or returns what is in its way.
func (s *Store) write(ctx context.Context, op, key string, do func() error) error {
	apply, fault := s.fault(ctx, op, key)
	if fault != nil && !apply {
		return fault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return orFault(fault, do())
}

func cloneMember(m lease.Member) lease.Member {
	m.Limits = maps.Clone(m.Limits)
	metrics := make(map[string][]float64, len(m.Metrics))
	for name, averages := range m.Metrics {
		metrics[name] = slices.Clone(averages)
	}
	m.Metrics = metrics
	return m
}

func cloneLock(l lease.Lock) lease.Lock {
	l.Data = bytes.Clone(l.Data)
	return l
}
