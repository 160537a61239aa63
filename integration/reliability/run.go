package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sourcegraph/conc/pool"
)

// lanes is how many fleets run at a time, each with one processor: a bubble does one thing at a time anyway.
const lanes = 2

// A size says how much of everything.
type size struct {
	seeds, seeds2         int // of layers 1 and 2
	raceSeeds, raceSeeds2 int
	replays, replays2     int
	searches              int // for each planted fault
	model                 []string
	crowds                int // runs of real processes
	crowd                 []string
	server                []string
}

var (
	ciSize = size{
		seeds: 1600, seeds2: 30, raceSeeds: 4, raceSeeds2: 2, replays: 21, replays2: 4, searches: 1,
		model: []string{"-quick"}, crowds: 1,
	}
	fullSize = size{
		seeds: 10_000, seeds2: 200, raceSeeds: 200, raceSeeds2: 20, replays: 100, replays2: 25, searches: 5,
		model: []string{"-full"}, crowds: 5,
		server: []string{"-cuts", "100000", "-kills", "1000", "-errors", "1500", "-flips", "6000", "-operations", "300000"},
	}
)

// shorten leaves the fleets on virtual time as they are and makes less of what takes real time.
func (s *size) shorten() { s.crowd, s.server = []string{"-quick"}, []string{"-quick"} }

// A run is one run of the program.
type run struct {
	size    size
	first   uint64
	fault   string
	table   string // the document for the table of planted faults, "" for none
	started time.Time
	dir     string // with the binaries
	verdict verdict
}

// A binary is a test binary of the fleets. All but the racing one are exact: a seed that fails fails again.
type binary struct{ name, tags, race string }

var (
	plain   = binary{name: "sim.test", tags: "detsim"}
	racing  = binary{name: "race.test", race: "-race"}
	mutated = binary{name: "mutants.test", tags: "detsim,mutants"}
)

// build makes a test binary, unless it is there.
func (r *run) build(ctx context.Context, b binary) (path string, err error) {
	path = filepath.Join(r.dir, b.name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	args := []string{"test", "-c", "-o", path, "-tags", b.tags}
	if b.race != "" {
		args = append(args, b.race)
	} else {
		overlay := filepath.Join(r.dir, "overlay")
		if out, err := exec.CommandContext(ctx, "go", "run", "./integration/sim/overlay", overlay).CombinedOutput(); err != nil {
			return "", fmt.Errorf("change the runtime: %w\n%s", err, out)
		}
		args = append(args, "-overlay", filepath.Join(overlay, "overlay.json"))
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "./integration/sim")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", b.name, err, out)
	}
	return path, nil
}

// open makes the folder for the binaries; the returned function removes it.
func (r *run) open() (clean func(), err error) {
	r.dir, err = os.MkdirTemp("", "reliability")
	return func() { _ = os.RemoveAll(r.dir) }, err
}

// fleets runs a test of a binary in several processes at a time, each with the arguments of one of parts, and returns the
// JSON lines that they printed. held is false if one failed.
func (r *run) fleets(ctx context.Context, b binary, parts [][]string) (lines [][]byte, held bool, err error) {
	path, err := r.build(ctx, b)
	if err != nil {
		return nil, false, err
	}
	outs, errs := make([][]byte, len(parts)), make([]error, len(parts))
	workers := pool.New().WithMaxGoroutines(lanes)
	for i, args := range parts {
		workers.Go(func() {
			cmd := command(ctx, givesWay, path, append([]string{"-test.timeout", "0"}, args...)...)
			cmd.Dir = "integration/sim"
			cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=")
			if b.race != "" {
				cmd.Env = os.Environ()
			}
			outs[i], errs[i] = cmd.CombinedOutput()
		})
	}
	workers.Wait()
	held = true
	for i, out := range outs {
		var exit *exec.ExitError
		if errs[i] != nil && !errors.As(errs[i], &exit) || ctx.Err() != nil {
			return nil, false, errors.Join(errs[i], ctx.Err())
		}
		found := jsonLines(out)
		lines = append(lines, found...)
		if errs[i] != nil {
			held = false
			_, _ = io.Copy(os.Stdout, bytes.NewReader(withoutJSON(out)))
		}
		if len(found) == 0 {
			return nil, false, fmt.Errorf("%s printed no figures: %w\n%s", strings.Join(parts[i], " "), errs[i], out)
		}
	}
	return lines, held, nil
}

// A rank says who goes first where processors are short: real processes, before what runs on virtual time.
type rank bool

const (
	goesFirst rank = false
	givesWay  rank = true
)

// command is ended by SIGTERM when the context is, so that it can end those that it started.
func command(ctx context.Context, rank rank, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	if nice, err := exec.LookPath("nice"); err == nil && rank == givesWay {
		cmd = exec.CommandContext(ctx, nice, append([]string{"-n", "15", path}, args...)...)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// program runs a program of this module and reads the JSON object of its last line into v. held is its exit status.
func (r *run) program(ctx context.Context, rank rank, v any, pkg string, args ...string) (held bool, err error) {
	path := filepath.Join(r.dir, filepath.Base(pkg)+".program")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		return false, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	cmd := command(ctx, rank, path, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		return false, errors.Join(err, ctx.Err())
	}
	lines := jsonLines(out)
	if err != nil {
		_, _ = os.Stdout.Write(withoutJSON(out))
	}
	if len(lines) == 0 {
		return false, fmt.Errorf("%s printed no figures", pkg)
	}
	if err := json.Unmarshal(lines[len(lines)-1], v); err != nil {
		return false, fmt.Errorf("%s: %w", pkg, err)
	}
	return err == nil, nil
}

func jsonLines(out []byte) (lines [][]byte) {
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if line := bytes.TrimSpace(s.Bytes()); bytes.HasPrefix(line, []byte("{")) && json.Valid(line) {
			lines = append(lines, bytes.Clone(line))
		}
	}
	return lines
}

func withoutJSON(out []byte) []byte {
	var rest bytes.Buffer
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if !bytes.HasPrefix(bytes.TrimSpace(s.Bytes()), []byte("{")) {
			rest.Write(append(s.Bytes(), '\n'))
		}
	}
	return rest.Bytes()
}
