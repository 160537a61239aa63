package main

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A disk is a file system in memory that tells of each change before it is made, and may answer for it.
type disk struct {
	*vfs.MemFS
	before atomic.Pointer[func(op errorfs.Op) error]
}

func newDisk(fs *vfs.MemFS) *disk { return &disk{MemFS: fs} }

// watched is the file system for a server. If tear is not nil it says after how many of its bytes a write is told of once
// more. With the faults nosync and swallow the file system lies.
func (d *disk) watched(fault string, tear func(size int) int) vfs.FS {
	return &ownFS{errorfs.Wrap(d.MemFS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f := d.before.Load(); f != nil && changes(op) {
			return (*f)(op)
		}
		return nil
	})), fault, tear}
}

// changes reports whether an operation changes what is on disk, or makes it durable.
func changes(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpLock, errorfs.OpFileClose, errorfs.OpFilePreallocate, errorfs.OpFileFlush:
		return false
	}
	return op.Kind.ReadOrWrite() == errorfs.OpIsWrite
}

// errTorn is the answer before a write of which the first half is written.
var errTorn = errors.New("torn")

// An ownFS tears writes, and lies about logs: with nosync it does not sync them, with swallow it loses writes that fail.
type ownFS struct {
	vfs.FS
	fault string
	tear  func(size int) int
}

// Unwrap is the file system below.
func (l *ownFS) Unwrap() vfs.FS { return l.FS }

func (l *ownFS) own(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	fault := l.fault
	if !strings.HasSuffix(name, ".log") {
		fault = ""
	}
	return &ownFile{f, fault, l.tear}, nil
}

// Create makes a file.
func (l *ownFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.FS.Create(name, c)
	return l.own(name, f, err)
}

// ReuseForWrite makes a file out of an old one.
func (l *ownFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.FS.ReuseForWrite(oldname, newname, c)
	return l.own(newname, f, err)
}

type ownFile struct {
	vfs.File
	fault string
	tear  func(size int) int
}

// Write writes b in two parts if it may be torn between them, or in one: all of it, or half.
func (f *ownFile) Write(b []byte) (int, error) {
	if f.tear != nil && len(b) > 1 {
		n, err := f.write(b[:f.tear(len(b))])
		if err != nil {
			return n, err
		}
		m, err := f.write(b[n:])
		return n + m, err
	}
	return f.write(b)
}

func (f *ownFile) write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if errors.Is(err, errTorn) {
		n, err = f.File.Write(b[:len(b)/2])
		err = errors.Join(err, syscall.EIO)
	}
	if f.fault == faultSwallow {
		return len(b), nil
	}
	return n, err
}

// Sync syncs the file, or says so.
func (f *ownFile) Sync() error {
	if f.fault == faultNoSync {
		return nil
	}
	return f.File.Sync()
}

// SyncData syncs the file, or says so.
func (f *ownFile) SyncData() error {
	if f.fault == faultNoSync {
		return nil
	}
	return f.File.SyncData()
}
