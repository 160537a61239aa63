package sim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// hash is a hash over all events with their times.
func hash(events []invariant.Event, started time.Time) uint64 {
	h := fnv.New64a()
	var b []byte
	for i := range events {
		b = appendEvent(b[:0], &events[i], started)
		_, _ = h.Write(b)
	}
	return h.Sum64()
}

func appendEvent(b []byte, e *invariant.Event, started time.Time) []byte {
	b = append(b, byte(e.Kind))
	for _, n := range []int64{int64(e.At.Sub(started)), int64(e.Life), int64(e.Tenure), e.Counter, int64(e.For)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	for _, s := range []string{e.Worker, e.Stream, e.Shard, e.Op, e.Err, e.Note} {
		b = append(append(b, s...), 0)
	}
	for _, p := range e.Records {
		b = appendPosition(b, p)
	}
	for _, p := range e.Parents {
		b = append(append(b, p...), 0)
	}
	return appendRow(appendRow(b, &e.Before), &e.After)
}

func appendPosition(b []byte, p record.Position) []byte {
	b = append(append(b, byte(p.Kind())), p.Sequence()...)
	return binary.LittleEndian.AppendUint64(b, p.Sub())
}

func appendRow(b []byte, l *lease.Lease) []byte {
	for _, s := range []string{l.Key, l.Owner, l.CheckpointOwner} {
		b = append(append(b, s...), 0)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(l.Counter))
	return appendPosition(appendPosition(b, l.Checkpoint), l.Pending)
}

var kinds = map[invariant.Kind]string{
	invariant.Shard: "shard", invariant.Put: "put", invariant.Write: "write", invariant.Begin: "begin", invariant.Deliver: "deliver",
	invariant.Return: "return", invariant.Finish: "finish", invariant.Start: "START", invariant.Crash: "CRASH", invariant.Pause: "PAUSE",
	invariant.Stop: "STOP", invariant.Ended: "ENDED", invariant.Fault: "FAULT", invariant.Reached: "REACHED", invariant.Quiet: "QUIET",
}

// Trace writes the log of a run for people, an event a line. Renewals that change nothing but the counter are left out
// unless all is true.
func (r *Result) Trace(out io.Writer, all bool) {
	fmt.Fprintf(out, "seed %d, hash %016x: %s\n", r.Seed, r.Hash, r.Summary)
	said := r.journal
	for i := range r.Events {
		for len(said) > 0 && said[0].at.Before(r.Events[i].At) {
			fmt.Fprintf(out, "%12.3f          %s\n", said[0].at.Sub(r.Start).Seconds(), said[0].text)
			said = said[1:]
		}
		if e := &r.Events[i]; all || !plain(e) {
			fmt.Fprintln(out, line(e, r.Start))
		}
	}
	for _, v := range r.Violations {
		fmt.Fprintln(out, "VIOLATION", r.Line(v))
	}
}

// plain reports whether e is a renewal that only keeps a lease.
func plain(e *invariant.Event) bool {
	return e.Kind == invariant.Write && e.Op == "Renew" && e.Before.Checkpoint == e.After.Checkpoint && e.Before.Pending == e.After.Pending && e.Note == ""
}

func line(e *invariant.Event, started time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12.3f %-8s", e.At.Sub(started).Seconds(), kinds[e.Kind])
	if e.Worker != "" {
		fmt.Fprintf(&b, " %s#%d", e.Worker, e.Life)
	}
	if e.Shard != "" {
		fmt.Fprintf(&b, " %s/%s", e.Stream, short(e.Shard))
	}
	if e.Tenure != 0 {
		fmt.Fprintf(&b, " tenure %d", e.Tenure)
	}
	switch e.Kind {
	case invariant.Write:
		fmt.Fprintf(&b, " %s: %s -> %s", e.Op, row(&e.Before), row(&e.After))
	case invariant.Shard:
		fmt.Fprintf(&b, " of %v", e.Parents)
	}
	if n := len(e.Records); n > 0 {
		fmt.Fprintf(&b, " %d from %s", n, at(e.Records[0]))
		if n > 1 {
			fmt.Fprintf(&b, " to %s", at(e.Records[n-1]))
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

// short is a shard's number.
func short(id string) string {
	if s := strings.TrimLeft(strings.TrimPrefix(id, "shardId-"), "0"); s != "" {
		return s
	}
	return "0"
}

// at is a position's last digits, which tell positions of a shard apart.
func at(p record.Position) string {
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
	s := fmt.Sprintf("[%s %d at %s", l.Owner, l.Counter, at(l.Checkpoint))
	if l.CheckpointOwner != "" {
		s += " asked of " + l.CheckpointOwner
	}
	if !l.Pending.IsZero() {
		s += " prepared " + at(l.Pending)
	}
	return s + "]"
}

// commit is the commit that the program was built from, as far as it can be told.
var commit = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output() // tests are built without it
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
})
