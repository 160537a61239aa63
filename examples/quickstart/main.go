// Command quickstart lets two applications consume a week of real earthquakes from a local stream while one worker
// crashes, shards are split and merged, and another worker joins; then it counts what each application got.
//
//	go run ./examples/quickstart
//
// What to notice: alerts.go and stats.go are all the code that the two applications need; neither knows of crashes,
// reshards or other workers. The rest of the files put on the show: feed.go puts the events into the stream, fleet.go
// runs workers and crashes one, play.go is the course of events, and verdict.go compares what the stream holds with
// what the processors were given.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/shoal-stream/shoal/localstream"
)

const usage = `Usage: go run ./examples/quickstart [flags]

Puts 1,707 real earthquakes into a local stream of 4 shards and consumes them with two
applications at once: "alerts" with 3 workers and "stats" with 2. Meanwhile a worker crashes, its
busiest shard is split, two others are merged, and a new worker joins. In the end every record
is accounted for. Nothing needs to be set up; it takes less than 75 seconds.

Exit status: 0 if no record was lost or out of order, 1 if one was or something failed, 2 for
wrong flags.

Flags:
`

type options struct {
	json bool
	pace time.Duration
	dir  string // where the stream is stored; "" is memory
}

func main() {
	var o options
	var keep bool
	flag.BoolVar(&o.json, "json", false, "print the verdict as one JSON object on the last line, too")
	flag.DurationVar(&o.pace, "pace", 35*time.Second, "spread the events over this `time`, 5s to 10m")
	flag.BoolVar(&keep, "keep", false, "keep the stream's data directory and print where it is")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || o.pace < 5*time.Second || o.pace > 10*time.Minute {
		fmt.Fprintf(os.Stderr, "quickstart: want no arguments and -pace from 5s to 10m; see -h\n")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := runInTemp(ctx, o, keep)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "quickstart: %v\n", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// runInTemp runs the show with a data directory of its own.
func runInTemp(ctx context.Context, o options, keep bool) (ok bool, err error) {
	if o.dir, err = os.MkdirTemp("", "shoal-quickstart-"); err != nil {
		return false, fmt.Errorf("make a data directory: %w", err)
	}
	if keep {
		defer fmt.Fprintf(os.Stderr, "the stream's data: %s\n", o.dir)
	} else {
		defer os.RemoveAll(o.dir)
	}
	columns := 0
	if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
		if columns, _, err = term.GetSize(fd); err != nil || columns <= 0 {
			columns = 80
		}
	}
	return run(ctx, o, os.Stdout, columns)
}

// run is the whole show on a server of its own: it plays, then judges. columns is the width of the terminal that out
// is, or 0 if it is none. ok tells that no promise was broken.
func run(ctx context.Context, o options, out io.Writer, columns int) (ok bool, err error) {
	srv, err := localstream.Open(o.dir, localstream.Options{Memory: o.dir == ""})
	if err != nil {
		return false, fmt.Errorf("open localstream: %w", err)
	}
	defer func() {
		if e := srv.Close(); e != nil && err == nil {
			ok, err = false, fmt.Errorf("close localstream: %w", e)
		}
	}()
	screen := newScreen(out, columns)
	defer screen.close()
	p, err := newPlay(srv.AWSConfig(), o.pace, screen)
	if err != nil {
		return false, err
	}
	if err := p.run(ctx); err != nil {
		return false, err
	}
	result, err := judge(ctx, p)
	if err != nil {
		return false, err
	}
	screen.close()
	return result.OK, result.print(out, p, o.json)
}
