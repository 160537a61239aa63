package storage

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/clock"
)

// A fault is how a store breaks: once and for good. The database would end the process when the disk fails it; here
// the goroutine that met the failure is parked instead, and the store only answers with the failure from then on.
type fault struct {
	broken chan struct{} // closed when cause is set
	once   sync.Once
	cause  error
}

func newFault() *fault { return &fault{broken: make(chan struct{})} }

func (f *fault) set(cause error) {
	f.once.Do(func() {
		f.cause = cause
		close(f.broken)
	})
}

// err is the failure, nil while there is none.
func (f *fault) err() error {
	select {
	case <-f.broken:
		return fmt.Errorf("storage: failed for good: %w", f.cause)
	default:
		return nil
	}
}

// park notes the failure and never returns.
func (f *fault) park(cause error) {
	f.set(cause)
	select {}
}

// logger is the database's: what it reports as fatal breaks the store.
type logger struct {
	*zap.SugaredLogger
	fault *fault
}

func (l logger) Infof(format string, args ...any) { l.Debugf(format, args...) }

// Fatalf breaks the store. The database expects that it does not return.
func (l logger) Fatalf(format string, args ...any) { l.fault.park(fmt.Errorf(format, args...)) }

// listener breaks the store when the database has trouble in the background, or meets a damaged file: it would look at
// that again and again.
func (s *Store) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) { s.fault.set(damage(err)) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			s.fault.set(fmt.Errorf("%s is damaged: %w", i.Path, i.Details))
		},
	}
}

// unlessBroken waits for f, but not if the store breaks: then f, and goroutines of the database, may stay behind.
func (s *Store) unlessBroken(f func() error) error {
	if err := s.fault.err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case <-s.fault.broken:
		return s.fault.err()
	case err := <-done:
		return cmp.Or(err, s.fault.err())
	}
}

// openDatabase opens the database.
func (s *Store) openDatabase(path string, o *pebble.Options) error {
	return s.unlessBroken(func() (err error) {
		s.db, err = pebble.Open(path, o)
		return damage(err)
	})
}

// damage names the file if err is of a damaged one.
func damage(err error) error {
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return fmt.Errorf("%s is damaged: %w", info.Path, info.Details)
	}
	return err
}

// guardedFS parks the database where an error would make it panic in a state that cannot be left: at its log and its
// manifest. Once the store is open, one that cannot be made, written or synced breaks it. And it notes up to where they
// are on disk.
type guardedFS struct {
	vfs.FS
	fault  *fault
	synced *synced
}

// Unwrap is the file system without the guard.
func (g *guardedFS) Unwrap() vfs.FS { return g.FS }

func (f *fault) check(doing, name string, err error) error {
	if err != nil {
		f.park(fmt.Errorf("%s %s: %w", doing, name, err))
	}
	return err
}

func isLog(name string) bool {
	return strings.HasSuffix(name, ".log") || strings.Contains(name, "MANIFEST-")
}

// stand parks the database when the store is broken: it would try again and again, and nothing may be changed any more.
func (g *guardedFS) stand() {
	if g.fault.err() != nil {
		select {}
	}
}

// order syncs the directory before one of the database's markers is made or removed: else a power cut could leave the
// marker without the manifest that it names, or neither the new marker nor the old one.
func (g *guardedFS) order(name string) error {
	if !strings.HasPrefix(g.FS.PathBase(name), "marker.") {
		return nil
	}
	return syncDirectory(g.FS, g.FS.PathDir(name))
}

// guard wraps a new log.
func (g *guardedFS) guard(name string, f vfs.File, err error) (vfs.File, error) {
	if err := g.fault.check("making", name, err); err != nil {
		return nil, err
	}
	return &guardedFile{File: f, fault: g.fault, name: name, synced: g.synced}, nil
}

// Create makes a file.
func (g *guardedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	g.stand()
	if err := g.order(name); err != nil {
		return nil, err
	}
	f, err := g.FS.Create(name, c)
	if isLog(name) {
		return g.guard(name, f, err)
	}
	return f, err
}

// Open opens a file to read it. When the store is broken it fails: reads that wait for each other must end. The database
// would try without a pause.
func (g *guardedFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if err := g.fault.err(); err != nil {
		_ = clock.Clock{}.Sleep(context.Background(), 20*time.Millisecond) // does not end early
		return nil, err
	}
	return g.FS.Open(name, o...)
}

// ReuseForWrite makes a file out of an old one.
func (g *guardedFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	g.stand()
	if err := g.fault.check("forgetting", oldname, g.synced.forget(oldname)); err != nil {
		return nil, err
	}
	f, err := g.FS.ReuseForWrite(oldname, newname, c)
	if isLog(newname) {
		return g.guard(newname, f, err)
	}
	return f, err
}

// Remove deletes a file, which may be a log that is known to be on disk.
func (g *guardedFS) Remove(name string) error {
	g.stand()
	if err := g.order(name); err != nil {
		return err
	}
	if err := g.synced.forget(name); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

// OpenDir opens a directory to sync it.
func (g *guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err := g.fault.check("opening", name, err); err != nil {
		return nil, err
	}
	return &guardedFile{File: f, fault: g.fault, name: name}, nil
}

type guardedFile struct {
	vfs.File
	fault   *fault
	name    string
	synced  *synced
	written atomic.Int64
}

func (f *guardedFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.written.Add(int64(n))
	return n, f.fault.check("writing", f.name, err)
}

func (f *guardedFile) Sync() error { return f.noted(f.File.Sync) }

func (f *guardedFile) SyncData() error { return f.noted(f.File.SyncData) }

// noted syncs, and notes what was written before.
func (f *guardedFile) noted(sync func() error) error {
	written := f.written.Load()
	if err := f.fault.check("syncing", f.name, sync()); err != nil {
		return err
	}
	if written > 0 {
		f.synced.note(f.name, written)
	}
	return nil
}

func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fault.check("syncing", f.name, func() error { full, err = f.File.SyncTo(length); return err }())
	return full, err
}
