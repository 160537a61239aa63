package localstream

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func newResponse(ctx context.Context) *response {
	return &response{
		req: (&http.Request{}).WithContext(ctx), cancel: func(error) {},
		header: http.Header{}, ready: make(chan struct{}),
	}
}

// TestAWriteDeadlineHoldsFromBeforeTheFirstFlush has a client that reads nothing.
func TestAWriteDeadlineHoldsFromBeforeTheFirstFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newResponse(t.Context())
		began := time.Now()
		if err := w.SetWriteDeadline(began.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if _, err := w.Write(make([]byte, pipeBytes)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte{1}); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("a write to a reply that is full ended after %v with %v, want %v after 1 s", time.Since(began), err, os.ErrDeadlineExceeded)
		}
	})
}

// TestTheDeadlineMayComeBesideTheFlush is for the race detector: a stream's context may end, which shortens the deadline,
// while its handler flushes first.
func TestTheDeadlineMayComeBesideTheFlush(t *testing.T) {
	for range 100 {
		w := newResponse(t.Context())
		set := make(chan struct{})
		go func() {
			defer close(set)
			_ = w.SetWriteDeadline(time.Now())
		}()
		w.Flush()
		<-set
		if w.stream.deadline.IsZero() {
			t.Fatal("the deadline was lost")
		}
	}
}
