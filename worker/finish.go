package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/shardsync"
	"github.com/shoal-stream/shoal/record"
)

// finishShard ends a shard whose records were all processed: the processor finishes, the rows of the shards that follow
// are made, and the shard's own row is marked as done, in this order, so that a crash in between only repeats.
func (s *session) finishShard() error {
	s.t.enter(Finishing)
	if err := s.finishUntilDone(); err != nil {
		return err
	}
	s.cancel(errSessionEnd)
	if !s.crew.wait(s.t.w.abandon) {
		return &ShardError{Stream: s.t.stream.Name(), Shard: s.t.shardID, Op: "Shard.Go", Err: ErrAbandoned}
	}
	if err := s.failure(nil); err != nil {
		return err
	}
	if !s.last.IsZero() { // the processor's nil says that all is done: nothing comes again if the shard moves before it is closed
		_ = s.t.mark(s.last)
	}
	return s.t.closeShard(s.children)
}

// finishUntilDone calls Finish(ShardEnd) until it succeeds.
func (s *session) finishUntilDone() error {
	t := s.t
	for attempt := 1; ; attempt++ {
		if err := t.trusted(s.ctx); err != nil {
			return err
		}
		err := t.call("Finish", func() error { return s.processor.Finish(s.ctx, ShardEnd) })
		if mutant.Planted(mutant.EndsUnfinished) && s.ctx.Err() == nil {
			return nil
		}
		if err == nil || s.ctx.Err() != nil || errors.Is(err, errPanic) || errors.Is(err, ErrRestart) || errors.Is(err, ErrAbandoned) {
			return err
		}
		t.fail(fmt.Errorf("Finish(%v), attempt %d: %w", ShardEnd, attempt, err))
		if err := t.pause(s.ctx, t.w.clock.Backoff(attempt, t.w.cfg.Retry.MinBackoff, t.w.cfg.Retry.MaxBackoff)); err != nil {
			return err
		}
	}
}

// finishMoving lets the processor finish and then releases the lease, whatever it returned. The mover bounds it all.
func (s *session) finishMoving() error {
	t := s.t
	if t.currentState() != Finishing {
		t.enter(Finishing)
	}
	err := t.trusted(s.ctx)
	if err == nil && !mutant.Planted(mutant.NoFinish) {
		err = t.call("Finish", func() error { return s.processor.Finish(s.ctx, Moving) })
		if errors.Is(err, ErrAbandoned) {
			return err
		}
		if err != nil {
			t.survive(fmt.Errorf("Finish(%v): %w", Moving, err))
		}
	}
	s.cancel(errSessionEnd)
	if !s.crew.wait(t.w.abandon) {
		return &ShardError{Stream: t.stream.Name(), Shard: t.shardID, Op: "Shard.Go", Err: ErrAbandoned}
	}
	if t.ctx.Err() == nil {
		t.release()
	}
	return nil
}

// closeShard makes the rows of the children and then marks the shard as done. It goes on trying until the tenure ends or
// the shard is to move.
func (t *tenure) closeShard(children []record.Shard) error {
	for attempt, waits := 1, 0; ; attempt++ {
		ready, err := t.createChildren(children)
		if err == nil && ready {
			ids := make([]string, len(children))
			for i := range children {
				ids[i] = children[i].ID
			}
			err = t.keeper.Save(t.ctx, lease.Change{Checkpoint: record.ShardEnd, Children: ids})
			if err == nil {
				t.ledger.Stored(record.ShardEnd)
				if h := t.w.cfg.Hooks.Checkpointed; h != nil {
					h(t.info(), record.ShardEnd)
				}
				t.w.finished.broadcast()
				poke(t.w.pokeLead)
				poke(t.w.pokeDiscover)
				return nil
			}
		}
		if t.ctx.Err() != nil {
			return context.Cause(t.ctx)
		}
		if err != nil {
			t.survive(fmt.Errorf("close the shard: %w", err))
		} else {
			attempt = 1
			if waits++; waits == 1 {
				t.log().Info("end of shard waits for the lease of its child's other parent")
			}
		}
		// The other parent may itself wait for its parents for long.
		if err := t.pause(t.ctx, t.w.clock.Backoff(max(attempt, waits), 200*time.Millisecond, 5*time.Second)); err != nil {
			return err
		}
	}
}

// createChildren makes the missing rows of the children. ready is false while a merged child has to wait.
func (t *tenure) createChildren(children []record.Shard) (ready bool, err error) {
	var rows []lease.Lease
	absent := false
	for _, c := range children {
		for _, id := range append([]string{c.ID}, c.Parents...) {
			row, err := t.w.cfg.Leases.Get(t.ctx, shardsync.Key(t.stream.rowStream, id))
			switch {
			case errors.Is(err, lease.ErrNotFound):
				absent = absent || id != c.ID
			case err != nil:
				return false, fmt.Errorf("look at the lease of %s: %w", id, err)
			default:
				rows = append(rows, row)
			}
		}
	}
	var shards []record.Shard
	if absent {
		if shards, _, err = t.stream.Shards(t.ctx, record.Position{}); err != nil {
			return false, fmt.Errorf("list shards: %w", err)
		}
	}
	create, ready := shardsync.Children(t.keeper.Lease(), children, rows, shards)
	if !ready {
		return false, nil
	}
	for i, row := range create {
		if mutant.Planted(mutant.ChildForgotten) && i > 0 {
			continue
		}
		if mutant.Planted(mutant.ChildFromNow) {
			row.StartTime = t.w.clock.Now()
			row.Checkpoint = record.AtTimestamp(row.StartTime)
		}
		row.Owner = t.heir()
		if err := t.w.cfg.Leases.Create(t.ctx, row); err != nil && !errors.Is(err, lease.ErrExists) {
			return false, fmt.Errorf("create the lease of %s: %w", row.Shard, err)
		}
	}
	return true, nil
}

// heir is the owner with which the rows of children are made: this worker, which can begin with them at once, unless it
// stops or has all the leases that it may have.
func (t *tenure) heir() string {
	select {
	case <-t.moving:
		return ""
	default:
	}
	if most := t.w.cfg.MaxLeases; most > 0 && len(t.w.holdings()) >= most {
		return ""
	}
	return t.w.cfg.WorkerID
}
