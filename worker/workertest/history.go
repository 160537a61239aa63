package workertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A history is one run: a fleet over one stream and one table, to which happens what the plan says. After that there is
// no more trouble, all shards are split so that each one with records comes to its end, and the fleet stops.
type history struct {
	o     Options
	seed  uint64
	plan  plan
	start func(*Process) worker.Config

	stream   *memstream.Stream
	store    *memory.Store
	book     *book
	trouble  atomic.Bool
	applying chan struct{} // one slot: calls are applied one at a time
	sharing  chan struct{} // one slot: guards shared and closers
	shared   map[reflect.Type]any
	closers  []io.Closer

	live   []*Process // in the order of their starts; the main goroutine's
	all    []*Process
	lives  map[string]int // by worker ID
	put    int            // records so far
	broken bool           // a configuration was refused

	mu     sync.Mutex // guards what follows
	faults map[string]int
	late   int // calls that will be applied later
}

func newHistory(o Options, seed uint64, start func(*Process) worker.Config) *history {
	return &history{
		o: o, seed: seed, plan: newPlan(seed, o.Records), start: start, book: newBook(o, seed), lives: map[string]int{},
		shared: map[reflect.Type]any{}, faults: map[string]int{},
	}
}

func (h *history) failed() bool { return len(h.book.problems) > 0 }

func (h *history) stuck() bool {
	return slices.ContainsFunc(h.book.problems, func(p Problem) bool { return p.Kind == "stuck" })
}

// playIn plays the history in a bubble of its own. A bubble that cannot end, because goroutines are left in it, panics;
// by then they have been reported.
func (h *history) playIn(t *testing.T) {
	t.Helper()
	over := false
	defer func() {
		if v := recover(); v != nil && !(over && h.failed()) {
			if text := fmt.Sprint(v); !strings.Contains(text, "deadlock") {
				panic(v)
			}
			h.book.problem(Problem{Kind: "stuck", Count: 1, Text: "  every goroutine of the history waits for ever, also those that wait for time: " + fmt.Sprint(v)})
		}
	}()
	synctest.Test(t, func(*testing.T) {
		defer func() { over = true }()
		h.applying, h.sharing = make(chan struct{}, 1), make(chan struct{}, 1) // the bubble's own
		h.play()
	})
}

// process is the key of a context's process.
type processKey struct{}

func (h *history) play() {
	h.book.began = time.Now()
	h.stream = memstream.New("stream", h.plan.shards, memstream.Options{PageRecords: h.plan.page, Fault: h.streamCall})
	h.store = memory.New()
	h.store.Fault = h.tableCall
	h.store.Written = h.book.written
	h.trouble.Store(true)
	for range h.plan.workers {
		h.join("")
	}
	for _, s := range h.plan.steps {
		if h.broken {
			break
		}
		time.Sleep(time.Until(h.book.began.Add(s.at)))
		h.step(s)
	}
	time.Sleep(time.Until(h.book.began.Add(h.plan.calm)))
	if !h.broken {
		h.end()
	}
	for _, p := range h.live {
		p.stop()
	}
	for _, p := range h.all {
		<-p.ended
	}
	for h.pending() > 0 {
		time.Sleep(time.Second)
	}
	for _, c := range h.closers {
		if err := c.Close(); err != nil {
			h.book.problem(Problem{Kind: "stuck", Count: 1, Text: fmt.Sprintf("  Close of a shared %T: %v", c, err)})
		}
	}
	if !h.broken {
		h.judge()
	}
}

// quiet is the time that a fleet without trouble gets to come to the end of its shards.
const quiet = 10 * time.Minute

// end lets the fleet come to the end of all shards that have records.
func (h *history) end() {
	h.book.happens("no more trouble from here on")
	h.trouble.Store(false)
	if h.pick(0) == nil {
		h.join("")
	}
	for _, p := range h.live {
		p.arm("", nil)
	}
	shards := h.open()
	for _, s := range shards {
		h.split(s)
	}
	for deadline := time.Now().Add(quiet); !h.book.allEnded() && time.Now().Before(deadline); {
		time.Sleep(500 * time.Millisecond)
	}
}

// join starts a process under an ID, or under a new one.
func (h *history) join(id string) {
	id = cmp.Or(id, fmt.Sprintf("worker-%d", len(h.lives)+1))
	h.lives[id]++
	name := id
	if n := h.lives[id]; n > 1 {
		name = fmt.Sprintf("%s (start %d)", id, n)
	}
	p := &Process{
		h: h, id: id, name: name, died: make(chan struct{}), ended: make(chan struct{}), counters: map[string]uint64{},
		sessions: map[string]*session{}, random: h.dice(name, 0),
	}
	h.book.note(p, "starts")
	w, err := worker.New(p.configure(h.start(p)))
	if err != nil {
		h.book.problem(Problem{Kind: "configuration", Count: 1, Text: "  " + err.Error()})
		h.broken = true
		return
	}
	h.live, h.all = append(h.live, p), append(h.all, p)
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), processKey{}, p))
	p.cancel = cancel
	go func() {
		defer close(p.ended)
		defer cancel()
		h.returned(p, w.Run(ctx))
	}()
}

// returned judges how Run ended.
func (h *history) returned(p *Process, err error) {
	switch {
	case p.dead():
	case errors.Is(err, worker.ErrAbandoned) && p.stoodStill(): // its time went by without it
		h.book.note(p, "ends at once: its time to stop went by while it stood still")
	case errors.Is(err, worker.ErrAbandoned):
		h.book.problem(Problem{Kind: "context ignored", Count: 1, Text: fmt.Sprintf("  %s was asked to stop and ended without a processor that did not return:\n  %v.\n  %s", p, err, adviceContext)})
	case err != nil:
		h.book.problem(Problem{Kind: "stuck", Count: 1, Text: fmt.Sprintf("  Run of %s: %v", p, err)})
	default:
		h.book.note(p, "has stopped")
	}
}

// step does one thing to the fleet.
func (h *history) step(s step) {
	p := h.pick(s.arg)
	switch s.do {
	case doPut:
		h.puts(int(s.arg))
		return
	case doStart:
		h.join("")
		return
	case doSplit:
		if open := h.open(); len(open) < 4 {
			h.split(open[int(s.arg%uint64(len(open)))])
			h.count("splits")
		}
		return
	case doMerge:
		h.merge(s.arg)
		return
	}
	if p == nil {
		return
	}
	switch s.do {
	case doStop, doReplace, doStopAll:
		h.count("stops")
	case doCut:
		h.count("cut-offs")
	}
	switch s.do {
	case doCrash, doCrashQuick:
		h.remove(p)
		p.crash("")
		if s.do == doCrashQuick {
			h.join(p.id)
		}
	case doCrashAt:
		p.arm(points[s.arg>>32%uint64(len(points))], p.crash)
	case doStop, doReplace:
		h.remove(p)
		p.stop()
		if s.do == doReplace {
			h.join("")
		}
	case doStopAll:
		for _, p := range slices.Clone(h.live) {
			h.remove(p)
			p.stop()
		}
	case doPause:
		p.pause(s.d, "")
	case doPauseAt:
		p.arm(points[s.arg>>32%uint64(len(points))], func(when string) { p.pause(s.d, when) })
	case doCut:
		h.book.note(p, fmt.Sprintf("is cut off from table and stream for %v", s.d))
		p.cutOff(s.d)
	}
}

// pick is one of the live processes, nil if there is none.
func (h *history) pick(arg uint64) *Process {
	h.live = slices.DeleteFunc(h.live, (*Process).dead)
	if len(h.live) == 0 {
		return nil
	}
	return h.live[int(arg%uint64(len(h.live)))]
}

func (h *history) remove(p *Process) {
	h.live = slices.DeleteFunc(h.live, func(q *Process) bool { return p == q })
}
