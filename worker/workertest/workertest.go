// Package workertest tests a RecordProcessor: it runs yours in small fleets of real workers, on virtual time, through
// crashes, redeliveries, hand-overs and reshards, and says what it lost or repeated. A test is a few lines and takes
// about a second:
//
//	func TestShipper(t *testing.T) {
//		workertest.Run(t, workertest.Options{}, func(p *workertest.Process) worker.Config {
//			ship := func(ctx context.Context, order []byte) error { return p.Effect(ctx, string(order)) }
//			return worker.Config{NewProcessor: newShipper(ship)}
//		})
//	}
//
// The function is called for each start of a worker's process. It makes the processors as the program does, but with a
// stand-in for whatever they write to: one that tells through Process.Effect, or Process.Call, which records have taken
// effect. These calls take time, fail, and lose their answers, as calls do; and from the table's checkpoints and the
// effects follows whether a record can be lost. docs/testing.md says what is simulated and what cannot be seen.
package workertest

import (
	"flag"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/worker"
)

var (
	seedFlag      = flag.Uint64("workertest.seed", 0, "run only the history with this seed")
	historiesFlag = flag.Int("workertest.histories", 0, "run so many histories in place of Options.Histories")
)

// Options say what a processor is put through, and what is asked of it. The zero value is good for a first test: what
// has been checkpointed has taken effect, nothing is lost, the records of a key take effect in their order, and
// contexts are obeyed.
type Options struct {
	// Histories is how many histories are played, each with a seed of its own; default 16. The flag
	// -workertest.histories sets it for one run.
	Histories int
	// Seed is the seed of the first history, the next have those that follow; default 1. The flag -workertest.seed
	// plays a single one.
	Seed uint64

	// Records is how many records are put into the stream in each history; default 200.
	Records int
	// Record makes the record with this index, counted from 0. The default has data "record-17" and one of 20 keys.
	Record func(i int) Record
	// Aggregated puts some of the records into KPL aggregates, so that positions have sub-sequence numbers.
	Aggregated bool

	// ExactlyOnce makes an effect that comes twice a fault. Without it repeats are counted and told.
	ExactlyOnce bool
	// AnyOrder says that the order in which records of one key take effect does not matter.
	AnyOrder bool
}

// A Record is what a history puts into its stream.
type Record struct {
	// ID is the name by which the record's effect is told; the default is Data as a string. No two records of a history
	// may share one.
	ID string
	// Key is the partition key: 1 to 256 characters.
	Key string
	// Data is the payload.
	Data []byte
	// Dropped says that the processor is to leave the record out: it must have no effect.
	Dropped bool
}

// Run plays histories with the processors that start configures and fails t with what it found. start is called
// whenever a worker's process starts; of the configuration that it returns the fields Streams, StreamsFunc, Leases,
// Application, WorkerID and Clock are the fleet's, and everything else counts: Retry, StartAt, MaxBatchRecords, IdleCall
// and the like should be as the program has them.
//
// Everything happens in a testing/synctest bubble for each history: time that is waited for costs nothing, and what
// start and the processors do must stay within it, without real network and with no lock held across a wait.
func Run(t *testing.T, o Options, start func(p *Process) worker.Config) {
	t.Helper()
	r := Examine(t, o, start)
	if len(r.Problems) > 0 {
		t.Error("\n" + r.String())
		return
	}
	t.Log(r.summary())
}

// Examine does what Run does, and returns what it found instead of failing t. After three histories with problems, or
// one in which a shard did not come to its end, it plays no more.
func Examine(t *testing.T, o Options, start func(p *Process) worker.Config) *Report {
	t.Helper()
	o = o.withDefaults()
	r := &Report{Faults: map[string]int{}, Repeats: map[string]int{}, test: t.Name()}
	failed := 0
	for i := range o.Histories {
		h := newHistory(o, o.Seed+uint64(i), start)
		h.playIn(t)
		if r.add(h); h.failed() {
			failed++
		}
		if failed == 3 || h.stuck() {
			break
		}
	}
	return r
}

func (o Options) withDefaults() Options {
	if o.Histories == 0 {
		o.Histories = 16
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if *historiesFlag > 0 {
		o.Histories = *historiesFlag
	}
	if *seedFlag > 0 {
		o.Seed, o.Histories = *seedFlag, 1
	}
	if o.Records == 0 {
		o.Records = 200
	}
	if o.Record == nil {
		o.Record = func(i int) Record {
			return Record{Key: fmt.Sprintf("key-%d", (i*7+i/20)%20), Data: fmt.Appendf(nil, "record-%d", i)}
		}
	}
	return o
}

// A Report is what the histories showed.
type Report struct {
	// Histories and Records count what was played.
	Histories, Records int
	// Faults counts what was done to the fleets, by name.
	Faults map[string]int
	// Repeated counts effects beyond a record's first, Repeats the same by what had come before: "crash", "lost lease",
	// "hand-over", "restart", "retry" (within one processor's life), or "late request". A processor that flushes and
	// checkpoints in Finish has hardly any after hand-overs.
	Repeated int
	Repeats  map[string]int
	// Problems are the faults that were found, at most one of a kind in a history.
	Problems []Problem

	test string
}

// A Problem is one fault of the processor.
type Problem struct {
	// Kind is "lost", "checkpointed too early", "repeated", "out of order", "unexpected effect", "late effect",
	// "context ignored", "goroutine left behind", "panic", "stuck", "configuration", or "records" for ones that
	// Options.Record should not have made.
	Kind string
	// Seed is that of the history, Record the ID of the first record concerned, "" if there is none.
	Seed   uint64
	Record string
	// Count is how many records the history has of this kind, at least 1.
	Count int
	// Text says what happened, with the events that led to it, in several lines.
	Text string
}

func (r *Report) add(h *history) {
	r.Histories++
	r.Records += len(h.book.records)
	for name, n := range h.counts() {
		r.Faults[name] += n
	}
	repeats := h.book.repeats()
	for cause, n := range repeats {
		r.Repeated += n
		r.Repeats[cause] += n
	}
	r.Problems = append(r.Problems, h.book.problems...)
}

// String is the report for people: the first problem of each kind in full.
func (r *Report) String() string {
	var text strings.Builder
	seeds := map[uint64]bool{}
	told := map[string]bool{}
	for _, p := range r.Problems {
		seeds[p.Seed] = true
		if told[p.Kind] {
			continue
		}
		told[p.Kind] = true
		fmt.Fprintf(&text, "%s (seed %d)\n%s\n  Replay: go test -run '%s' -workertest.seed=%d\n\n", strings.ToUpper(p.Kind), p.Seed, p.Text, r.pattern(), p.Seed)
	}
	if len(seeds) > 0 {
		fmt.Fprintf(&text, "%d of %d histories have problems. ", len(seeds), r.Histories)
	}
	return text.String() + r.summary()
}

// pattern is the test for go test -run.
func (r *Report) pattern() string {
	parts := strings.Split(r.test, "/")
	for i := range parts {
		parts[i] = "^" + regexp.QuoteMeta(parts[i]) + "$"
	}
	return strings.Join(parts, "/")
}

func (r *Report) summary() string {
	text := fmt.Sprintf("%d histories, %d records, %s; %d effects repeated", r.Histories, r.Records, listed(r.Faults), r.Repeated)
	if r.Repeated > 0 {
		text += " (after: " + listed(r.Repeats) + ")"
	}
	return text
}
