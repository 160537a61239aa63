// Command bench measures Shoal beside other ways to do the same, all in one run on one machine over one localstream:
// only ratios mean something.
//
//	go run ./integration/bench [-smoke] [-only NAME,NAME] [-write FOLDER] [-patience 15m]
//
// Every contender is a process of its own, whose CPU time and memory are measured; in each round they take turns. table.go
// has the contenders and what is compared. The last line is a JSON object with every ratio by name, the median over the
// rounds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const module = "github.com/shoal-stream/shoal"

func main() {
	var r run
	contender := flag.String("contender", "", "be the contender of this `name`")
	text := flag.String("job", "", "what the contender is to do, as `JSON`")
	profiled := flag.String("profile", "", "write the contender's CPU profile into this `file`")
	only := flag.String("only", "", "the `scenarios` to run, with commas between; empty is all")
	flag.StringVar(&r.write, "write", "", "the `folder` to write benchmarks.md and its plot into")
	check := flag.Bool("check", false, "exit with status 1 if a ratio misses its target")
	flag.BoolVar(&r.smoke, "smoke", false, "two minutes in all: three rounds, less data, no Java")
	flag.DurationVar(&r.patience.Left, "patience", 0, "for how `long`, in all, to wait for other machines on the same hardware to become quiet")
	flag.IntVar(&r.rounds, "rounds", 0, "`rounds` of each scenario; 0 is 7, or 3 with -smoke")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *contender != "" {
		exit(runChild(ctx, *contender, *text, *profiled))
		return
	}
	missed, err := r.main(ctx, *only)
	exit(err)
	if missed && *check {
		os.Exit(1)
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// main runs the scenarios of those names.
func (r *run) main(ctx context.Context, only string) (missed bool, err error) {
	if r.rounds == 0 {
		r.rounds = 7
		if r.smoke {
			r.rounds = 3
		}
	}
	r.report, r.began = new(report), time.Now()
	r.patience.Waiting = func(stolen float64) {
		fmt.Printf("%5.0fs  other machines have %.0f%% of the processors' time: waiting, for %v at most\n", time.Since(r.began).Seconds(), 100*stolen, r.patience.Left.Round(time.Second))
	}
	if r.self, err = os.Executable(); err != nil {
		return false, err
	}
	chosen, err := choose(only, r.smoke)
	if err != nil {
		return false, err
	}
	work, err := os.MkdirTemp("", "shoal-bench-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	stop, err := r.serve(ctx, work)
	if err != nil {
		return false, err
	}
	defer stop()
	r.launch = r.launchers(ctx, chosen, work)
	for _, s := range chosen {
		if err := r.scenario(ctx, s); err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if !r.smoke && slices.ContainsFunc(chosen, func(s scenario) bool { return s.name == profiledScenario }) {
		if err := r.takeProfile(ctx, work); err != nil { // what was measured is worth more
			r.report.leaveOut("the profile", err)
		}
	}
	if r.write != "" {
		if err := r.writeReport(ctx); err != nil {
			return false, err
		}
	}
	return r.report.print(os.Stdout)
}

// choose finds the scenarios of those names, or all that belong to such a run.
func choose(names string, smoke bool) ([]scenario, error) {
	var chosen []scenario
	if names == "" {
		for _, s := range scenarios {
			if !smoke || !s.onlyFull {
				chosen = append(chosen, s)
			}
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario %q", name)
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}
