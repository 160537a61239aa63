package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

var (
	oneSeed = flag.Uint64("seed", 0, "run this seed alone, and tell what happened (-v, -trace)")
	seeds   = flag.String("seeds", "1:24", "the seeds to run: first:count")
	hours   = flag.Float64("hours", 0, "stop once so many fleet-hours were simulated")
	minutes = flag.Int("minutes", 20, "minutes of faults in each seed")
	trace   = flag.String("trace", "", "a `file` for the trace of -seed; of -seeds, with the seed at its end, for each that violates something")
	perSeed = flag.Bool("each", false, "print the hash of each seed")
	layer   = flag.Int("layer", 1, "1: table and streams in memory; 2: localstream over the AWS SDK")
	blind   = flag.Bool("blind", false, "do not ask that every rare situation was reached")
)

// TestSeed replays the seed of -seed.
func TestSeed(t *testing.T) {
	if *oneSeed == 0 {
		*oneSeed = 1
	}
	began := time.Now()
	r := Run(t, options(*oneSeed))
	if *trace != "" {
		dump(t, &r, *trace)
	} else if testing.Verbose() {
		r.Trace(os.Stdout, false)
	}
	fmt.Printf("trace %016x of seed %d, layer %d\n", r.Hash, r.Seed, *layer)
	fmt.Printf("seed %d hash %016x %s: %v in %v\n", r.Seed, r.Hash, r.Summary, r.Totals, time.Since(began).Round(time.Millisecond))
	report(t, &r)
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

func options(seed uint64) Options {
	return Options{Seed: seed, Faults: time.Duration(*minutes) * time.Minute, Server: *layer == 2, Journal: *trace != "" || testing.Verbose()}
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
		runtime.GC() // not within a run: it has its say in the order of things
		r := Run(t, options(seed))
		sum.Add(r.Totals)
		for s, n := range r.Reached {
			reached[s] += n
		}
		if *trace != "" && len(r.Violations) > 0 {
			dump(t, &r, fmt.Sprintf("%s.%d", *trace, seed))
		}
		if *perSeed {
			fmt.Printf("seed %d hash %016x\n", r.Seed, r.Hash)
		}
		report(t, &r)
	}
	line, err := json.Marshal(struct {
		Totals
		Missed  []string       `json:"sometimes_missed"`
		Reached map[string]int `json:"reached"`
		Seconds float64        `json:"seconds"`
	}{sum, Missed(reached), reached, time.Since(began).Seconds()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
	if missed := Missed(reached); !*blind && n > 500 && len(missed) > 0 {
		t.Errorf("no run has reached: %q", missed)
	}
}
