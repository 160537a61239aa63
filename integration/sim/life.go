package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/worker"
)

// A life is one start of a worker: a process. A crash ends it; the worker's next start is another life.
type life struct {
	world *world
	id    int
	name  string
	gate  gate
	clock *hostClock
	dice  *dice // of its requests
	died  chan struct{}

	worker *worker.Worker
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned

	mu       sync.Mutex // guards what follows
	java     bool
	dead     bool
	stopping bool
	cut      map[dest]cutting
	kept     map[string]kept       // leases by key, as far as the answers to this life's writes tell
	stood    time.Time             // when the process stood still last
	trap     bool                  // stand still at the next request or call
	handles  map[*worker.Shard]int // tenures by their handle
}

// A dest is where requests go.
type dest int

const (
	toTable dest = iota
	toStream
)

// A cutting says how a way is cut.
type cutting int

const (
	open    cutting = iota
	refused         // requests fail at once
	silent          // requests vanish
	oneWay          // requests arrive, answers vanish
)

var errDead = errors.New("the process is dead")

// log adds an event of this life, unless it is dead: what goes on in a process after its crash did not happen.
func (l *life) log(e invariant.Event) {
	l.mu.Lock()
	dead := l.dead
	l.mu.Unlock()
	if dead {
		return
	}
	e.Worker, e.Life = l.name, l.id
	l.world.add(e)
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// healthy reports whether the worker works and is to go on.
func (l *life) healthy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead && !l.stopping
}

// kept is a lease that a life has, by the answers that it got.
type kept struct {
	sent     time.Time // when the last write was sent that was answered
	troubled bool      // since then a request for it met a fault, or the process stood still
}

// answered notes that a write of a row was answered: from its sending on the lease can be trusted for nine tenths of its
// duration.
func (l *life) answered(r request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		l.kept = map[string]kept{}
	}
	switch {
	case r.op == memory.OpRenew, r.op == memory.OpTake && r.owner == l.name:
		l.kept[r.key] = kept{sent: r.sent, troubled: r.sent.Before(l.stood)}
	default:
		delete(l.kept, r.key)
	}
}

// troubled notes that something is in the way of this life's requests for a row; with an empty key, that the process stands
// still.
func (l *life) troubled(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key == "" {
		l.stood = time.Now()
	}
	for k, at := range l.kept {
		if k == key || key == "" {
			at.troubled = true
			l.kept[k] = at
		}
	}
}

// forgets notes that a row is gone, or another's.
func (l *life) forgets(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.kept, key)
}

// trusts reports for how long the life may still trust a lease that it has, by the answers that it got. overdue tells that it
// should have renewed it since the last answer, and could have at any time.
func (l *life) trusts(key string) (left time.Duration, overdue bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lease, ok := l.kept[key]
	if !ok || l.stopping || l.dead || l.java { // a release that was not answered in time is made good by taking and releasing again
		return 0, false
	}
	d, since := l.world.plan.lease, time.Since(lease.sent)
	return d - d/10 - d/20 - since, since > d/2 && !lease.troubled // a twentieth is what its clock may be fast
}

func (l *life) cutFrom(d dest) cutting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut[d]
}

func (l *life) setCut(d dest, c cutting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[d] = c
}

// sprung takes the trap of this life, if there is one.
func (l *life) sprung() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.trap
	l.trap = false
	return t
}

// enter waits until the process runs. A trap that was set makes it stand still here.
func (l *life) enter(where string) {
	if l.sprung() {
		d := l.dice.upTo(3 * l.world.plan.lease)
		l.log(invariant.Event{Kind: invariant.Fault, Note: Midcall + " at " + where, For: d})
		l.pause(d)
	}
	l.gate.pass()
}

// pause stops the process for d.
func (l *life) pause(d time.Duration) {
	resume := l.gate.hold()
	if resume == nil {
		return
	}
	l.world.count(func(t *Totals) { t.Pauses++ })
	l.troubled("")
	l.log(invariant.Event{Kind: invariant.Pause, For: d})
	time.AfterFunc(d, resume)
}

// crash ends the process without a word: its transport goes first.
func (l *life) crash() {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return
	}
	l.dead = true
	l.mu.Unlock()
	close(l.died)
	l.world.count(func(t *Totals) { t.Crashes++ })
	l.world.add(invariant.Event{Kind: invariant.Crash, Worker: l.name, Life: l.id})
	l.gate.leave()
	l.cancel()
}

// exit is the end of the process of a worker that has ended: what it has left behind does nothing any more.
func (l *life) exit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
}

// stop asks the worker to stop.
func (l *life) stop() {
	l.mu.Lock()
	was := l.stopping || l.dead
	l.stopping = true
	l.mu.Unlock()
	if was {
		return
	}
	l.log(invariant.Event{Kind: invariant.Stop})
	l.cancel()
}

// sleep waits for d by the worker's clock, whatever ctx does; less if the process dies, or the run is over: a worker may
// have stopped without its processor.
func (l *life) sleep(d time.Duration) {
	t := l.clock.clock().NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.died:
	case <-l.world.quit:
	}
}

// wait is sleep that ends with ctx.
func (l *life) wait(ctx context.Context, d time.Duration) {
	t := l.clock.clock().NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-l.died:
	}
}
