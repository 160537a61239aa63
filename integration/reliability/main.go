// Command reliability runs all that is to show that a fleet keeps its promises: fleets on virtual time under faults from
// seeds, in memory and on localstream; their exact replay; planted faults, which must be found; the model of the leases;
// real processes under faults; localstream through power cuts, failures of its disk, damaged files and kills.
//
//	go run ./integration/reliability            a quarter of an hour
//	go run ./integration/reliability -full      more of everything
//	go run ./integration/reliability -only layer1,model
//	go run ./integration/reliability -soak 2h -record docs/soak.ndjson
//
// The last line of its output is one JSON object with the figures. With -soak, layer 1 and layer 2 run with seeds that no
// run has had before, for that long, and a line with their figures is appended to the file. FAULT=name plants a fault that
// must turn the verdict: it is the name of one of internal/mutant, and goes into the fleets, or of one of fleet.Faults and
// fleet.HarnessFaults, and goes into the real processes, or of one of fleet.ServerFaults, and goes into the server.
//
// Exit status: 0 if everything held, 1 if something did not, 2 for bad usage or where nothing could be run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/internal/mutant"
)

func main() {
	full := flag.Bool("full", false, "run the full size")
	quick := flag.Bool("quick", false, "make less of the stages that take real time: processes, server")
	only := flag.String("only", "", "run only these `stages`, with commas between: "+strings.Join(stageNames(), ", "))
	soak := flag.Duration("soak", 0, "run fleets with fresh seeds for so `long`, and nothing else")
	record := flag.String("record", "docs/soak.ndjson", "the `file` to which -soak appends its figures")
	table := flag.String("table", "", "the `document` into which the table of planted faults is written")
	first := flag.Uint64("first", 1, "the first `seed` of the fleets")
	flag.Parse()
	if flag.NArg() > 0 || *only != "" && slices.ContainsFunc(strings.Split(*only, ","), unknownStage) {
		fmt.Fprintf(os.Stderr, "reliability: want no arguments, and -only with some of %v\n", stageNames())
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &run{size: ciSize, verdict: verdict{Missed: []string{}}, first: *first, fault: os.Getenv("FAULT"), table: *table, started: time.Now()}
	if !r.hasFault() {
		fmt.Fprintf(os.Stderr, "reliability: FAULT=%s: there is no such fault; there are %v, %v, %v, and those of internal/mutant: %v\n",
			r.fault, fleet.Faults, fleet.HarnessFaults, fleet.ServerFaults, mutant.All())
		os.Exit(2)
	}
	if *full {
		r.size = fullSize
	}
	if *quick {
		r.size.shorten()
	}
	var err error
	if *soak > 0 {
		err = r.soak(ctx, *soak, *record)
	} else {
		err = r.prove(ctx, *only)
	}
	switch {
	case errors.Is(err, errBroken):
		os.Exit(1)
	case err != nil:
		fmt.Fprintf(os.Stderr, "reliability: %v\n", err)
		os.Exit(2)
	}
}

// hasFault reports whether FAULT is none or can be planted somewhere.
func (r *run) hasFault() bool {
	_, ok := mutant.Named(r.fault)
	return ok || r.fault == "" || slices.Contains(slices.Concat(fleet.Faults, fleet.HarnessFaults, fleet.ServerFaults), r.fault)
}

// errBroken says that something did not hold; what it was has been printed.
var errBroken = errors.New("a promise was not kept")

func stageNames() []string {
	var names []string
	for _, s := range stages {
		names = append(names, s.name)
	}
	return names
}

func unknownStage(name string) bool { return !slices.Contains(stageNames(), name) }

// prove runs the stages one after another, those that mostly wait beside them, and prints the figures.
func (r *run) prove(ctx context.Context, only string) error {
	clean, err := r.open()
	if err != nil {
		return err
	}
	defer clean()
	var chosen []stage
	for _, s := range stages {
		if only == "" || slices.Contains(strings.Split(only, ","), s.name) {
			chosen = append(chosen, s)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beside := pool.NewWithResults[ending]()
	for _, s := range chosen {
		if s.waits {
			beside.Go(func() ending { return r.play(ctx, s) })
		}
	}
	var endings []ending
	for _, s := range chosen {
		if s.waits {
			continue
		}
		e := r.play(ctx, s)
		if endings = append(endings, e); e.err != nil {
			cancel() // those beside
			break
		}
	}
	endings = append(endings, beside.Wait()...)
	broken := false
	for _, e := range endings {
		if e.err != nil {
			return e.err
		}
		broken = broken || !e.held
	}
	r.verdict.Violations += r.verdict.Processes.Violations
	r.verdict.Seconds = time.Since(r.started).Seconds()
	line, err := json.Marshal(r.verdict)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if broken {
		return errBroken
	}
	return nil
}

// An ending is how a stage ended: held says that everything held, err that it could not be run.
type ending struct {
	held bool
	err  error
}

func (r *run) play(ctx context.Context, s stage) ending {
	fmt.Printf("%s …\n", s.name)
	began := time.Now()
	held, err := s.run(r, ctx)
	if err != nil {
		return ending{err: fmt.Errorf("%s: %w", s.name, err)}
	}
	verdict := "held"
	if !held {
		verdict = "BROKEN"
	}
	fmt.Printf("%-10s %s in %v\n", s.name, verdict, time.Since(began).Round(time.Second))
	return ending{held: held}
}
