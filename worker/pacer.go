package worker

import "time"

// A pacer keeps the reads of one shard within a number a second: in any second at most that many begin.
type pacer struct {
	recent []time.Time // the last PerSecond reads, a ring
	next   int
}

func newPacer(perSecond int) *pacer { return &pacer{recent: make([]time.Time, perSecond)} }

// wait is how long a read that wants to begin at now must wait.
func (p *pacer) wait(now time.Time) time.Duration {
	if len(p.recent) == 0 {
		return 0
	}
	oldest := p.recent[p.next]
	if oldest.IsZero() {
		return 0
	}
	return max(0, time.Second-now.Sub(oldest))
}

// begin notes that a read begins at now.
func (p *pacer) begin(now time.Time) {
	if len(p.recent) == 0 {
		return
	}
	p.recent[p.next] = now
	p.next = (p.next + 1) % len(p.recent)
}
