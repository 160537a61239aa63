package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/internal/clock"
)

// The file SYNCED says up to where the logs were on disk at some moment: the database's logs and manifest, and the
// newest segment. A log whose end is damaged, or cut off, looks by itself as if a power cut had come in the middle of its
// last write; what SYNCED knows of was acknowledged, and its loss is damage. It has two slots of 4096 bytes, written by
// turns, of which the one with the higher number counts. Numbers are big-endian.
//
//	magic 8, number 8, length of the entries 4, checksum 4 of the number, the length and the entries
//	entries: length of the name 2, name within the data directory, up to where it was on disk 8
const (
	syncedName  = "SYNCED"
	syncedMagic = "SHOALSYN"
	syncedHead  = 24
	syncedSlot  = 4096

	// syncedDelay is the time from a write to its mention in SYNCED. What is younger when the power goes is known only by
	// what was written behind it.
	syncedDelay = 250 * time.Millisecond
)

// A synced is the SYNCED file of an open store. Its nil is that of a store in memory, which does nothing.
type synced struct {
	fs   vfs.FS
	dir  string
	file vfs.File // written by whoever has the turn

	turn    chan struct{} // holds one token
	number  uint64        // of the slot written last; with the turn
	written map[string]int64

	mu    sync.Mutex // guards ends
	ends  map[string]int64
	dirty chan struct{} // gets a token when ends grow
}

// makeSynced makes a SYNCED that knows of nothing, unless there is a good one. When it returns a power cut leaves it: the
// marker, which says that there is one, comes behind it.
func makeSynced(fsys vfs.FS, dir string) error {
	if _, _, err := readSynced(fsys, dir); err == nil {
		return syncDirectory(fsys, dir)
	}
	f, err := fsys.Create(fsys.PathJoin(dir, syncedName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(append(encodeSynced(0, nil), encodeSynced(1, nil)...))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDirectory(fsys, dir)
}

// openSynced reads what SYNCED says and opens it for writing.
func openSynced(fsys vfs.FS, dir string) (*synced, error) {
	number, ends, err := readSynced(fsys, dir)
	if err != nil {
		return nil, err
	}
	l := &synced{
		fs: fsys, dir: dir, number: number, written: ends, ends: maps.Clone(ends),
		turn: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
	}
	l.turn <- struct{}{}
	l.file, err = fsys.OpenReadWrite(l.path(syncedName), vfs.WriteCategoryUnspecified)
	return l, err
}

func (l *synced) path(name string) string { return l.fs.PathJoin(l.dir, name) }

// name is that of a file of the data directory within it.
func (l *synced) name(path string) string {
	parent := l.fs.PathDir(path)
	return l.fs.PathJoin(l.fs.PathBase(parent), l.fs.PathBase(path))
}

func encodeSynced(number uint64, ends map[string]int64) []byte {
	var entries []byte
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		entries = binary.BigEndian.AppendUint16(entries, uint16(len(name)))
		entries = append(entries, name...)
		entries = binary.BigEndian.AppendUint64(entries, uint64(ends[name]))
	}
	b := append(make([]byte, 0, syncedSlot), syncedMagic...)
	b = binary.BigEndian.AppendUint64(b, number)
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries)))
	b = binary.BigEndian.AppendUint32(b, syncedSum(b[8:20], entries))
	b = append(b, entries...)
	return append(b, make([]byte, max(0, syncedSlot-len(b)))...)
}

func syncedSum(head, entries []byte) uint32 {
	return checksum(append(bytes.Clone(head), entries...))
}

// decodeSynced reads a slot; ok is false if it is not as it was written.
func decodeSynced(b []byte) (number uint64, ends map[string]int64, ok bool) {
	if len(b) < syncedHead || string(b[:8]) != syncedMagic {
		return 0, nil, false
	}
	number = binary.BigEndian.Uint64(b[8:])
	size := binary.BigEndian.Uint32(b[16:])
	if int64(size) > int64(len(b)-syncedHead) {
		return 0, nil, false
	}
	entries := b[syncedHead : syncedHead+size]
	if syncedSum(b[8:20], entries) != binary.BigEndian.Uint32(b[20:]) {
		return 0, nil, false
	}
	ends = map[string]int64{}
	for len(entries) > 0 {
		n := 2 + int(binary.BigEndian.Uint16(entries))
		ends[string(entries[2:n])] = int64(binary.BigEndian.Uint64(entries[n:]))
		entries = entries[n+8:]
	}
	return number, ends, true
}

// readSynced reads the newer good slot.
func readSynced(fsys vfs.FS, dir string) (number uint64, ends map[string]int64, err error) {
	path := fsys.PathJoin(dir, syncedName)
	f, err := fsys.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, fmt.Errorf("%s is missing", path)
	}
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	b := make([]byte, 2*syncedSlot)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, fmt.Errorf("reading %s: %w", path, err)
	}
	for _, slot := range [][]byte{b[:min(n, syncedSlot)], b[min(n, syncedSlot):n]} {
		if at, of, ok := decodeSynced(slot); ok && (ends == nil || at > number) {
			number, ends = at, of
		}
	}
	if ends == nil {
		return 0, nil, fmt.Errorf("%s is damaged: none of its slots is whole", path)
	}
	return number, ends, nil
}

// end is up to where a file was known to be on disk, 0 if nothing is known.
func (l *synced) end(path string) int64 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[l.name(path)]
}

// note says that a file is on disk up to an offset. It does not wait for SYNCED.
func (l *synced) note(path string, end int64) {
	if l == nil {
		return
	}
	name := l.name(path)
	l.mu.Lock()
	more := end > l.ends[name]
	if more {
		l.ends[name] = end
	}
	l.mu.Unlock()
	if more {
		select {
		case l.dirty <- struct{}{}:
		default:
		}
	}
}

// drop takes a file out that something else asks for. A later slot will not have it.
func (l *synced) drop(path string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ends, l.name(path))
}

// forget is called before a file is removed or renamed: when it returns, SYNCED does not ask for it any more.
func (l *synced) forget(path string) error {
	if l == nil {
		return nil
	}
	l.drop(path)
	<-l.turn
	defer func() { l.turn <- struct{}{} }()
	if _, there := l.written[l.name(path)]; !there {
		return nil
	}
	return l.write()
}

// write writes a slot. The caller has the turn.
func (l *synced) write() error {
	l.mu.Lock()
	ends := maps.Clone(l.ends)
	l.mu.Unlock()
	b := encodeSynced(l.number+1, ends)
	if len(b) > syncedSlot { // more logs than ever are
		return fmt.Errorf("writing %s: %d files are too many", l.path(syncedName), len(ends))
	}
	_, err := l.file.WriteAt(b, int64((l.number+1)%2)*syncedSlot)
	if err == nil {
		err = l.file.SyncData()
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", l.path(syncedName), err)
	}
	l.number, l.written = l.number+1, ends
	return nil
}

// update writes a slot if something has changed.
func (l *synced) update() error {
	<-l.turn
	defer func() { l.turn <- struct{}{} }()
	l.mu.Lock()
	same := maps.Equal(l.ends, l.written)
	l.mu.Unlock()
	if same {
		return nil
	}
	return l.write()
}

// run keeps SYNCED up to date until ctx ends. A full disk leaves the older slot, which stays true.
func (l *synced) run(ctx context.Context, failed func(error)) {
	for {
		select {
		case <-l.dirty:
		case <-ctx.Done():
			return
		}
		if (clock.Clock{}).Sleep(ctx, syncedDelay) != nil {
			return
		}
		if err := l.update(); err != nil && !errors.Is(err, syscall.ENOSPC) {
			failed(err)
			return
		}
	}
}

// close writes the last slot. What a clean end leaves is known to its last byte.
func (l *synced) close() error {
	if l == nil {
		return nil
	}
	return errors.Join(l.update(), l.file.Close())
}
