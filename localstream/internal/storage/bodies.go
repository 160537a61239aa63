package storage

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Place is where a body is. It can be compared with others.
type Place struct{ place }

// Bodies reads bodies beyond the end of the iteration that found them. As long as it is not closed they stay on disk. It
// costs no memory of the database's, as an iterator does.
type Bodies struct {
	log     segmentReader
	release func()

	buf  *[]byte
	last Place // that was read
	// window is what was read of a segment, from start on, where bodies lie close behind each other.
	window  []byte
	segment uint64
	start   int64
}

// Bodies that lie behind each other with at most bodyGap between them, which is what frames of single bodies have, are
// read together: first firstWindow, then twice as much each time up to maxWindow.
const (
	bodyGap     = 512
	firstWindow = 16 << 10
	maxWindow   = 128 << 10
)

var bodyBuffers sync.Pool // of *[]byte, up to maxKeptBody

const maxKeptBody = 1 << 20

// Read returns the body at p, checked against its checksum and valid until the next Read; errors name the file.
func (b *Bodies) Read(p Place) ([]byte, error) {
	if b.buf == nil {
		if b.buf, _ = bodyBuffers.Get().(*[]byte); b.buf == nil {
			b.buf = new([]byte)
		}
	}
	inWindow := func() bool {
		return p.segment == b.segment && p.offset >= b.start && p.offset+int64(p.length) <= b.start+int64(len(b.window))
	}
	if !inWindow() {
		if err := b.fill(p); err != nil {
			return nil, err
		}
	}
	b.last = p
	if inWindow() {
		at := p.offset - b.start
		return b.log.checked(b.window[at:at+int64(p.length)], p.place)
	}
	b.window = nil // its memory is read into
	var err error
	*b.buf, err = b.log.read((*b.buf)[:0], p.place)
	return *b.buf, err
}

// fill reads a window that begins with p, if p lies close behind the last body and is not large itself.
func (b *Bodies) fill(p Place) error {
	end := b.last.offset + int64(b.last.length)
	size := max(firstWindow, min(2*len(b.window), maxWindow))
	if p.segment != b.last.segment || p.offset < end || p.offset-end > bodyGap || int(p.length) >= size {
		return nil
	}
	if err := b.log.open(p.segment); err != nil {
		return err
	}
	b.window = nil
	buf := slices.Grow((*b.buf)[:0], size)[:size]
	n, err := b.log.file.ReadAt(buf, p.offset)
	if err != nil && !errors.Is(err, io.EOF) { // it is the segment's end
		return fmt.Errorf("storage: reading %s at byte %d: %w", b.log.path(p.segment), p.offset, err)
	}
	*b.buf = buf
	b.window, b.segment, b.start = buf[:n], p.segment, p.offset
	return nil
}

// Close gives the bodies up.
func (b *Bodies) Close() error {
	if b.buf != nil && cap(*b.buf) <= maxKeptBody {
		bodyBuffers.Put(b.buf)
	}
	b.buf, b.window = nil, nil
	err := b.log.close()
	if b.release != nil {
		b.release()
	}
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return nil
}

// A segmentReader reads bodies and keeps the segment open that it read last.
type segmentReader struct {
	fs     vfs.FS
	dir    string
	file   vfs.File
	number uint64
}

func (r *segmentReader) path(segment uint64) string { return segmentPath(r.fs, r.dir, segment) }

// open makes a segment the open one.
func (r *segmentReader) open(segment uint64) error {
	if r.file != nil && r.number == segment {
		return nil
	}
	if err := r.close(); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	file, err := r.fs.Open(r.path(segment))
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	r.file, r.number = file, segment
	return nil
}

// read appends the body at p to b.
func (r *segmentReader) read(b []byte, p place) ([]byte, error) {
	if err := r.open(p.segment); err != nil {
		return b, err
	}
	start := len(b)
	b = slices.Grow(b, int(p.length))[:start+int(p.length)]
	if _, err := r.file.ReadAt(b[start:], p.offset); err != nil && p.length > 0 {
		return b[:start], fmt.Errorf("storage: reading %s at byte %d: %w", r.path(p.segment), p.offset, err)
	}
	if _, err := r.checked(b[start:], p); err != nil {
		return b[:start], err
	}
	return b, nil
}

// checked is the body of p unless it is damaged.
func (r *segmentReader) checked(body []byte, p place) ([]byte, error) {
	if checksum(body) != p.sum {
		return nil, fmt.Errorf("storage: %s is damaged: wrong checksum of %d bytes from byte %d on", r.path(p.segment), p.length, p.offset)
	}
	return body, nil
}

func (r *segmentReader) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
