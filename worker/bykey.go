package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/record"
)

// How far ByKey runs ahead of the lowest unfinished record: so many records for each of its ways; and so many bytes of
// records may be unfinished when it asks for the next batch.
const (
	windowPerWay = 16
	carriedBytes = 1 << 20
)

// ByKey makes a Config.NewProcessor out of one function for single records, with up to n calls at once for a shard, n
// from 1 to 10,000: records of one partition key one after the other, in their order, those of different keys at once.
// It is for handlers that wait, for a database or another service.
//
// It marks what is done by itself (Shard.Mark): the checkpoint stays at the lowest record that is not done, and at most
// 16n records are begun behind that one. After a crash those come again, in the order of each key.
//
// When handle returns an error the record comes again with back-off, and after Retry.Attempts of them goes to the
// dead-letter function, as Config.Retry says; meanwhile its key waits and other keys go on within the 16n. After a panic,
// or an error that wraps ErrRestart, the shard starts anew from its checkpoint. A clean stop finishes what was begun,
// and what lies before that, so that nothing comes twice; only records that keep failing, and those of their keys, are left
// to the next owner.
func ByKey(n int, handle func(ctx context.Context, s *Shard, r record.Record) error) func(context.Context, *Shard) (RecordProcessor, error) {
	return func(_ context.Context, s *Shard) (RecordProcessor, error) {
		if n < 1 || n > 10_000 {
			return nil, fmt.Errorf("worker.ByKey: n is %d; want 1 to 10000", n)
		}
		return &byKey{shard: s, ways: n, handle: handle, keys: map[string]*keyLine{}}, nil
	}
}

// byKey is the processor of ByKey. Records come in at pending, in their order; those within the window stand in unfinished,
// and in the line of their key. Its goroutines are the session's (Shard.Go), at most one for each way that has
// something to do, besides those that wait to try a record again.
type byKey struct {
	shard  *Shard
	ways   int
	handle func(context.Context, *Shard, record.Record) error

	changed event // when a wait may be over

	mu         sync.Mutex // guards what follows
	pending    []record.Record
	unfinished line // in the order of the shard, from the lowest that is not done
	bytes      int  // of the records in it that are not done
	keys       map[string]*keyLine
	ready      keyFIFO // keys that have something to do and nobody who does it
	running    int     // goroutines, without those that wait to try again
	retrying   int     // goroutines that wait to try again
	begun      uint64  // the number of the newest record that was begun
	numbers    uint64
	stopping   bool // nothing behind begun is begun any more
	stuck      bool // a record has failed more than once since the last batch
}

// An item is one record in the window.
type item struct {
	record.Record
	number   uint64
	attempts int
	done     bool
}

// A line is items in their order.
type line struct {
	items []*item
	head  int
}

func (l *line) len() int     { return len(l.items) - l.head }
func (l *line) first() *item { return l.items[l.head] }
func (l *line) push(i *item) { l.items = append(l.items, i) }
func (l *line) pop() {
	l.items[l.head] = nil
	if l.head++; l.head == len(l.items) {
		l.items, l.head = l.items[:0], 0
	} else if l.head > 64 && l.head > len(l.items)/2 {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
}

// A keyLine is the records of one key that are not done. The first may be under way.
type keyLine struct {
	line
	key  string
	next *keyLine // in keyFIFO
}

// A keyFIFO is a queue of keys.
type keyFIFO struct{ first, last *keyLine }

func (q *keyFIFO) push(k *keyLine) {
	if k.next = nil; q.first == nil {
		q.first = k
	} else {
		q.last.next = k
	}
	q.last = k
}

func (q *keyFIFO) pop() *keyLine {
	k := q.first
	if k != nil {
		q.first = k.next
	}
	return k
}

// ProcessRecords takes the batch in. It returns when all of it is within the window and little else is unfinished, so that
// the next batch can follow; or, with the rest pending, when the shard is to move.
func (p *byKey) ProcessRecords(ctx context.Context, b *Batch) error {
	p.mu.Lock()
	p.pending, p.stuck = append(p.pending[:len(p.pending):len(p.pending)], b.Records...), false
	p.feed()
	p.hire(0)
	p.mu.Unlock()
	for {
		changed := p.changed.wait()
		p.mu.Lock()
		taken, stuck := len(p.pending) == 0 && p.bytes <= carriedBytes, p.stuck
		p.mu.Unlock()
		if taken {
			return nil
		}
		if stuck {
			p.giveBack()
		}
		select {
		case <-changed:
		case <-p.shard.t.moving:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// giveBack returns the share of the memory budget that the batch's page has, as a shard does whose processor keeps
// failing.
func (p *byKey) giveBack() {
	s := p.shard.session
	if s.page != nil {
		s.page.giveBack()
		s.fetcher.giveBack()
	}
}

// Finish waits for what was handed over, at the shard's end for all of it. The end of the tenure stores the mark.
func (p *byKey) Finish(ctx context.Context, reason FinishReason) error {
	var moving <-chan struct{}
	if reason == ShardEnd {
		moving = p.shard.t.moving
	} else {
		p.mu.Lock()
		p.stopping, p.pending = true, nil
		p.mu.Unlock()
	}
	for {
		changed := p.changed.wait()
		p.mu.Lock()
		left, busy := p.unfinished.len()+len(p.pending), p.running+p.retrying
		p.mu.Unlock()
		if left == 0 || reason == Moving && busy == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-moving:
			return errMoving
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// feed lets pending records into the window.
func (p *byKey) feed() {
	room := windowPerWay*p.ways - p.unfinished.len()
	for ; room > 0 && len(p.pending) > 0; room-- {
		p.numbers++
		i := &item{Record: p.pending[0], number: p.numbers}
		p.pending = p.pending[1:]
		p.unfinished.push(i)
		p.bytes += i.Size()
		k := p.keys[i.PartitionKey]
		if k == nil {
			k = &keyLine{key: i.PartitionKey}
			p.keys[k.key] = k
		}
		if k.push(i); k.len() == 1 {
			p.ready.push(k)
		}
	}
}

// hire starts goroutines for the ready keys, but for as many as others will take at once, up to the number of ways.
func (p *byKey) hire(others int) {
	wanted := -others
	for k := p.ready.first; k != nil && p.running+wanted < p.ways; k = k.next {
		wanted++
	}
	for range wanted {
		p.running++
		p.shard.Go(p.work)
	}
}

// work processes records of ready keys until there are none.
func (p *byKey) work(ctx context.Context) error {
	for {
		p.mu.Lock()
		k := p.take()
		if k == nil {
			p.running--
			p.mu.Unlock()
			p.changed.broadcast()
			return nil
		}
		i := k.first()
		i.attempts++
		p.mu.Unlock()
		err := p.process(ctx, i)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case err == nil:
			p.finished(k, i)
		case errors.Is(err, ErrRestart) || errors.Is(err, errPanic) || errors.Is(err, ErrAbandoned):
			return err
		case !p.rest(ctx, k, i):
			return nil
		}
	}
}

// take is the next key with something to do, nil if there is none or this goroutine is one too many.
func (p *byKey) take() *keyLine {
	for p.running <= p.ways {
		k := p.ready.pop()
		if k == nil {
			return nil
		}
		if n := k.first().number; !p.stopping || n <= p.begun {
			p.begun = max(p.begun, n)
			return k
		}
	}
	return nil
}

// process makes one attempt at a record, and gives it to the dead-letter function if that was the last one.
func (p *byKey) process(ctx context.Context, i *item) error {
	t := p.shard.t
	if err := t.trusted(ctx); err != nil {
		return err
	}
	if most := t.w.cfg.ProcessTimeout; most > 0 {
		started := t.w.clock.Now()
		stop := t.w.clock.AfterFunc(most, func() { t.slow("ByKey", t.w.clock.Since(started)) })
		defer stop()
	}
	err := p.handle(ctx, p.shard, i.Record)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrRestart) {
		return err
	}
	t.fail(fmt.Errorf("ByKey, attempt %d: %w", i.attempts, err))
	policy := t.w.cfg.Retry
	if policy.Attempts == 0 || i.attempts < policy.Attempts {
		return err
	}
	if dead := policy.DeadLetter(ctx, p.shard, i.Record, err); dead != nil {
		if ctx.Err() == nil {
			t.fail(fmt.Errorf("dead letter: %w", dead))
		}
		return err
	}
	t.log().Error("record given to the dead-letter function", zap.Stringer("position", i.Position()), zap.Error(brief(err)))
	return nil
}

// finished notes that a record is done, and marks what is done from the lowest on.
func (p *byKey) finished(k *keyLine, i *item) {
	p.mu.Lock()
	i.done = true
	p.bytes -= i.Size()
	if k.pop(); k.len() > 0 {
		p.ready.push(k)
	} else {
		delete(p.keys, k.key)
	}
	var done record.Position
	for p.unfinished.len() > 0 && p.unfinished.first().done {
		done = p.unfinished.first().Position()
		p.unfinished.pop()
	}
	if mutant.Planted(mutant.HighestKeyDone) {
		done = i.Position()
	}
	if !done.IsZero() {
		p.feed()
		p.hire(1)
	}
	tell := len(p.pending) == 0 && p.bytes <= carriedBytes || p.unfinished.len() == 0
	p.mu.Unlock()
	if !done.IsZero() {
		p.shard.Mark(done)
	}
	if tell {
		p.changed.broadcast()
	}
}

// rest waits before a record that failed is tried again, and lets others work meanwhile. It returns false if there will be
// no other attempt by this goroutine.
func (p *byKey) rest(ctx context.Context, k *keyLine, i *item) bool {
	t, policy := p.shard.t, p.shard.t.w.cfg.Retry
	p.mu.Lock()
	p.running--
	p.retrying++
	p.stuck = p.stuck || i.attempts > 1
	p.hire(0)
	p.mu.Unlock()
	p.changed.broadcast()
	err := t.pause(ctx, t.w.clock.Backoff(i.attempts, policy.MinBackoff, policy.MaxBackoff))
	p.mu.Lock()
	p.retrying--
	if err == nil {
		p.ready.push(k)
		p.running++ // take sends this one home if it is one too many
	}
	p.mu.Unlock()
	if err != nil { // the shard moves: the record, and those of its key, are the next owner's
		p.changed.broadcast()
	}
	return err == nil
}
