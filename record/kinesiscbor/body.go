package kinesiscbor

import (
	"fmt"
	"io"
	"strings"
	"unsafe"
)

// maxBody bounds an answer: 10 MiB of data in 10,000 records, the most of a GetRecords, with keys and numbers come to
// less than 24 MiB. maxErrorBody bounds what is read of an error.
const (
	maxBody      = 32 << 20
	maxErrorBody = 1 << 20
)

// readBody reads a body to its end into memory of its own, which nobody else gets afterwards. length is what the
// answer's head says, negative if it does not.
func readBody(r io.Reader, length, most int64) ([]byte, error) {
	if length >= 0 {
		in, err := newIncoming(r, length, most)
		if err != nil {
			return nil, err
		}
		err = in.all()
		return in.body, err
	}
	body, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(body)) > most {
		err = fmt.Errorf("body of more than %d bytes", most)
	}
	return body, err
}

// step is how much of a body is read before what has come is decoded: little enough to be still in the processor's cache
// then, where a whole page has no room; and much, because a reader that empties a socket in large pieces wakes the sender
// less often: with 64 KiB the worker took a tenth more CPU time.
const step = 256 << 10

// An incoming body is one that comes while it is being decoded. Its memory is its own and is not moved or used again, so
// that what is decoded may alias it.
type incoming struct {
	r    io.Reader
	body []byte // what has come; its capacity is the length of the whole
	step int    // the least to read at a time
	err  error  // of a read
}

func newIncoming(r io.Reader, length, most int64) (*incoming, error) {
	if length > most {
		return nil, fmt.Errorf("body of %d bytes; want at most %d", length, most)
	}
	return &incoming{r: r, body: unwritten(int(length)), step: step}, nil
}

// unwritten is memory for n bytes, which hold anything. A page is as large as many caches are: to have it zeroed first, as
// make does, costs about as much as to read it.
func unwritten(n int) []byte {
	if n == 0 {
		return nil
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n)[:0:n]
}

// whole reports whether all has come.
func (in *incoming) whole() bool { return len(in.body) == cap(in.body) }

// more reads on: at least step bytes, or want, or all that is left.
func (in *incoming) more(want int) error {
	have := len(in.body)
	n := min(max(want, in.step), cap(in.body)-have)
	read, err := io.ReadFull(in.r, in.body[have:have+n])
	in.body = in.body[:have+read]
	if err != nil {
		in.err = noEOF(err)
	}
	return in.err
}

// all reads to the end.
func (in *incoming) all() error {
	if in.whole() {
		return in.err
	}
	return in.more(cap(in.body))
}
