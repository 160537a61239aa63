package worker

import (
	"errors"
	"fmt"
)

// ErrAbandoned says that a processor did not return in time after its context had ended. Run went on without it.
var ErrAbandoned = errors.New("processor did not return after its context had ended")

// A ShardError says in which shard and call something went wrong.
type ShardError struct {
	Stream, Shard string
	// Op is what was being done, such as "ProcessRecords".
	Op  string
	Err error
}

// Error is "stream/shard: op: error".
func (e *ShardError) Error() string {
	return fmt.Sprintf("%s/%s: %s: %v", e.Stream, e.Shard, e.Op, e.Err)
}

// Unwrap gives the error itself.
func (e *ShardError) Unwrap() error { return e.Err }
