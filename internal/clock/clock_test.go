package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleepWaitsExactlyAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		start := c.Now()
		if err := c.Sleep(t.Context(), 3*time.Second); err != nil || c.Since(start) != 3*time.Second {
			t.Fatalf("slept %v, error %v", c.Since(start), err)
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		c.AfterFunc(time.Second, func() { cancel(stop) })
		if err := c.Sleep(ctx, time.Hour); !errors.Is(err, stop) {
			t.Fatalf("Sleep = %v, want the cause of the context", err)
		}
	})
}

func TestWithTimeoutCarriesItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		late := errors.New("late")
		ctx, cancel := c.WithTimeout(t.Context(), 2*time.Second, late)
		defer cancel()
		start := c.Now()
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), late) || c.Since(start) != 2*time.Second {
			t.Fatalf("ended after %v with %v", c.Since(start), context.Cause(ctx))
		}
	})
}

func TestBackoffDoublesUpToItsBound(t *testing.T) {
	for _, draw := range []uint64{0, 1 << 63, ^uint64(0)} {
		c := Clock{Uint64Func: func() uint64 { return draw }}
		for attempt, want := range map[int]time.Duration{1: 100, 2: 200, 3: 400, 4: 800, 5: 1000, 60: 1000} {
			got := c.Backoff(attempt, 100, 1000)
			if got < want/2 || got > want {
				t.Errorf("Backoff(%d) = %d, want within [%d, %d]", attempt, got, want/2, want)
			}
		}
	}
}
