package wire

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBodyOfAFailureIsNotReused has an operation keep its input beyond a failure, as a write does whose caller gave up
// while it was queued. Later requests, whose bodies are reused, must not change it.
func TestBodyOfAFailureIsNotReused(t *testing.T) {
	type input struct{ Data []byte }
	var kept [][]byte
	failing := Op("Keep", func(_ context.Context, in *input) (any, error) {
		kept = append(kept, in.Data)
		return nil, errors.New("the caller gave up")
	})
	passing := Op("Pass", func(context.Context, *input) (any, error) { return nil, nil })
	failing.BodyFree, passing.BodyFree = true, true
	h := NewHandler(Options{}, Service{Target: "Echo_1", JSON: "1.1", InternalError: "InternalFailure", Operations: []Operation{failing, passing}})
	send := func(op, letter string) {
		h.ServeHTTP(httptest.NewRecorder(), request(op, `{"Data":"`+strings.Repeat(letter, 4*largeBuffer)+`"}`))
	}
	for range 5 {
		send("Pass", "A")
		send("Keep", "B")
		send("Pass", "C")
	}
	want := kept[0][:3:3]
	if !bytes.Equal(want, []byte{4, 16, 65}) { // BBBB
		t.Fatalf("the input begins with %v, want BBBB decoded", want)
	}
	for i, data := range kept {
		if len(data) != 3*largeBuffer || !bytes.Equal(data, bytes.Repeat([]byte{4, 16, 65}, largeBuffer)) {
			t.Fatalf("input %d was overwritten by a later request", i)
		}
	}
}

func TestBuffers(t *testing.T) {
	for _, size := range []int{0, 1, smallBuffer, largeBuffer - 1, largeBuffer, 1 << 20, maxBuffer} {
		for range 3 {
			b := getBuffer(size)
			if len(b) != 0 || cap(b) < size {
				t.Fatalf("buffer for %d bytes: length %d, room for %d", size, len(b), cap(b))
			}
			putBuffer(append(b, make([]byte, size)...))
		}
	}
}
