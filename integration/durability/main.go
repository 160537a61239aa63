// Command durability breaks localstream in every way that a disk and a machine have, and looks for what was acknowledged:
//
//	go run ./integration/durability
//	go run ./integration/durability -quick
//	go run ./integration/durability -only cuts,flips -seed 7
//
// It cuts the power at writes and in the middle of them, has single operations of the disk fail, damages files, kills
// processes, all under puts, table writes, transactions, reshards and consumers; and it judges the tables' histories over
// connections that lose requests and answers, across power cuts, with porcupine. The last line is JSON: how much of each,
// what of it was lost, and what was wrong. With FAULT=nosync, swallow, forgetful, early, memory or stale it plants a
// fault, which must turn the verdict.
//
// Exit status: 0 if nothing was found, 1 if something was, 2 for bad usage or where nothing could be run.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
)

// A plan says how much of everything, and what is planted.
type plan struct {
	cuts, kills, errors, flips, operations int
	seed                                   uint64
	fault                                  string
	program                                string // localstream, built where it is ""
}

// The planted faults, as fleet.ServerFaults describes them.
const (
	faultNoSync    = "nosync"
	faultSwallow   = "swallow"
	faultForgetful = "forgetful"
	faultEarly     = "early"
	faultMemory    = "memory"
	faultStale     = "stale"
)

// A stage is one part; it does as much as its number in the plan says.
type stage struct {
	name, does string
	size       func(*plan) *int
	run        func(plan, context.Context, *verdict) error
	full       int
	quick      int
}

var stages = []stage{
	{"cuts", "power cuts", func(p *plan) *int { return &p.cuts }, plan.powerCuts, 10_000, 400},
	{"errors", "disk errors", func(p *plan) *int { return &p.errors }, plan.diskErrors, 420, 42},
	{"flips", "damaged files", func(p *plan) *int { return &p.flips }, plan.damage, 600, 120},
	{"operations", "operations on tables, judged by porcupine", func(p *plan) *int { return &p.operations }, plan.histories, 30_000, 3_000},
	{"kills", "kills of a process", func(p *plan) *int { return &p.kills }, plan.killed, 100, 10},
}

func main() {
	var p plan
	var names []string
	for _, s := range stages {
		names = append(names, s.name)
		flag.IntVar(s.size(&p), s.name, s.full, "`how many` "+s.does)
	}
	quick := flag.Bool("quick", false, "a twentieth of it")
	only := flag.String("only", "", "run only these `parts`, with commas between: "+strings.Join(names, ", "))
	flag.Uint64Var(&p.seed, "seed", 1, "`number` that all random choices come from")
	flag.StringVar(&p.fault, "fault", os.Getenv("FAULT"), "plant a `fault`: "+strings.Join(fleet.ServerFaults, ", "))
	flag.Parse()
	if p.fault != "" && !slices.Contains(fleet.ServerFaults, p.fault) {
		fmt.Fprintf(os.Stderr, "durability: there is no fault %q; there are %v\n", p.fault, fleet.ServerFaults)
		os.Exit(2)
	}
	parts := strings.Split(*only, ",")
	unknown := slices.ContainsFunc(parts, func(name string) bool { return !slices.Contains(names, name) })
	if flag.NArg() > 0 || *only != "" && unknown {
		fmt.Fprintf(os.Stderr, "durability: want no arguments, and -only with some of %v\n", names)
		os.Exit(2)
	}
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, s := range stages {
		switch {
		case *only != "" && !slices.Contains(parts, s.name):
			*s.size(&p) = 0
		case *quick && !given[s.name]:
			*s.size(&p) = s.quick
		}
	}
	debug.SetGCPercent(400) // thousands of servers are started and thrown away
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	v, err := p.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "durability: %v\n", err)
		os.Exit(2)
	}
	line, _ := json.Marshal(v) // of numbers
	fmt.Println(string(line))
	if v.Lost+v.Wrong > 0 {
		os.Exit(1)
	}
}

// run goes through all stages, one after another: each uses all processors.
func (p plan) run(ctx context.Context) (*verdict, error) {
	v := &verdict{began: time.Now()}
	for _, s := range stages {
		if *s.size(&p) == 0 {
			continue
		}
		v.say("%d %s …", *s.size(&p), s.does)
		if err := s.run(p, ctx, v); err != nil {
			return v, fmt.Errorf("%s: %w", s.does, err)
		}
	}
	v.Seconds = time.Since(v.began).Round(100 * time.Millisecond).Seconds()
	v.say("%d lost, %d wrong", v.Lost, v.Wrong)
	return v, ctx.Err()
}
