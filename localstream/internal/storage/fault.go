package storage

import (
	"errors"
	"fmt"
	"io/fs"
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

// Fatalf breaks the store. The database expects that it does not return, except after a commit: there it holds no
// lock, and the writer looks at the fault.
func (l logger) Fatalf(format string, args ...any) {
	cause := fmt.Errorf(format, args...)
	l.fault.set(cause)
	if !l.fault.armed.Load() || strings.Contains(format, "fatal commit error") {
		return
	}
	l.fault.park(cause)
}

// guardedFS parks the database where an error would make it panic in a state that cannot be left: when it starts a
// new log. Once open, a directory that cannot be synced or a log that cannot be made breaks the store.
type guardedFS struct {
	vfs.FS
	fault *fault
}

func (g *guardedFS) Unwrap() vfs.FS { return g.FS }

func (g *guardedFS) check(doing, name string, err error) error {
	if err != nil && g.fault.armed.Load() && !errors.Is(err, fs.ErrNotExist) {
		g.fault.park(fmt.Errorf("%s %s: %w", doing, name, err))
	}
	return err
}

func (g *guardedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, c)
	return f, g.check("creating", name, err)
}

func (g *guardedFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(oldname, newname, c)
	return f, g.check("reusing", newname, err)
}

func (g *guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedDir{File: f, fs: g, name: name}, nil
}

type guardedDir struct {
	vfs.File
	fs   *guardedFS
	name string
}

func (d *guardedDir) Sync() error { return d.fs.check("syncing directory", d.name, d.File.Sync()) }
