package worker

import (
	"sync"
	"time"
)

// A throughput is the moving average of what a shard delivers, as Java KCL keeps it: per interval between two writes of
// the lease row, with weight one half for the newest (LeaseStatsRecorder.java).
type throughput struct {
	mu      sync.Mutex
	bytes   int64
	since   time.Time
	average float64
	known   bool
}

// add counts bytes that were handed over.
func (t *throughput) add(bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes += int64(bytes)
}

// start begins the first interval, going on from the average that the lease row already had.
func (t *throughput) start(now time.Time, before *float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = now
	if before != nil {
		t.average, t.known = *before, true
	}
}

// kbps is the average in KiB per second at now. An interval shorter than a second is left to grow.
func (t *throughput) kbps(now time.Time) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	passed := now.Sub(t.since).Seconds()
	if passed < 1 {
		return t.average
	}
	rate := float64(t.bytes) / 1024 / passed
	if t.known {
		rate = (t.average + rate) / 2
	}
	t.average, t.known, t.bytes, t.since = rate, true, 0, now
	return t.average
}
