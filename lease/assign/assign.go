// Package assign decides who should own which lease: a pure function from what one worker has seen to what it should
// try. It reads no clock and does no I/O.
//
//	snapshot := assign.Snapshot{Worker: me, Leases: rows, Held: held, Duration: 10 * time.Second, Seed: seed}
//	watch.Observe(&snapshot, now)
//	plan := assign.Decide(snapshot)
//
// Every worker decides for itself, from its own listing of the table. Workers that see the same rows compute the same
// targets and pick different rows, so that they seldom get into each other's way; where listings are stale the
// conditions of the writes decide, and the next snapshot puts it right.
//
// A worker is alive for the others while a row names it and that row's counter moves. A worker that holds nothing is
// known to nobody; it shows itself by asking for one lease first.
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
	// Held are the keys whose shards this worker runs, from before the Take until after the end of its keeper.
	Held map[string]bool
	// Fresh is true for the first snapshot after a start: rows in this worker's own name are left from before it.
	Fresh bool
	// Duration is the lease duration of the fleet.
	Duration time.Duration
	// MaxLeases is the most leases that this worker takes; 0 is no limit.
	MaxLeases int
	// Seed chooses among equals.
	Seed uint64

	// What follows is filled by Watch.Observe.

	// Still tells for each key how long the row's counter has stood still on this worker's monotonic clock. A row seen
	// for the first time has stood still for 0.
	Still map[string]time.Duration
	// Moved are the keys of rows that came to their present holder while this worker watched, and have had no heartbeat
	// since.
	Moved map[string]bool
	// Beats counts the heartbeats seen in rows in this worker's name that it did not hold.
	Beats map[string]int
	// Quiet is for how long no row has come, gone or changed hands.
	Quiet time.Duration
}

// A Plan is what the worker should try now. Each step is a conditional write: that it fails because another worker was
// quicker is ordinary.
type Plan struct {
	// Take are leases to take with Store.Take: free, expired, assigned to this worker, or left from its former self.
	// The first are the most urgent.
	Take []lease.Lease
	// Ask are leases of live workers to ask for with Store.Ask.
	Ask []lease.Lease
	// Wanted are the rows of held leases that another worker has asked for: tell their keepers with Keeper.Notice.
	Wanted []lease.Lease
	// Twins are keys in this worker's name that somebody else keeps alive: another process with the same worker ID.
	Twins []string
}

// twinBeats is how many heartbeats of another make a twin. One can be the worker's own last write, applied late or read
// late by a stale listing; a second, the two of them together. Three take a whole lease duration.
const twinBeats = 3

// Decide makes the plan.
//
//   - Rows in this worker's name that it does not hold are taken at once if it has just started, or if they have just
//     come to it (a hand-over done, a lease given away to it); else once they stood still for the lease duration.
//   - Free and expired rows are taken up to the fair share, unfinished rows by live workers, rounded up: first those
//     that follow shards of this worker, then those for which it comes first among the live workers. What nobody has
//     taken for a fifth of the duration is taken beyond the share.
//   - When none is free, a worker with less than its target asks for leases of those with more. The targets differ by
//     at most one, and the most loaded have the higher one, so no more moves than needed; a lease asked for counts for
//     the asker. If all that comes to rest and a worker still has two more than this one (others are at their
//     MaxLeases), it asks for some of the difference.
//
// Finished leases count for nothing.
func Decide(s Snapshot) Plan {
	f := survey(&s)
	f.takeOwn()
	f.takeFree()
	if len(f.free) == 0 {
		f.ask()
	}
	return f.plan
}
