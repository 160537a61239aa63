package invariant

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// Rules say what took part in a run, and so what is promised in it.
type Rules struct {
	// Lease is the lease duration of the fleet; 10 s if zero.
	Lease time.Duration
	// Start is where the application begins; TRIM_HORIZON if zero.
	Start record.Position
	// Retention is how long the stream keeps a record; 0 is for ever.
	Retention time.Duration
	// Slack is by how much times of the log may be off, because several clocks or processes wrote it.
	Slack time.Duration
	// Rate is by how much a worker's clock may run fast or slow: 0.05 is 5 %.
	Rate float64
	// Robbing says that live owners may be robbed of leases: by workers of KCL 2.x, by forced assignments, by twins, by hand.
	// Actors of the log that are no Shoal imply it.
	Robbing bool
	// Twins says that two processes may have one worker ID at a time. Their writes cannot be told apart by the table: one of
	// them may go on for a renewal with what the other holds.
	Twins bool
	// MidCall says that workers may stand still between the check of a lease and the call of its processor.
	MidCall bool
	// TableFaults says that requests to the table may fail or wait, so that who is robbed may learn of it only when it
	// does not trust its lease any more.
	TableFaults bool
	// StreamsLeave says that streams are taken out at run time, after which their rows go.
	StreamsLeave bool
	// Unacknowledged says that the stream may hold records whose puts the log does not have.
	Unacknowledged bool
	// Complete says that the log ends after the fleet had the time to process everything.
	Complete bool
	// Covered says that, moreover, the processors checkpointed all of it.
	Covered bool

	// The bounds that follow are checked if they are not zero.

	// Failover is within what time of a crash another worker has begun with the shard, faults aside (I9).
	Failover time.Duration
	// Settle is how long after the last change of the fleet its leases are even to within Spread (1 if zero) and stay
	// where they are (I11).
	Settle time.Duration
	Spread int
	// Orphan is how long, once all is quiet, an unfinished lease may be without a live owner (I12).
	Orphan time.Duration
	// Drain is how long a worker may take to stop (I13).
	Drain time.Duration
	// Reported is how long after a processor has failed the worker has told of it (I14).
	Reported time.Duration
	// Fresh is within what time after a put, faults aside, a record is delivered if its shard's processor does not fail
	// (I14, I15).
	Fresh time.Duration
	// Gap is how long a part of the hash key space may be without an unfinished lease (I8); a minute if zero.
	Gap time.Duration
}

func (r Rules) withDefaults() Rules {
	r.Lease = cmp.Or(r.Lease, 10*time.Second)
	r.Spread = cmp.Or(r.Spread, 1)
	r.Gap = cmp.Or(r.Gap, time.Minute)
	if r.Start.IsZero() {
		r.Start = record.TrimHorizon
	}
	return r
}

// slow is the longest that d takes by a worker's clock.
func (r *Rules) slow(d time.Duration) time.Duration {
	return time.Duration(float64(d)*(1+r.Rate)) + r.Slack
}

// fast is the shortest.
func (r *Rules) fast(d time.Duration) time.Duration {
	return time.Duration(float64(d)*(1-r.Rate)) - r.Slack
}

// A Violation is one promise that was not kept.
type Violation struct {
	// Invariant is its name, I1 to I16.
	Invariant string
	// Event is the index in the log of the event that shows it, the log's length if it is its end.
	Event int
	// Text says what happened, with shard, worker and positions.
	Text string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s at event %d: %s", v.Invariant, v.Event, v.Text)
}

// maxViolations bounds the violations that a Result keeps; the first ones say most.
const maxViolations = 100

// A Result is what Check found.
type Result struct {
	// Violations are the first 100, and More is how many there were beyond.
	Violations []Violation
	More       int
	Counts
}

// OK reports whether everything promised was kept.
func (r *Result) OK() bool { return len(r.Violations) == 0 }

// Count is how many violations there are in all.
func (r *Result) Count() int { return len(r.Violations) + r.More }

// Names are the invariants that were violated, sorted.
func (r *Result) Names() []string {
	var names []string
	for _, v := range r.Violations {
		names = append(names, v.Invariant)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Why a record was delivered again, or late. Keys of Counts.Repeated and Counts.Late.
const (
	AfterCrash   = "crash"   // its owner died
	AfterExpiry  = "expiry"  // its owner's lease expired
	AfterRobbery = "robbery" // a live owner's lease was taken or deleted
	AfterRelease = "release" // its owner gave the lease away
	AfterRestart = "restart" // the processor was replaced within its tenure
	AfterError   = "error"   // the processor failed
	ByLateOwner  = "late"    // a former owner delivered it
	OfJava       = "java"    // of Late: by a former owner that is no Shoal
)

// Counts are figures of a run, or of many.
type Counts struct {
	Puts       int            // records put
	Records    int            // deliveries of records
	Distinct   int            // records delivered at least once
	Unknown    int            // deliveries of records that the log has no put of
	Expired    int            // records that were never delivered before they expired
	Lost       int            // records that had to be delivered and were not
	Repeated   map[string]int // deliveries of a record beyond the first, by cause
	Late       map[string]int // records delivered by a former owner, by how it had lost the lease
	LateMost   time.Duration  // the latest of them after the lease had gone, those of Java left out
	Calls      int            // of processors
	Failed     int            // of them
	Sessions   int            // processors made
	Tenures    int            // leases that came to a worker
	Takes      int            // of free or expired leases
	Robberies  int            // takes of a live owner's lease
	HandOvers  int            // leases asked for and released
	Forced     int            // leases assigned over their holder's head
	Releases   int            // without being asked
	Finished   int            // shards processed to their end
	Retaken    int            // leases that their live owner took again, having lost sight of them
	Crashes    int
	Pauses     int
	Stops      int
	Failovers  []time.Duration // from a crash to the next processor of another life, for each shard; of merged counts the same
	Undisputed int             // of them, those without another fault meanwhile, which Rules.Failover bounds
	Reached    map[string]int  // the rare situations, by name
}

// Add takes in the counts of another run.
func (c *Counts) Add(o Counts) {
	for _, n := range []struct {
		to *int
		by int
	}{
		{&c.Puts, o.Puts}, {&c.Records, o.Records}, {&c.Distinct, o.Distinct}, {&c.Unknown, o.Unknown}, {&c.Expired, o.Expired},
		{&c.Lost, o.Lost}, {&c.Calls, o.Calls}, {&c.Failed, o.Failed}, {&c.Sessions, o.Sessions}, {&c.Tenures, o.Tenures},
		{&c.Takes, o.Takes}, {&c.Robberies, o.Robberies}, {&c.HandOvers, o.HandOvers}, {&c.Forced, o.Forced}, {&c.Releases, o.Releases},
		{&c.Finished, o.Finished}, {&c.Retaken, o.Retaken}, {&c.Crashes, o.Crashes}, {&c.Pauses, o.Pauses}, {&c.Stops, o.Stops},
		{&c.Undisputed, o.Undisputed},
	} {
		*n.to += n.by
	}
	c.LateMost = max(c.LateMost, o.LateMost)
	c.Failovers = append(c.Failovers, o.Failovers...)
	c.Repeated, c.Late, c.Reached = sum(c.Repeated, o.Repeated), sum(c.Late, o.Late), sum(c.Reached, o.Reached)
}

func sum(a, b map[string]int) map[string]int {
	if a == nil {
		a = make(map[string]int, len(b))
	}
	for name, n := range b {
		a[name] += n
	}
	return a
}

// RepeatedAll is the sum of Repeated.
func (c *Counts) RepeatedAll() int {
	n := 0
	for _, m := range c.Repeated {
		n += m
	}
	return n
}

// LateOfShoal is how many records former owners delivered that were Shoal's.
func (c *Counts) LateOfShoal() int {
	n := -c.Late[OfJava]
	for _, m := range c.Late {
		n += m
	}
	return n
}

// Percentile is the failover time that a share p of them, 0 to 1, does not exceed; 0 if there was none.
func (c *Counts) Percentile(p float64) time.Duration {
	if len(c.Failovers) == 0 {
		return 0
	}
	slices.Sort(c.Failovers)
	return c.Failovers[min(int(p*float64(len(c.Failovers))), len(c.Failovers)-1)]
}
