package invariant

import (
	"fmt"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

var kinds = map[Kind]string{
	Shard: "shard", Put: "put", Write: "write", Begin: "begin", Deliver: "deliver", Return: "return", Finish: "finish", Start: "START",
	Crash: "CRASH", Pause: "PAUSE", Stop: "STOP", Ended: "ENDED", Fault: "FAULT", Reached: "REACHED", Quiet: "QUIET", Said: "said",
	Trimmed: "trimmed", Report: "report", Stored: "stored",
}

// Plain reports whether e is a renewal that only keeps a lease: most events are, beside puts.
func (e *Event) Plain() bool {
	return e.Kind == Write && e.Op == memory.OpRenew && e.Before.Checkpoint == e.After.Checkpoint && e.Before.Pending == e.After.Pending && e.Note == ""
}

// Line is e for people, with the seconds since the log began. Positions are cut to their last digits, which tell those of a
// shard apart.
func (e *Event) Line(began time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12.3f %-8s", e.At.Sub(began).Seconds(), kinds[e.Kind])
	if e.Worker != "" {
		fmt.Fprintf(&b, " %s#%d", e.Worker, e.Life)
	}
	if e.Shard != "" {
		fmt.Fprintf(&b, " %s/%s", e.Stream, number(e.Shard))
	}
	if e.Tenure != 0 {
		fmt.Fprintf(&b, " tenure %d", e.Tenure)
	}
	switch e.Kind {
	case Write:
		fmt.Fprintf(&b, " %s: %s -> %s", e.Op, row(&e.Before), row(&e.After))
	case Shard:
		fmt.Fprintf(&b, " of %v", e.Parents)
	}
	if n := len(e.Records); n > 0 {
		fmt.Fprintf(&b, " %d from %s", n, cut(e.Records[0]))
		if n > 1 {
			fmt.Fprintf(&b, " to %s", cut(e.Records[n-1]))
		}
	}
	if e.Counter != 0 {
		fmt.Fprintf(&b, " counter %d", e.Counter)
	}
	if e.For != 0 {
		fmt.Fprintf(&b, " for %v", e.For.Round(time.Millisecond))
	}
	if e.Err != "" {
		fmt.Fprintf(&b, " error %.200q", e.Err)
	}
	if e.Note != "" {
		fmt.Fprintf(&b, " (%s)", e.Note)
	}
	return b.String()
}

// number is a shard's number.
func number(id string) string {
	if s := strings.TrimLeft(strings.TrimPrefix(id, "shardId-"), "0"); s != "" {
		return s
	}
	return "0"
}

func cut(p record.Position) string {
	s := p.String()
	if len(s) > 24 {
		return "…" + s[len(s)-24:]
	}
	return s
}

func row(l *lease.Lease) string {
	if l.Key == "" {
		return "no row"
	}
	s := fmt.Sprintf("[%s %d at %s", l.Owner, l.Counter, cut(l.Checkpoint))
	if l.CheckpointOwner != "" {
		s += " asked of " + l.CheckpointOwner
	}
	if !l.Pending.IsZero() {
		s += " prepared " + cut(l.Pending)
	}
	return s + "]"
}
