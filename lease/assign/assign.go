// Package assign decides who should own which lease: a pure function from what one worker has seen to what it should
// try. It reads no clock and does no I/O.
package assign

import (
	"time"

	"github.com/shoal-stream/shoal/lease"
)

// A Snapshot is what one worker knows at one moment.
type Snapshot struct {
	// Worker is the worker that decides.
	Worker string
	// Leases are the rows of the table.
	Leases []lease.Lease
	// Still tells for each key how long the row's counter has stood still on this worker's monotonic clock. A row seen
	// for the first time has stood still for 0.
	Still map[string]time.Duration
	// Held are the keys whose shards this worker runs.
	Held map[string]bool
	// Fresh is true for the first snapshot after a start: rows in this worker's own name are left from before it.
	Fresh bool
	// Duration is the lease duration of the fleet.
	Duration time.Duration
	// MaxLeases is the most leases that this worker takes; 0 is no limit.
	MaxLeases int
	// Seed chooses among equals.
	Seed uint64
}

// A Plan is what the worker should try now. Each step is a conditional write: that it fails because another worker was
// quicker is ordinary.
type Plan struct {
	// Take are leases to take with Store.Take: free, expired, assigned to this worker, or left from its former self.
	Take []lease.Lease
	// Ask are leases of live workers to ask for with Store.Ask.
	Ask []lease.Lease
	// Wanted are the rows of held leases that another worker has asked for.
	Wanted []lease.Lease
	// Twins are keys in this worker's name that somebody else keeps alive: another process with the same worker ID.
	Twins []string
}

// Decide makes the plan.
func Decide(s Snapshot) Plan { panic("in work") }
