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
	buf := bytes.NewBuffer(make([]byte, 0, size))
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

// A buffer for replies. Small and middling ones are kept for the next reply.
type buffer struct{ b []byte }

const maxPooledBuffer = 4 << 20

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 4<<10)} }}

func getBuffer() *buffer {
	buf := buffers.Get().(*buffer)
	buf.b = buf.b[:0]
	return buf
}

func putBuffer(buf *buffer) {
	if cap(buf.b) <= maxPooledBuffer {
		buffers.Put(buf)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
