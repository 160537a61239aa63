package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/record"
)

// deliver hands records to the processor until it has taken them: again after each error, with back-off, and in halves
// once Retry.Attempts is used up. It returns an error when the session cannot go on: the processor must be replaced, the
// shard is to move, or the tenure is over.
func (s *session) deliver(records []record.Record, behind time.Duration) error {
	policy := s.t.w.cfg.Retry
	for attempt := 1; ; attempt++ {
		err := s.process(records, behind, attempt)
		if err == nil || mutant.Planted(mutant.SkipsFailed) && attempt > 1 && s.ctx.Err() == nil {
			return nil
		}
		if s.ctx.Err() != nil || errors.Is(err, errPanic) || errors.Is(err, ErrRestart) || errors.Is(err, ErrAbandoned) {
			return err
		}
		s.t.fail(fmt.Errorf("ProcessRecords, attempt %d: %w", attempt, err))
		if attempt > 1 && s.page != nil {
			s.page.giveBack()
			s.fetcher.giveBack()
		}
		if policy.Attempts > 0 && attempt >= policy.Attempts && len(records) > 0 {
			if half := len(records) / 2; half > 0 {
				if err := s.deliver(records[:half:half], behind); err != nil {
					return err
				}
				return s.deliver(records[half:], behind)
			}
			if err = s.bury(records[0], err); err == nil || errors.Is(err, ErrAbandoned) {
				return err
			}
		}
		if err := s.t.pause(s.ctx, s.t.w.clock.Backoff(attempt, policy.MinBackoff, policy.MaxBackoff)); err != nil {
			return err
		}
	}
}

// process makes one call of ProcessRecords. It begins only while the lease can be trusted.
func (s *session) process(records []record.Record, behind time.Duration, attempt int) error {
	t := s.t
	if err := t.trusted(s.ctx); err != nil {
		return err
	}
	batch := &Batch{Shard: s.shard, Records: records, Behind: behind, Attempt: attempt, last: s.last}
	bytes := 0
	if n := len(records); n > 0 {
		batch.last = records[n-1].Position()
		t.ledger.Give(batch.last)
		for i := range records {
			bytes += records[i].Size()
		}
	}
	if mutant.Planted(mutant.MarkTooEarly) {
		t.keeper.Mark(batch.last)
	}
	started := t.w.clock.Now()
	if err := t.call("ProcessRecords", func() error { return s.processor.ProcessRecords(s.ctx, batch) }); err != nil {
		t.unmark()
		return err
	}
	t.ledger.Done()
	s.last, s.progress = batch.last, true
	t.processed(len(records), bytes)
	if h := t.w.cfg.Hooks.Processed; h != nil {
		h(t.info(), len(records), bytes, t.w.clock.Since(started), behind)
	}
	return nil
}

// trusted returns nil while the lease can be trusted. When it cannot, it waits for the keeper to say that it is lost, or
// to renew it after all: an answer that was under way at the deadline may still come.
func (t *tenure) trusted(ctx context.Context) error {
	for ctx.Err() == nil && !t.w.clock.Now().Before(t.keeper.Deadline()) && !mutant.Planted(mutant.NoDeadline) {
		_ = t.w.clock.Sleep(ctx, t.w.cfg.LeaseDuration/20)
	}
	return context.Cause(ctx)
}

// processed counts what a call took.
func (t *tenure) processed(records, bytes int) {
	t.throughput.add(bytes)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records += int64(records)
	t.bytes += int64(bytes)
	t.failing.clear()
}

func (t *tenure) countForeign(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.foreign = max(t.foreign, n)
}

// bury gives one record that keeps failing to the dead-letter function. If that accepts it the record counts as done,
// and once everything before it is checkpointed too, so is the record.
func (s *session) bury(r record.Record, cause error) error {
	t := s.t
	err := t.call("DeadLetter", func() error { return t.w.cfg.Retry.DeadLetter(s.ctx, s.shard, r, cause) })
	if err != nil {
		t.fail(fmt.Errorf("dead letter: %w", err))
		return err
	}
	t.log().Error("record given to the dead-letter function", zap.Stringer("position", r.Position()), zap.Error(brief(cause)))
	s.last, s.progress = r.Position(), true
	t.bury(r.Position())
	return nil
}
