package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// A view is the durable state after some group. The database shows a group to its readers before it is on disk, so
// all reading goes through a snapshot taken when it is. Store.mu guards users.
type view struct {
	snapshot *pebble.Snapshot
	number   uint64 // views are numbered from 1
	users    int    // readers, and 1 while it is the newest
}

// publish makes the state of this moment the one that readers see. Only the writer calls it, between groups.
func (s *Store) publish() {
	v := &view{snapshot: s.db.NewSnapshot(), users: 1}
	s.mu.Lock()
	old := s.now
	v.number = old.number + 1
	s.now = v
	s.views = append(s.views, v)
	s.mu.Unlock()
	s.release(old)
}

// oldest is the number of the oldest view that is in use. The caller holds mu.
func (s *Store) oldest() uint64 { return s.views[0].number }

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
		s.logger.Sugar().Errorf("closing a snapshot: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views = slices.DeleteFunc(s.views, func(other *view) bool { return other == v })
	if len(s.views) == 0 {
		close(s.idle)
	}
}

// An Iter walks over keys in order: First, Last, SeekGE, SeekLT, Next, Prev report whether there is a key there; Key
// and Value are valid until the next move, and for keys that were appended Note and Body in place of Value. The caller
// checks Error at the end and calls Close.
type Iter struct {
	*pebble.Iterator
	log      segmentReader
	release  func()
	finished bool
}

// Note is what was appended with the key beside its body, valid until the next move.
func (it *Iter) Note() []byte {
	if value := it.Value(); len(value) >= placeSize {
		return value[placeSize:]
	}
	return nil
}

// Body appends the key's body to b. It is checked against its checksum; errors name the file.
func (it *Iter) Body(b []byte) ([]byte, error) {
	p, ok := parsePlace(it.Value())
	if !ok {
		return b, fmt.Errorf("storage: the entry of %q is damaged", it.Key())
	}
	return it.log.read(b, p)
}

// Place is where the key's body is, for Bodies.
func (it *Iter) Place() (Place, error) {
	p, ok := parsePlace(it.Value())
	if !ok {
		return Place{}, fmt.Errorf("storage: the entry of %q is damaged", it.Key())
	}
	return Place{p}, nil
}

// Finish ends the iteration like Close, which then has nothing to do, and returns what reads the bodies at the places
// that it has passed.
func (it *Iter) Finish() (*Bodies, error) {
	it.finished = true
	b := &Bodies{log: it.log, release: it.release}
	if err := it.Iterator.Close(); err != nil {
		return nil, fmt.Errorf("storage: iterating: %w", errors.Join(damage(err), b.Close()))
	}
	return b, nil
}

// Error is what ended the iteration early, if anything.
func (it *Iter) Error() error {
	if err := it.Iterator.Error(); err != nil {
		return fmt.Errorf("storage: iterating: %w", damage(err))
	}
	return nil
}

// Close ends the iteration and returns the error that ended it early, if any.
func (it *Iter) Close() error {
	if it.finished {
		return nil
	}
	err := errors.Join(damage(it.Iterator.Close()), it.log.close())
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
		return nil, false, fmt.Errorf("storage: reading: %w", damage(err))
	}
	defer closer.Close()
	return append(make([]byte, 0, len(value)), value...), true, nil
}
