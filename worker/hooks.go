package worker

import (
	"time"

	"github.com/shoal-stream/shoal/record"
)

// Hooks are functions that the worker calls on events, for metrics and alarms. Each is optional. They are called from
// the worker's own goroutines, several at once for different shards, so they must be fast and safe for concurrent use.
type Hooks struct {
	// State is called when a shard's state changes.
	State func(s ShardInfo, from, to State)
	// Processed is called after ProcessRecords returned nil.
	Processed func(s ShardInfo, records int, bytes int, took, behind time.Duration)
	// Checkpointed is called when a checkpoint was stored by a call of its own; what Mark says is stored by renewals,
	// without one.
	Checkpointed func(s ShardInfo, p record.Position)
	// Failed is called with each error of a processor, a stream or the lease table that the worker survives.
	Failed func(s ShardInfo, err error)
	// Slow is called when a call of the processor has taken longer than Config.ProcessTimeout.
	Slow func(s ShardInfo, since time.Duration)
	// Twin is called when another process works under the same worker ID.
	Twin func(workerID string)
}

// ShardInfo names a shard in hooks.
type ShardInfo struct {
	Application, Stream, Shard, Worker string
}
