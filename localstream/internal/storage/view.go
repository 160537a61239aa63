package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A view is the durable state after some group. The database shows a group to its readers before it is on disk, so
// all reading goes through a snapshot taken when it is. Store.mu guards users.
type view struct {
	snapshot *pebble.Snapshot
	users    int // readers, and 1 while it is the newest
}

func newView(db *pebble.DB) *view { return &view{snapshot: db.NewSnapshot(), users: 1} }

// publish makes the state of this moment the one that readers see. Only the writer calls it, between groups.
func (s *Store) publish() {
	v := newView(s.db)
	s.mu.Lock()
	old := s.now
	s.now = v
	s.views++
	s.mu.Unlock()
	s.release(old)
}

func (s *Store) acquire() (*view, error) {
	if err := s.fault.err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.now.users++
	return s.now, nil
}

func (s *Store) release(v *view) {
	s.mu.Lock()
	v.users--
	last := v.users == 0
	s.mu.Unlock()
	if !last {
		return
	}
	if err := v.snapshot.Close(); err != nil {
		s.log.Sugar().Errorf("closing a snapshot: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.views--; s.views == 0 {
		close(s.idle)
	}
}

// An Iter walks over keys in order: First, Last, SeekGE, SeekLT, Next, Prev report whether there is a key there; Key
// and Value are valid until the next move. The caller checks Error at the end and calls Close.
type Iter struct {
	*pebble.Iterator
	release func()
}

// Close ends the iteration and returns the error that ended it early, if any.
func (it *Iter) Close() error {
	err := it.Iterator.Close()
	if it.release != nil {
		it.release()
	}
	if err != nil {
		return fmt.Errorf("storage: iterating: %w", err)
	}
	return nil
}

func get(r pebble.Reader, key []byte) ([]byte, bool, error) {
	value, closer, err := r.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("storage: reading: %w", err)
	}
	defer closer.Close()
	return append(make([]byte, 0, len(value)), value...), true, nil
}
