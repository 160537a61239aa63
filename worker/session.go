package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/shardsync"
	"github.com/shoal-stream/shoal/record"
)

// A session is the lifetime of one processor within a tenure, with the goroutines that Shard.Go started and the fetcher
// that reads ahead for it.
type session struct {
	t         *tenure
	ctx       context.Context // ends with the session
	cancel    context.CancelCauseFunc
	shard     *Shard
	processor RecordProcessor
	crew      crew
	failed    chan error // one slot: the first error of a Shard.Go function, which also ends ctx
	cutter    cutter
	fetcher   *fetcher
	reads     crew            // the fetcher's reads, where they have goroutines of their own
	pages     chan *fetched   // one place
	page      *fetched        // the one that is handed over now
	progress  bool            // a batch was processed
	last      record.Position // the last record handed over, zero if none
	children  []record.Shard  // what follows, once the end was read
}

// runSession makes a processor and runs it until the shard ends or moves (nil: the tenure is over), or the processor has
// to be replaced (an error). progress tells whether it processed anything.
func (t *tenure) runSession(parents []lease.Lease) (progress bool, err error) {
	var s *session
	aside(func() { s, err = t.openSession(parents) })
	if err != nil {
		return false, err
	}
	defer s.close()
	err = s.failure(s.work())
	if errors.Is(err, errShardEnd) {
		err = s.failure(s.finishShard())
	}
	if errors.Is(err, errMoving) {
		return s.progress, s.finishMoving()
	}
	if cause := context.Cause(t.ctx); cause != nil && !errors.Is(err, ErrAbandoned) {
		err = cause
	}
	return s.progress, err
}

// failure is the error of a Shard.Go function if there was one, else err, which may only be what came of it.
func (s *session) failure(err error) error {
	if errors.Is(err, ErrAbandoned) {
		return err
	}
	select {
	case failed := <-s.failed:
		return failed
	default:
		return err
	}
}

// openSession makes the session with its processor, not yet reading.
func (t *tenure) openSession(parents []lease.Lease) (*session, error) {
	s := &session{t: t, failed: make(chan error, 1), pages: make(chan *fetched, 1)}
	s.ctx, s.cancel = context.WithCancelCause(t.ctx)
	t.mu.Lock()
	t.session = s
	t.mu.Unlock()
	t.lag.reset()
	t.restart(s.ctx)
	err := s.start(parents)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// restart begins a new processor's lifetime: behind all that was said to be done before it.
func (t *tenure) restart(ctx context.Context) {
	ctx, cancel := t.w.clock.WithTimeout(ctx, t.w.cfg.LeaseDuration/3, errTake)
	defer cancel()
	t.storeMark(ctx)
	t.ledger.Restart()
}

func (s *session) start(parents []lease.Lease) error {
	t := s.t
	row := t.keeper.Lease()
	s.shard = &Shard{
		Stream: t.stream.Name(), ID: t.shardID, Range: record.FullRange, Parents: row.Parents,
		Epoch: t.epoch, t: t, session: s,
	}
	if row.Range != nil {
		s.shard.Range = *row.Range
	}
	at, err := t.startPosition(s.ctx, parents)
	if err != nil {
		return err
	}
	s.shard.Start = at
	s.shard.inherit(row)
	err = t.call("NewProcessor", func() (err error) {
		s.processor, err = t.w.cfg.NewProcessor(s.ctx, s.shard)
		if err == nil && s.processor == nil {
			err = errors.New("returned neither a processor nor an error")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("NewProcessor: %w", err)
	}
	if t.keeper.Lease().Checkpoint != row.Checkpoint { // the inherited checkpoint was completed
		if at, err = t.startPosition(s.ctx, parents); err != nil {
			return err
		}
		s.shard.Start = at
	}
	s.cutter = cutter{
		maxRecords: t.w.cfg.MaxBatchRecords, maxBytes: t.w.cfg.MaxBatchBytes,
		keys: s.shard.Range, dropForeign: t.w.cfg.DropForeign,
	}
	if at.Kind() == record.KindSequence {
		s.cutter.done = at
	}
	return nil
}

// startPosition is where this tenure begins to read.
func (t *tenure) startPosition(ctx context.Context, parents []lease.Lease) (record.Position, error) {
	if f := t.w.cfg.StartAt; f != nil {
		var p record.Position
		err := t.call("StartAt", func() (err error) {
			p, err = f(ctx, t.stream.Name(), t.shardID)
			return err
		})
		if err != nil {
			return p, fmt.Errorf("StartAt: %w", err)
		}
		if !p.IsZero() {
			if err := p.Validate(); err != nil || p == record.ShardEnd {
				return p, fmt.Errorf("StartAt: returned %v; want a sequence number, TRIM_HORIZON, LATEST or AT_TIMESTAMP", p)
			}
			return p, nil
		}
	}
	return shardsync.StartPosition(t.keeper.Lease(), parents, t.stream.start), nil
}

// close ends the session's context and waits for its goroutines, unless the worker ends without them.
func (s *session) close() {
	s.cancel(errSessionEnd)
	s.crew.wait(s.t.w.abandon)
	s.t.mu.Lock()
	s.t.session = nil
	s.t.mu.Unlock()
}

// spawn runs f beside the processor; see Shard.Go.
func (s *session) spawn(f func(ctx context.Context) error) {
	s.crew.start(func() {
		err := guard(func() error { return f(s.ctx) })
		if err == nil || ended(s.ctx, err) {
			return
		}
		err = fmt.Errorf("Shard.Go: %w", err)
		select {
		case s.failed <- err:
		default:
		}
		s.cancel(err) // the processor may be waiting for f
	})
}

// work reads and hands over until the shard ends (errShardEnd), is to move (errMoving), or the processor must be replaced.
func (s *session) work() error {
	t := s.t
	t.enter(Processing)
	s.fetcher = newFetcher(s)
	s.fetcher.start()
	err := s.handOver()
	s.fetcher.end()
	return err
}

func (s *session) handOver() error {
	idle := idleCall{clock: s.t.w.clock, after: s.t.w.cfg.IdleCall}
	idle.reset()
	defer idle.stop()
	for {
		select {
		case <-s.ctx.Done(): // before all else
			return context.Cause(s.ctx)
		case <-s.t.moving:
			return errMoving
		default:
		}
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-s.t.moving:
			return errMoving
		case <-idle.tick():
			if err := s.deliver(nil, 0); err != nil {
				return err
			}
			idle.reset()
		case page := <-s.pages:
			s.page = page
			s.fetcher.taken(page)
			records := s.cutter.cut(&page.Page)
			if mutant.Planted(mutant.SkipsAfterResume) && s.last.IsZero() && s.shard.Start.Kind() == record.KindSequence && len(records) > 0 {
				records = records[1:]
			}
			err := s.deliverPage(records, page.Behind)
			page.giveBack()
			if err != nil {
				return err
			}
			s.page = nil // its memory goes even if nothing follows for long
			s.t.lag.processed()
			if len(records) > 0 {
				idle.reset()
			}
			if page.End {
				s.children = page.Children
				return errShardEnd
			}
		}
	}
}

// deliverPage hands a page over in batches.
func (s *session) deliverPage(records []record.Record, behind time.Duration) error {
	s.t.countForeign(s.cutter.foreign)
	for len(records) > 0 {
		var batch []record.Record
		batch, records = s.cutter.next(records)
		if mutant.Planted(mutant.SkipsAtSeam) && len(records) > 0 {
			records = records[1:]
		}
		if err := s.deliver(batch, behind); err != nil {
			return err
		}
	}
	return nil
}

// An idleCall ticks when nothing was handed over for a while; never, if after is 0.
type idleCall struct {
	clock clock.Clock
	after time.Duration
	timer *clock.Timer
}

func (i *idleCall) reset() {
	if i.after > 0 {
		i.stop()
		i.timer = i.clock.NewTimer(i.after)
	}
}

func (i *idleCall) stop() {
	if i.timer != nil {
		i.timer.Stop()
	}
}

func (i *idleCall) tick() <-chan struct{} {
	if i.timer == nil {
		return nil
	}
	return i.timer.C
}
