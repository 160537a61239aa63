package worker

import (
	"slices"
	"time"
)

// A pacer keeps the reads of one shard within a number a second: in any second at most that many begin.
type pacer struct {
	most   int
	recent []time.Time // reads of the last second, and perhaps some before, oldest first
}

func newPacer(perSecond int) pacer { return pacer{most: perSecond} }

// wait is how long a read that wants to begin at now must wait.
func (p *pacer) wait(now time.Time) time.Duration {
	before := len(p.recent) - p.most
	if p.most == 0 || before < 0 {
		return 0
	}
	return max(0, time.Second-now.Sub(p.recent[before]))
}

// begin notes that a read begins at now.
func (p *pacer) begin(now time.Time) {
	if p.most == 0 {
		return
	}
	if len(p.recent) == cap(p.recent) { // before it grows
		old := 0
		for old < len(p.recent) && now.Sub(p.recent[old]) >= time.Second {
			old++
		}
		p.recent = slices.Delete(p.recent, 0, old)
	}
	p.recent = append(p.recent, now)
}
