// Package sim runs whole fleets on virtual time: the real worker, lease and checkpoint code over a lease table and streams
// in memory, within one testing/synctest bubble, with every fault of a distributed system drawn from one seed. What
// happened is one log (integration/invariant), which the checkers judge.
//
//	r := sim.Run(t, sim.Options{Seed: 7})
//	for _, v := range r.Violations { t.Error(r.Line(v)) }
//
// A worker's process is a life: a crash ends it, and the worker's next start is another. It has a clock of its own, with a
// rate and an offset, and can stand still: then its timers, its requests, their answers and its processors wait. Every
// request to the table and to the streams goes through the simulated network (net.go), where most faults are; the others
// are played by the script (script.go). Each seed switches a random half of the faults off.
//
// What the log says, beyond invariant.Event: a Write that was made by hand has the Op ByHand and no Worker; one that its
// sender had given up before has the Note Late. Write, Begin and Deliver have the stream's name in Stream and the shard's ID
// in Shard, also where the key of a row has more. A processor of worker.ByKey says so in the Note of its Begin and logs its
// records one by one, see ByKeyNote. A life that has crashed logs nothing any more; only writes of its own that were under
// way may follow. A call that a crash interrupted has no Return.
package sim

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/integration/sim/overlay/bubble"
)

// Options say what to run. Seed alone is enough.
type Options struct {
	Seed uint64
	// Faults is for how long there are faults; default 20 minutes. Then the fleet must come to rest.
	Faults time.Duration
	// Off are names of faults that are switched off whatever the seed says.
	Off []string
	// Skip are plays of the script that are left out; all else of the script stays as the seed has it.
	Skip []Plays
	// Workers and Shards, if not 0, replace what the seed says.
	Workers, Shards int
	// Server runs layer 2: the table and the streams are localstream's, on a disk whose power is cut, over the AWS SDK.
	Server bool
	// Strict also holds it against a worker that it takes a lease again which it could have trusted still.
	Strict bool
	// Journal has the workers log, for the trace.
	Journal bool
}

// Plays are what the script plays, a fault or records that are put, from the From-th to the one before the To-th; the first
// has the number 1.
type Plays struct{ From, To int }

// A Violation is a guarantee that did not hold.
type Violation struct {
	Invariant string
	What      string
	At        time.Duration // since the start of the run
}

// Totals count what was done to fleets.
type Totals struct {
	Seeds          int     `json:"seeds"`
	FleetHours     float64 `json:"fleet_hours"`
	WorkerHours    float64 `json:"worker_hours"`
	Crashes        int     `json:"crashes"`
	Pauses         int     `json:"pauses"`
	FaultyRequests int     `json:"faulty_requests"`
	PowerCuts      int     `json:"power_cuts,omitempty"`
	Records        int     `json:"records"`
	Events         int     `json:"events"`
	Violations     int     `json:"violations"`
}

// Add adds what another run counted.
func (t *Totals) Add(o Totals) {
	t.Seeds += o.Seeds
	t.FleetHours += o.FleetHours
	t.WorkerHours += o.WorkerHours
	t.Crashes += o.Crashes
	t.Pauses += o.Pauses
	t.FaultyRequests += o.FaultyRequests
	t.PowerCuts += o.PowerCuts
	t.Records += o.Records
	t.Events += o.Events
	t.Violations += o.Violations
}

// A Result is what became of a run.
type Result struct {
	Seed       uint64
	Hash       uint64 // over the log: equal hashes, equal runs
	Totals     Totals
	Violations []Violation
	Reached    map[string]int // rare situations
	Met        map[string]int // requests that met a fault, by its name
	On         []string       // faults that were on
	Start      time.Time      // of the run, in its own time
	Events     []invariant.Event
	Summary    string // of the plan
	Plays      int    // of the script

	options Options
	journal []journalLine
}

// Run runs one seed and returns what became of it; it fails t only if the run itself cannot go on.
func Run(t *testing.T, o Options) (r Result) {
	t.Helper()
	if o.Faults == 0 {
		o.Faults = defaultFaults
	}
	defer func() {
		r.options = o
		if p := recover(); p != nil { // a goroutine that never ended, or a panic of the code under test
			r.Seed = o.Seed
			r.Violations = append(r.Violations, Violation{Invariant: "I13", What: fmt.Sprint(p)})
		}
	}()
	bubble.Seed(o.Seed)
	defer bubble.Seed(0)
	cryptotest.SetGlobalRandom(t, o.Seed) // the AWS SDK's
	synctest.Test(t, func(*testing.T) {
		w := newWorld(o)
		w.script()
		r = w.result()
	})
	return r
}

func (w *world) result() Result {
	events := w.log.Events()
	r := Result{Seed: w.seed, Hash: hash(events, w.started), Start: w.started, Events: events, Reached: w.reached, Met: w.met, Plays: w.plays}
	for _, name := range Faults {
		if w.plan.on[name] {
			r.On = append(r.On, name)
		}
	}
	r.Summary = fmt.Sprintf("%d workers%s, %d streams of %d shards, faults for %v: %v", w.plan.workers, with(w.plan.java), w.plan.streams, w.plan.shards, w.plan.faults, r.On)
	if w.journal != nil {
		r.journal = w.journal.lines
	}
	t := w.totals
	if w.met[Stale] > 0 {
		r.Reached[SawStale] += w.met[Stale]
	}
	elapsed := time.Since(w.started)
	t.Seeds, t.FleetHours, t.WorkerHours, t.Events = 1, elapsed.Hours(), float64(w.plan.workers)*elapsed.Hours(), len(events)
	for i := range events {
		if events[i].Kind == invariant.Put {
			t.Records++
		}
	}
	r.Violations = w.faults
	found := invariant.Check(events, w.rules())
	for _, v := range found.Violations {
		at := elapsed
		if v.Event < len(events) {
			at = events[v.Event].At.Sub(w.started)
		}
		r.Violations = append(r.Violations, Violation{Invariant: v.Invariant, What: v.Text, At: at})
	}
	t.Violations = len(r.Violations)
	r.Totals = t
	return r
}

// with says which workers of Java a fleet has.
func with(java string) string {
	if java == "" {
		return ""
	}
	return ", some of " + java
}

// rules are what is promised in this run.
func (w *world) rules() invariant.Rules {
	on := w.plan.on
	r := invariant.Rules{
		Lease: w.plan.lease, Start: w.plan.start, Robbing: w.plan.java == invariant.ActorJava2 || on[Twin] || on[RowLoss] || on[TableLoss], Twins: on[Twin], MidCall: on[Midcall],
		TableFaults: true, StreamsLeave: on[Streams], Unacknowledged: w.local != nil, Complete: true,
		Orphan: 2 * time.Minute, Drain: w.plan.drain + 5*time.Second,
	}
	if on[Clock] {
		r.Rate = 0.06
	}
	return r
}

// Line is the one line of a violation: all that is needed to see it again.
func (r *Result) Line(v Violation) string {
	return fmt.Sprintf("seed=%d commit=%s go=%s layer=%d invariant=%s at=%v: %s; replay: go test ./integration/sim %s",
		r.Seed, commit(), runtime.Version(), r.options.layer(), v.Invariant, v.At.Round(time.Millisecond), v.What, r.options.Flags())
}

// Missed are the situations that no run has reached.
func Missed(reached map[string]int) []string {
	missed := []string{}
	for _, s := range Situations {
		if reached[s] == 0 {
			missed = append(missed, s)
		}
	}
	slices.Sort(missed)
	return missed
}
