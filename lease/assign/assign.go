// Package assign decides who should own which lease: pure functions from what has been seen to what should be tried.
// It reads no clock and does no I/O.
//
//	census := assign.Census{Duration: 10 * time.Second}
//	round := census.Observe(rows, members, now, wall)   // at every survey of the table
//	moves := assign.Lead(round, assign.Config{}, seed)  // by the worker that leads
//
// One worker leads and assigns for all, as in Java KCL 3.x; Lead decides what KCL's LeaseAssignmentManager does
// (VarianceBasedLeaseAssignmentDecider.java), with its settings, in every round, and so that leases settle and stay.
// In a fleet that is compatible with KCL 2.x nobody leads, and every worker takes for itself what Take2X says.
//
// Where what was seen is stale, or two lead for a moment, the conditions of the writes decide, and the next round puts it
// right.
package assign
