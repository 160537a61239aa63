package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/sourcegraph/conc/pool"
)

// A replay is a check that seeds repeat.
type replay struct {
	pkg, tags, test, args string
	first                 uint64
	runs, lanes           int
	out                   io.Writer
}

// runFor bounds one run: the clock does not interrupt goroutines there, so a test that spins cannot end itself.
const runFor = 5 * time.Minute

// check builds, runs, compares and prints. It reports whether every seed has repeated.
func (r *replay) check(ctx context.Context) (bool, error) {
	binary, dir, clean, err := r.prepare(ctx)
	if err != nil {
		return false, err
	}
	defer clean()
	return r.compare(func(seed uint64) (string, error) {
		return runOnce(ctx, binary, dir, r.test, seed, strings.Fields(r.args))
	})
}

// once runs the tests with the first seed and prints what they print.
func (r *replay) once(ctx context.Context) error {
	binary, dir, clean, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	defer clean()
	cmd := command(ctx, binary, dir, r.test, r.first, strings.Fields(r.args))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// prepare makes the test binary of a package, to be run in dir, in a folder that clean removes.
func (r *replay) prepare(ctx context.Context) (binary, dir string, clean func(), err error) {
	tmp, err := os.MkdirTemp("", "replay")
	if err != nil {
		return "", "", nil, err
	}
	clean = func() { _ = os.RemoveAll(tmp) }
	if binary, err = build(ctx, tmp, r.pkg, r.tags); err == nil {
		var out []byte
		if out, err = exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", r.pkg).Output(); err == nil {
			return binary, strings.TrimSpace(string(out)), clean, nil
		}
		err = fmt.Errorf("go list %s: %w", r.pkg, err)
	}
	clean()
	return "", "", nil, err
}

// command is one run of a test with a seed.
func command(ctx context.Context, binary, dir, test string, seed uint64, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, append([]string{"-test.run", test, "-seed", strconv.FormatUint(seed, 10)}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=")
	return cmd
}

// compare runs each seed twice with run, which returns its trace, and prints what came of it.
func (r *replay) compare(run func(seed uint64) (string, error)) (bool, error) {
	traces, errs := make([]string, 2*r.runs), make([]error, 2*r.runs)
	lanes := pool.New().WithMaxGoroutines(r.lanes)
	for i := range traces {
		lanes.Go(func() { traces[i], errs[i] = run(r.first + uint64(i/2)) })
	}
	lanes.Wait()
	equal := 0
	for i := range r.runs {
		seed, a, b := r.first+uint64(i), 2*i, 2*i+1
		switch {
		case errs[a] != nil || errs[b] != nil:
			for _, err := range []error{errs[a], errs[b]} {
				if err != nil {
					fmt.Fprintf(r.out, "seed %d: %v\n", seed, err)
				}
			}
		case traces[a] != traces[b]:
			fmt.Fprintf(r.out, "seed %d does not repeat:\n%s%s", seed, traces[a], traces[b])
		default:
			equal++
		}
	}
	line, err := json.Marshal(struct {
		Runs  int `json:"runs"`
		Equal int `json:"equal"`
	}{r.runs, equal})
	if err != nil {
		return false, err
	}
	fmt.Fprintf(r.out, "%s\n", line)
	return equal == r.runs, nil
}

// runOnce runs a test with a seed in a fresh process and returns the lines of its trace.
func runOnce(ctx context.Context, binary, dir, test string, seed uint64, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runFor)
	defer cancel()
	out, err := command(ctx, binary, dir, test, seed, args).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, last(out, 4<<10))
	}
	var trace strings.Builder
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "trace ") {
			trace.WriteString(line)
		}
	}
	if trace.Len() == 0 {
		return "", fmt.Errorf("the test printed no line that begins with \"trace \"\n%s", last(out, 4<<10))
	}
	return trace.String(), nil
}

// last is the end of what was printed, from the beginning of a line.
func last(out []byte, n int) []byte {
	if len(out) <= n {
		return out
	}
	out = out[len(out)-n:]
	return out[bytes.IndexByte(out, '\n')+1:]
}
