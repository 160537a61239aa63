package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/record"
)

// Pauses after reads that failed, doubling in between.
const (
	minReadBackoff = 200 * time.Millisecond
	maxReadBackoff = 10 * time.Second
)

// readsAtOnce bounds the reads with a deadline that a worker has under way at a time, so that a worker of a thousand
// shards does not drown its own renewals, nor a small service.
const readsAtOnce = 64

// firstReadBytes is what a reader reserves of the memory budget before it knows how large the shard's pages are.
const firstReadBytes = 256 << 10

// A fetched page is one that the fetcher hands to the session, with its share of the memory budget. One goroutine has it
// at a time, but that a processor left behind may still give its share back.
type fetched struct {
	record.Page
	budget *budget
	bytes  atomic.Int64
}

// giveBack returns the page's share of the budget, once: when it is processed or given up, or when its processor keeps
// failing, so that a few shards that are stuck do not take the budget from all others.
func (f *fetched) giveBack() {
	f.budget.release(f.bytes.Swap(0))
}

// A fetcher reads one shard ahead of its session: one page waits while another is processed. It paces its reads, backs
// off after errors, and never skips: a reader goes on where its last page ended.
type fetcher struct {
	s      *session
	reader Reader
	pace   Pace
	pacer  *pacer
	expect int64 // bytes that the next page is likely to have
	warned bool  // that the shard is far behind
}

func newFetcher(s *session) *fetcher {
	pace := s.t.stream.Pace()
	return &fetcher{
		s: s, reader: s.t.stream.Open(s.t.shardID, s.shard.Start), pace: pace,
		pacer: newPacer(pace.PerSecond), expect: firstReadBytes,
	}
}

// run reads until the shard's last page was handed over or ctx ends.
func (f *fetcher) run(ctx context.Context) {
	defer f.reader.Close()
	for ctx.Err() == nil {
		held, err := f.s.t.w.budget.acquire(ctx, f.expect)
		if err != nil {
			return
		}
		page, err := f.read(ctx)
		if err != nil {
			f.s.t.w.budget.release(held)
			return
		}
		bytes := int64(0)
		for i := range page.Records {
			bytes += int64(page.Records[i].Size())
		}
		f.s.t.w.budget.settle(held, bytes)
		f.expect = max(bytes, f.expect/2, 1<<10)
		f.s.t.lag.fetched(pageLag{behind: page.Behind, read: f.s.t.w.clock.Now(), records: len(page.Records)})
		f.warn(page.Behind)
		full := &fetched{Page: page, budget: f.s.t.w.budget}
		full.bytes.Store(bytes)
		if !f.hand(ctx, full) || page.End {
			return
		}
		if page.Behind == 0 && f.s.t.w.clock.Sleep(ctx, f.pace.Idle) != nil {
			return
		}
	}
}

// hand waits until the session takes the page; it returns false if ctx has ended first.
func (f *fetcher) hand(ctx context.Context, page *fetched) bool {
	for {
		stuck := f.s.stuck.wait()
		select {
		case f.s.pages <- page:
			return true
		case <-stuck:
			page.giveBack()
		case <-ctx.Done():
			page.giveBack()
			return false
		}
	}
}

// read makes reads until one succeeds or ctx ends.
func (f *fetcher) read(ctx context.Context) (record.Page, error) {
	clock := f.s.t.w.clock
	for failed := 0; ; {
		if err := clock.Sleep(ctx, f.pacer.wait(clock.Now())); err != nil {
			return record.Page{}, err
		}
		f.pacer.begin(clock.Now())
		page, err := f.once(ctx)
		if errors.Is(err, ErrShardGone) {
			page, err = f.gone(ctx)
		}
		if err == nil {
			mutant.Spend(-1)
			return page, nil
		}
		if ctx.Err() != nil {
			return record.Page{}, context.Cause(ctx)
		}
		mutant.Spend(5)
		if mutant.Planted(mutant.ReopensAtLatest) {
			f.reader.Close()
			f.reader = f.s.t.stream.Open(f.s.t.shardID, record.Latest)
		}
		failed++
		f.s.t.survive(fmt.Errorf("read, attempt %d: %w", failed, err))
		if err := clock.Sleep(ctx, clock.Backoff(failed, minReadBackoff, maxReadBackoff)); err != nil {
			return record.Page{}, err
		}
	}
}

// once makes one read. One that has a deadline takes one of the worker's places for reads meanwhile.
func (f *fetcher) once(ctx context.Context) (record.Page, error) {
	if f.pace.Timeout > 0 {
		select {
		case f.s.t.w.reading <- struct{}{}:
			defer func() { <-f.s.t.w.reading }()
		case <-ctx.Done():
			return record.Page{}, context.Cause(ctx)
		}
		var cancel context.CancelFunc
		ctx, cancel = f.s.t.w.clock.WithTimeout(ctx, f.pace.Timeout, errRead)
		defer cancel()
	}
	return f.reader.Read(ctx)
}

// gone is the last page of a shard that does not exist any more because its records have expired: empty, with the
// children that the stream still lists.
func (f *fetcher) gone(ctx context.Context) (record.Page, error) {
	shards, _, err := f.s.t.stream.Shards(ctx, record.Position{})
	if err != nil {
		return record.Page{}, fmt.Errorf("list the children of a shard that has expired: %w", err)
	}
	page := record.Page{End: true}
	for _, shard := range shards {
		if shard.ID == f.s.t.shardID {
			return record.Page{}, fmt.Errorf("the stream still lists the shard: %w", ErrShardGone)
		}
		if slices.Contains(shard.Parents, f.s.t.shardID) {
			page.Children = append(page.Children, shard)
		}
	}
	return page, nil
}

// warn tells once when the shard's lag has passed half of the stream's retention: records are about to be lost.
func (f *fetcher) warn(behind time.Duration) {
	retention := f.s.t.stream.identity.Retention
	late := retention > 0 && behind > retention/2
	if late && !f.warned {
		f.s.t.survive(fmt.Errorf("shard is %v behind, more than half of the stream's retention of %v", behind, retention))
	}
	f.warned = late
}
