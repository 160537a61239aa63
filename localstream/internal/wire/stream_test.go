package wire

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// lingering is a writer whose deadlines take a while to set. It must be left alone once its handler has returned.
type lingering struct {
	*httptest.ResponseRecorder
	t        *testing.T
	returned bool
	calls    int
}

func (w *lingering) SetWriteDeadline(time.Time) error {
	w.calls++
	time.Sleep(time.Second)
	if w.returned {
		w.t.Error("the deadline is being set though the handler has returned")
	}
	return nil
}

func TestAStreamsWriterIsLeftAloneOnceItsHandlerHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, gone := context.WithCancel(t.Context())
		h := NewHandler(Options{}, Service{Target: "Echo_1", JSON: "1.1", InternalError: "InternalFailure", Operations: []Operation{
			Op("Subscribe", func(context.Context, *struct{}) (any, error) {
				return &Stream{Run: func(ctx context.Context, _ func(Event) error) error {
					gone() // the client goes as the stream comes to its end
					return nil
				}}, nil
			}),
		}})
		w := &lingering{ResponseRecorder: httptest.NewRecorder(), t: t}
		h.ServeHTTP(w, request("Subscribe", "{}").WithContext(ctx))
		w.returned = true
		time.Sleep(time.Minute)
		if w.Code != http.StatusOK || w.calls != 2 { // for the first frame, and when the client went
			t.Errorf("%d with %d deadlines set", w.Code, w.calls)
		}
	})
}
