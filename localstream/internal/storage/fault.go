package storage

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
)

// A fault is how a store breaks: once and for good. The database would end the process when the disk fails it; here
// the goroutine that met the failure is parked instead, and the store only answers with the failure from then on.
type fault struct {
	broken chan struct{} // closed when cause is set
	once   sync.Once
	cause  error
	armed  atomic.Bool // false while the store opens: errors are returned as they are
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
func (l logger) Fatalf(format string, args ...any) {
	cause := fmt.Errorf(format, args...)
	if !l.fault.armed.Load() {
		panic(cause) // while opening, the goroutine is our caller's
	}
	l.fault.park(cause)
}

// guardedFS parks the database where an error would make it panic in a state that cannot be left: at its log. Once
// the store is open, a log that cannot be made, written or synced breaks it.
type guardedFS struct {
	vfs.FS
	fault *fault
}

// Unwrap is the file system without the guard.
func (g *guardedFS) Unwrap() vfs.FS { return g.FS }

func (f *fault) check(doing, name string, err error) error {
	if err != nil && f.armed.Load() {
		f.park(fmt.Errorf("%s %s: %w", doing, name, err))
	}
	return err
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// guard wraps a new log, or a directory, whose changes must be durable.
func (g *guardedFS) guard(name string, f vfs.File, err error) (vfs.File, error) {
	if err := g.fault.check("making", name, err); err != nil {
		return nil, err
	}
	return &guardedFile{File: f, fault: g.fault, name: name}, nil
}

// Create makes a file.
func (g *guardedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, c)
	if isLog(name) {
		return g.guard(name, f, err)
	}
	return f, err
}

// ReuseForWrite makes a file out of an old one.
func (g *guardedFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(oldname, newname, c)
	if isLog(newname) {
		return g.guard(newname, f, err)
	}
	return f, err
}

// OpenDir opens a directory to sync it.
func (g *guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	return g.guard(name, f, err)
}

type guardedFile struct {
	vfs.File
	fault *fault
	name  string
}

func (f *guardedFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	return n, f.fault.check("writing", f.name, err)
}

func (f *guardedFile) Sync() error { return f.fault.check("syncing", f.name, f.File.Sync()) }

func (f *guardedFile) SyncData() error { return f.fault.check("syncing", f.name, f.File.SyncData()) }

func (f *guardedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.fault.check("syncing", f.name, err)
}
