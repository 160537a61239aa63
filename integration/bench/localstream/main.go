// Command localstream (of the benchmarks) measures the server of that name beside others, all in one run on one
// machine: only ratios mean something.
//
//	go run ./integration/bench/localstream [-quick] [-kinesalite FOLDER]
//
// The same load goes by turns to a null server, which throws everything away, to localstream on disk with every write
// synced, and to kinesalite in memory if it is installed. Then localstream alone: group commit, memory, and many
// streams beside few. A table is printed, and as the last line one JSON object with the ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shoal-stream/shoal/integration/bench/calm"
)

// config is the command line.
type config struct {
	null       bool
	quick      bool
	check      bool
	only       string
	program    string
	kinesalite string
	work       string

	rounds  int
	writing time.Duration
	memory  int           // bytes written and read
	commit  time.Duration // for each of the two rates of group commit
	many    time.Duration // for each turn of each of the two sizes
}

func main() {
	var c config
	flag.BoolVar(&c.null, "null", false, "be the null server")
	flag.BoolVar(&c.quick, "quick", false, "half a minute in all: fewer rounds, less data")
	flag.BoolVar(&c.check, "check", false, "exit with status 1 if a figure misses its target")
	flag.StringVar(&c.only, "only", "", "run one `part`: servers, commit, memory or many")
	flag.StringVar(&c.program, "localstream", "", "the localstream `program`; empty builds it")
	flag.StringVar(&c.kinesalite, "kinesalite", "", "the `folder` that kinesalite was installed into by npm; empty leaves it out")
	flag.IntVar(&c.rounds, "rounds", 0, "`rounds` over the servers; 0 is 7, or 2 with -quick")
	flag.StringVar(&c.work, "work", "", "the `folder` for data; empty makes one and removes it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	missed, err := c.main(ctx)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	case missed && c.check:
		os.Exit(1)
	}
}

func (c *config) main(ctx context.Context) (missed bool, err error) {
	if c.null {
		return false, serveNull()
	}
	c.sizes()
	if c.work == "" {
		if c.work, err = os.MkdirTemp("", "shoal-bench-"); err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.work)) }()
	}
	if c.program == "" {
		c.program = filepath.Join(c.work, "localstream-program")
		build := exec.CommandContext(ctx, "go", "build", "-o", c.program, "github.com/shoal-stream/shoal/localstream/cmd/localstream")
		if out, err := build.CombinedOutput(); err != nil {
			return false, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	r := new(report)
	for _, part := range []struct {
		name string
		run  func(context.Context, *report) error
	}{{"servers", c.servers}, {"commit", c.commits}, {"memory", c.memories}, {"many", c.sizesOfAccount}} {
		if c.only != "" && c.only != part.name {
			continue
		}
		if err := part.run(ctx, r); err != nil {
			return false, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return r.print(os.Stdout)
}

// sizes sets how much is done.
func (c *config) sizes() {
	rounds := 7 // short ones: the machine is to be the same for all servers of a round
	c.writing, c.memory, c.commit, c.many = 3*time.Second, 2<<30, 5*time.Second, 4*time.Second
	if c.quick {
		rounds = 2
		c.writing, c.memory, c.commit, c.many = 1500*time.Millisecond, 256<<20, time.Second, 500*time.Millisecond
	}
	if c.rounds == 0 {
		c.rounds = rounds
	}
}

// mostStolen is the share of the processors' time with other machines from which on a round is done again.
const mostStolen = 0.05

// servers puts the load on each server by turns.
func (c *config) servers(ctx context.Context, r *report) error {
	all, err := c.start(ctx, r)
	defer func() {
		for _, s := range all {
			s.kill()
		}
	}()
	if err != nil {
		return err
	}
	done := map[string][]*measurement{}
	counted, rounds, err := calm.Rounds(c.rounds, 2*c.rounds, mostStolen, nil, func(round int) error {
		for i := range all {
			s := all[(i+round)%len(all)] // nobody is always the first
			m, err := run(ctx, s, fmt.Sprintf("round-%d", round), c.writing, 1<<40)
			if err != nil {
				return err
			}
			fmt.Printf("round %d  %-12s writes %8.0f/s  p50 %5.1f ms  p99 %6.1f ms  reads %8.0f/s  processors idle %2.0f%%, %2.0f%%, with others %2.0f%%, %2.0f%%\n", round+1, s.name,
				m.writeRate(), m.putP50(), m.putP99(), m.readRate(), 100*m.putting.Idle, 100*m.getting.Idle, 100*m.putting.Stolen, 100*m.getting.Stolen)
			done[s.name] = append(done[s.name], m)
		}
		return nil
	})
	if err != nil {
		return err
	}
	results := map[string][]*measurement{}
	for name, measured := range done {
		results[name] = calm.Only(measured, counted)
	}
	r.note(fmt.Sprintf("of %d rounds the %d that other machines disturbed least count", rounds, len(counted)))
	r.servers(all, results)
	return nil
}

func (c *config) start(ctx context.Context, r *report) (all []*server, err error) {
	null, err := startNull(ctx)
	if err != nil {
		return all, err
	}
	all = append(all, null)
	ours, err := startLocalstream(ctx, c.program, c.work, "localstream")
	if err != nil {
		return all, err
	}
	all = append(all, ours)
	if c.kinesalite == "" {
		r.note("kinesalite left out: no folder of it given (it needs node and npm)")
		return all, nil
	}
	if _, err := os.Stat(c.kinesalite); errors.Is(err, fs.ErrNotExist) {
		r.note("kinesalite left out: it is not installed in " + c.kinesalite)
		return all, nil
	}
	theirs, err := startKinesalite(ctx, c.kinesalite)
	if err != nil {
		return all, err
	}
	return append(all, theirs), nil
}

// memories writes and reads much more than fits into the memory allowed.
func (c *config) memories(ctx context.Context, r *report) error {
	s, err := startLocalstream(ctx, c.program, c.work, "memory")
	if err != nil {
		return err
	}
	defer s.kill()
	m, err := run(ctx, s, "memory", 10*time.Minute, c.memory)
	if err != nil {
		return err
	}
	peak, err := s.status("VmHWM")
	if err != nil {
		return err
	}
	r.memory(m.written*recordBytes, peak)
	return nil
}
