package worker

import "fmt"

// A State is where a shard's tenure stands.
//
//	held lease ─► WaitingForParents ─► Starting ─► Processing ─► Finishing ─► Released
//	                    │                 │            │             │
//	                    └─────────────────┴────────────┴─────────────┴──► Lost
//
// A tenure that is asked to move while it waits or starts goes to Released directly, and a shard whose processor must
// start afresh goes from Processing or Finishing back to Starting.
type State int

const (
	// WaitingForParents: the shards that this one came from are not done yet.
	WaitingForParents State = iota + 1
	// Starting: the processor is being made.
	Starting
	// Processing: records are read and handed over.
	Processing
	// Finishing: the processor's Finish runs.
	Finishing
	// Released: the tenure is over, with the lease given up or the shard done.
	Released
	// Lost: the lease went to another worker; no checkpoint is possible any more.
	Lost
)

// String is the state in words.
func (s State) String() string {
	switch s {
	case WaitingForParents:
		return "waiting for parents"
	case Starting:
		return "starting"
	case Processing:
		return "processing"
	case Finishing:
		return "finishing"
	case Released:
		return "released"
	case Lost:
		return "lost"
	default:
		return fmt.Sprintf("State(%d)", int(s))
	}
}

// follows reports whether a tenure may go from s to next.
func (s State) follows(next State) bool {
	switch next {
	case WaitingForParents:
		return s == 0
	case Starting:
		return s == WaitingForParents || s == Processing || s == Finishing
	case Processing:
		return s == Starting
	case Finishing:
		return s == Processing
	case Released, Lost:
		return s != 0 && s != Released && s != Lost
	default:
		return false
	}
}
