// Command s3crash archives 20,000 flights with three processes of examples/s3archive to a real S3 server, versitygw, while
// processes are killed and stopped, the server is killed, requests and answers get lost on their way, and shards are
// split and merged. Then it reads the stream and the bucket with plain SDK clients and counts in how many objects each
// record is. In the end it does the same without the rule that this archive stands on, to show that the count can fail.
// The last line that it prints is one JSON object.
//
//	go run ./integration/s3crash             300 faults
//	go run ./integration/s3crash -faults 60  a fifth of them
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	records, faults, without int
	seed                     uint64
	dir                      string
	keep                     bool
}

// A verdict is what is printed as the last line.
type verdict struct {
	tally
	Kills    int     `json:"kills"`
	Stops    int     `json:"stops"`
	Gateway  int     `json:"gateway_kills"`
	Lost     int     `json:"requests_and_answers_lost"`
	Reshards int     `json:"reshards"`
	Adopted  int     `json:"adopted"`
	Seconds  float64 `json:"seconds"`
	Verify   bool    `json:"verify_agrees"`
	Without  *tally  `json:"without_adopting,omitempty"`
}

func main() {
	var o options
	flag.IntVar(&o.records, "records", 20_000, "how many `flights`")
	flag.IntVar(&o.faults, "faults", 300, "how many faults; a fifth of them are stops past the lease")
	flag.IntVar(&o.without, "without", 60, "how many faults without adopting, 0 for none")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what the faults are drawn from")
	flag.BoolVar(&o.keep, "keep", false, "keep the working directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "s3crash:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run plays both runs and prints the verdict.
func run(ctx context.Context, o options) (ok bool, err error) {
	if o.dir, err = os.MkdirTemp("", "shoal-s3crash-"); err != nil {
		return false, err
	}
	if o.keep {
		fmt.Println("working directory:", o.dir)
	} else {
		defer os.RemoveAll(o.dir)
	}
	programs, err := install(ctx, o.dir)
	if err != nil {
		return false, err
	}
	fmt.Printf("%d flights, %d faults, seed %d\n", o.records, o.faults, o.seed)
	v, err := play(ctx, o, programs, "with", o.records, o.faults)
	if err != nil {
		return false, err
	}
	fmt.Printf("with adopting: %+v\n", *v)
	ok = v.Records == o.records && v.whole() && v.Verify
	if o.without > 0 {
		fmt.Printf("without adopting, %d faults: this has to fail\n", o.without)
		w, err := play(ctx, o, programs, "without", o.records*o.without/max(o.faults, o.without), o.without)
		if err != nil {
			return false, err
		}
		v.Without = &w.tally
		if w.whole() {
			fmt.Println("without adopting nothing was lost or repeated: this suite cannot fail")
			ok = false
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return false, err
	}
	fmt.Println(string(text))
	return ok, nil
}
