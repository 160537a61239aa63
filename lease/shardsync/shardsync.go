// Package shardsync decides which lease rows a stream needs: at the first start, when shards turn up that no row covers,
// at the end of a shard, and when finished rows can go. It is pure: shards and rows in, rows out.
package shardsync

import (
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// Input is what is known of one stream.
type Input struct {
	// Stream is the stream's identifier in an application of several streams, else "".
	Stream string
	// Shards are the stream's shards: for a table without rows of this stream those open at the start position, else
	// all within retention.
	Shards []record.Shard
	// Leases are the rows of this stream.
	Leases []lease.Lease
	// Start is where the application begins: TrimHorizon, Latest, or an AtTimestamp position.
	Start record.Position
	// Now is the service's time when it listed the shards.
	Now time.Time
}

// Missing returns the rows to create, parents before children.
func Missing(in Input) []lease.Lease { panic("in work") }

// Key is the key of a shard's row: shard, or stream:shard where stream is not "".
func Key(stream, shard string) string { panic("in work") }

// Children returns the rows to create for the shards that follow parent, which has come to its end. ready is false
// while a merged child must wait: its other parent is still listed in shards but has no row, nor has the child.
func Children(parent lease.Lease, children []record.Shard, leases []lease.Lease, shards []record.Shard) (rows []lease.Lease, ready bool) {
	panic("in work")
}

// StartPosition is where to begin reading the shard of l: at its checkpoint, with LATEST and AT_TIMESTAMP made definite.
// parents are the rows of its parents that exist.
func StartPosition(l lease.Lease, parents []lease.Lease, start record.Position) record.Position {
	panic("in work")
}

// Deletable returns the finished rows that nobody needs any more.
func Deletable(leases []lease.Lease) []lease.Lease { panic("in work") }
