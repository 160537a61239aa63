package archive

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// A spool keeps contents in files until they are in objects. The files have no names: when the process ends, however it
// ends, they are gone, and the records come again from the stream.
type spool struct {
	dir   string
	write func(f *os.File, b []byte, at int64) (int, error)

	mu       sync.Mutex
	segments []*segment // the last one is written to
	closed   bool
}

// A segment is one file. Its space is given back when nothing in it is needed any more.
type segment struct {
	file *os.File
	size int64
	live int // contents that are needed
}

// A place is where a content is.
type place struct {
	segment *segment
	at      int64
	size    int
}

// segmentSize is how much goes into one file before the next begins.
const segmentSize = 16 << 20

func newSpool(dir string, write func(*os.File, []byte, int64) (int, error)) *spool {
	return &spool{dir: dir, write: write}
}

// temporary makes a file without a name.
func temporary(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "shoal-spool-*")
	if err != nil {
		return nil, fmt.Errorf("spool in %s: %w", dir, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("spool in %s: %w", dir, err), f.Close())
	}
	return f, nil
}

var errSpoolClosed = errors.New("spool is closed: the tenure is over")

// put appends content. A write that fails leaves a hole, which costs nothing.
func (s *spool) put(content []byte) (place, error) {
	p, err := s.reserve(len(content))
	if err != nil {
		return place{}, err
	}
	if _, err := s.write(p.segment.file, content, p.at); err != nil {
		s.free(p)
		return place{}, fmt.Errorf("spool in %s: %w", s.dir, err)
	}
	return p, nil
}

// reserve finds a place for size bytes.
func (s *spool) reserve(size int) (place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return place{}, errSpoolClosed
	}
	if n := len(s.segments); n == 0 || s.segments[n-1].size >= segmentSize {
		f, err := temporary(s.dir)
		if err != nil {
			return place{}, err
		}
		s.segments = append(s.segments, &segment{file: f})
	}
	g := s.segments[len(s.segments)-1]
	p := place{g, g.size, size}
	g.size += int64(size)
	g.live++
	return p, nil
}

// get reads a content into buf, which it may replace.
func (s *spool) get(buf []byte, p place) ([]byte, error) {
	if cap(buf) < p.size {
		buf = make([]byte, p.size)
	}
	buf = buf[:p.size]
	if _, err := p.segment.file.ReadAt(buf, p.at); err != nil {
		return buf, fmt.Errorf("spool in %s: read back: %w", s.dir, err)
	}
	return buf, nil
}

// free notes that a content is not needed any more.
func (s *spool) free(p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := p.segment
	if g.live--; g.live > 0 || s.closed {
		return
	}
	for i, other := range s.segments {
		if other != g {
			continue
		}
		if i == len(s.segments)-1 { // still written to: begin it anew
			if g.file.Truncate(0) == nil {
				g.size = 0
			}
			return
		}
		s.segments = append(s.segments[:i], s.segments[i+1:]...)
		g.file.Close() // nothing in it is wanted
		return
	}
}

// close drops everything.
func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, g := range s.segments {
		g.file.Close() // nothing in it is wanted
	}
	s.segments = nil
}
