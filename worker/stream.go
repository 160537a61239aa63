package worker

import (
	"context"
	"errors"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// What a Stream tells the worker by its errors; they are to be wrapped. Every other error is transient: the worker
// waits with back-off and tries again.
var (
	// ErrThrottled says that the service wants fewer calls.
	ErrThrottled = errors.New("stream throttled")
	// ErrShardGone says that the stream exists and the shard does not: its records have expired.
	ErrShardGone = errors.New("shard does not exist any more")
	// ErrNoStream says that there is no such stream.
	ErrNoStream = errors.New("no such stream")
)

// A Stream is where records come from. worker/kinesisstream reads Amazon Kinesis and localstream, worker/memstream
// memory. Its methods are safe for concurrent use, honour ctx, and make one attempt each: the worker paces and retries.
type Stream interface {
	// Name is the stream's name for logs, metrics and Status.
	Name() string

	// Identify asks the service for the stream's identity.
	Identify(ctx context.Context) (Identity, error)

	// Shards lists shards with their lineage, all pages of the answer: those open at position at (TrimHorizon, Latest
	// or a moment), or every shard within retention if at is zero. It also returns the service's time at the listing.
	Shards(ctx context.Context, at record.Position) (shards []record.Shard, now time.Time, err error)

	// Open makes a reader of one shard whose first page begins at the position at. For a sequence number that is the
	// record itself, if it still exists, else the next one; at is never zero or SHARD_END. It does no I/O.
	Open(shardID string, at record.Position) Reader

	// Pace says how the worker is to call the readers.
	Pace() Pace
}

// A Reader reads one shard forward. One goroutine uses it.
type Reader interface {
	// Read returns the next page; it may be empty. After an error the next Read continues behind the last page that
	// was returned, so nothing is skipped or repeated.
	Read(ctx context.Context) (record.Page, error)
	// Close frees what the reader holds. No Read is under way or follows.
	Close()
}

// An Identity tells streams apart, also those that had the same name before.
type Identity struct {
	// Account is the 12-digit AWS account, Name the stream's name, Epoch its creation time in seconds.
	Account string
	Name    string
	Epoch   int64
	// Retention is how long the stream keeps a record, 0 if not known.
	Retention time.Duration
}

// Pace is how often a stream bears being read. The zero Pace is for readers that block until there is something.
type Pace struct {
	// PerSecond is the most reads of one shard in any second, 0 for no limit.
	PerSecond int
	// Idle is the time between reads of a shard whose end has been reached.
	Idle time.Duration
	// Timeout ends a read that does not answer; 0 is no limit.
	Timeout time.Duration
}
