package worker

import (
	"context"
	"runtime/debug"
	"sync"
)

// A budget bounds the bytes that a worker holds read ahead, over all its shards. Who wants to read asks for as much as
// it expects; what a page really has is settled afterwards, which may overdraw the budget by one page a reader but
// never waits, so that no reader holds a page while it waits for room.
type budget struct {
	mu      sync.Mutex
	free    int64
	total   int64
	waiting []*claim // oldest first, so that nobody starves
}

type claim struct {
	bytes int64
	ready chan struct{} // closed once granted
}

func newBudget(total int64) *budget { return &budget{free: total, total: total} }

// acquire waits for room for n bytes, or for as many as the whole budget has if n is more.
func (b *budget) acquire(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.total)
	b.mu.Lock()
	if len(b.waiting) == 0 && b.free >= n {
		b.free -= n
		b.mu.Unlock()
		return n, nil
	}
	c := &claim{bytes: n, ready: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()
	select {
	case <-c.ready:
		return n, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == c {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.grant()
			return 0, context.Cause(ctx)
		}
	}
	b.free += n // granted in the same moment
	b.grant()
	return 0, context.Cause(ctx)
}

// settle changes a holding from held to actual bytes.
func (b *budget) settle(held, actual int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += held - actual
	b.grant()
}

// release gives n bytes back.
func (b *budget) release(n int64) { b.settle(n, 0) }

// grant lets in as many of the oldest claims as there is room for. The lock is held.
func (b *budget) grant() {
	for len(b.waiting) > 0 && b.free >= b.waiting[0].bytes {
		c := b.waiting[0]
		b.free -= c.bytes
		b.waiting = b.waiting[1:]
		close(c.ready)
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
