package archive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A processor archives one shard for one tenure. ProcessRecords puts records into the book; the flusher, one goroutine
// beside it, cuts the book, makes the objects, and checkpoints.
type processor struct {
	a      *Archiver
	shard  *worker.Shard
	holder *holder
	spool  *spool // nil: in memory
	// alarmed is when the log last warned of a lag; ProcessRecords has it.
	alarmed time.Time

	wake chan struct{} // tells the flusher to look again; holds one token

	mu   sync.Mutex // held around memory only
	book *book[item]
	// open counts what waits for a cut, by output and in all.
	open  map[string]*volume
	total volume
	// since is when the oldest record that no cut has taken in was read; zero if there is none.
	since time.Time
	// tail is the last record of a Kinesis record that is known to be whole: an aggregate may come in parts.
	tail record.Position
	// asked and served count the cuts that somebody waits for.
	asked, served int
	change        chan struct{} // closed and replaced when served moves or the flusher ends
	ended         error         // why the flusher has ended, nil while it runs
}

// An item is what the book keeps of a record.
type item struct {
	out     *output
	arrival time.Time
	content []byte // nil while it is in the spool
	place   place
	size    int // of the data as it came
}

// A volume counts records.
type volume struct {
	records int
	bytes   int64
}

var errFinished = errors.New("the tenure is over")

func newProcessor(a *Archiver, s *worker.Shard) *processor {
	p := &processor{
		a: a, shard: s, wake: make(chan struct{}, 1), change: make(chan struct{}),
		book: newBook[item](s.Start), open: map[string]*volume{}, tail: s.Start,
	}
	if a.cfg.SpoolDir != "" {
		p.spool = newSpool(a.cfg.SpoolDir, a.write)
	}
	p.holder = a.budget.join(func() { p.ask() })
	s.Go(p.flushes)
	return p
}

func (p *processor) clock() clock.Clock { return p.a.cfg.Clock }

// ProcessRecords takes in the records behind those it had before. It bears a batch that it has half taken in.
func (p *processor) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	if len(b.Records) == 0 {
		p.whole()
		return nil
	}
	p.alarm(b)
	for i := range b.Records {
		r := &b.Records[i]
		if r.Position().Compare(p.seen()) <= 0 {
			continue
		}
		if err := p.record(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// alarmEvery is how often the log warns of a lag.
const alarmEvery = 30 * time.Second

// alarm tells that reading is far behind.
func (p *processor) alarm(b *worker.Batch) {
	now := p.clock().Now()
	if b.Behind < p.a.cfg.LagAlarm || now.Sub(p.alarmed) < alarmEvery {
		return
	}
	p.alarmed = now
	p.log().Warn("the archive is behind", zap.Duration("behind", b.Behind))
	if f := p.a.cfg.Hooks.Lagging; f != nil {
		f(p.shard.ID, b.Behind)
	}
}

// seen is the last record that was taken in.
func (p *processor) seen() record.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.book.seen
}

// record takes in one record.
func (p *processor) record(ctx context.Context, r *record.Record) error {
	to, err := p.a.route(ctx, p.shard.ID, r)
	if err != nil {
		return err
	}
	size := max(r.Size(), len(to.content))
	begins := p.begins(r)
	if to.out != nil {
		// Within a Kinesis record there is no cut, however full an object is.
		if err := p.room(ctx, to.out, int64(size), begins); err != nil {
			return err
		}
	}
	it := item{out: to.out, arrival: r.ArrivalTime, content: to.content, size: size}
	if to.out != nil && p.spool != nil {
		if it.place, err = p.spool.put(to.content); err != nil {
			p.holder.give(int64(size))
			p.ask() // what is there already makes room
			return err
		}
		it.content = nil
	}
	if !p.add(r, it) {
		p.release(it)
	}
	hooks := &p.a.cfg.Hooks
	switch {
	case to.out == nil && hooks.Dropped != nil:
		hooks.Dropped(p.shard.ID)
	case to.cause != nil && hooks.Failed != nil:
		hooks.Failed(p.shard.ID, to.out.errorType, to.cause)
	}
	return nil
}

// begins reports whether r begins another Kinesis record than the one before it. Then all those before are whole.
func (p *processor) begins(r *record.Record) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Aggregated && r.SequenceNumber == p.book.seen.Sequence() {
		return false
	}
	p.tail = p.book.seen
	return true
}

// add notes the record in the book; false if an object has it already.
func (p *processor) add(r *record.Record, it item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := r.Position()
	defer func() {
		if !r.Aggregated {
			p.tail = at
		}
	}()
	if p.since.IsZero() {
		p.since = p.clock().Now()
		p.poke()
	}
	if it.out == nil {
		p.book.pass(at)
		return true
	}
	if !p.book.add(it.out.name, at, it) {
		return false
	}
	v := p.open[it.out.name]
	if v == nil {
		v = &volume{}
		p.open[it.out.name] = v
	}
	for _, v := range []*volume{v, &p.total} {
		v.records++
		v.bytes += int64(it.size)
	}
	return true
}

// release gives back what an item holds.
func (p *processor) release(it item) {
	if it.out == nil {
		return
	}
	p.holder.give(int64(it.size))
	if p.spool != nil {
		p.spool.free(it.place)
	}
}

// room waits until a record of size bytes may be taken in for out. When the output's object is full and may be cut, that
// is once the objects before have been made and this one is cut: so at most two objects of an output are in memory.
func (p *processor) room(ctx context.Context, out *output, size int64, cuttable bool) error {
	for cuttable && p.full(out, size) {
		if err := p.await(ctx, p.ask()); err != nil {
			return err
		}
	}
	return p.holder.take(ctx, size, func() {
		if f := p.a.cfg.Hooks.Full; f != nil {
			f(p.shard.ID)
		}
	})
}

// full reports whether the object that is open has no room for size bytes more.
func (p *processor) full(out *output, size int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	cfg, v := &p.a.cfg, p.open[out.name]
	if v == nil {
		return len(p.open) >= cfg.MaxOutputs
	}
	return v.records >= cfg.MaxRecords || v.bytes+size > cfg.MaxBytes
}

// whole notes that nothing more of the last record will come.
func (p *processor) whole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = p.book.seen
}

// Finish puts everything that was read into objects. At the end of a shard nothing may remain; when the shard moves, the
// next owner begins behind the last checkpoint and finds the objects behind it.
func (p *processor) Finish(ctx context.Context, reason worker.FinishReason) error {
	if reason == worker.ShardEnd {
		p.whole()
	}
	if err := p.await(ctx, p.ask()); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if reason == worker.ShardEnd && p.book.behind() {
		return fmt.Errorf("shard %s has ended, and its checkpoint stands at %v before the last record %v", p.shard.ID, p.book.stored, p.book.seen)
	}
	return nil
}

// ask asks for a cut as soon as possible and returns the number to wait for.
func (p *processor) ask() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	p.poke()
	return p.asked
}

// poke lets the flusher look again.
func (p *processor) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// await waits until the cut number n and the objects that it ended are done with.
func (p *processor) await(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		served, ended, change := p.served, p.ended, p.change
		p.mu.Unlock()
		switch {
		case served >= n:
			return nil
		case ended != nil:
			return ended
		}
		select {
		case <-change:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// log is the processor's logger.
func (p *processor) log() *zap.Logger {
	return p.a.cfg.Logger.With(zap.String("stream", p.shard.Stream), zap.String("shard", p.shard.ID))
}
