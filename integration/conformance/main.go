// Command conformance lets clients that others wrote judge localstream, as real processes: boto3, the AWS CLI, the AWS
// SDKs for Java and Go, and the Java Kinesis Client Library.
//
//	make conformance
//	FAULT=error-text make conformance
//
// The SDKs and the CLI go through one table of steps (steps_*.go): each is a call and the answer that AWS gives, field by
// field. A driver per client makes the call as its users would and says what its caller got. The Java KCL consumes a
// stream of 20,000 records through a split and a merge, by polling and by enhanced fan-out; what it processed is compared
// with what the stream holds.
//
// The last line of the output is one JSON object with what passed and failed for each client. Clients are installed into
// the user's cache directory, once. FAULT plants a fault between clients and server (fault.go lists them): a run with one
// must fail.
//
// Exit status: 0 if nothing failed, 1 if something did, 2 for bad usage or if a client could not be installed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A result counts the steps of one client.
type result struct {
	Passed int `json:"passed"`
	Failed int `json:"failed"`
}

// results has a member for each client, in the order in which they are printed.
type results struct {
	Boto3   *result `json:"boto3,omitempty"`
	AWSCLI  *result `json:"awscli,omitempty"`
	JavaSDK *result `json:"java_sdk,omitempty"`
	JavaKCL *result `json:"java_kcl,omitempty"`
	GoSDK   *result `json:"go_sdk,omitempty"`
}

// runLimit bounds the whole run, so that a client that hangs ends as a failure.
const runLimit = 15 * time.Minute

func main() {
	only := flag.String("only", "", "comma-separated `clients` to run: boto3, awscli, java_sdk, java_kcl, go_sdk; all by default")
	fault := flag.String("fault", os.Getenv("FAULT"), "`name` of a fault to plant; also taken from the environment variable FAULT")
	verbose := flag.Bool("v", false, "print each step")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "conformance: argument %q; want flags only\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	code, err := run(ctx, *only, *fault, *verbose)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "conformance: %v\n", err)
	}
	os.Exit(code)
}

// run is the program without its process: it returns the exit status.
func run(ctx context.Context, only, fault string, verbose bool) (code int, err error) {
	if _, ok := faults[fault]; fault != "" && !ok {
		return 2, fmt.Errorf("unknown fault %q; want one of %s", fault, strings.Join(faultNames(), ", "))
	}
	names := []string{"java_kcl", "awscli", "boto3", "java_sdk", "go_sdk"} // the slow ones first
	if only != "" {
		wanted := strings.Split(only, ",")
		for _, w := range wanted {
			if !slices.Contains(names, w) {
				return 2, fmt.Errorf("unknown client %q; want some of %s", w, strings.Join(names, ", "))
			}
		}
		names = slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(wanted, n) })
	}
	work, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return 2, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	c := &campaign{work: work, fault: fault, out: &printer{w: os.Stdout, verbose: verbose}}
	if err := c.install(ctx, names); err != nil {
		return 2, err
	}
	total := c.runAll(ctx, names)
	line, err := json.Marshal(total)
	if err != nil {
		return 1, err
	}
	fmt.Println(string(line))
	for _, r := range []*result{total.Boto3, total.AWSCLI, total.JavaSDK, total.JavaKCL, total.GoSDK} {
		if r != nil && (r.Failed > 0 || r.Passed == 0) {
			return 1, nil
		}
	}
	return 0, nil
}

// A campaign is one run of the program.
type campaign struct {
	work  string // a directory for this run alone
	fault string
	out   *printer
	tools tools
}

// runAll runs the clients, several at a time: most of the time they wait. Each has a server of its own.
func (c *campaign) runAll(ctx context.Context, names []string) results {
	var total results
	var group sync.WaitGroup
	slots := make(chan struct{}, 3)
	for _, name := range names {
		r := &result{}
		var client func(context.Context, *result) error
		switch name {
		case "boto3":
			total.Boto3, client = r, c.pythonClient(name, "boto3_driver.py")
		case "awscli":
			total.AWSCLI, client = r, c.pythonClient(name, "awscli_driver.py")
		case "java_sdk":
			total.JavaSDK, client = r, c.javaClient(name)
		case "go_sdk":
			total.GoSDK, client = r, c.goClient(name)
		case "java_kcl":
			total.JavaKCL, client = r, c.kcl
		}
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			start := time.Now()
			if err := client(ctx, r); err != nil {
				r.Failed++
				c.out.line("%s: FAILED: %v", name, err)
			}
			c.out.line("%s: %d passed, %d failed in %.1f s", name, r.Passed, r.Failed, time.Since(start).Seconds())
		})
	}
	group.Wait()
	return total
}

// A printer keeps the lines of clients that run at once whole.
type printer struct {
	mu      sync.Mutex
	w       io.Writer
	verbose bool
}

func (p *printer) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format+"\n", args...)
}
