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
		if e := &r.Events[i]; all || !e.Plain() {
			fmt.Fprintln(out, e.Line(r.Start))
		}
	}
	for _, v := range r.Violations {
		fmt.Fprintln(out, "VIOLATION", r.Line(v))
	}
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
