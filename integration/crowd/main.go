// Command crowd runs four worker processes and a localstream process under everything that happens to processes: workers
// are killed in their work, stopped for longer than their leases last, replaced, and cut off from the table or the
// stream; requests and answers are late or get lost; the server is killed; shards are split and merged; and all the time
// records flow. Then the checkers of the simulation judge what the workers, the proxies between them and the server, and
// the producer have written down.
//
//	go run ./integration/crowd             three and a half minutes
//	go run ./integration/crowd -quick      half a minute
//	FAULT=skip go run ./integration/crowd
//
// The last line of the output is one JSON object. FAULT plants a fault (fleet.Faults, fleet.HarnessFaults): a run with one
// must fail. The faults to the processes are drawn from the seed; when they come in the processes' work is not, so a run
// does not repeat exactly. What was seen is in events.txt of the run's folder, with the events that a violation names.
//
// Exit status: 0 if everything promised was kept, 1 if not, 2 for bad usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
)

// An options is what a run is to be.
type options struct {
	size          size
	seed          uint64
	fault, folder string
	verbose       bool
}

// A size says how much of everything.
type size struct {
	records          int // that flow at least, rate of them a second
	rate             int
	kills            int // of workers
	alone            int // of them, while nothing else is done to the fleet
	stops            int // of a worker, for longer than its leases last
	servers          int // kills of the server
	leaves           int // workers that are stopped cleanly
	reshards, severs int
}

var (
	whole = size{records: 200_000, rate: 1040, kills: 34, alone: 8, stops: 12, servers: 6, leaves: 8, reshards: 12, severs: 12}
	quick = size{records: 32_000, rate: 1040, kills: 6, alone: 1, stops: 2, servers: 1, leaves: 1, reshards: 2, severs: 2}
)

func main() {
	o := options{size: whole}
	small := flag.Bool("quick", false, "run for half a minute")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what the faults are drawn from")
	flag.StringVar(&o.fault, "fault", os.Getenv("FAULT"), "`name` of a fault to plant; also taken from the environment variable FAULT")
	flag.StringVar(&o.folder, "keep", "", "`folder` for logs and output, kept; by default a temporary one, kept after a failure")
	flag.BoolVar(&o.verbose, "v", false, "print all that happens")
	flag.Parse()
	if *small {
		o.size = quick
	}
	faults := append(slices.Clone(fleet.Faults), fleet.HarnessFaults...)
	if flag.NArg() > 0 || o.fault != "" && !slices.Contains(faults, o.fault) {
		fmt.Fprintf(os.Stderr, "crowd: want no arguments, and as a fault one of %s; see -h\n", strings.Join(faults, ", "))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "crowd: %v\n", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run plays a run, judges it, and prints both.
func run(ctx context.Context, o options) (ok bool, err error) {
	keep := o.folder != ""
	if o.folder, err = fleet.Folder(o.folder, "crowd"); err != nil {
		return false, err
	}
	if o.folder, err = filepath.Abs(o.folder); err != nil {
		return false, err
	}
	fmt.Printf("%d kills, %d stops, %d kills of the server, %d records; seed %d\n", o.size.kills, o.size.stops, o.size.servers, o.size.records, o.seed)
	c := newCrowd(o)
	v := c.judge(c.play(ctx))
	for _, text := range v.wrong {
		fmt.Println("WRONG:", text)
	}
	ok = len(v.wrong) == 0
	if keep || !ok {
		fmt.Println("logs and output are in", o.folder)
	} else if err = os.RemoveAll(o.folder); err != nil {
		return false, err
	}
	line, err := v.json()
	if err != nil {
		return false, err
	}
	fmt.Println(line)
	return ok, nil
}
