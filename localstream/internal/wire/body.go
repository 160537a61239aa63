package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
)

var errTooLarge = errors.New("request body over the limit")

// Sizes for reading bodies. A declared length is believed up to trustLength; beyond it the buffer grows with what
// really comes. Of a body that is too large drainLimit is read and dropped so that the client gets to see the answer.
const (
	trustLength = 2 << 20
	drainLimit  = 64 << 20
)

// readBody reads the whole body, or returns errTooLarge.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, drain(r.Body)
	}
	if r.ContentLength == 0 || r.Body == nil {
		return nil, nil
	}
	size := int64(512)
	if r.ContentLength > 0 {
		size = min(r.ContentLength, trustLength) + bytes.MinRead // ReadFrom wants room to see the end
	}
	buf := new(bytes.Buffer)
	if size >= largeBuffer {
		buf = bytes.NewBuffer(getBuffer(int(size)))
	} else {
		buf.Grow(int(size))
	}
	if _, err := buf.ReadFrom(io.LimitReader(r.Body, MaxBody+1)); err != nil {
		return nil, err
	}
	if buf.Len() > MaxBody {
		return nil, drain(r.Body)
	}
	return buf.Bytes(), nil
}

func drain(body io.Reader) error {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, drainLimit))
	return errTooLarge
}

// isObject reports whether a body looks like a JSON object, which all requests are.
func isObject(body []byte) bool {
	b := bytes.TrimLeft(body, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

// Buffers for bodies are kept for the next ones: small ones, and large ones up to the largest request.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
	maxBuffer   = MaxBody + bytes.MinRead
)

type buffer struct{ b []byte }

var smallBuffers, largeBuffers sync.Pool // of *buffer

// getBuffer returns an empty buffer with room for size bytes at least.
func getBuffer(size int) []byte {
	pool := &smallBuffers
	if size >= largeBuffer {
		pool = &largeBuffers
	}
	if kept, _ := pool.Get().(*buffer); kept != nil && cap(kept.b) >= size {
		return kept.b[:0]
	}
	return make([]byte, 0, max(size, smallBuffer))
}

// putBuffer takes back a buffer that nobody uses any more, from getBuffer or grown from one.
func putBuffer(b []byte) {
	switch {
	case cap(b) > maxBuffer:
	case cap(b) >= largeBuffer:
		largeBuffers.Put(&buffer{b})
	case cap(b) >= smallBuffer:
		smallBuffers.Put(&buffer{b})
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
