package worker

import "sync"

// Hands are a bounded number of goroutines that do what is asked, first come first served. What calls an SDK does so
// here: such calls need large stacks, and a goroutine keeps its stack for as long as it lives, so that a worker of
// thousands of shards cannot afford one for each of them.
type hands struct {
	most int
	crew crew

	mu     sync.Mutex
	n      int           // goroutines
	queue  []func()      // that wait for one, oldest first
	idle   []chan func() // those that wait for work; the last one worked last
	closed bool
}

// keepsAtOnce bounds the renewals and checkpoints that a worker has under way at a time. With 10,000 leases of 10 s, of
// which 3,000 are renewed in a second, a table may take 300 ms for each.
const keepsAtOnce = 1024

func newHands(most int) *hands { return &hands{most: most} }

// do has f called soon. It never waits.
func (h *hands) do(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch last := len(h.idle) - 1; {
	case last >= 0:
		h.idle[last] <- f // it has room
		h.idle = h.idle[:last]
	case h.n < h.most:
		h.n++
		h.crew.start(func() { h.work(f) })
	default:
		h.queue = append(h.queue, f)
	}
}

func (h *hands) work(f func()) {
	next := make(chan func(), 1)
	for f != nil {
		f()
		if f = h.queued(next); f == nil {
			f = <-next
		}
	}
}

// queued is what has waited longest; where nothing has, next will get something, or is closed.
func (h *hands) queued(next chan func()) func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) > 0 {
		f := h.queue[0]
		h.queue[0] = nil
		h.queue = h.queue[1:]
		return f
	}
	if h.closed {
		close(next)
	} else {
		h.idle = append(h.idle, next)
	}
	return nil
}

// close ends the goroutines once they have nothing to do and waits for that. Nothing is asked any more.
func (h *hands) close() {
	h.mu.Lock()
	h.closed = true
	for _, next := range h.idle {
		close(next)
	}
	h.idle = nil
	h.mu.Unlock()
	h.crew.wait(nil)
}
