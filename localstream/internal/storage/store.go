// Package storage keeps localstream's data: one ordered key space on disk with group commit, and beside it a log of
// larger bodies that entries of the key space point into.
//
//	s, err := storage.Open(dir, storage.Options{})
//	err = s.Update(ctx, func(tx *storage.Tx) error {
//		if _, ok, err := tx.Get(key); err != nil || ok {
//			return cmp.Or(err, errExists)
//		}
//		tx.Set(key, value)
//		tx.OnCommit(func() { … publish what memory holds … })
//		return nil
//	})
//
// All updates run one after another on the store's only writer, grouped with whatever else waits into one batch, and
// Update returns when the whole group is on disk. Readers see the groups that are on disk and nothing of the others.
// A group of appended bodies costs one write and one sync, whatever its size.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
	"go.uber.org/zap"
)

// ErrClosed is the error of every call on a store after Close.
var ErrClosed = errors.New("storage: closed")

// Options say where and how a store keeps its files. The zero value is a store on disk.
type Options struct {
	// FS is the file system, nil for the disk. Tests put a crashable one here.
	FS vfs.FS
	// Memory keeps everything in memory, nothing survives Close. FS must be nil.
	Memory bool
	// Logger takes what the database has to say, at debug level but for errors. Nil logs nothing.
	Logger *zap.Logger

	// noSync leaves out the sync of every group: the planted fault that the crash tests must find.
	noSync bool
}

// A Store is an ordered map from byte strings to byte strings. All methods are safe for concurrent use.
type Store struct {
	dir    string
	db     *pebble.DB
	log    *segmentLog // the writer's
	synced *synced
	lock   *pebble.Lock
	fs     vfs.FS
	write  *pebble.WriteOptions
	logger *zap.Logger

	queue  chan *request
	stop   chan struct{} // closed by Close: no further updates
	writer sync.WaitGroup
	notes  sync.WaitGroup // the goroutine that keeps SYNCED up to date
	quiet  context.CancelFunc
	fault  *fault

	mu     sync.Mutex // guards the fields below, never held across I/O
	closed bool
	now    *view         // the newest durable state
	views  []*view       // those not yet released, oldest first
	idle   chan struct{} // closed when closed and there are no views
}

// Open opens the store in dir, which it makes (mode 0700) if there is none. Its errors name dir: held by another
// process, not readable or writable, not a localstream directory, written by a newer version.
func Open(dir string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	s := &Store{
		dir: dir, fs: o.FS, write: pebble.Sync, logger: o.Logger,
		queue: make(chan *request), stop: make(chan struct{}), idle: make(chan struct{}),
		fault: newFault(),
	}
	switch {
	case o.Memory && o.FS != nil:
		return nil, fmt.Errorf("storage: both Memory and FS given; want one of them")
	case o.Memory:
		s.dir, s.fs = "memory", vfs.NewMem()
	case dir == "":
		return nil, fmt.Errorf("storage: no data directory given; want a path, or Memory")
	case o.FS == nil:
		s.fs = vfs.Default
	}
	if o.Memory || o.noSync {
		s.write = pebble.NoSync
	}
	if err := s.open(o); err != nil {
		return nil, err
	}
	s.now = &view{snapshot: s.db.NewSnapshot(), users: 1, number: 1}
	s.views = []*view{s.now}
	s.writer.Go(s.run)
	var life context.Context
	life, s.quiet = context.WithCancel(context.Background())
	if s.synced != nil {
		s.notes.Go(func() { s.synced.run(life, s.fault.set) })
	}
	return s, nil
}

func (s *Store) open(o Options) (err error) {
	defer func() {
		if err != nil && s.fault.err() == nil && s.synced != nil { // else the database may still use it
			_ = s.synced.file.Close()
		}
	}()
	path, lock, err := prepare(s.fs, s.dir)
	if err != nil {
		return err
	}
	guarded := &guardedFS{FS: s.fs, fault: s.fault}
	if err := s.unlessBroken(func() error { return s.examine(path, guarded, o) }); err != nil {
		_ = lock.Close()
		return fmt.Errorf("data directory %s: cannot be opened: %w", s.dir, err)
	}
	po := &pebble.Options{
		FS:                          guarded,
		Lock:                        lock,
		EventListener:               s.listener(),
		Logger:                      logger{s.logger.Sugar(), s.fault},
		DisableWAL:                  o.Memory,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               256 << 20,
		BytesPerSync:                1 << 20,
	}
	po.FormatMajorVersion = databaseFormat
	// The default scheduler looks ten times a second whether more compactions may run at once, which would make every
	// hour of virtual time cost 36,000 wake-ups. This one is the same without: compactions still start each other.
	po.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	// The values are mostly data that does not shrink, and reading them is to cost as little as can be.
	po.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	if err = s.openDatabase(path, po); err != nil {
		_ = lock.Close()
		return fmt.Errorf("data directory %s: cannot be opened: %w", s.dir, err)
	}
	s.lock = lock
	s.log = &segmentLog{fs: s.fs, dir: s.fs.PathJoin(s.dir, recordsName), sync: s.write == pebble.Sync, most: segmentBytes, state: map[uint64]segmentState{}, known: s.synced}
	if err := s.replay(); err != nil {
		if s.fault.err() == nil {
			err = errors.Join(err, s.unlessBroken(s.db.Close))
		}
		return fmt.Errorf("data directory %s: cannot be opened: %w", s.dir, errors.Join(err, lock.Close()))
	}
	return nil
}

// databaseFormat is the first that says in the logs how much of them was on disk, and has a checksum over all of a table.
const databaseFormat = pebble.FormatTableFormatV6

// examine looks at the logs before the database does, and gives a new database its format: by itself it would take one
// step after the other, with a sync for each.
func (s *Store) examine(path string, guarded *guardedFS, o Options) error {
	if !o.Memory {
		var err error
		if s.synced, err = openSynced(s.fs, s.dir); err != nil {
			return err
		}
		guarded.synced = s.synced
		if err := s.synced.verify(path); err != nil {
			return err
		}
	}
	there, err := pebble.Peek(path, s.fs)
	if err != nil {
		return err
	}
	if there.Exists {
		return s.checkOptions(path, there.OptionsFilename)
	}
	marker, format, err := atomicfs.LocateMarker(guarded, path, "format-version")
	if err != nil {
		return err
	}
	if format == "" {
		err = marker.Move(databaseFormat.String())
	}
	return errors.Join(err, marker.Close())
}

// checkOptions removes the database's file of options if it is damaged: nothing is read out of it but whether another
// program wrote it.
func (s *Store) checkOptions(store, path string) error {
	if path == "" {
		return nil
	}
	f, err := s.fs.Open(path)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	o := new(pebble.Options)
	o.EnsureDefaults()
	if err := o.CheckCompatibility(store, string(text)); err != nil {
		s.logger.Warn("damaged file removed: it holds nothing that is needed", zap.String("file", path), zap.Error(err))
		return s.fs.Remove(path)
	}
	return nil
}

// Close ends the store: it waits for the updates that have begun, and for the iterators that are open. Updates that
// wait get ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.quiet()
	// If the store breaks, the database's goroutines may stand for ever where the disk failed them: they are left as they
	// are, like a crash.
	return s.unlessBroken(s.close)
}

func (s *Store) close() error {
	s.notes.Wait()
	s.writer.Wait()
	if err := s.fault.err(); err != nil {
		return err
	}
	s.mu.Lock()
	last := s.now // not before the writer has published its last group
	s.mu.Unlock()
	s.release(last)
	<-s.idle
	err := errors.Join(s.log.close(), s.db.Close())
	if err == nil {
		err = s.synced.close()
	}
	if err == nil {
		err = s.lock.Close()
	}
	if err != nil {
		return fmt.Errorf("data directory %s: closing: %w", s.dir, err)
	}
	return nil
}

// Broken is closed when the store has failed for good; Err says how.
func (s *Store) Broken() <-chan struct{} { return s.fault.broken }

// Err is the failure that broke the store for good, nil while it works.
func (s *Store) Err() error { return s.fault.err() }

// Update runs fn on the store's writer and returns when what it wrote is on disk. fn sees everything that earlier
// updates wrote. It must make all its checks before its first write: an error before that is returned here and leaves
// nothing behind. fn must not block and must not call the store. An error or panic after the first write breaks the
// store for good.
//
// When ctx ends while Update waits it returns ctx's cause, but fn may still run and what it wrote may still be kept.
// After a commit that failed, every Update returns an error that wraps the failure.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	r := &request{fn: fn, done: make(chan struct{})}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.fault.broken:
		return s.fault.err()
	case <-s.stop:
		return ErrClosed
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.fault.broken:
		select {
		case <-r.done: // it was on disk before the store broke
		default:
			return s.fault.err()
		}
	}
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.err
}

// Get returns the durable value of key in memory of the caller's, and whether there is one.
func (s *Store) Get(key []byte) (value []byte, ok bool, err error) {
	v, err := s.acquire()
	if err != nil {
		return nil, false, err
	}
	defer s.release(v)
	return get(v.snapshot, key)
}

// Iter iterates over the durable keys in [lower, upper); nil is unbounded. It sees the state of this moment however
// long it lives. The caller must close it.
func (s *Store) Iter(lower, upper []byte) (*Iter, error) {
	if lower == nil {
		lower = []byte(ownPrefix + "\xff") // the store's own are nobody's business
	}
	v, err := s.acquire()
	if err != nil {
		return nil, err
	}
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		s.release(v)
		return nil, fmt.Errorf("storage: iterating: %w", err)
	}
	return &Iter{Iterator: it, log: segmentReader{fs: s.fs, dir: s.log.dir}, release: func() { s.release(v) }}, nil
}
