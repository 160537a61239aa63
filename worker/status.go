package worker

import (
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A Status is what a worker is doing at one moment, for health probes and consoles.
type Status struct {
	Application, WorkerID string
	// Running is true from the start of Run until it returns.
	Running bool
	// Lag is the greatest lag of the shards that this worker holds.
	Lag time.Duration
	// Shards are the shards that this worker holds, by stream and ID.
	Shards []ShardStatus
	// Leader is the worker that leads the fleet as far as this one knows, "" if nobody does.
	Leader string
	// Fleet counts the unfinished leases of each worker that the last survey of the table showed; "" are those without
	// an owner. Only the leader and its deputies make surveys; it is nil for the others.
	Fleet map[string]int
	// LastError is the newest error that the worker survived, nil if none, and LastErrorTime its time.
	LastError     error
	LastErrorTime time.Time
	// Twin is true once another process was seen working under the same worker ID.
	Twin bool
}

// A ShardStatus is one shard in a Status.
type ShardStatus struct {
	Stream, Shard string
	State         State
	// Checkpoint is the stored checkpoint.
	Checkpoint record.Position
	// Lag is how old the oldest record is that was not processed yet, as far as the worker knows; 0 at the tip.
	Lag time.Duration
	// Records and Bytes were processed in this tenure.
	Records, Bytes int64
	// Foreign counts sub-records outside the shard's hash key range.
	Foreign int64
	// FailingSince is when the processor began to fail without a success since, zero if it does not.
	FailingSince time.Time
	// LastError is the newest error of the shard that was survived, nil if none.
	LastError error
}
