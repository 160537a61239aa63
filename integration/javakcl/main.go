// Command javakcl lets workers of Shoal and of the Java KCL, as it is published, be one fleet on one lease table: they
// join, lead, hand over, are killed, stopped and replaced, in either role, while records flow.
//
//	make interop
//	FAULT=skip make interop
//
// Each case has a stream of eight shards and an application of its own, on one localstream process. The last line of the
// output is one JSON object with the figures of each case; docs/failover.md says what they mean. FAULT plants a fault in
// the Go workers (fleet.Faults): a run with one must fail.
//
// Exit status: 0 if nothing failed, 1 if something did, 2 for bad usage or if a client could not be installed.
package main

import (
	"cmp"
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

// A size is how much a run does.
type size struct {
	lease time.Duration
	// leaderLease and leaderHeartbeat are of Java's lock; zero is the library's 120 s and 30 s.
	leaderLease, leaderHeartbeat time.Duration
	shardSync                    time.Duration // Java's pause after it has listed shards; zero is the library's minute
	handOvers                    int
	workers                      int           // of the fleet that is replaced
	settled                      time.Duration // how long an even fleet must stay so
	pause                        time.Duration // of the owner that is stopped
	limit                        time.Duration // of a case
}

var (
	small = size{
		lease: 3 * time.Second, leaderLease: 9 * time.Second, leaderHeartbeat: 3 * time.Second, shardSync: time.Second,
		handOvers: 5, workers: 2, settled: 15 * time.Second, pause: 30 * time.Second, limit: 5 * time.Minute,
	}
	full = size{
		lease:     10 * time.Second,
		handOvers: 50, workers: 3, settled: 90 * time.Second, pause: 30 * time.Second, limit: 30 * time.Minute,
	}
)

func main() {
	isFull := flag.Bool("full", false, "leases of 10 s, Java's lock as it is, 50 hand-overs")
	only := flag.String("only", "", "comma-separated `letters` of the cases to run; all by default")
	fault := flag.String("fault", os.Getenv("FAULT"), "`name` of a fault to plant; also taken from the environment variable FAULT")
	lanes := flag.Int("lanes", 3, "`number` of cases at a time")
	keep := flag.String("keep", "", "`folder` for logs and output, kept; by default a temporary one, kept after a failure")
	verbose := flag.Bool("v", false, "print what happens")
	flag.Parse()
	if flag.NArg() > 0 || *lanes < 1 {
		fmt.Fprintln(os.Stderr, "javakcl: want flags only, and at least one lane; see -h")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	s := small
	if *isFull {
		s = full
	}
	c := &campaign{size: s, fault: *fault, out: &printer{verbose: *verbose}}
	code, line, err := run(ctx, c, *only, *lanes, *keep)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "javakcl: %v\n", err)
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
	if folder, err = fleet.Folder(folder, cmp.Or(strings.TrimSpace(os.Getenv("FAULT")), "fleet")); err != nil {
		return 2, "", err
	}
	defer func() {
		if kept || code != 0 {
			c.out.line("logs and output are in %s", folder)
		} else {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	start := time.Now()
	if c.site, err = fleet.Open(ctx, folder, kclworker.Newest, kclworker.ThreeTables, kclworker.Second); err != nil {
		return 2, "", err
	}
	defer func() { err = errors.Join(err, c.site.Close()) }()
	if err := c.site.Warm(kclworker.Newest, min(2*lanes, len(chosen)+1)); err != nil {
		return 2, "", err
	}
	results := c.runAll(ctx, chosen, lanes)
	line, failed, err := results.json()
	if err != nil {
		return 1, "", err
	}
	c.out.line("%d cases in %.0f s, %d failed", len(results), time.Since(start).Seconds(), failed)
	return min(failed, 1), line, nil
}

func choose(only string) ([]testCase, error) {
	if only == "" {
		return cases, nil
	}
	var chosen []testCase
	for _, name := range strings.Split(only, ",") {
		found := false
		for _, c := range cases {
			if c.name == name {
				chosen, found = append(chosen, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no case %q; want some of a to k", name)
		}
	}
	return chosen, nil
}
