package worker

import (
	"runtime/debug"
	"slices"
	"sync"
)

// A budget bounds the bytes that a worker holds read ahead, over all its shards. Who wants to read claims as much as it
// expects; what a page really has is settled afterwards, which may overdraw the budget by one page a reader but never
// waits, so that no reader holds a page while it waits for room.
type budget struct {
	mu      sync.Mutex
	free    int64
	total   int64
	waiting []*claim // oldest first, so that nobody starves
}

// A claim is what one reader wants of a budget, or has.
type claim struct {
	budget  *budget
	granted func() // called when a claim that was made is granted; it must not wait, nor use the budget

	bytes int64 // wanted or held; guarded by the budget's mutex
}

func newBudget(total int64) *budget { return &budget{free: total, total: total} }

// make asks for room for n bytes, or for as many as the whole budget has if n is more. The claim holds nothing yet.
func (c *claim) make(n int64) {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	c.bytes = min(n, b.total)
	b.waiting = append(b.waiting, c)
	b.grant()
}

// settle lets go of what was granted, but for n bytes that whoever has the page gives back.
func (c *claim) settle(n int64) {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += c.bytes - n
	c.bytes = 0
	b.grant()
}

// withdraw takes back a claim, whether it was granted or not.
func (c *claim) withdraw() {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	} else {
		b.free += c.bytes
	}
	c.bytes = 0
	b.grant()
}

// release gives n bytes back.
func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.grant()
}

// grant lets in as many of the oldest claims as there is room for. The lock is held.
func (b *budget) grant() {
	for len(b.waiting) > 0 && b.free >= b.waiting[0].bytes {
		c := b.waiting[0]
		b.free -= c.bytes
		b.waiting = slices.Delete(b.waiting, 0, 1)
		c.granted()
	}
}

// defaultBudget is a quarter of the Go memory limit if one is set, else 256 MiB.
func defaultBudget() int64 {
	const unlimited, usual = int64(1) << 50, int64(256) << 20
	if limit := debug.SetMemoryLimit(-1); limit < unlimited {
		return max(limit/4, minMemoryBudget)
	}
	return usual
}
