package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/checkpoint"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A Shard is one tenure of this worker over one shard, as its processor sees it. Its methods may be called from any
// goroutine. Once the tenure is over they return errors that wrap lease.ErrLost.
type Shard struct {
	// Stream is the stream's name, ID the shard's.
	Stream, ID string
	// Range is the part of the hash key space that lands in the shard.
	Range record.HashKeyRange
	// Parents are the shards that this one came from.
	Parents []string
	// Start is where the tenure begins: behind the checkpoint of the owner before, or the start position.
	Start record.Position
	// Prepared is the checkpoint that an owner before prepared and did not complete, nil if there is none. Complete it
	// in NewProcessor, and the shard begins behind it; or leave it, and the records come again.
	Prepared *checkpoint.Prepared
	// Epoch rises with each tenure of the shard, whichever worker has it: a fencing token for stores of your own.
	Epoch uint64

	t *tenure
	// session is the processor's lifetime that the handle belongs to; a restart makes a new handle.
	session *session
}

// Checkpoint stores p as the shard's checkpoint: everything up to and including it is done. It returns when the lease
// table has it. Errors wrap checkpoint.ErrRange (p lies behind the stored checkpoint or beyond what was handed over;
// nothing was written), lease.ErrLost (the shard belongs to another worker now), or the cause with which ctx ended. A
// throttled or failing table is retried until then.
func (s *Shard) Checkpoint(ctx context.Context, p record.Position) error {
	if err := s.alive(); err != nil {
		return err
	}
	return lost(s.t.checkpoint(ctx, p))
}

// Mark says that everything up to and including p is done, without I/O: the next renewal of the lease carries it to
// the table, and so does the end of the tenure. A position that Checkpoint would refuse is reported and ignored.
func (s *Shard) Mark(p record.Position) {
	if s.alive() != nil {
		return
	}
	if err := s.t.mark(p); err != nil {
		s.t.log().Warn("mark ignored", zap.Error(err))
	}
}

// Prepare stores p as a prepared checkpoint together with state, at most 64 KiB, in place of one prepared before. The
// rules for p and the errors are those of Checkpoint.
func (s *Shard) Prepare(ctx context.Context, p record.Position, state []byte) (*checkpoint.Prepared, error) {
	if n := len(state); n > maxPreparedState {
		return nil, fmt.Errorf("prepare checkpoint: state has %d bytes; want at most %d", n, maxPreparedState)
	}
	if err := s.alive(); err != nil {
		return nil, err
	}
	if err := s.t.save(ctx, p, lease.Change{Pending: p, PendingState: state}); err != nil {
		return nil, fmt.Errorf("prepare: %w", lost(err))
	}
	return checkpoint.NewPrepared(p, state, func(ctx context.Context, c *checkpoint.Prepared) error {
		return s.Checkpoint(ctx, c.Position)
	}), nil
}

// inherit gives the handle the checkpoint that the owner before prepared, if there is one. Its records were handed to
// that owner, so completing it is allowed though this one has not seen them.
func (s *Shard) inherit(row lease.Lease) {
	if row.Pending.IsZero() {
		return
	}
	s.Prepared = checkpoint.NewPrepared(row.Pending, row.PendingState, func(ctx context.Context, c *checkpoint.Prepared) error {
		if err := s.alive(); err != nil {
			return err
		}
		s.t.ledger.Inherit(c.Position)
		return s.Checkpoint(ctx, c.Position)
	})
}

// maxPreparedState leaves a lease row far below the 400 KB of a table item.
const maxPreparedState = 64 << 10

// Go runs f beside the processor. ctx is the tenure's. The worker waits for f when the processor has finished: after
// Finish returned, ctx ends. An error or a panic of f restarts the shard from its checkpoint with a new processor; an
// error that is ctx's own does not.
func (s *Shard) Go(f func(ctx context.Context) error) { s.session.spawn(f) }

// alive returns an error once the handle's tenure or its processor's lifetime is over.
func (s *Shard) alive() error {
	err := context.Cause(s.session.ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, lease.ErrLost):
		return fmt.Errorf("shard %s: %w", s.ID, err)
	default:
		return fmt.Errorf("shard %s: %w: %w", s.ID, lease.ErrLost, err)
	}
}

// lost makes the error of a write that came after the lease was given up one that wraps lease.ErrLost.
func lost(err error) error {
	if errors.Is(err, lease.ErrReleased) {
		return fmt.Errorf("%w: %w", lease.ErrLost, err)
	}
	return err
}

// A Batch is what one call of ProcessRecords gets.
type Batch struct {
	// Shard is the shard that the records are of.
	Shard *Shard
	// Records are in ascending order of sequence and sub-sequence number. It is empty only for Config.IdleCall.
	Records []record.Record
	// Behind is how far the last of the records lies behind the newest of the shard.
	Behind time.Duration
	// Attempt counts the deliveries of these records to this processor from 1.
	Attempt int

	last record.Position
}

// Last is the position of the last record, or of the last one before an empty batch; zero if there was none.
func (b *Batch) Last() record.Position { return b.last }

// Checkpoint says that the batch and all before it are done and stores that: see Shard.Checkpoint.
func (b *Batch) Checkpoint(ctx context.Context) error {
	if b.last.IsZero() {
		return nil
	}
	return b.Shard.Checkpoint(ctx, b.last)
}
