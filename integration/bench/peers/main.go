// Command peers is the contenders of the benchmark that are other libraries. It is a module of its own, so that Shoal's
// does not depend on them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/shoal-stream/shoal/integration/bench/job"
)

// peers consume all records of a stream, counting them, each as its documentation shows.
var peers = map[string]func(context.Context, job.Job, *job.Tally) error{
	"vmware": vmware,
	"harlow": harlow,
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(name, text string) error {
	peer, ok := peers[name]
	if !ok {
		return fmt.Errorf("no peer %q", name)
	}
	j, err := job.Parse(text)
	if err != nil {
		return err
	}
	tally := job.NewTally(j.Records)
	if err := peer(context.Background(), j, tally); err != nil {
		return err
	}
	figures, err := tally.Figures()
	if err != nil {
		return err
	}
	if figures["peak_mib"], err = peak(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(figures)
}

// peak is the most resident memory that this process had, in MiB.
func peak() (float64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kib / 1024, err
}
