// Command failover measures how long the shards of a fleet of Go workers stand still when workers die, stop, are
// replaced or join: real processes with Shoal's default configuration, on localstream, while records flow.
//
//	make failover
//	FAULT=stall make failover
//
// Every scenario runs several times. With -full so do fleets of Java KCL workers, for comparison. The last line of the
// output is one JSON object with medians and worst cases; docs/failover.md says how they are measured. FAULT plants a fault
// in the Go workers (fleet.Faults): a run with one must fail.
//
// Exit status: 0 if every bound was kept, 1 if not, 2 for bad usage or if something could not be installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/integration/kclworker"
)

func main() {
	isFull := flag.Bool("full", false, "20 trials instead of 2, and 3 of Java workers")
	trials := flag.Int("trials", 0, "`number` of trials with Go workers, in place of 2 or 20")
	javaTrials := flag.Int("java", -1, "`number` of trials with Java workers, in place of 0 or 3")
	only := flag.String("only", "", "comma-separated `names` of scenarios; all by default: "+strings.Join(scenarioNames(), ", "))
	fault := flag.String("fault", os.Getenv("FAULT"), "`name` of a fault to plant; also taken from the environment variable FAULT")
	lanes := flag.Int("lanes", 2, "`number` of trials at a time")
	keep := flag.String("keep", "", "`folder` for logs and output, kept; by default a temporary one, kept after a failure")
	verbose := flag.Bool("v", false, "print what happens")
	flag.Parse()
	if flag.NArg() > 0 || *lanes < 1 || *trials < 0 {
		fmt.Fprintln(os.Stderr, "failover: want flags only, at least one lane, no negative number of trials; see -h")
		os.Exit(2)
	}
	c := &campaign{fault: *fault, verbose: *verbose, trials: 2}
	if *isFull {
		c.trials, c.javaTrials = 20, 3
	}
	if *trials > 0 {
		c.trials = *trials
	}
	if *javaTrials >= 0 {
		c.javaTrials = *javaTrials
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, line, err := run(ctx, c, *only, *lanes, *keep)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "failover: %v\n", err)
	}
	if line != "" {
		fmt.Println(line)
	}
	os.Exit(code)
}

// run is the program without its process: it returns the exit status and the last line.
func run(ctx context.Context, c *campaign, only string, lanes int, folder string) (code int, line string, err error) {
	chosen, err := choose(only)
	if err != nil {
		return 2, "", err
	}
	if !fleet.HasFault(c.fault) {
		return 2, "", fmt.Errorf("unknown fault %q; want one of %s", c.fault, strings.Join(fleet.Faults, ", "))
	}
	kept := folder != ""
	if folder, err = fleet.Folder(folder, "failover"); err != nil {
		return 2, "", err
	}
	defer func() {
		if kept || code != 0 {
			c.line("logs and output are in %s", folder)
		} else {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	var versions []string
	if c.javaTrials > 0 {
		versions = append(versions, kclworker.Newest)
	}
	if c.site, err = fleet.Open(ctx, folder, versions...); err != nil {
		return 2, "", err
	}
	defer func() { err = errors.Join(err, c.site.Close()) }()
	if c.javaTrials > 0 {
		if err := c.site.Warm(kclworker.Newest, 6*lanes); err != nil { // as many as the largest fleet has, with its newest
			return 2, "", err
		}
	}
	start := time.Now()
	results := c.runAll(ctx, chosen, lanes)
	line, failed, err := results.json(c)
	if err != nil {
		return 1, "", err
	}
	c.line("%d scenarios in %.0f s, %d failed", len(results), time.Since(start).Seconds(), failed)
	return min(failed, 1), line, nil
}

func choose(only string) ([]scenario, error) {
	if only == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for _, name := range strings.Split(only, ",") {
		found := false
		for _, s := range scenarios {
			if s.name == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no scenario %q; want some of %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	return chosen, nil
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}
