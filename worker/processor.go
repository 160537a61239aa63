package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoal-stream/shoal/record"
)

// A RecordProcessor is the application's code for one shard. The worker makes one for each tenure with
// Config.NewProcessor and calls its methods from one goroutine, never two at once.
//
// The context of a call ends when the lease is lost, with the cause lease.ErrLost, and when the worker can wait no
// longer. A processor should return soon after that: until it does, its shard cannot start again in this worker, and
// Run returns without it, naming it. Its checkpoints are refused from then on.
type RecordProcessor interface {
	// ProcessRecords handles the next records of the shard, oldest first. After an error the same processor gets the
	// same batch again (Config.Retry), so it must bear a batch that it half applied; after a panic, or an error that
	// wraps ErrRestart, the processor is discarded and a new one starts from the checkpoint. Nothing is skipped.
	ProcessRecords(ctx context.Context, batch *Batch) error

	// Finish is the last call while the lease is still held: flush and checkpoint. For ShardEnd an error is retried;
	// for Moving the lease is released whatever Finish returns. It is not called after a panic or a lost lease.
	Finish(ctx context.Context, reason FinishReason) error
}

// A FinishReason tells a processor why it is asked to finish.
type FinishReason int

const (
	// ShardEnd: the shard was closed by a reshard and all its records were handed over. When Finish returns nil the
	// worker marks the shard as done; no checkpoint is needed.
	ShardEnd FinishReason = iota + 1
	// Moving: the worker stops or another worker takes over. What is not checkpointed now will be repeated there.
	Moving
)

// String is the reason in words.
func (r FinishReason) String() string {
	switch r {
	case ShardEnd:
		return "shard end"
	case Moving:
		return "moving"
	default:
		return fmt.Sprintf("FinishReason(%d)", int(r))
	}
}

// ErrRestart, wrapped in an error of ProcessRecords, discards the processor: a new one starts from the checkpoint.
var ErrRestart = errors.New("restart the shard from its checkpoint")

// Stateless makes a Config.NewProcessor out of one function without state per shard. What process returned nil for is
// checkpointed at Finish at the latest; call Batch.Checkpoint, or Shard.Mark, to do so earlier.
func Stateless(process func(ctx context.Context, batch *Batch) error) func(context.Context, *Shard) (RecordProcessor, error) {
	return func(_ context.Context, s *Shard) (RecordProcessor, error) {
		return &stateless{shard: s, process: process}, nil
	}
}

type stateless struct {
	shard   *Shard
	process func(context.Context, *Batch) error
	last    record.Position // up to here all was processed without an error; zero if nothing was
}

func (p *stateless) ProcessRecords(ctx context.Context, b *Batch) error {
	if err := p.process(ctx, b); err != nil {
		return err
	}
	p.last = b.last
	return nil
}

func (p *stateless) Finish(ctx context.Context, reason FinishReason) error {
	if p.last.IsZero() || reason == ShardEnd || p.last.Compare(p.shard.t.ledger.Checkpoint()) <= 0 {
		return nil
	}
	return p.shard.Checkpoint(ctx, p.last)
}
