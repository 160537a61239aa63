package sim

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/shoal-stream/shoal/internal/clock"
)

// A gate holds a process that stands still: its timers, its requests and their answers, and its processors wait there.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when the process goes on; nil while it runs
	dead bool
}

// hold stops the process until the returned function is called; nil if it stands still already or is dead.
func (g *gate) hold() (resume func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil || g.dead {
		return nil
	}
	g.shut = make(chan struct{})
	return sync.OnceFunc(g.open)
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// leave lets everything through for ever: what goes on behind a dead process reaches nobody.
func (g *gate) leave() {
	g.open()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
}

// pass returns when the process runs.
func (g *gate) pass() {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil {
			return
		}
		<-shut
	}
}

// A hostClock is the clock of one machine: it goes at its own rate, and its wall clock is off by its own offset, which
// may jump while the monotonic clock does not, as a machine's does when it is set.
type hostClock struct {
	gate *gate
	dice *dice

	mu     sync.Mutex
	made   time.Time // true time, and that by this clock, when it was made
	since  time.Time // true time of the last change of the rate
	local  time.Time // by this clock then
	rate   float64   // of this clock's seconds to true ones
	offset time.Duration
}

func newHostClock(g *gate, d *dice, rate float64, offset time.Duration) *hostClock {
	now := time.Now()
	return &hostClock{gate: g, dice: d, made: now, since: now, local: now, rate: rate, offset: offset}
}

func (c *hostClock) now() time.Time {
	t := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rate != 1 {
		t = c.local.Add(time.Duration(float64(t.Sub(c.since)) * c.rate))
	} else if !c.local.Equal(c.since) {
		t = c.local.Add(t.Sub(c.since))
	}
	return withMonotonic(t.Add(c.offset), t.Sub(c.made))
}

// set changes the rate and the offset.
func (c *hostClock) set(rate float64, offset time.Duration) {
	t := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.local = c.local.Add(time.Duration(float64(t.Sub(c.since)) * c.rate))
	c.since, c.rate, c.offset = t, rate, offset
}

func (c *hostClock) rateNow() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rate
}

// trueTime is how long d by this clock takes, rounded up: a timer that came too early would be set again for nothing, and
// then again, at the same moment.
func (c *hostClock) trueTime(d time.Duration) time.Duration {
	if rate := c.rateNow(); rate != 1 && d > 0 {
		return time.Duration(float64(d)/rate) + 2
	}
	return d
}

// A hostTimer calls f once, when its process runs.
type hostTimer struct {
	t    *time.Timer
	done atomic.Bool // called, or stopped
}

func (c *hostClock) afterFunc(d time.Duration, f func()) (stop func() bool) {
	h := &hostTimer{}
	h.t = time.AfterFunc(c.trueTime(d), func() {
		c.gate.pass()
		if h.done.CompareAndSwap(false, true) {
			f()
		}
	})
	return func() bool {
		h.t.Stop()
		return h.done.CompareAndSwap(false, true)
	}
}

func (c *hostClock) clock() clock.Clock {
	return clock.Clock{NowFunc: c.now, AfterFuncFunc: c.afterFunc, Uint64Func: c.dice.uint64}
}

// A reading is how package time keeps a time with a monotonic reading: a set top bit, 33 bits of seconds since 1885 and 30
// of nanoseconds of the wall clock; then the monotonic clock.
type reading struct {
	wall uint64
	mono int64
	loc  *time.Location
}

// since1885 is 1970 in seconds since 1885: 85 years with 20 leap days.
const since1885 = (85*365 + 20) * 24 * 60 * 60

// withMonotonic is the time at which a clock on the wall shows wall, mono after the clock was made. In a bubble, times have
// no monotonic reading, and package time has no way to give them one.
func withMonotonic(wall time.Time, mono time.Duration) (t time.Time) {
	*(*reading)(unsafe.Pointer(&t)) = reading{
		wall: 1<<63 | uint64(wall.Unix()+since1885)<<30 | uint64(wall.Nanosecond()),
		mono: int64(mono) + 1,
	}
	return t
}
