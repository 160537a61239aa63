package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// writeReport writes benchmarks.md into a folder, and the plot that it shows.
func (r *run) writeReport(ctx context.Context) error {
	plotted := r.plot(ctx)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench` on %s; do not edit. Each contender is a process of its own, and they took turns over one\n"+
		"localstream in memory, without limits, over HTTP on the same machine: ratios mean something, single figures little.\n"+
		"A ratio is the median of the ratios within each of %d rounds, with the least and the most behind it. A round for which other\n"+
		"machines on the same hardware took more than %.0f%% of the processors' time (%.0f%% where latency is measured) is done again, up to as\n"+
		"many as there are rounds; those that were disturbed least count.\n\n",
		time.Now().UTC().Format("2 January 2006"), r.rounds, 100*mostStolen, 100*mostStolenOfLatency)
	for _, line := range machine(ctx) {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, why := range r.report.leftOut {
		fmt.Fprintf(&b, "- left out: %s\n", why)
	}
	fmt.Fprintf(&b, "\n`go run ./integration/bench -only NAME` repeats a part by its name; `make bench-smoke` is all of it with little data.\n\n## Ratios\n\n")
	if plotted == nil {
		fmt.Fprintf(&b, "![the ratios with their spread and targets](benchmarks.png)\n\n")
	} else {
		fmt.Fprintf(&b, "The plot could not be drawn: %v.\n\n", plotted)
	}
	fmt.Fprintf(&b, "| | median | least to most | target |\n| --- | ---: | ---: | --- |\n")
	for _, s := range r.report.sections {
		for _, o := range s.ratios {
			fmt.Fprintf(&b, "| %s | %s | %s to %s | %s |\n", o.words(), number(o.median), number(o.low), number(o.high), o.target())
		}
	}
	for _, s := range r.report.sections {
		s.markdown(&b)
	}
	r.report.profile.markdown(&b)
	return os.WriteFile(filepath.Join(r.write, "benchmarks.md"), b.Bytes(), 0o644)
}

// words is what a ratio is of.
func (o outcome) words() string {
	text := fmt.Sprintf("`%s`: %s of %s", o.name, o.figure, o.of)
	if o.over != "" {
		text += " / " + o.over
	}
	if o.minus != "" {
		text += " - " + o.minus
	}
	return text
}

// markdown is the table of a scenario's contenders.
func (s section) markdown(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n## %s\n\n`%s`: ", s.title, s.name)
	for _, part := range []struct {
		format string
		n      int
	}{
		{"%d shards, ", s.job.Shards}, {"%d records, ", s.job.Records}, {"%d bytes each, ", s.job.Size},
		{"%d partition keys, ", s.job.Keys}, {"%d records/s, ", s.job.Rate},
	} {
		if part.n > 0 {
			fmt.Fprintf(b, part.format, part.n)
		}
	}
	if s.job.Window > 0 {
		fmt.Fprintf(b, "%v long, ", s.job.Window)
	}
	fmt.Fprintf(b, "%s\n\n| | %s |\n| --- |%s\n", s.rounds.words(), strings.Join(s.shown, " | "), strings.Repeat(" ---: |", len(s.shown)))
	for _, name := range s.who() {
		found := s.results[name]
		if len(found) == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s |", name)
		for _, figure := range s.shown {
			var values []float64
			for _, m := range found {
				if v, ok := m[figure]; ok {
					values = append(values, v)
				}
			}
			at := spreadOf(values)
			switch len(values) {
			case 0:
				fmt.Fprint(b, " - |")
			case 1:
				fmt.Fprintf(b, " %s |", number(at.median))
			default:
				fmt.Fprintf(b, " %s (%s to %s) |", number(at.median), number(at.low), number(at.high))
			}
		}
		fmt.Fprintln(b)
	}
}

// machine is what the figures were taken with.
func machine(ctx context.Context) []string {
	lines := []string{fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
	for _, f := range []struct{ file, key, name string }{
		{"/proc/cpuinfo", "model name", "processor"}, {"/proc/meminfo", "MemTotal", "memory"},
	} {
		text, _ := os.ReadFile(f.file) // other systems have none
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, f.key); ok {
				lines = append(lines, f.name+": "+strings.TrimSpace(strings.TrimLeft(rest, " \t:")))
				break
			}
		}
	}
	if out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		lines = append(lines, "Shoal at "+strings.TrimSpace(string(out)))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.HasSuffix(m.Path, "aws-sdk-go-v2/service/kinesis") || strings.HasSuffix(m.Path, "smithy-go") {
				lines = append(lines, m.Path+" "+m.Version)
			}
		}
	}
	if dir, err := benchFolder(ctx); err == nil {
		cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{if and (not .Indirect) (not .Main)}}{{.Path}} {{.Version}}{{end}}", "all")
		cmd.Dir = filepath.Join(dir, "peers")
		out, _ := cmd.Output() // without the peers there is nothing to list
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "kcl") || strings.Contains(line, "consumer") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	return lines
}

// plot draws what are quotients, by a program of its own module.
func (r *run) plot(ctx context.Context) error {
	type bar struct {
		Name              string
		Median, Low, High float64
		Target            float64
	}
	var bars []bar
	for _, s := range r.report.sections {
		for _, o := range s.ratios {
			if o.over != "" && o.low > 0 {
				bars = append(bars, bar{o.name, o.median, o.low, o.high, max(o.least, o.most)})
			}
		}
	}
	if len(bars) == 0 {
		return errors.New("there are no quotients")
	}
	in, err := json.Marshal(bars)
	if err != nil {
		return err
	}
	file, err := filepath.Abs(filepath.Join(r.write, "benchmarks.png"))
	if err != nil {
		return err
	}
	dir, err := benchFolder(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", ".", file)
	cmd.Dir, cmd.Stdin = filepath.Join(dir, "plot"), bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("draw: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

// benchFolder is where the source of this program is.
func benchFolder(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find this module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "integration", "bench"), nil
}
