// Command model explores every state of the lease protocol within bounds, breadth first: two workers of this library, or
// those and one of Java KCL 3, over one shard, with requests that are lost, answered or not, and carried out late. It is the
// protocol as it is built: steps carry the names of the code that they stand for (lease/keeping.go, worker/take.go,
// worker/tenure.go, worker/discover.go, lease/assign; of Java, DynamoDBLeaseRenewer.java and its serializer).
//
//	go run ./integration/model
//	go run ./integration/model -quick   without the worker of Java
//	go run ./integration/model -full    larger bounds
//
// In every state: no checkpoint covers a record that no processor was given, none goes back, nothing follows SHARD_END; no
// write of a former tenure is applied; nobody takes from a worker that lives and trusts its lease; nobody trusts a lease that
// is another's, unless it was robbed; and from every state the shard can still be finished. Then each of some faults is built
// in, and must be found; the shortest way to it is printed. The last line of the output is one JSON object.
//
// Exit status: 0 if all holds and every fault was found, 1 if not.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// A bound is how much a model may do. What it leaves out of is said where it is printed.
type bound struct {
	records  uint8
	requests int // under way at a time
	tries    int // of unknown outcome over one counter
	java     bool
}

func (b bound) String() string {
	who := "two workers"
	if b.java {
		who = "two workers and one of Java KCL 3"
	}
	return fmt.Sprintf("%s, records %d, requests under way %d, attempts of unknown outcome %d", who, b.records, b.requests, b.tries)
}

func (b bound) model(f fault) *model {
	return &model{records: b.records, requests: b.requests, tries: b.tries, javaPart: b.java, fault: f}
}

var (
	quickest = []bound{{1, 2, 1, false}}
	usual    = []bound{{1, 2, 1, false}, {1, 1, 1, true}}
	largest  = []bound{{1, 2, 1, false}, {1, 1, 1, true}, {2, 1, 2, false}}
	// planted is where faults are looked for.
	planted = bound{1, 2, 1, false}
)

// most is how many states are visited for one fault, or before a model is given up.
const most, mostForFault = 60_000_000, 3_000_000

func main() {
	quick := flag.Bool("quick", false, "without the worker of Java, for seconds")
	full := flag.Bool("full", false, "larger bounds, for many minutes")
	flag.Parse()
	bounds := usual
	switch {
	case *quick:
		bounds = quickest
	case *full:
		bounds = largest
	}
	var sum struct {
		States      int  `json:"model_states"`
		Transitions int  `json:"transitions"`
		Complete    bool `json:"complete"`
		Wrong       int  `json:"violations"`
		Planted     int  `json:"planted"`
		Found       int  `json:"found"`
	}
	sum.Complete = true
	for _, b := range bounds {
		began := time.Now()
		f := newExplorer(b.model(noFault)).explore(most)
		fmt.Printf("%v: %d states, %d transitions, depth %d, complete %t, in %v\n", b, f.states, f.transitions, f.depth, f.complete, time.Since(began).Round(time.Millisecond))
		sum.States += f.states
		sum.Transitions += f.transitions
		sum.Complete = sum.Complete && f.complete
		if f.wrong != "" {
			sum.Wrong++
			fmt.Println("WRONG:")
			tell(f)
		}
	}
	for p := noFault + 1; p < faults; p++ {
		sum.Planted++
		f := newExplorer(planted.model(p)).explore(mostForFault)
		if f.wrong == "" {
			fmt.Printf("planted: %v: NOT FOUND in %d states\n", p, f.states)
			continue
		}
		sum.Found++
		fmt.Printf("planted: %v: found after %d states and %d steps\n", p, f.states, len(f.trace))
		tell(f)
	}
	line, err := json.Marshal(sum)
	if err != nil {
		panic(err) // numbers can always be written
	}
	fmt.Println(string(line))
	if sum.Wrong > 0 || sum.Found < sum.Planted || !sum.Complete {
		os.Exit(1)
	}
}

// tell prints the shortest way to what is wrong.
func tell(f found) {
	for _, s := range f.trace {
		fmt.Println("  ", s)
	}
	fmt.Println("   =>", f.wrong)
}
