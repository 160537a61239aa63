package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/integration/invariant"
)

// An account is all that a run leaves for its judge.
type account struct {
	options
	began, over time.Time // of the run; of the faults
	took        time.Duration
	counts      counts
	played      []invariant.Event // what was done to the processes
	lives       []*life
	table       *table

	requests, disturbed int // of workers

	outcome fleet.Outcome
	shards  []types.Shard
}

// Counts are what was done to the processes.
type counts struct{ kills, stops, servers, leaves, reshards, severs int }

// A verdict is what is printed as the last line.
type verdict struct {
	Kills        int     `json:"kills"`
	Stops        int     `json:"stops"`
	ServerKills  int     `json:"server_kills"`
	Leaves       int     `json:"clean_stops"`
	Reshards     int     `json:"reshards"`
	Severs       int     `json:"severed"`
	Requests     int     `json:"requests"`
	Disturbed    int     `json:"faulty_requests"`
	Writes       int     `json:"lease_writes"`
	Records      int     `json:"records"`
	Lost         int     `json:"lost"`
	OutOfOrder   int     `json:"out_of_order"`
	Repeated     int     `json:"repeated"`
	Backwards    int     `json:"checkpoints_backwards"`
	Early        int     `json:"children_before_parents"`
	Late         int     `json:"late_deliveries"`
	Taken        int     `json:"stops_that_cost_leases"`
	Failovers    int     `json:"failovers"`
	FailoverP50  int64   `json:"failover_p50_ms"`
	FailoverP99  int64   `json:"failover_p99_ms"`
	FailoverMost int64   `json:"failover_worst_ms"`
	Alone        int     `json:"failovers_alone"`
	AloneP50     int64   `json:"failover_alone_p50_ms"`
	AloneMost    int64   `json:"failover_alone_worst_ms"`
	Violations   int     `json:"violations"`
	Seconds      float64 `json:"seconds"`

	wrong []string
}

func (v *verdict) json() (string, error) {
	v.Violations = max(v.Violations, len(v.wrong))
	line, err := json.Marshal(v)
	return string(line), err
}

func (v *verdict) violate(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

const (
	// typicalFailover is what half of the failovers may take beyond the lease while nothing else is done to the fleet; where
	// there are few of them, twice that.
	typicalFailover = 2 * time.Second
	few             = 10
	// stuckFailover is what no failover may take, counted from the last that was done to the fleet: a leader that comes
	// anew watches for a lease first, and its requests may be late.
	stuckFailover = 5 * leaseTime
)

// judge holds what happened against what is promised. failed is what kept the run from its end.
func (a *account) judge(failed error) *verdict {
	v := &verdict{
		Kills: a.counts.kills, Stops: a.counts.stops, ServerKills: a.counts.servers, Leaves: a.counts.leaves,
		Reshards: a.counts.reshards, Severs: a.counts.severs, Requests: a.requests, Disturbed: a.disturbed,
		Seconds: a.took.Round(100 * time.Millisecond).Seconds(),
	}
	if failed != nil {
		v.violate("the run did not come to its end: %v", failed)
		return v
	}
	a.plant()
	a.records(v)
	a.blind(v)
	events := a.promises(v)
	a.failovers(v, events)
	if err := a.keep(events); err != nil {
		v.violate("the log could not be kept: %v", err)
	}
	return v
}

// records compares what the stream holds with what workers were handed.
func (a *account) records(v *verdict) {
	o := &a.outcome
	o.Verdict = check.Check(o.Stream, o.Log)
	v.Records, v.Lost, v.Repeated, v.OutOfOrder = o.Verdict.Expected, o.Lost(), o.Verdict.Repeated, o.OutOfOrder()
	v.Early = o.Verdict.ChildrenBeforeParents
	if v.Lost > 0 {
		v.violate("%d records were lost", v.Lost)
	}
	if v.OutOfOrder > 0 {
		v.violate("%d deliveries were out of order, of children before their parents, or of records that nobody put", v.OutOfOrder)
	}
}

// blind checks that the run has seen what it is for.
func (a *account) blind(v *verdict) {
	for _, n := range []struct {
		what       string
		want, have int
	}{
		{"records", a.size.records, v.Records}, {"kills", a.size.kills, v.Kills}, {"stops", a.size.stops, v.Stops},
		{"kills of the server", a.size.servers, v.ServerKills}, {"clean stops", a.size.leaves, v.Leaves},
		{"reshards", a.size.reshards, v.Reshards}, {"cuts", a.size.severs, v.Severs},
		{"disturbed requests", v.Requests / 50, v.Disturbed}, {"requests", a.size.records / 100, v.Requests},
	} {
		if n.have < n.want {
			v.violate("the run was blind: %d %s, and there had to be %d", n.have, n.what, n.want)
		}
	}
}

// promises holds the log against the invariants of the simulation.
func (a *account) promises(v *verdict) []invariant.Event {
	events, wrong := a.story()
	v.wrong = append(v.wrong, wrong...)
	result := invariant.Check(events, invariant.Rules{
		Lease: leaseTime, Slack: 250 * time.Millisecond, MidCall: true, TableFaults: true, Complete: true, Covered: true,
		Orphan: 15 * leaseTime, Drain: 21 * time.Second,
	})
	for i := range events {
		if events[i].Kind == invariant.Write {
			v.Writes++
		}
	}
	for _, violation := range result.Violations {
		if violation.Invariant == "I4" {
			v.Backwards++
		}
		v.violate("%v", violation)
	}
	v.Violations, v.Late = len(v.wrong)+result.More, result.LateOfShoal()
	return events
}

// failovers measures how long the shards of killed workers stood still.
func (a *account) failovers(v *verdict, events []invariant.Event) {
	var all, undisturbed []time.Duration
	for _, f := range failovers(events) {
		all = append(all, f.took)
		if f.alone {
			undisturbed = append(undisturbed, f.took)
		}
		if f.calm > stuckFailover {
			v.violate("%v: nothing was done to the fleet for the last %v of it, and at most %v are allowed", f, f.calm, stuckFailover)
		}
		if a.verbose {
			fmt.Println(f)
		}
	}
	v.Taken = taken(events)
	if want := a.size.stops / 4; v.Taken < want {
		v.violate("the run was blind: %d workers lost a lease while they stood still, and %d had to", v.Taken, want)
	}
	v.Failovers, v.Alone = len(all), len(undisturbed)
	if v.Failovers == 0 || v.Alone == 0 && a.size.alone > 0 {
		v.violate("the run was blind: %d failovers, %d of them alone", v.Failovers, v.Alone)
		return
	}
	v.FailoverP50, v.FailoverP99, v.FailoverMost = percentile(all, 0.5), percentile(all, 0.99), percentile(all, 1)
	if v.Alone == 0 {
		return
	}
	v.AloneP50, v.AloneMost = percentile(undisturbed, 0.5), percentile(undisturbed, 1)
	bound := (leaseTime + typicalFailover).Milliseconds()
	if v.Alone < few {
		bound += typicalFailover.Milliseconds()
	}
	if v.AloneP50 > bound {
		v.violate("half of the failovers while nothing else was done took more than %d ms, and may take %d ms", v.AloneP50, bound)
	}
}

// percentile is what a share of the times, in milliseconds, does not exceed.
func percentile(times []time.Duration, share float64) int64 {
	slices.Sort(times)
	return times[min(int(share*float64(len(times))), len(times)-1)].Milliseconds()
}

// keep writes the log down, for people, with the numbers that violations name. Puts are left out.
func (a *account) keep(events []invariant.Event) error {
	f, err := os.Create(filepath.Join(a.folder, "events.txt"))
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	for i := range events {
		if e := &events[i]; e.Kind != invariant.Put && e.Kind != invariant.Stored {
			fmt.Fprintf(out, "%8d %s\n", i, e.Line(a.began))
		}
	}
	return errors.Join(out.Flush(), f.Close())
}
