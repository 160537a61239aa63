package workertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
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
	h.book.event0("no more trouble from here on")
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
		name = fmt.Sprintf("%s (%s)", id, ordinal(n))
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

// open are the shards that take records, by their ranges.
func (h *history) open() []record.Shard {
	shards, _, err := h.stream.Shards(context.Background(), record.Latest)
	if err != nil {
		panic("workertest: " + err.Error()) // only processes meet trouble
	}
	slices.SortFunc(shards, func(a, b record.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	return shards
}

func (h *history) split(s record.Shard) {
	at := record.HashKey{Hi: s.Range.Start.Hi/2 + s.Range.End.Hi/2, Lo: 1}
	lower, upper, err := h.stream.Split(s.ID, at)
	if err != nil {
		panic("workertest: " + err.Error())
	}
	h.book.event0(fmt.Sprintf("%s is split into %s and %s", s.ID, lower, upper), s.ID, lower, upper)
}

func (h *history) merge(arg uint64) {
	open := h.open()
	if len(open) < 2 {
		return
	}
	i := int(arg % uint64(len(open)-1))
	child, err := h.stream.Merge(open[i].ID, open[i+1].ID)
	if err != nil {
		panic("workertest: " + err.Error())
	}
	h.count("merges")
	h.book.event0(fmt.Sprintf("%s and %s are merged into %s", open[i].ID, open[i+1].ID, child), open[i].ID, open[i+1].ID, child)
}

// puts stores the next n records.
func (h *history) puts(n int) {
	var group []Record
	var in record.Shard
	for range n {
		r := h.o.Record(h.put)
		h.put++
		r.ID = cmp.Or(r.ID, string(r.Data))
		if !h.o.Aggregated {
			h.store1(r)
			continue
		}
		hash := record.HashOf(r.Key)
		if len(group) > 0 && (len(group) == 6 || !in.Range.Contains(hash)) {
			h.storeGroup(group)
			group = nil
		}
		if len(group) == 0 {
			in = h.open()[slices.IndexFunc(h.open(), func(s record.Shard) bool { return s.Range.Contains(hash) })]
		}
		group = append(group, r)
	}
	h.storeGroup(group)
}

// store1 stores a record as it is.
func (h *history) store1(r Record) {
	shard, seq, err := h.stream.Put(r.Key, r.Data)
	if err != nil {
		h.refuse(err)
		return
	}
	h.book.put(r, shard, record.At(seq, 0))
}

// storeGroup stores records of one shard in an aggregate.
func (h *history) storeGroup(group []Record) {
	if len(group) < 2 {
		for _, r := range group {
			h.store1(r)
		}
		return
	}
	var a record.Aggregate
	for _, r := range group {
		a.Add(&record.Record{PartitionKey: r.Key, Data: r.Data})
	}
	h.count("aggregates")
	shard, seq, err := h.stream.PutTo(record.HashOf(group[0].Key), group[0].Key, a.Encode())
	if err != nil {
		h.refuse(err)
		return
	}
	for i, r := range group {
		h.book.put(r, shard, record.At(seq, uint64(i)))
	}
}

func (h *history) refuse(err error) {
	h.book.problem(Problem{Kind: "records", Count: 1, Text: "  " + err.Error()})
	h.broken = true
}

// tableCall and streamCall are what calls of table and stream meet.
func (h *history) tableCall(ctx context.Context, op, key string) (apply bool, err error) {
	p, _ := ctx.Value(processKey{}).(*Process)
	if p == nil {
		return true, nil
	}
	p.gate()
	if op == memory.OpRenew {
		p.reach(inWrite)
		defer func() {
			if err == nil {
				p.reach(afterWrite)
			}
		}()
	}
	dice := p.dice(op, key)
	d := time.Duration(1+dice.IntN(10)) * time.Millisecond
	trouble := h.trouble.Load()
	if trouble && h.plan.slowTable && dice.IntN(30) == 0 {
		h.count("slow table calls")
		d = time.Duration(dice.IntN(6000)) * time.Millisecond
	}
	if err := p.wait(ctx, d); err != nil {
		return dice.IntN(2) == 0, err // the request was on its way
	}
	switch {
	case p.isCut():
		return false, errCut
	case trouble && h.plan.brokenTable && dice.IntN(15) == 0:
		if apply := dice.IntN(3) > 0; apply {
			h.count("lost answers of the table")
			return true, errNoAnswer
		}
		h.count("failed table calls")
		return false, lease.ErrThrottled
	}
	return true, nil
}

func (h *history) streamCall(ctx context.Context, c memstream.Call) error {
	p, _ := ctx.Value(processKey{}).(*Process)
	if p == nil {
		return nil
	}
	p.gate()
	dice := p.dice(c.Op, c.Shard)
	if err := p.wait(ctx, time.Duration(1+dice.IntN(20))*time.Millisecond); err != nil {
		return err
	}
	switch {
	case p.isCut():
		return errCut
	case h.trouble.Load() && h.plan.brokenStream && dice.IntN(15) == 0:
		h.count("failed reads")
		if dice.IntN(2) == 0 {
			return worker.ErrThrottled
		}
		return errNoAnswer
	}
	return nil
}

// apply runs what a call does.
func (h *history) apply(p *Process, begun time.Time, late bool, apply func() []string) {
	h.applying <- struct{}{}
	defer func() { <-h.applying }()
	h.book.effects(p, begun, late, apply())
}

// perhapsLater is for a call whose caller has gone, or was told that the connection broke: it arrives later, or never.
func (h *history) perhapsLater(p *Process, dice *rand.Rand, begun time.Time, apply func() []string) {
	if !h.plan.lateRequests || !h.trouble.Load() || dice.IntN(3) == 0 {
		return
	}
	h.mu.Lock()
	h.late++
	h.mu.Unlock()
	h.count("requests that arrived late")
	time.AfterFunc(time.Duration(1+dice.IntN(8000))*time.Millisecond, func() {
		h.apply(p, begun, true, apply)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.late--
	})
}

// pending is how many requests are still to arrive.
func (h *history) pending() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late
}

// count counts a fault.
func (h *history) count(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults[name]++
}

func (h *history) counts() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.faults)
}
