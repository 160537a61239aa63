package checkpoint

import (
	"context"

	"github.com/shoal-stream/shoal/record"
)

// A Prepared checkpoint is the first half of a two-phase checkpoint: a position, with bytes of the application's own,
// stored beside the checkpoint and not yet in its place. If the worker dies between the halves the next owner of the
// shard finds it and decides, from the state, whether to complete it.
type Prepared struct {
	// Position is the checkpoint to be, State the bytes stored with it.
	Position record.Position
	State    []byte

	commit func(context.Context, *Prepared) error
}

// NewPrepared makes a prepared checkpoint that commit completes.
func NewPrepared(p record.Position, state []byte, commit func(context.Context, *Prepared) error) *Prepared {
	return &Prepared{Position: p, State: state, commit: commit}
}

// Checkpoint completes the two-phase checkpoint: Position becomes the shard's checkpoint, and the pending one goes. Its
// errors are those of Shard.Checkpoint; completing it a second time does nothing.
func (p *Prepared) Checkpoint(ctx context.Context) error { return p.commit(ctx, p) }
