package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/integration/sim/overlay/bubble"
)

var (
	oneSeed = flag.Uint64("seed", 0, "run this seed alone, and tell what happened (-v, -story)")
	seeds   = flag.String("seeds", "1:24", "the seeds to run: first:count")
	hours   = flag.Float64("hours", 0, "stop once so many fleet-hours were simulated")
	faults  = flag.Duration("faults", defaultFaults, "for how `long` each seed has faults")
	off     = flag.String("off", "", "`names` of faults that are off whatever the seed says, with commas between")
	skip    = flag.String("skip", "", "`plays` of the script that are left out, as 3,7-12")
	workers = flag.Int("workers", 0, "`number` of workers, in place of what the seed says")
	shards  = flag.Int("shards", 0, "`number` of shards, in place of what the seed says")
	strict  = flag.Bool("strict", false, "hold it against a worker that it takes a lease which it could have trusted still")
	shrink  = flag.Int("shrink", 0, "look for a smaller run that violates what -seed violates, in so `many` runs")
	trace   = flag.String("story", "", "a `file` for the trace of -seed; of -seeds, with the seed at its end, for each that violates something")
	perSeed = flag.Bool("each", false, "print the hash of each seed")
	layer   = flag.Int("layer", 1, "1: table and streams in memory; 2: localstream over the AWS SDK")
	blind   = flag.Bool("blind", false, "do not ask that every rare situation was reached")
)

// TestSeed replays the seed of -seed. It builds itself anew with the runtime of ./overlay, in which a run repeats exactly.
func TestSeed(t *testing.T) {
	if *oneSeed == 0 {
		*oneSeed = 1
	} else if !bubble.Exact() {
		exactly(t)
		return
	}
	began := time.Now()
	r := Run(t, options(t, *oneSeed))
	if *trace != "" {
		dump(t, &r, *trace)
	} else if testing.Verbose() {
		r.Trace(os.Stdout, false)
	}
	fmt.Printf("trace %016x of seed %d, layer %d\n", r.Hash, r.Seed, *layer)
	fmt.Printf("seed %d hash %016x %s: %v in %v\n", r.Seed, r.Hash, r.Summary, r.Totals, time.Since(began).Round(time.Millisecond))
	report(t, &r)
	printLine(t, outcome{r.Totals, fmt.Sprintf("%016x", r.Hash), r.Reached})
	if *shrink > 0 && len(r.Violations) > 0 {
		smaller(t, &r)
	}
}

// exactly has ./overlay build this test and run it once with the same flags.
func exactly(t *testing.T) {
	var args []string
	flag.Visit(func(f *flag.Flag) {
		if f.Name != "seed" && !strings.HasPrefix(f.Name, "test.") || f.Name == "test.v" {
			args = append(args, fmt.Sprintf("-%s=%v", f.Name, f.Value))
		}
	})
	tags := ""
	if os.Getenv("FAULT") != "" {
		tags = "mutants"
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./overlay", "-once", "-tags", tags, "-run", "TestSeed$", "-first", fmt.Sprint(*oneSeed),
		"-args", strings.Join(args, " "), ".")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("the seed, run exactly: %v", err)
	}
}

// smaller looks for a smaller run that violates what r violates first, and says how to run it.
func smaller(t *testing.T, r *Result) {
	runs := 0
	best := Shrink(r.options, r.On, *shrink, func(o Options) (bool, int) {
		runtime.GC()
		o.Journal = false
		s := Run(t, o)
		if runs++; runs%20 == 0 {
			fmt.Printf("%d runs: %s\n", runs, o.Flags())
		}
		return slices.ContainsFunc(s.Violations, func(v Violation) bool { return v.Invariant == r.Violations[0].Invariant }), s.Plays
	})
	fmt.Printf("%d plays at first; after %d runs: go test ./integration/sim %s\n", r.Plays, runs, best.Flags())
}

// dump writes the trace of a run into a file.
func dump(t *testing.T, r *Result, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	r.Trace(out, true)
	if err := errors.Join(out.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// options are those of the flags.
func options(t *testing.T, seed uint64) Options {
	t.Helper()
	plays, err := parsePlays(*skip)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Seed: seed, Faults: *faults, Server: *layer == 2, Journal: testing.Verbose(),
		Skip: plays, Workers: *workers, Shards: *shards, Strict: *strict}
	if *off != "" {
		o.Off = strings.Split(*off, ",")
	}
	return o
}

func report(t *testing.T, r *Result) {
	t.Helper()
	for i, v := range r.Violations {
		if i == 5 {
			t.Errorf("and %d more", len(r.Violations)-i)
			break
		}
		t.Error(r.Line(v))
	}
}

// An outcome is what became of one seed.
type outcome struct {
	Totals
	Hash    string         `json:"hash"`
	Reached map[string]int `json:"reached"`
}

func printLine(t *testing.T, v any) {
	line, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}

// TestSeeds runs the seeds of -seeds and prints what they came to as one line of JSON.
func TestSeeds(t *testing.T) {
	if *oneSeed != 0 {
		t.SkipNow() // -seed is for TestSeed
	}
	var from uint64
	var n int
	if _, err := fmt.Sscanf(*seeds, "%d:%d", &from, &n); err != nil {
		t.Fatalf("-seeds %q; want first:count: %v", *seeds, err)
	}
	began := time.Now()
	var sum Totals
	reached := map[string]int{}
	for seed := from; seed < from+uint64(n); seed++ {
		if *hours > 0 && sum.FleetHours >= *hours {
			break
		}
		run := inside
		if bubble.Exact() {
			run = apart
		}
		r := run(t, seed)
		sum.Add(r.Totals)
		for s, n := range r.Reached {
			reached[s] += n
		}
		if *perSeed {
			fmt.Printf("seed %d hash %s\n", seed, r.Hash)
		}
	}
	printLine(t, struct {
		Totals
		Missed  []string       `json:"sometimes_missed"`
		Reached map[string]int `json:"reached"`
		Seconds float64        `json:"seconds"`
	}{sum, Missed(reached), reached, time.Since(began).Seconds()})
	if missed := Missed(reached); !*blind && n > 500 && len(missed) > 0 {
		t.Errorf("no run has reached: %q", missed)
	}
}

// inside runs a seed in this process.
func inside(t *testing.T, seed uint64) outcome {
	runtime.GC() // not within a run: it has its say in the order of things
	r := Run(t, options(t, seed))
	if *trace != "" && len(r.Violations) > 0 {
		dump(t, &r, fmt.Sprintf("%s.%d", *trace, seed))
	}
	report(t, &r)
	return outcome{r.Totals, fmt.Sprintf("%016x", r.Hash), r.Reached}
}

// apartFor bounds a process of one seed.
const apartFor = 5 * time.Minute

// apart runs a seed in a process of its own, so that nothing of the seeds before it has a say.
func apart(t *testing.T, seed uint64) (r outcome) {
	ctx, cancel := context.WithTimeout(t.Context(), apartFor)
	defer cancel()
	args := []string{"-test.run", "TestSeed$", "-seed", fmt.Sprint(seed)}
	file := fmt.Sprintf("%s.%d", *trace, seed)
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "seeds", "hours", "each", "blind":
		case "story":
			args = append(args, "-story="+file)
		default:
			if !strings.HasPrefix(f.Name, "test.") {
				args = append(args, fmt.Sprintf("-%s=%v", f.Name, f.Value))
			}
		}
	})
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		switch {
		case strings.HasPrefix(line, "{"):
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Errorf("seed %d: %v in %s", seed, err, line)
			}
		case strings.Contains(line, "seed=") && err != nil:
			t.Error(strings.TrimSpace(line))
		}
	}
	if *trace != "" && err == nil {
		_ = os.Remove(file) // of a run without a violation
	}
	if r.Seeds == 0 || err != nil && r.Violations == 0 {
		t.Errorf("seed %d: %v\n%s", seed, err, out)
		r.Seeds, r.Violations = 1, max(1, r.Violations)
	}
	return r
}
