// Package lease holds what a worker and its fleet know of who owns which shard: the Lease row, the Store that keeps the
// rows, and the Keeper that alone writes a held row. The rows are those of Java KCL 3.5.1 (DynamoDBLeaseSerializer.java).
//
// # How a lease works
//
// A row's counter is its heartbeat: the owner raises it every third of the lease duration. Nobody's clock is believed
// but one's own: a lease has expired for an observer when its counter stood still for a whole lease duration on the
// observer's monotonic clock. The owner trusts its lease for one duration from when it sent the last renewal that
// succeeded, less a margin, so it stops before others may take over. Every write is conditional on the row as its
// writer knows it: who has lost a lease cannot checkpoint.
//
// A live owner is asked, not robbed: Ask names the next owner in leaseOwner and the present one in checkpointOwner; the
// present owner finishes, checkpoints and lets go with Release.
package lease

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A Lease is one row of the lease table. It is a value: who wants to change the row calls the Store.
type Lease struct {
	// Key names the row: the shard's ID, or "account:stream:epoch:shardID" where one application reads several streams.
	Key string
	// Stream is the stream's identifier "account:stream:epoch" in an application of several streams, else "".
	Stream string
	// Shard is the shard's ID.
	Shard string
	// Owner is the worker that owns the lease, or that is to own it when CheckpointOwner is set. "" is nobody.
	Owner string
	// CheckpointOwner is the worker that still processes the shard while it is handed over to Owner, else "".
	CheckpointOwner string
	// Counter is the heartbeat: every write of an owner or taker raises it.
	Counter int64
	// OwnerSwitches counts the changes of owner since the last checkpoint.
	OwnerSwitches int64
	// Checkpoint is the position up to which the shard is done; ShardEnd when all of it is.
	Checkpoint record.Position
	// StartTime is the moment at which a shard with the checkpoint LATEST begins: the service's time when the
	// application first listed the stream. It is zero once there is a real checkpoint. (Attribute startTimestamp, in
	// milliseconds, which Java ignores.)
	StartTime time.Time
	// Pending is a prepared checkpoint, none if zero, and PendingState the bytes that were stored with it.
	Pending      record.Position
	PendingState []byte
	// Parents and Children are shard IDs; Children is known once the shard's end was found.
	Parents, Children []string
	// Range is the shard's part of the hash key space, nil where the row does not tell.
	Range *record.HashKeyRange
	// ThroughputKBps is the average of what the shard delivered, in KiB per second, nil where the row does not tell.
	ThroughputKBps *float64
}

// Holder is the worker that processes the shard now: CheckpointOwner during a hand-over, else Owner.
func (l *Lease) Holder() string {
	if l.CheckpointOwner != "" {
		return l.CheckpointOwner
	}
	return l.Owner
}

// Finished reports whether the shard is done to its end.
func (l *Lease) Finished() bool { return l.Checkpoint == record.ShardEnd }

// Clone copies l with all it refers to.
func (l *Lease) Clone() Lease {
	c := *l
	c.PendingState = slices.Clone(l.PendingState)
	c.Parents, c.Children = slices.Clone(l.Parents), slices.Clone(l.Children)
	if l.Range != nil {
		r := *l.Range
		c.Range = &r
	}
	if l.ThroughputKBps != nil {
		t := *l.ThroughputKBps
		c.ThroughputKBps = &t
	}
	return c
}

// Validate returns an error that wraps ErrInvalid and names the field unless l can be stored.
func (l *Lease) Validate() error {
	switch {
	case l.Key == "":
		return fmt.Errorf("%w: Key is empty; want the shard's ID, or stream:shard", ErrInvalid)
	case l.Shard == "":
		return fmt.Errorf("%w: lease %s: Shard is empty; want the shard's ID", ErrInvalid, l.Key)
	}
	if err := l.Checkpoint.Validate(); err != nil {
		return fmt.Errorf("%w: lease %s: Checkpoint: %w", ErrInvalid, l.Key, err)
	}
	return nil
}
