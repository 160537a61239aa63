package archive

import (
	"context"
	"sync"
)

// A budget bounds the bytes of data that a process holds. Its shards hold some each; when it is used up all are asked
// to cut their objects, and whoever wants more waits.
type budget struct {
	limit int64

	mu      sync.Mutex
	used    int64
	holders map[*holder]bool
	freed   chan struct{} // closed and replaced when bytes are given back
}

// A holder is one shard's part of the budget. fixed of its bytes cannot be given back by cutting.
type holder struct {
	budget      *budget
	press       func() // asks for a cut; called without locks held
	held, fixed int64
	closed      bool
}

func newBudget(limit int64) *budget {
	return &budget{limit: limit, holders: map[*holder]bool{}, freed: make(chan struct{})}
}

func (b *budget) join(press func()) *holder {
	h := &holder{budget: b, press: press}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holders[h] = true
	return h
}

// take adds n bytes, or waits until there is room for them. What nobody can give back does not count, so that a shard
// can always go on in the end. full is called when it has to wait.
func (h *holder) take(ctx context.Context, n int64, full func()) error {
	for {
		freed, press := h.try(n)
		if freed == nil {
			return nil
		}
		if full != nil {
			full()
			full = nil
		}
		for _, p := range press {
			p()
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// try takes n bytes and returns nil, or else what to wait for and whom to press.
func (h *holder) try(n int64) (<-chan struct{}, []func()) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	cuttable := int64(0)
	var press []func()
	for o := range b.holders {
		if o.held > o.fixed {
			cuttable += o.held - o.fixed
			press = append(press, o.press)
		}
	}
	if h.closed || b.used+n <= b.limit || cuttable == 0 {
		if !h.closed {
			h.held += n
			b.used += n
		}
		return nil, nil
	}
	return b.freed, press
}

// give returns n bytes.
func (h *holder) give(n int64) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.closed {
		return
	}
	h.held -= n
	b.used -= n
	close(b.freed)
	b.freed = make(chan struct{})
}

// fix tells how many of the bytes cannot be given back by cutting.
func (h *holder) fix(n int64) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.fixed == n {
		return
	}
	h.fixed = n
	close(b.freed)
	b.freed = make(chan struct{})
}

// close gives back all and takes no more.
func (h *holder) close() {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= h.held
	h.held, h.closed = 0, true
	delete(b.holders, h)
	close(b.freed)
	b.freed = make(chan struct{})
}
