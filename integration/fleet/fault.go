package fleet

import "slices"

// Faults are what a Config can plant in Go workers, so that a harness shows that it notices:
//
//	skip      now and then a batch is checkpointed that was never handled
//	reorder   a batch is handled backwards
//	repeat    checkpoints are a batch behind, also when the shard moves
//	stall     a new owner of a shard waits for twice the lease before it goes on
//	greedy    a stopped worker leaves its leases to expire
//	leak      a goroutine stays behind when a worker has stopped
var Faults = []string{"skip", "reorder", "repeat", "stall", "greedy", "leak"}

// HarnessFaults are what integration/crowd plants besides, outside of workers:
//
//	drop      a line of a delivery log is lost, as if its records had never been delivered
//	amnesia   the producer says that a record was acknowledged that the server does not have
//	rewind    somebody writes an older checkpoint into the table
var HarnessFaults = []string{"drop", "amnesia", "rewind"}

// ServerFaults are what integration/durability plants into localstream and what it stands on:
//
//	nosync     a disk that says it has synced and has not
//	swallow    a disk that says it has written and has not
//	forgetful  a server whose SYNCED knows of nothing
//	early      a server that acknowledges before it has written
//	memory     a process that keeps everything in memory
//	stale      a table that answers a read with an older value
var ServerFaults = []string{"nosync", "swallow", "forgetful", "early", "memory", "stale"}

// HasFault reports whether there is a fault of that name; "" is none, which is always possible.
func HasFault(name string) bool { return name == "" || slices.Contains(Faults, name) }
