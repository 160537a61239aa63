package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
)

const (
	profiledScenario  = "worker"
	profiledContender = "shoal"
	profiledTurns     = 5 // a turn is some hundred samples
)

// startProfile begins the CPU profile of this process, unless file is empty; stop ends it.
func startProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// A part is a piece of a program's work: the samples that have one of its names in their stack, but for those that an
// earlier part of the list has.
type part struct {
	name  string
	words []string
}

var parts = []part{
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.gcStart", "runtime.bgsweep", "runtime.bgscavenge"}},
	{"leases and start", []string{"/lease/", "/lease.", "aws-sdk-go-v2/service/dynamodb", "main.init", "runtime.doInit"}},
	{"the socket, in the kernel", []string{"syscall.Syscall", "syscall.RawSyscall", "syscall.read", "syscall.write", "internal/runtime/syscall"}},
	{"page faults and memory from the kernel", []string{"runtime.sysUsed", "runtime.sysHugePage", "runtime.(*mheap).alloc"}},
	{"decoding", []string{"/record/kinesiscbor.", "runtime.memclrNoHeapPointers"}},
	{"HTTP", []string{"net/http.", "net/textproto.", "bufio."}},
	{"the SDK: middlewares, signing", []string{"aws-sdk-go-v2", "smithy-go", "crypto/"}},
	{"the worker", []string{"shoal/worker", "main."}},
	{"goroutines: scheduler, timers", []string{"runtime."}},
}

// A profile says how much of the CPU time each part takes.
type profile struct {
	shares []share // the largest first
	total  float64 // milliseconds
}

type share struct {
	name string
	ms   float64
}

// takeProfile runs the worker a few more times with a CPU profile.
func (r *run) takeProfile(ctx context.Context, work string) error {
	s := scenarios[slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == profiledScenario })]
	j := s.full
	j.URL, j.Stream = r.url, r.fresh("profile")
	if err := create(ctx, j); err != nil {
		return err
	}
	defer remove(ctx, j)
	if err := fill(ctx, j); err != nil {
		return err
	}
	args := []string{"tool", "pprof", "-traces", "-unit=ms", r.self}
	for n := range profiledTurns {
		j.App = r.fresh("app")
		file := filepath.Join(work, fmt.Sprintf("cpu-%d", n))
		if _, err := r.process(exec.CommandContext(ctx, r.self, "-contender", profiledContender, "-job", j.String(), "-profile", file), j); err != nil {
			return err
		}
		args = append(args, file)
	}
	var problems bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = &problems
	traces, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go tool pprof: %w: %s", err, lastLine(problems.String()))
	}
	r.report.profile, err = readTraces(string(traces))
	return err
}

// readTraces adds the samples of pprof's traces up by parts. A trace is a line with its time and the innermost function,
// then lines with one function each, then a ruler.
func readTraces(text string) (profile, error) {
	ms := map[string]float64{}
	var p profile
	for trace := range strings.SplitSeq(text, "-----------+") {
		_, trace, _ = strings.Cut(trace, "\n")
		fields := strings.Fields(trace)
		if len(fields) < 2 {
			continue
		}
		took, err := strconv.ParseFloat(strings.TrimSuffix(fields[0], "ms"), 64)
		if err != nil {
			continue // the head of the listing
		}
		ms[partOf(fields[1:])] += took
		p.total += took
	}
	if p.total == 0 {
		return p, fmt.Errorf("no samples in %d bytes of traces", len(text))
	}
	for name, took := range ms {
		p.shares = append(p.shares, share{name, took})
	}
	slices.SortFunc(p.shares, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.ms, a.ms), cmp.Compare(a.name, b.name))
	})
	return p, nil
}

func partOf(stack []string) string {
	for _, p := range parts {
		for _, function := range stack {
			if slices.ContainsFunc(p.words, func(word string) bool { return strings.Contains(function, word) }) {
				return p.name
			}
		}
	}
	return "other"
}

// print writes the profile in a line for each part.
func (p profile) print(w io.Writer) {
	for _, s := range p.shares {
		fmt.Fprintf(w, "profile  %4.1f %%  %s\n", 100*s.ms/p.total, s.name)
	}
	if len(p.shares) > 0 {
		fmt.Fprintln(w)
	}
}

// markdown is the section of the report, empty if there is no profile.
func (p profile) markdown(b *bytes.Buffer) {
	if len(p.shares) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Where the time goes\n\nCPU time of the whole worker at full speed (scenario `%s`, %d turns, %.0f ms in samples), each sample counted for\n"+
		"the first part that has a function in its stack. The largest part, %s, is the next limit.\n\n| | share |\n| --- | ---: |\n",
		profiledScenario, profiledTurns, p.total, p.shares[0].name)
	for _, s := range p.shares {
		fmt.Fprintf(b, "| %s | %.1f %% |\n", s.name, 100*s.ms/p.total)
	}
}
