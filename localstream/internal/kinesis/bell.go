package kinesis

import "sync/atomic"

// A bell wakes those who wait for something to change. Ringing it costs one atomic operation when nobody waits. The
// zero bell is ready to use.
type bell struct{ next atomic.Pointer[chan struct{}] }

// wait returns a channel that is closed when the bell rings next. Ask for it first, look at the state then.
func (b *bell) wait() <-chan struct{} {
	for {
		if ch := b.next.Load(); ch != nil {
			return *ch
		}
		ch := make(chan struct{})
		if b.next.CompareAndSwap(nil, &ch) {
			return ch
		}
	}
}

// ring wakes all who wait.
func (b *bell) ring() {
	if b.next.Load() == nil {
		return
	}
	if ch := b.next.Swap(nil); ch != nil {
		close(*ch)
	}
}
