package producer

import (
	"context"
	"slices"
)

// A room is the byte bound of the buffer. Who waits for it is served in the order of coming.
type room struct {
	most, used int64
	waiters    []*waiter
}

// A waiter waits for room.
type waiter struct {
	cost int64
	done chan struct{} // closed when the room was granted, or refused for good
	left bool          // it was refused
}

// take takes cost bytes, or returns a waiter for them. The first one gets room however much it needs.
func (r *room) take(cost int64) *waiter {
	if len(r.waiters) == 0 && r.fits(cost) {
		r.used += cost
		return nil
	}
	w := &waiter{cost: cost, done: make(chan struct{})}
	r.waiters = append(r.waiters, w)
	return w
}

func (r *room) fits(cost int64) bool { return r.used == 0 || r.used+cost <= r.most }

// give returns cost bytes and lets in who waited longest.
func (r *room) give(cost int64) {
	r.used -= cost
	for len(r.waiters) > 0 && r.fits(r.waiters[0].cost) {
		r.used += r.waiters[0].cost
		close(r.waiters[0].done)
		r.waiters = slices.Delete(r.waiters, 0, 1)
	}
}

// refuse sends all waiters away.
func (r *room) refuse() {
	for _, w := range r.waiters {
		w.left = true
		close(w.done)
	}
	r.waiters = nil
}

// leave takes a waiter out that gave up, and reports whether it had nothing yet.
func (r *room) leave(w *waiter) bool {
	i := slices.Index(r.waiters, w)
	if i < 0 {
		return w.left
	}
	r.waiters = slices.Delete(r.waiters, i, i+1)
	r.give(0) // those behind it may be smaller
	return true
}

// wait returns nil once the room was granted, or ErrClosed, or ctx's cause.
func (w *waiter) wait(ctx context.Context) error {
	select {
	case <-w.done:
		if w.left {
			return ErrClosed
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
