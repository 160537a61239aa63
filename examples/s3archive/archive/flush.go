package archive

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/checkpoint"
	"github.com/shoal-stream/shoal/record"
)

// flushes is the flusher: it cuts when an object is full, old, or asked for, makes the objects of all outputs, and
// checkpoints. The objects of one output are made one after the other, because the end of each decides on the name of
// the next.
func (p *processor) flushes(ctx context.Context) (err error) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = errFinished
		if err != nil {
			p.ended = err
		}
		p.changed()
		p.holder.close()
		if p.spool != nil {
			p.spool.close()
		}
	}()
	for {
		asked, err := p.due(ctx)
		if err != nil {
			return err
		}
		began := p.clock().Now()
		if err := p.objects(ctx, began); err != nil {
			return err
		}
		if err := p.checkpoint(ctx); err != nil {
			return err
		}
		p.mu.Lock()
		p.served = asked
		p.changed()
		p.mu.Unlock()
	}
}

// changed wakes those who await. The lock is held.
func (p *processor) changed() {
	close(p.change)
	p.change = make(chan struct{})
}

// due waits for the moment to cut and cuts. It returns how many cuts had been asked for.
func (p *processor) due(ctx context.Context) (asked int, err error) {
	for {
		asked, wait, cut := p.tryCut()
		if cut {
			return asked, nil
		}
		timer := p.clock().NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0, context.Cause(ctx)
		case <-p.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// idle is how long the flusher waits when nothing is there to become due.
const idle = time.Hour

// tryCut cuts if it is time, and else says how long that may take.
func (p *processor) tryCut() (asked int, wait time.Duration, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait = idle
	if !p.since.IsZero() {
		wait = p.a.cfg.MaxAge - p.clock().Since(p.since)
	}
	if p.asked == p.served && wait > 0 {
		return 0, wait, false
	}
	p.book.cut(p.tail)
	// What stays open is the part of an aggregate that is not known to be whole.
	p.open, p.total = map[string]*volume{}, volume{}
	for name, c := range p.book.chains {
		for _, e := range c.open {
			v := p.open[name]
			if v == nil {
				v = &volume{}
				p.open[name] = v
			}
			v.records++
			v.bytes += int64(e.value.size)
			p.total.records++
			p.total.bytes += int64(e.value.size)
		}
	}
	p.holder.fix(p.total.bytes)
	p.since = time.Time{}
	if p.book.seen.Compare(p.book.cutAt) > 0 {
		p.since = p.clock().Now()
	}
	return p.asked, 0, true
}

// objects makes the objects of all outputs that were cut.
func (p *processor) objects(ctx context.Context, cut time.Time) error {
	p.mu.Lock()
	flying := p.book.flying()
	p.mu.Unlock()
	errs := make([]error, len(flying))
	var wg sync.WaitGroup
	for i, name := range flying {
		wg.Go(func() {
			select {
			case p.a.uploads <- struct{}{}:
				defer func() { <-p.a.uploads }()
				errs[i] = p.output(ctx, name, cut)
			case <-ctx.Done():
				errs[i] = context.Cause(ctx)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// output makes objects of one output until all its records that were cut are in one. That takes more than one when the
// object that is there already ends before ours would.
func (p *processor) output(ctx context.Context, name string, cut time.Time) error {
	for {
		p.mu.Lock()
		flying := slices.Clone(p.book.chains[name].flying)
		p.mu.Unlock()
		if len(flying) == 0 {
			return nil
		}
		end, err := p.object(ctx, flying, cut)
		if err != nil {
			return err
		}
		p.mu.Lock()
		done := p.book.settle(name, end)
		for _, e := range done[min(len(done), len(flying)):] { // those that were open: a cut has not taken them in yet
			for _, v := range []*volume{p.open[name], &p.total} {
				v.records--
				v.bytes -= int64(e.value.size)
			}
		}
		p.mu.Unlock()
		for _, e := range done {
			p.release(e.value)
		}
	}
}

// checkpoint stores the checkpoint that the objects allow.
func (p *processor) checkpoint(ctx context.Context) error {
	p.mu.Lock()
	at, ok := p.book.checkpoint()
	p.mu.Unlock()
	if !ok {
		return nil
	}
	err := p.shard.Checkpoint(ctx, at)
	if errors.Is(err, checkpoint.ErrRange) {
		// A batch of which records are in objects has failed since. It comes again; so does the checkpoint.
		p.log().Info("checkpoint waits for a batch to come again", zap.Error(err))
		return nil
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.book.store(at)
	return nil
}

// positions gives the ends of some entries.
func positions(entries []entry[item]) (first, last record.Position) {
	return entries[0].at, entries[len(entries)-1].at
}
