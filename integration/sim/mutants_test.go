//go:build mutants

package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/internal/mutant"
)

var (
	plant    = flag.String("plant", "", "plant only these faults, by their names with commas between")
	searches = flag.Int("searches", 1, "how often each planted fault is searched for, each time in other seeds")
	within   = flag.Int("within", 200, "the seeds in which a planted fault must be found")
	shard    = flag.String("part", "0/1", "the part of the faults to plant: i/n is every n-th from the i-th on")
)

// A fault can be planted for all tests of this binary, too.
func init() {
	if f, ok := mutant.Named(os.Getenv("FAULT")); ok {
		mutant.Plant(f)
	}
}

// A finding is how a planted fault was found.
type finding struct {
	Fault     string `json:"fault"`
	Found     bool   `json:"found"`
	Seeds     int    `json:"seeds"` // tried until it was found, the median over the searches
	Invariant string `json:"invariant"`
	What      string `json:"what"`
}

// TestMutants plants one fault at a time and runs seeds until one violates an invariant: faults that the simulation does
// not find are faults that it would not find in the code either.
func TestMutants(t *testing.T) {
	var i, n int
	if _, err := fmt.Sscanf(*shard, "%d/%d", &i, &n); err != nil || n < 1 {
		t.Fatalf("-part %q; want i/n", *shard)
	}
	for k, f := range mutant.All() {
		if *plant != "" && !slices.Contains(strings.Split(*plant, ","), f.String()) || k%n != i {
			continue
		}
		found := search(t, f)
		line, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(string(line))
		if !found.Found {
			t.Errorf("%v was not found in %d seeds", f, *within)
		}
	}
}

func search(t *testing.T, f mutant.Fault) finding {
	defer mutant.Plant(mutant.None)
	out := finding{Fault: f.String(), Found: true}
	var seeds []int
	for s := range *searches {
		n, v := hunt(t, f, uint64(s)*uint64(*within)+1)
		if v == nil {
			out.Found = false
			n = *within
		} else if out.Invariant == "" {
			out.Invariant, out.What = v.Invariant, v.What
		}
		seeds = append(seeds, n)
	}
	slices.Sort(seeds)
	out.Seeds = seeds[len(seeds)/2]
	return out
}

// hunt runs seeds until one violates something.
func hunt(t *testing.T, f mutant.Fault, from uint64) (seeds int, v *Violation) {
	for n := range *within {
		runtime.GC() // as in TestSeeds
		mutant.Plant(f)
		o := options(t, from+uint64(n))
		o.Strict = true
		if r := Run(t, o); len(r.Violations) > 0 {
			return n + 1, &r.Violations[0]
		}
	}
	return *within, nil
}
