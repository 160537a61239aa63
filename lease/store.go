package lease

import (
	"context"
	"errors"

	"github.com/shoal-stream/shoal/record"
)

// What callers of a Store and a Keeper tell apart. Any other error of a write leaves open whether it was applied.
var (
	// ErrLost says that the lease is not this worker's any more. It is the cause with which a shard's context ends.
	ErrLost = errors.New("lease lost")
	// ErrConflict says that the row is not as the writer knew it; nothing was written.
	ErrConflict = errors.New("lease row has changed")
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("no such lease")
	// ErrExists says that the row to create is there already.
	ErrExists = errors.New("lease exists")
	// ErrThrottled says that the table refused for lack of capacity; nothing was written, and a retry may succeed.
	ErrThrottled = errors.New("lease table throttled")
	// ErrInvalid says that the store cannot hold what was to be written; nothing was written, and a retry will not help.
	ErrInvalid = errors.New("cannot be stored in a lease")
	// ErrReleased says that a keeper's tenure is over by the worker's own doing: the lease was given away or finished.
	ErrReleased = errors.New("lease released")
	// ErrSchema says that the table is there but is not a lease table.
	ErrSchema = errors.New("not a lease table")
	// ErrDamaged marks rows that could not be read as leases.
	ErrDamaged = errors.New("damaged lease row")
)

// A Store keeps lease rows. Its methods are safe for concurrent use, honour ctx, make one attempt each, and do not
// retry: the caller knows whether a lost answer matters.
//
// A write that takes a Lease is conditional on the row being as that value says, in the parts named; it returns the
// whole row as written, and an error that wraps ErrConflict or ErrNotFound when the condition failed.
// lease/leasetest is the conformance suite of every Store.
type Store interface {
	// Open makes the table ready for use: it creates what is missing if it may, waits until the table can be used, and
	// refuses a table of a foreign schema with an error that names the difference. It may be called again.
	Open(ctx context.Context) error

	// List returns every lease row, in no order; the reads may be eventually consistent. A damaged row does not fail
	// the listing: it is left out and reported in an error that wraps ErrDamaged beside the other rows.
	List(ctx context.Context) ([]Lease, error)

	// Get returns one row by a consistent read, or ErrNotFound.
	Get(ctx context.Context, key string) (Lease, error)

	// Create writes a new row with counter 0, or returns ErrExists.
	Create(ctx context.Context, l Lease) error

	// Renew raises the counter by one and writes c. It is the only write of a lease's holder while it holds.
	// Condition: the counter is held.Counter, and worker is the Owner or the CheckpointOwner. The row returned may
	// name another Owner than before: then the lease is wanted, see Ask.
	Renew(ctx context.Context, held Lease, worker string, c Change) (Lease, error)

	// Take makes worker the owner of a lease that is free or expired, raises the counter by one, ends a hand-over, and
	// counts the change of owner (if there was an owner, and it was not worker). Condition: the counter and the Owner are those of seen.
	Take(ctx context.Context, seen Lease, worker string) (Lease, error)

	// Ask begins a hand-over: Owner becomes worker, CheckpointOwner the present owner; the counter stays. Condition:
	// the Owner is seen.Owner and there is no CheckpointOwner.
	Ask(ctx context.Context, seen Lease, worker string) (Lease, error)

	// Release gives a held lease away and raises the counter by one. In a hand-over the row's Owner gets it and next
	// is ignored; otherwise next does, and nobody if next is "". Condition: the counter is held.Counter, and worker is
	// the CheckpointOwner, or the Owner without a CheckpointOwner, as held says.
	Release(ctx context.Context, held Lease, worker, next string) (Lease, error)

	// Describe records the children and the hash key range of a shard in its row, whoever owns it; nil leaves what is
	// there. The counter stays. Condition: the row exists.
	Describe(ctx context.Context, key string, children []string, r *record.HashKeyRange) error

	// Delete removes a row. Condition: the counter is that of seen.
	Delete(ctx context.Context, seen Lease) error

	Fleet
}
