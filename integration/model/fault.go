package main

// A fault is a way in which the protocol could have been built wrong. The exploration must find each.
type fault uint8

const (
	noFault          fault = iota
	saveUnchecked          // a checkpoint has no condition
	takeUnchecked          // a take has no condition
	releaseUnchecked       // a release does not compare the counter
	lostIsDone             // a write whose answer was lost is taken for applied
	noDeadline             // a worker trusts its lease for ever
	sentAtAnswer           // it trusts its lease from the answer on, not from the request
	markTooEarly           // a record is marked before it is given
	takenAtSight           // a leader does not watch whether the counter stands still
	forcedTooEarly         // a hand-over is forced at once
	switchUnseen           // a lease that was assigned back is taken for renewed
	faults
)

// String is what is wrong.
func (f fault) String() string {
	return [...]string{
		"none", "a checkpoint without a condition", "a take without a condition", "a release that does not compare the counter",
		"a lost answer taken for success", "no deadline", "trust from the answer on", "a mark before the record is given",
		"leases taken at sight", "hand-overs forced at once",
		"a lease assigned back that is taken for renewed",
	}[f]
}
