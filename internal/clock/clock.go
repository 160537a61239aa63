// Package clock is the one small value from which code that waits or asks the time takes both, together with its
// randomness. The zero Clock is the machine's own; a simulation hands in clocks with a rate, an offset and pauses of
// their own, and a seeded source.
package clock

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Clock tells the time, makes timers and draws random numbers. Its zero value is the real clock and the runtime's
// random source. A nil field falls back to the real one, so a test may replace only what it needs. A Clock is copied
// by value and safe for concurrent use when its functions are.
type Clock struct {
	// NowFunc gives the current time. The value must carry a monotonic reading, or all values must come without one.
	NowFunc func() time.Time
	// AfterFuncFunc calls f in its own goroutine after d; the returned stop reports whether it prevented the call.
	AfterFuncFunc func(d time.Duration, f func()) (stop func() bool)
	// Uint64Func draws 64 random bits.
	Uint64Func func() uint64
}

// Now is the current time by this clock.
func (c Clock) Now() time.Time {
	if c.NowFunc != nil {
		return c.NowFunc()
	}
	return time.Now()
}

// Since is the time that has passed since t by this clock.
func (c Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// AfterFunc calls f in its own goroutine once d has passed. The returned function stops that and reports whether it
// came in time.
func (c Clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	if c.AfterFuncFunc != nil {
		return c.AfterFuncFunc(d, f)
	}
	return time.AfterFunc(d, f).Stop
}

// A Timer delivers one tick on C.
type Timer struct {
	C    <-chan struct{}
	stop func() bool
}

// Stop prevents the tick if it has not come yet and reports whether it did.
func (t *Timer) Stop() bool { return t.stop() }

// NewTimer makes a timer that ticks once after d.
func (c Clock) NewTimer(d time.Duration) *Timer {
	ticked := make(chan struct{}, 1)
	return &Timer{C: ticked, stop: c.AfterFunc(d, func() { ticked <- struct{}{} })}
}

// Sleep waits for d or for the end of ctx, whichever comes first, and returns ctx's cause in the second case.
func (c Clock) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// WithTimeout is context.WithTimeoutCause on this clock. cause must not be nil.
func (c Clock) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := c.AfterFunc(d, func() { cancel(cause) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// Uint64 draws 64 random bits.
func (c Clock) Uint64() uint64 {
	if c.Uint64Func != nil {
		return c.Uint64Func()
	}
	return rand.Uint64()
}

// Float64 draws a number in [0, 1).
func (c Clock) Float64() float64 { return float64(c.Uint64()>>11) / (1 << 53) }

// Jitter draws a duration in [d/2, d).
func (c Clock) Jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(c.Float64()*float64(d-d/2))
}

// Backoff is the pause before attempt number attempt+1 (attempt counts from 1): it doubles from first up to most,
// with jitter so that many workers do not come back at once.
func (c Clock) Backoff(attempt int, first, most time.Duration) time.Duration {
	d := first
	for i := 1; i < attempt && d < most; i++ {
		d *= 2
	}
	return c.Jitter(min(d, most))
}
