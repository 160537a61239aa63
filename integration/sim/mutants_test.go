//go:build mutants

package sim

import (
	"flag"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/internal/mutant"
)

var (
	plant    = flag.String("plant", "", "plant only these `faults`, by their names with commas between")
	searches = flag.Int("searches", 1, "how `often` each planted fault is searched for, each time in other seeds")
	within   = flag.Int("within", 600, "the `seeds` in which a planted fault must be found")
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
	Seeds     []int  `json:"seeds"` // how many were tried until it was found, in order, for each search
	Invariant string `json:"invariant"`
	What      string `json:"what"`
}

// TestMutants plants one fault at a time and runs seeds until one violates an invariant: faults that the simulation does
// not find are faults that it would not find in the code either.
func TestMutants(t *testing.T) {
	for _, f := range mutant.All() {
		if *plant != "" && !slices.Contains(strings.Split(*plant, ","), f.String()) {
			continue
		}
		found := search(t, f)
		printLine(t, found)
		if !found.Found {
			t.Errorf("%v was not found in %d seeds", f, *within)
		}
	}
}

func search(t *testing.T, f mutant.Fault) finding {
	defer mutant.Plant(mutant.None)
	out := finding{Fault: f.String(), Found: true}
	for s := range *searches {
		n, v := hunt(t, f, uint64(s)*uint64(*within)+1)
		if v == nil {
			out.Found = false
		} else if out.Invariant == "" {
			out.Invariant, out.What = v.Invariant, v.What
		}
		out.Seeds = append(out.Seeds, n)
	}
	slices.Sort(out.Seeds)
	return out
}

// hunt runs seeds until one violates something. It takes those without workers of Java: where these may rob, less is
// promised, and half of the workers would be without the fault.
func hunt(t *testing.T, f mutant.Fault, from uint64) (seeds int, v *Violation) {
	for n := range *within {
		runtime.GC() // as in TestSeeds
		mutant.Plant(f)
		o := options(t, 3*(from+uint64(n)))
		o.Strict = true
		if r := Run(t, o); len(r.Violations) > 0 {
			return n + 1, &r.Violations[0]
		}
	}
	return *within, nil
}
