package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Bounds of a group: it takes no further update once it has this many, or this many bytes. With the largest single
// update (a PutRecords of 10 MiB) on top it stays below half a memory table, from where on the database would keep the
// batch's own memory.
const (
	maxGroupUpdates = 1024
	maxGroupBytes   = 4 << 20
	memTableSize    = 32 << 20
)

// spaceReserve is the free space below which Tx.Space refuses: the database cannot survive a full disk, so it must
// not come to that. It covers the memory tables and a compaction or two.
const spaceReserve = 256 << 20

// ErrNoSpace is what Tx.Space returns when the disk is nearly full.
var ErrNoSpace = errors.New("storage: the disk is nearly full")

// A request is one Update on its way through the writer, which owns it until done is closed.
type request struct {
	fn       func(*Tx) error
	err      error
	panicked any
	done     chan struct{}
}

// run is the writer: the only goroutine that writes to the database.
func (s *Store) run() {
	ended := false
	defer func() {
		if !ended { // an update called runtime.Goexit, as a test's FailNow does
			s.fault.set(errors.New("storage: an update ended the writer's goroutine"))
		}
	}()
	s.groups()
	ended = true
}

// groups commits group after group until the store closes or breaks.
func (s *Store) groups() {
	batch := s.db.NewBatch(pebble.WithMaxRetainedSizeBytes(2 * maxGroupBytes))
	var members []*request
	for {
		var first *request
		select {
		case first = <-s.queue:
		case <-s.fault.broken:
			return
		case <-s.stop:
			_ = batch.Close()
			return
		}
		members = s.group(batch, first, members[:0])
		if s.fault.err() != nil {
			return // whoever waits is told by the fault itself
		}
		batch.Reset()
		for _, r := range members {
			close(r.done)
		}
		clear(members)
	}
}

// group runs first and all that waits behind it, up to the bounds, and commits what they wrote.
func (s *Store) group(batch *pebble.Batch, first *request, members []*request) []*request {
	tx := &Tx{db: s.db, batch: batch, space: s.space()}
	defer tx.close()
	for r := first; ; {
		s.apply(tx, r)
		members = append(members, r)
		if s.fault.err() != nil || len(members) >= maxGroupUpdates || batch.Len() >= maxGroupBytes {
			break
		}
		select {
		case r = <-s.queue:
			continue
		default:
		}
		break
	}
	if s.fault.err() != nil || batch.Empty() {
		return members
	}
	if err := s.db.Apply(batch, s.write); err != nil {
		s.fault.set(fmt.Errorf("storage: committing to %s: %w", s.dir, err))
	}
	if s.fault.err() != nil {
		return members
	}
	s.publish()
	for _, f := range tx.committed {
		f()
	}
	return members
}

// apply runs one update. One that fails after it wrote has left half of itself in the group: nothing of the group
// may be kept then, and what fn made of its memory state is unknown.
func (s *Store) apply(tx *Tx, r *request) {
	before := tx.batch.Count()
	defer func() {
		r.panicked = recover()
		if failed := r.err != nil || r.panicked != nil; failed && tx.batch.Count() != before {
			s.fault.set(fmt.Errorf("storage: an update failed after it had written: %v", errors.Join(r.err, panicError(r.panicked))))
		}
	}()
	r.err = r.fn(tx)
}

func panicError(v any) error {
	if v == nil {
		return nil
	}
	return fmt.Errorf("panic: %v", v)
}

// space tells whether the disk has room for more; file systems that do not say have.
func (s *Store) space() error {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err == nil && usage.AvailBytes < spaceReserve {
		return fmt.Errorf("%w: data directory %s has %d MiB left, want at least %d", ErrNoSpace, s.dir, usage.AvailBytes>>20, spaceReserve>>20)
	}
	return nil
}

// A Tx is what one update may do. It is valid within its fn only. Keys and values are copied.
type Tx struct {
	db        *pebble.DB
	batch     *pebble.Batch
	index     *pebble.Batch // the group's writes but for Append, readable; nil before the first
	committed []func()
	space     error
}

func (t *Tx) close() {
	if t.index != nil {
		_ = t.index.Close()
	}
}

// reader is what the update sees: the durable state and the group's earlier writes.
func (t *Tx) reader() pebble.Reader {
	if t.index != nil {
		return t.index
	}
	return t.db
}

// Get returns the value of key and whether there is one, as left by all earlier updates and this one.
func (t *Tx) Get(key []byte) (value []byte, ok bool, err error) { return get(t.reader(), key) }

// Iter iterates over the keys in [lower, upper); nil is unbounded. It shows the state of this moment; the caller must
// close it within fn.
func (t *Tx) Iter(lower, upper []byte) (*Iter, error) {
	it, err := t.reader().NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("storage: iterating: %w", err)
	}
	return &Iter{Iterator: it}, nil
}

// Space returns an error that wraps ErrNoSpace when the disk is nearly full. Updates that add data ask first; those
// that make room need not.
func (t *Tx) Space() error { return t.space }

// Set stores value under key.
func (t *Tx) Set(key, value []byte) {
	must(t.batch.Set(key, value, nil))
	must(t.indexed().Set(key, value, nil))
}

// Append stores the concatenated parts under key, like Set but cheaper for large values: no update of the same group
// can read them, so only keys that updates never read may be written so.
func (t *Tx) Append(key []byte, parts ...[]byte) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	op := t.batch.SetDeferred(len(key), size)
	copy(op.Key, key)
	at := 0
	for _, p := range parts {
		at += copy(op.Value[at:], p)
	}
	must(op.Finish())
}

// Delete removes key, which need not exist.
func (t *Tx) Delete(key []byte) {
	must(t.batch.Delete(key, nil))
	must(t.indexed().Delete(key, nil))
}

// DeleteRange removes all keys in [lower, upper), also those that were appended.
func (t *Tx) DeleteRange(lower, upper []byte) {
	must(t.batch.DeleteRange(lower, upper, nil))
	must(t.indexed().DeleteRange(lower, upper, nil))
}

// OnCommit has f run on the writer when the group is on disk and readers see it, before Update returns: the place to
// publish what memory holds. f must not block and must not call the store.
func (t *Tx) OnCommit(f func()) { t.committed = append(t.committed, f) }

func (t *Tx) indexed() *pebble.Batch {
	if t.index == nil {
		t.index = t.db.NewIndexedBatch()
	}
	return t.index
}

// must holds for errors that only a misused batch gives.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("storage: writing to the batch: %v", err))
	}
}
