package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A dice is a random source that several goroutines use.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

// oneIn is true once in n times.
func (d *dice) oneIn(n int) bool { return d.n(n) == 0 }

// A history is a fleet in which everything goes wrong at random for a while.
type history struct {
	*fleet
	dice    *dice
	trouble atomic.Bool // table, stream and processors fail now and then
	members []*member
	started int
}

var errTrouble = errors.New("trouble")

// upset makes calls of table and stream slow, refused, or without an answer.
func (h *history) upset(ctx context.Context) (apply bool, err error) {
	wait := time.Duration(h.dice.n(20)) * time.Millisecond
	if h.trouble.Load() && h.dice.oneIn(40) {
		wait = time.Duration(h.dice.n(8)) * time.Second
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return h.dice.oneIn(2), context.Cause(ctx)
	}
	if h.trouble.Load() && h.dice.oneIn(15) {
		return h.dice.oneIn(2), errTrouble
	}
	return true, nil
}

// process is a processor of one of several habits that fails now and then.
func (h *history) process(name string) func(*worker.Config) {
	return func(c *worker.Config) {
		c.MaxBatchRecords = 1 + h.dice.n(30)
		c.MaxLeases = h.dice.n(2) * 4
		c.NewProcessor = func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			if h.trouble.Load() && h.dice.oneIn(20) {
				return nil, errTrouble
			}
			return &habit{h: h, member: name, shard: s, tenure: h.log.tenure(), kind: h.dice.n(4)}, nil
		}
	}
}

type habit struct {
	h      *history
	member string
	shard  *worker.Shard
	tenure int
	kind   int
	done   record.Position // logged up to here
	buffer *worker.Batch
}

func (p *habit) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	for i, r := range b.Records {
		if p.h.trouble.Load() {
			switch p.h.dice.n(300) {
			case 0:
				return errTrouble
			case 1:
				panic(errTrouble)
			case 2:
				time.Sleep(time.Duration(p.h.dice.n(15)) * time.Second) // does not look at its context
			}
		}
		if r.Position().Compare(p.done) > 0 { // it may come again after an error
			p.h.log.add(p.member, p.tenure, p.shard.ID, b.Records[i:i+1])
			p.done = r.Position()
		}
		if p.kind == 0 {
			if err := p.shard.Checkpoint(ctx, r.Position()); err != nil {
				return err
			}
		}
	}
	switch p.kind {
	case 1:
		return b.Checkpoint(ctx)
	case 2:
		p.shard.Mark(b.Last())
	case 3: // late, and from another goroutine
		last := b.Last()
		p.shard.Go(func(ctx context.Context) error {
			time.Sleep(time.Duration(p.h.dice.n(3)) * time.Second)
			p.shard.Mark(last)
			return nil
		})
	}
	p.buffer = b
	return nil
}

func (p *habit) Finish(ctx context.Context, reason worker.FinishReason) error {
	if p.h.trouble.Load() && p.h.dice.oneIn(5) {
		return errTrouble
	}
	if reason == worker.Moving && p.buffer != nil && p.kind != 0 {
		return p.buffer.Checkpoint(ctx)
	}
	return nil
}

// join starts a worker.
func (h *history) join() {
	h.started++
	name := fmt.Sprintf("w%d", h.started)
	h.members = append(h.members, h.start(name, config(startAt(record.Latest), h.process(name))))
}

// leave takes one worker out.
func (h *history) leave() *member {
	i := h.dice.n(len(h.members))
	m := h.members[i]
	h.members = slices.Delete(h.members, i, i+1)
	return m
}

// act does one random thing to the fleet.
func (h *history) act() {
	switch h.dice.n(24) {
	case 0:
		if len(h.members) < 5 {
			h.join()
		}
	case 1:
		if len(h.members) > 1 {
			h.leave().crash()
		}
	case 2:
		if len(h.members) > 1 {
			if err, took := h.leave().halt(); took > 20*time.Second || err != nil && !errors.Is(err, worker.ErrAbandoned) {
				h.t.Errorf("Run = %v after %v", err, took)
			}
		}
	case 3: // cut off for a while
		m := h.members[h.dice.n(len(h.members))]
		m.link.cut.Store(true)
		time.AfterFunc(time.Duration(h.dice.n(25))*time.Second, func() { m.link.cut.Store(false) })
	case 4, 5:
		h.reshard()
	}
	for range h.dice.n(8) {
		shard, seq, err := h.stream.Put(fmt.Sprintf("key-%d", h.dice.n(1<<30)), []byte("data"))
		if err != nil {
			h.t.Fatal(err)
		}
		h.log.noted(shard, seq)
	}
	pass(time.Duration(h.dice.n(1500)) * time.Millisecond)
}

// reshard splits a shard or merges two.
func (h *history) reshard() {
	all, _, err := h.stream.Shards(context.Background(), record.Latest)
	if err != nil {
		return // the trouble is the stream's, too
	}
	slices.SortFunc(all, func(a, b record.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	i := h.dice.n(len(all))
	switch {
	case len(all) < 4:
		r := all[i].Range
		_, _, err = h.stream.Split(all[i].ID, record.HashKey{Hi: r.Start.Hi/2 + r.End.Hi/2, Lo: 1})
	case i > 0:
		_, err = h.stream.Merge(all[i-1].ID, all[i].ID)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestNothingIsLostOrOutOfOrderInRandomHistories(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { run(t, seed) })
		})
	}
}

func run(t *testing.T, seed uint64) {
	h := &history{dice: &dice{r: rand.New(rand.NewPCG(seed, 1))}}
	h.fleet = newFleet(t, 1+h.dice.n(3), memstream.Options{PageRecords: 20, Fault: func(ctx context.Context, _ memstream.Call) error {
		_, err := h.upset(ctx)
		return err
	}})
	h.store.Fault = func(ctx context.Context, _, _ string) (bool, error) { return h.upset(ctx) }
	h.stream.Put("old", nil)
	pass(3 * time.Second)
	h.join()
	h.until("the first listing", time.Minute, func() bool { return len(h.members[0].Status().Shards) > 0 })
	h.trouble.Store(true)
	for range 120 {
		h.act()
	}
	h.trouble.Store(false)
	h.join()
	h.all(3 * time.Minute)
	stop(t, h.members...)
	h.verify()
	h.parentsFirst()
	h.nothingElse()
}
