package storage

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Bounds of a group: it takes no further update once it has this many, or this many bytes, appended ones apart. With
// the largest single update on top its batch stays below half a memory table, from where on the database would keep the
// batch's own memory.
const (
	maxGroupUpdates  = 1024
	maxGroupBytes    = 4 << 20
	maxGroupAppended = 4 << 20
	memTableSize     = 32 << 20
)

// spaceReserve is the free space below which Tx.Space refuses: the database cannot survive a full disk, so it must
// not come to that. It covers the memory tables and a compaction or two.
const spaceReserve = 256 << 20

// ErrNoSpace is what Tx.Space returns when the disk is nearly full.
var ErrNoSpace = errors.New("storage: the disk is nearly full")

// A request is one Update on its way through the writer, which owns it until done is closed.
type request struct {
	fn       func(*Tx) error
	appended bool
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
	tx := &Tx{db: s.db, fault: s.fault, batch: batch, space: s.space(), live: map[uint64]int64{}}
	tx.segment, tx.offset = s.log.next()
	defer tx.close()
	for r := first; ; {
		tx.current = r
		s.apply(tx, r)
		members = append(members, r)
		if s.fault.err() != nil || len(members) >= maxGroupUpdates || batch.Len() >= maxGroupBytes || tx.appended >= maxGroupAppended {
			break
		}
		select {
		case r = <-s.queue:
			continue
		default:
		}
		break
	}
	if s.fault.err() != nil || batch.Empty() || !s.commit(tx, members) {
		return members
	}
	s.publish()
	for _, f := range tx.committed {
		f()
	}
	s.clean(tx)
	return members
}

// commit brings what a group wrote to disk and reports whether it is there. If all that it wrote was appended, a full
// disk fails its members only. Else a failure breaks the store.
//
// What was appended goes first. The database's entries for it need no sync of their own: should they be lost, the
// frames on disk bring them back, and whatever is synced later comes behind them in the database's log. A group that
// wrote to the database as well is there when that is synced; its frames alone do not count.
func (s *Store) commit(tx *Tx, members []*request) bool {
	write, rolled := s.write, false
	if len(tx.frames) > 0 {
		flags := uint32(0)
		if tx.bound {
			flags = flagBound
		}
		rolled = tx.segment != s.log.number
		noSpace, err := s.log.write(tx.frames, flags)
		if noSpace && !tx.bound {
			for _, r := range members {
				if r.appended {
					r.err = fmt.Errorf("%w: %w", ErrNoSpace, err)
				}
			}
			return false
		}
		if err != nil {
			s.fault.set(fmt.Errorf("storage: %w", err))
			return false
		}
		if !tx.bound && !rolled { // the sync with each new segment bounds what a start has to read again
			write = pebble.NoSync
		}
	}
	s.log.count(tx.batch, tx.live)
	if err := s.db.Apply(tx.batch, write); err != nil {
		s.fault.set(fmt.Errorf("storage: committing to %s: %w", s.dir, err))
	}
	if s.fault.err() != nil {
		return false
	}
	if len(tx.frames) > 0 {
		s.log.acknowledged(rolled)
	}
	return true
}

// clean removes segments that have become useless, with a group that has made them so or later.
func (s *Store) clean(tx *Tx) {
	s.mu.Lock()
	newest, oldest := s.now.number, s.oldest()
	s.mu.Unlock()
	if tx.dropped || s.log.buried != s.log.number {
		s.log.bury(newest)
		s.log.buried = s.log.number
	}
	if err := s.log.remove(oldest); err != nil {
		s.logger.Sugar().Errorf("removing old segments: %v", err)
	}
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
	fault     *fault
	batch     *pebble.Batch
	index     *pebble.Batch // the group's writes but for Append, readable; nil before the first
	committed []func()
	space     error
	current   *request // whose turn it is

	bound    bool // something but Append wrote
	dropped  bool
	segment  uint64 // where the next frame goes
	offset   int64
	frames   []*Block
	appended int
	live     map[uint64]int64 // by how many entries each segment changes
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
	t.bound = true
	must(t.batch.Set(key, value, nil))
	must(t.indexed().Set(key, value, nil))
}

// Append stores the bodies of a sealed block under the keys of entries, one for each. It is the way for what is large,
// never changes, and is not read by updates: bodies are written once, beside the database. Such keys are read with
// Iter.Note and Iter.Body, and removed by Drop. An update that only appends survives a full disk: Update then returns
// an error that wraps ErrNoSpace, though fn has run.
func (t *Tx) Append(b *Block, entries ...Entry) {
	b.index(entries)
	for i, e := range entries {
		start := frameHead
		if i > 0 {
			start = b.ends[i-1]
		}
		p := place{t.segment, t.offset + int64(start), uint32(b.ends[i] - start), b.sums[i]}
		op := t.batch.SetDeferred(len(e.Key), placeSize+len(e.Note))
		copy(op.Key, e.Key)
		p.append(op.Value[:0], e.Note)
		must(op.Finish())
	}
	t.frames = append(t.frames, b)
	t.offset += int64(len(b.buf))
	t.appended += len(b.buf)
	t.live[t.segment] += int64(len(entries))
	t.current.appended = true
}

// Drop removes all keys in [lower, upper), all of which were appended.
func (t *Tx) Drop(lower, upper []byte) {
	gone, err := t.count(lower, upper)
	if err != nil {
		t.fault.set(fmt.Errorf("storage: dropping: %w", err)) // nothing of the group is kept then
		return
	}
	for segment, n := range gone {
		t.live[segment] -= n
	}
	t.bound, t.dropped = true, true
	must(t.batch.DeleteRange(lower, upper, nil))
}

// count counts by segment what was appended under keys in [lower, upper).
func (t *Tx) count(lower, upper []byte) (map[uint64]int64, error) {
	it, err := t.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	counts := map[uint64]int64{}
	for ok := it.First(); ok; ok = it.Next() {
		p, ok := parsePlace(it.Value())
		if !ok {
			return nil, fmt.Errorf("the entry of %q is damaged", it.Key())
		}
		counts[p.segment]++
	}
	for _, b := range t.frames { // the group's own are not there yet
		fr := frame{buf: b.buf, start: b.table, size: b.tableSize()}
		err := fr.each(func(_, _ int, _ uint32, e Entry) {
			if bytes.Compare(e.Key, lower) >= 0 && bytes.Compare(e.Key, upper) < 0 {
				counts[t.segment]++
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return counts, damage(it.Error())
}

// Delete removes key, which need not exist.
func (t *Tx) Delete(key []byte) {
	t.bound = true
	must(t.batch.Delete(key, nil))
	must(t.indexed().Delete(key, nil))
}

// DeleteRange removes all keys in [lower, upper), none of which may have been appended.
func (t *Tx) DeleteRange(lower, upper []byte) {
	t.bound = true
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
