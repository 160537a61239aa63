package lease

import (
	"context"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
)

// KeeperConfig says how a Keeper keeps.
type KeeperConfig struct {
	Store  Store
	Worker string
	// Duration is the lease duration of the whole fleet. The keeper renews every third of it and trusts the lease
	// until Duration less a margin of a tenth after the sending of the last renewal that succeeded.
	Duration time.Duration
	Clock    clock.Clock
	// Throughput, if set, is asked before each write for the shard's average in KiB per second.
	Throughput func() float64
	// Report, if set, hears of each failed attempt that the keeper survives.
	Report func(error)
}

// A Keeper is the only writer of one held lease row: renewals and checkpoints go through it, so that they cannot fail
// each other's conditions.
type Keeper struct{}

// NewKeeper makes the keeper of held, the row that a Take returned whose request was sent at sent (monotonic time of
// cfg.Clock).
func NewKeeper(cfg KeeperConfig, held Lease, sent time.Time) *Keeper { panic("in work") }

// Run renews until ctx ends (it returns nil and the row stays as it is), Release or a finished checkpoint ends the
// tenure (nil), or the lease is lost (an error that wraps ErrLost).
func (k *Keeper) Run(ctx context.Context) error { panic("in work") }

// Save writes c at once; the write counts as a renewal. It returns when the row holds c, retrying what can be retried
// until ctx or the lease ends.
func (k *Keeper) Save(ctx context.Context, c Change) error { panic("in work") }

// Mark notes that everything up to p is done, without I/O: the next write of the row carries it.
func (k *Keeper) Mark(p record.Position) { panic("in work") }

// Release gives the lease up as Store.Release says, after which Run returns.
func (k *Keeper) Release(ctx context.Context, next string) error { panic("in work") }

// Deadline is the time until which the lease can be trusted.
func (k *Keeper) Deadline() time.Time { panic("in work") }

// Wanted is closed when another worker has asked for the lease.
func (k *Keeper) Wanted() <-chan struct{} { panic("in work") }

// Notice tells the keeper that a scan saw the row handed over to another worker, so that it need not wait for its next
// write to find out.
func (k *Keeper) Notice(seen Lease) { panic("in work") }

// Lease is the row as the keeper last knew it.
func (k *Keeper) Lease() Lease { panic("in work") }
