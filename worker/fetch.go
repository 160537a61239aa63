package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
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
// off after errors, and never skips: a reader goes on where its last page ended. Empty pages do not go to the session.
//
// It has no goroutine of its own, and does one thing at a time:
//
//	           due                  room                      a page
//	a pause ─────────► memory asked ─────────► read asked for ─────────────► the page waits for the session
//	   ▲                                            │                                   │ taken
//	   └────────────────────────────────────────────┴───────────────────────────────────┘
//	                                    failed, or nothing there
//
// Reads are made by the worker's hands or, with a stream whose reads wait until there is something, in goroutines of the
// session's.
type fetcher struct {
	s      *session
	reader Reader
	pace   Pace
	claim  claim // of room for the next page

	// Whoever does the one thing has these.
	pacer  pacer
	expect int64 // bytes that the next page is likely to have
	failed int   // reads since the last that succeeded
	warned bool  // that the shard is far behind

	mu      sync.Mutex         // guards what follows; held around memory only
	stop    func() bool        // ends the pause
	abort   context.CancelFunc // ends the read under way, nil if there is none
	ended   chan struct{}      // nil until nothing is to begin any more; closed once no read is under way
	waiting *fetched           // the page that the session has not taken yet
}

func newFetcher(s *session) *fetcher {
	pace := s.t.stream.Pace()
	f := &fetcher{
		s: s, reader: s.t.stream.Open(s.t.shardID, s.shard.Start), pace: pace,
		pacer: newPacer(pace.PerSecond), expect: firstReadBytes,
	}
	f.claim = claim{budget: s.t.w.budget, granted: f.ask}
	return f
}

// start makes the first read.
func (f *fetcher) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after(0)
}

// after makes the next read after a pause, or later if the pace wants that; none once the session's context has ended.
// f.mu is held.
func (f *fetcher) after(pause time.Duration) {
	if f.s.ctx.Err() != nil {
		return
	}
	now := f.s.t.w.clock.Now()
	if pause = max(pause, f.pacer.wait(now)); pause > 0 {
		f.stop = f.s.t.w.clock.AfterFunc(clock.Coarse(now, pause), f.due)
		return
	}
	f.claim.make(f.expect)
}

// due asks for memory.
func (f *fetcher) due() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended == nil && f.s.ctx.Err() == nil {
		f.claim.make(f.expect)
	}
}

// ask asks for a read.
func (f *fetcher) ask() {
	if f.pace.Timeout > 0 {
		f.s.t.w.reads.do(f.read)
	} else {
		f.s.reads.start(f.read)
	}
}

// read makes one read and sees to what follows.
func (f *fetcher) read() {
	if ctx := f.begin(); ctx != nil {
		f.follow(f.once(ctx))
	}
}

// begin makes the context of a read, nil if none is to begin any more.
func (f *fetcher) begin() (ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended != nil:
	case f.pace.Timeout > 0:
		ctx, f.abort = f.s.t.w.clock.WithTimeout(f.s.ctx, f.pace.Timeout, errRead)
	default:
		ctx, f.abort = context.WithCancel(f.s.ctx)
	}
	return ctx
}

// once makes a read. What is for the session is its page; else the next read is to come after a pause.
func (f *fetcher) once(ctx context.Context) (page *fetched, pause time.Duration) {
	f.pacer.begin(f.s.t.w.clock.Now())
	got, err := f.reader.Read(ctx)
	if errors.Is(err, ErrShardGone) {
		got, err = f.gone(ctx)
	}
	if err != nil {
		f.claim.withdraw()
		if cause := context.Cause(ctx); cause != nil && cause != errRead {
			return nil, 0 // the end
		}
		return nil, f.backoff(err)
	}
	mutant.Spend(-1)
	f.failed = 0
	page = f.accept(got)
	if len(got.Records) == 0 && !got.End {
		return nil, f.idle(got)
	}
	return page, 0
}

// backoff is the pause behind a read that failed.
func (f *fetcher) backoff(err error) time.Duration {
	mutant.Spend(5)
	if mutant.Planted(mutant.ReopensAtLatest) {
		f.reader.Close()
		f.reader = f.s.t.stream.Open(f.s.t.shardID, record.Latest)
	}
	f.failed++
	f.s.t.survive(fmt.Errorf("read, attempt %d: %w", f.failed, err))
	return f.s.t.w.clock.Backoff(f.failed, minReadBackoff, maxReadBackoff)
}

// idle is the pause behind a page.
func (f *fetcher) idle(page record.Page) time.Duration {
	if page.Behind > 0 {
		return 0
	}
	return f.pace.Idle
}

// accept takes note of a page.
func (f *fetcher) accept(page record.Page) *fetched {
	bytes := int64(0)
	for i := range page.Records {
		bytes += int64(page.Records[i].Size())
	}
	f.claim.settle(bytes)
	f.expect = max(bytes, f.expect/2, 1<<10)
	f.s.t.lag.fetched(pageLag{behind: page.Behind, read: f.s.t.w.clock.Now(), records: len(page.Records)})
	f.warn(page.Behind)
	full := &fetched{Page: page, budget: f.s.t.w.budget}
	full.bytes.Store(bytes)
	return full
}

// follow ends a read: its page, if there is one, waits for the session, else the next read comes after the pause.
func (f *fetcher) follow(page *fetched, pause time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.abort()
	f.abort = nil
	switch {
	case f.ended != nil:
		if page != nil {
			page.giveBack()
		}
		close(f.ended)
	case page != nil:
		f.waiting = page
		f.s.pages <- page // it has room: no other page is read before this one is taken
	default:
		f.after(pause)
	}
}

// taken goes on: the session has taken the page that waited.
func (f *fetcher) taken(page *fetched) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = nil
	if !page.End {
		f.after(f.idle(page.Page))
	}
}

// giveBack returns the share of the memory budget that the page has which waits for the session.
func (f *fetcher) giveBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting != nil {
		f.waiting.giveBack()
	}
}

// end lets nothing begin any more and waits for the read that is under way.
func (f *fetcher) end() {
	ended := make(chan struct{})
	f.mu.Lock()
	f.ended = ended
	if f.stop != nil {
		f.stop()
	}
	if f.abort != nil {
		f.abort()
	} else {
		close(ended)
	}
	f.mu.Unlock()
	<-ended
	f.claim.withdraw() // which may have been granted meanwhile, to a read that begins nothing
	f.s.reads.wait(nil)
	f.giveBack()
	f.reader.Close()
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
