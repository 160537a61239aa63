package workertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease/metrics"
	"github.com/shoal-stream/shoal/worker"
)

// A Process is one life of a worker's process, from its start until it stops or crashes. Its methods are safe for
// concurrent use.
type Process struct {
	h      *history
	id     string // the worker's ID, which a process that is started again may share
	name   string // for people
	cancel context.CancelFunc
	died   chan struct{} // closed by a crash
	ended  chan struct{} // closed when Run has returned

	mu       sync.Mutex    // guards what follows; held around memory only
	resume   chan struct{} // closed at the end of a pause; nil while there is none
	resumed  time.Time     // when the last pause ended
	asked    time.Time     // to stop
	cut      bool          // table and stream cannot be reached
	fuse     *fuse
	random   *rand.Rand
	counters map[string]uint64
	sessions map[string]*session // the newest of each shard
}

// Errors that calls of the outside give.
var (
	errRefused  = errors.New("workertest: the call failed; nothing was done")
	errNoAnswer = errors.New("workertest: the connection broke; the call was done, or will be, or not")
	errCrashed  = errors.New("workertest: the process has crashed")
	errCut      = errors.New("workertest: the network is down")
)

// Effect is a call to the outside, such as a write to a database, by which the records with these IDs take effect, all
// or none. See Call.
func (p *Process) Effect(ctx context.Context, ids ...string) error {
	return p.Call(ctx, func() []string { return ids })
}

// Call is a call to the outside of which a stand-in with state is to know: apply does to it what the call does, and
// returns the IDs of the records that thereby took effect. It takes some virtual time. An error says that apply may
// have run, may run later, or will never run; use what it computed only after nil. Once ctx has ended or the process has
// crashed no call begins. Calls are applied one at a time; apply must not wait.
func (p *Process) Call(ctx context.Context, apply func() (ids []string)) error {
	p.gate()
	h, begun, dice := p.h, time.Now(), p.dice("call", "")
	if p.dead() || ctx.Err() != nil {
		return p.refuse(ctx)
	}
	took := time.Duration(1+dice.IntN(15)) * time.Millisecond
	trouble := h.trouble.Load()
	if trouble && h.plan.slowCalls && dice.IntN(12) == 0 {
		h.count("slow calls")
		took = time.Duration(100+dice.IntN(4000)) * time.Millisecond
	}
	err := p.wait(ctx, took)
	p.reach(inCall)
	if p.dead() {
		err = errCrashed
	}
	if err != nil { // it was under way
		h.perhapsLater(p, dice, begun, apply)
		return err
	}
	if trouble && h.plan.failedCalls && dice.IntN(p.odds()) == 0 {
		switch dice.IntN(3) {
		case 0:
			h.count("failed calls")
			return errRefused
		case 1:
			h.count("lost answers of calls")
			h.apply(p, begun, false, apply)
			return errNoAnswer
		default:
			h.perhapsLater(p, dice, begun, apply)
			return errNoAnswer
		}
	}
	h.apply(p, begun, false, apply)
	p.reach(afterCall)
	if p.dead() {
		return errCrashed
	}
	return nil
}

// odds are one in how many calls fails: more of the first ones, so that a processor of few calls meets failures, and one of
// many gets on.
func (p *Process) odds() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(3+int(p.counters["call/"]/4), 15)
}

// refuse is why no call can begin. It takes a moment: who asks again and again must not do so for ever at one time.
func (p *Process) refuse(ctx context.Context) error {
	if p.dead() {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return errCrashed
	}
	time.Sleep(time.Millisecond)
	return context.Cause(ctx)
}

// Shared gives what outlives the processes of a history, such as a stand-in for a database: the first call makes it,
// later ones with the same type return that. If it is an io.Closer it is closed at the end of the history.
func Shared[T any](p *Process, make func() T) T {
	h, key := p.h, reflect.TypeFor[T]()
	h.sharing <- struct{}{}
	defer func() { <-h.sharing }()
	if v, ok := h.shared[key]; ok {
		return v.(T)
	}
	v := make()
	h.shared[key] = v
	if c, ok := any(v).(io.Closer); ok {
		h.closers = append(h.closers, c)
	}
	return v
}

// dead reports whether the process has crashed.
func (p *Process) dead() bool {
	select {
	case <-p.died:
		return true
	default:
		return false
	}
}

// wait lets d pass, unless ctx ends or the process crashes before.
func (p *Process) wait(ctx context.Context, d time.Duration) error {
	if p.dead() || ctx.Err() != nil {
		return p.refuse(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.died:
		return errCrashed
	}
}

// gate waits while the process stands still.
func (p *Process) gate() {
	for {
		p.mu.Lock()
		resume := p.resume
		p.mu.Unlock()
		if resume == nil {
			return
		}
		<-resume
	}
}

// pause makes the process stand still for d.
func (p *Process) pause(d time.Duration, when string) {
	resume := make(chan struct{})
	p.mu.Lock()
	if p.resume != nil || p.dead() {
		p.mu.Unlock()
		return
	}
	p.resume = resume
	p.mu.Unlock()
	p.h.count("pauses")
	p.h.book.note(p, fmt.Sprintf("stands still%s, for %v", when, d))
	time.AfterFunc(d, func() {
		p.h.book.note(p, "goes on")
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.resume == resume {
			p.goOn()
		}
	})
}

// goOn ends a pause. p.mu is held.
func (p *Process) goOn() {
	if p.resume != nil {
		close(p.resume)
		p.resume, p.resumed = nil, time.Now()
	}
}

// crash ends the process without a word to anybody: what it does from now on has no effect.
func (p *Process) crash(when string) {
	p.mu.Lock()
	if p.dead() {
		p.mu.Unlock()
		return
	}
	close(p.died)
	p.goOn()
	p.mu.Unlock()
	p.h.book.note(p, "crashes"+when)
	p.h.count("crashes")
	p.cancel()
}

// stop asks the process to stop.
func (p *Process) stop() {
	p.h.book.note(p, "is asked to stop")
	p.mu.Lock()
	p.asked = time.Now()
	p.mu.Unlock()
	p.cancel()
}

// stoodStill reports whether the process stood still since it was asked to stop.
func (p *Process) stoodStill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resumed.After(p.asked)
}

// A point is a place in the life of a process at which it may crash, or come to stand still.
type point string

// The points, as the reports have them.
const (
	inCall        point = " while a call is under way"
	afterCall     point = " before a call has its answer"
	inWrite       point = " while a write of its lease is under way"
	afterWrite    point = " before a write of its lease has its answer"
	beforeRecords point = " before it hands records over"
	afterRecords  point = " after ProcessRecords has returned"
	inFinish      point = " before Finish"
)

var points = []point{inCall, afterCall, inWrite, afterWrite, beforeRecords, afterRecords, inFinish}

// A fuse waits for a process to reach a point.
type fuse struct {
	at point
	do func(when string)
}

// arm lets do happen at a point.
func (p *Process) arm(at point, do func(when string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fuse = &fuse{at, do}
}

// reach tells that the process is at a point. It waits while the process stands still.
func (p *Process) reach(at point) {
	p.mu.Lock()
	f := p.fuse
	if f != nil && f.at == at {
		p.fuse = nil
	}
	p.mu.Unlock()
	if f != nil && f.at == at {
		f.do(string(at))
	}
	p.gate()
}

// cutOff keeps the process from table and stream for d; what else it does goes on.
func (p *Process) cutOff(d time.Duration) {
	set := func(cut bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cut = cut
	}
	set(true)
	time.AfterFunc(d, func() { set(false); p.h.book.note(p, "reaches table and stream again") })
}

func (p *Process) isCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}

// clock is the time of the process: its timers stand still when it does.
func (p *Process) clock() clock.Clock {
	return clock.Clock{
		AfterFuncFunc: func(d time.Duration, f func()) func() bool {
			return time.AfterFunc(d, func() { p.gate(); f() }).Stop
		},
		Uint64Func: func() uint64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.random.Uint64()
		},
	}
}

// dice are those of the next operation of a kind: they depend on the seed, the process and the operation's number alone,
// not on what other goroutines do meanwhile.
func (p *Process) dice(op, key string) *rand.Rand {
	name := op + "/" + key
	p.mu.Lock()
	p.counters[name]++
	n := p.counters[name]
	p.mu.Unlock()
	return p.h.dice(p.name+"/"+name, n)
}

// configure makes the fleet's parts of a configuration.
func (p *Process) configure(c worker.Config) worker.Config {
	h := p.h
	c.Application, c.WorkerID = "workertest", p.id
	c.Streams, c.StreamsFunc = []worker.Stream{h.stream}, nil
	c.Leases = h.store
	c.Clock = p.clock()
	c.Metrics = metrics.New(metrics.Config{Source: metrics.None}) // how busy this machine is must not matter
	if c.MaxBatchRecords == 0 {
		c.MaxBatchRecords = h.plan.batch
	}
	newProcessor := c.NewProcessor
	if newProcessor != nil {
		c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return p.newSession(ctx, s, newProcessor)
		}
	}
	failed := c.Hooks.Failed
	c.Hooks.Failed = func(s worker.ShardInfo, err error) {
		if !p.dead() {
			h.book.survived(p, s.Shard, err)
		}
		if failed != nil {
			failed(s, err)
		}
	}
	return c
}

// String names the process for people.
func (p *Process) String() string { return p.name }
