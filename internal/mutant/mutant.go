// Package mutant plants faults into the code, one at a time, so that the simulation can show that it would find them.
// Without the build tag mutants every switch is a constant false, and nothing of it is left in a program.
package mutant

// A Fault is something that the code could get wrong.
type Fault uint8

// The faults. Each is one place in the code where Planted is asked.
const (
	None Fault = iota

	RenewUnchecked    // a renewal or checkpoint has no condition
	RenewByOwner      // a renewal or checkpoint is conditional on the owner, not on the counter
	TakeUnchecked     // a take has no condition
	TakeKeepsCounter  // a take does not raise the counter
	ReleaseUnchecked  // a release has no condition
	LostAnswerIsLoss  // a write whose answer was lost is taken for a lost lease
	LostAnswerIsDone  // a write whose answer was lost is taken for applied
	SentAtAnswer      // the lease is trusted from the answer on, not from the request
	DeadlineTooLate   // the lease is trusted for three durations
	NoDeadline        // records are handed over without a look at the deadline
	LossIsForgotten   // a lost lease does not end the tenure
	ThrottledIsLoss   // a renewal that is throttled is taken for a lost lease
	SharedRetryBucket // reads that fail use up the attempts of the renewals
	MarkGoesBack      // a renewal carries a mark that is behind the checkpoint
	MarkTooEarly      // records are marked when they are handed over
	FailureStaysDone  // what was handed over stays allowed as a checkpoint after an error
	SkipsFailed       // a batch that has failed twice is skipped
	PanicIsSuccess    // a panic counts as success
	SkipsAfterResume  // the first record after a checkpoint is skipped
	SkipsAtSeam       // a record between two batches of a page is skipped
	ReopensAtLatest   // after an error a reader goes on at the tip
	ChildTooEarly     // a child does not wait for its parents
	ChildForgotten    // nobody makes the row of a child
	ChildFromNow      // a child begins at the present moment
	EndsUnfinished    // a shard is closed though Finish has failed
	DeletesTooEarly   // rows of shards are deleted before their children are under way
	TakesHandedOver   // a lease in hand-over is taken before its holder has finished
	TakesInsteadOfAsk // a leader takes from a live worker instead of asking
	ExpiresTooEarly   // a lease counts as abandoned after a quarter of its duration
	NeverExpires      // a dead worker's lease is never found abandoned
	NoRelease         // a lease is not released on stop or hand-over
	ReleasesTooEarly  // a lease is released before its processor has finished
	NoFinish          // a processor is not told that its shard moves
	HighestKeyDone    // ByKey marks the highest record that is done, not the lowest
	count
)

var names = [count]string{
	"none", "renew-unchecked", "renew-by-owner", "take-unchecked", "take-keeps-counter", "release-unchecked",
	"lost-answer-is-loss", "lost-answer-is-done", "sent-at-answer", "deadline-too-late", "no-deadline", "loss-is-forgotten",
	"throttled-is-loss", "shared-retry-bucket", "mark-goes-back", "mark-too-early", "failure-stays-done", "skips-failed",
	"panic-is-success", "skips-after-resume", "skips-at-seam", "reopens-at-latest", "child-too-early", "child-forgotten",
	"child-from-now", "ends-unfinished", "deletes-too-early", "takes-handed-over", "takes-instead-of-ask", "expires-too-early",
	"never-expires", "no-release", "releases-too-early", "no-finish", "highest-key-done",
}

// String is the fault's name on a command line.
func (f Fault) String() string { return names[f] }

// All are the faults, None left out.
func All() []Fault {
	all := make([]Fault, 0, count-1)
	for f := None + 1; f < count; f++ {
		all = append(all, f)
	}
	return all
}

// Named finds a fault by its name.
func Named(name string) (Fault, bool) {
	for f, n := range names {
		if n == name {
			return Fault(f), true
		}
	}
	return None, false
}
