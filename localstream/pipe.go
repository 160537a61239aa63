package localstream

import (
	"os"
	"sync"
	"time"
)

// pipeBytes is how much of a reply in this process may wait for its client to read, as a connection's buffers hold
// some of a reply over the network. A write that begins below it always fits.
const pipeBytes = 4 << 20

// A pipe carries a reply in this process as it is written: one goroutine writes, one reads.
type pipe struct {
	// One slot each: something has changed for the side that waits.
	readable, writable chan struct{}

	mu       sync.Mutex
	unread   []byte
	ended    error // what the reader gets behind unread
	gone     error // why nobody reads any more
	deadline time.Time
}

func newPipe() *pipe {
	return &pipe{readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Write waits until less than pipeBytes are unread, up to the deadline.
func (p *pipe) Write(b []byte) (int, error) {
	for {
		p.mu.Lock()
		full, gone, deadline := len(p.unread) >= pipeBytes, p.gone, p.deadline
		if !full && gone == nil {
			p.unread = append(p.unread, b...)
		}
		p.mu.Unlock()
		switch {
		case gone != nil:
			return 0, gone
		case !full:
			signal(p.readable)
			return len(b), nil
		}
		if !p.wait(deadline) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// wait waits for a change on the writer's side and reports whether it came in time.
func (p *pipe) wait(deadline time.Time) bool {
	if deadline.IsZero() {
		<-p.writable
		return true
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-p.writable:
		return true
	case <-t.C:
		return false
	}
}

// Read waits for something to read.
func (p *pipe) Read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		n, ended, gone := 0, p.ended, p.gone
		if gone == nil {
			n = copy(b, p.unread)
			p.unread = p.unread[n:]
		}
		p.mu.Unlock()
		switch {
		case gone != nil:
			return 0, gone
		case n > 0 || len(b) == 0:
			signal(p.writable)
			return n, nil
		case ended != nil:
			return 0, ended
		}
		<-p.readable
	}
}

// setDeadline bounds the present and later waits of Write.
func (p *pipe) setDeadline(t time.Time) {
	p.mu.Lock()
	p.deadline = t
	p.mu.Unlock()
	signal(p.writable)
}

// end is the writer's last word: what Read returns when all is read.
func (p *pipe) end(err error) {
	p.mu.Lock()
	p.ended = err
	p.mu.Unlock()
	signal(p.readable)
}

// abandon ends both sides: the reader has gone.
func (p *pipe) abandon(err error) {
	p.mu.Lock()
	if p.gone == nil {
		p.gone = err
	}
	p.unread = nil
	p.mu.Unlock()
	signal(p.readable)
	signal(p.writable)
}
