package workertest

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

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
