package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/integration/kclworker"
)

// A launcher runs one turn of a contender, as a process.
type launcher func(ctx context.Context, j job.Job) (measured, error)

// launchers finds how to run each contender of the scenarios. Those that cannot be had are left out, with the reason in
// the report.
func (r *run) launchers(ctx context.Context, chosen []scenario, work string) map[string]launcher {
	all := map[string]launcher{}
	for name := range programs {
		all[name] = func(ctx context.Context, j job.Job) (measured, error) {
			return r.process(exec.CommandContext(ctx, r.self, "-contender", name, "-job", j.String()), j)
		}
	}
	wanted := map[string]bool{}
	for _, s := range chosen {
		for _, name := range s.who() {
			wanted[name] = true
		}
	}
	if slices.ContainsFunc(goPeers, func(name string) bool { return wanted[name] }) {
		r.goPeers(ctx, work, all)
	}
	for name, why := range unavailable {
		if wanted[name] {
			r.report.leaveOut(name, errors.New(why))
		}
	}
	if wanted["java"] {
		classpath, err := kclworker.Install(ctx, kclworker.Newest)
		if err != nil {
			r.report.leaveOut("java", err)
		} else {
			all["java"] = func(ctx context.Context, j job.Job) (measured, error) { return r.java(ctx, classpath, j) }
		}
	}
	return all
}

// goPeers are the Go libraries that integration/bench/peers has, a module of its own.
var goPeers = []string{"vmware", "harlow"}

// unavailable are peers that have no program, and why.
var unavailable = map[string]string{
	"kinsumer": "its module has no tag that Go takes for a version, and the checksum database does not know those of its fork",
}

// goPeers builds the program of the Go peers. Without the network, or a module that they need, they are left out.
func (r *run) goPeers(ctx context.Context, work string, all map[string]launcher) {
	program := filepath.Join(work, "peers")
	err := buildPeers(ctx, program)
	for _, name := range goPeers {
		if err != nil {
			r.report.leaveOut(name, err)
			continue
		}
		all[name] = func(ctx context.Context, j job.Job) (measured, error) {
			return r.process(exec.CommandContext(ctx, program, name, j.String()), j)
		}
	}
}

func buildPeers(ctx context.Context, program string) error {
	dir, err := benchFolder(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join(dir, "peers")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

// java runs the Java KCL in its default settings but for the time between listings of shards and between reads, and with
// the optimising compiler on. Its CPU time and memory are the JVM's, start included.
func (r *run) java(ctx context.Context, classpath string, j job.Job) (_ measured, err error) {
	cmd := kclworker.Command(classpath)
	cmd.Args = slices.DeleteFunc(cmd.Args, func(a string) bool { return a == "-XX:TieredStopAtLevel=1" })
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start java: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer stop()
	settings := kclworker.Settings{
		Endpoint: j.URL, Stream: j.Stream, App: j.App, Worker: "java", ShardSync: time.Second, Idle: time.Millisecond,
	}
	tally, peak, lines := job.NewTally(j.Records), 0.0, bufio.NewScanner(out)
	for lines.Scan() {
		var event struct{ Event, Detail string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // a line of the library's own
		}
		switch event.Event {
		case "idle":
			if _, err := fmt.Fprint(in, settings.Start()); err != nil {
				return nil, fmt.Errorf("start the Java worker: %w", err)
			}
		case "delivered":
			var n int
			if _, err := fmt.Sscan(event.Detail, &n); err != nil {
				return nil, fmt.Errorf("what Java delivered: %w", err)
			}
			tally.Add(n)
		}
		select {
		case <-tally.All():
		default:
			continue
		}
		if peak, err = status(cmd.Process.Pid, "VmHWM"); err != nil {
			return nil, err
		}
		break
	}
	_ = cmd.Process.Kill() // it has done its work, and may have ended
	_ = cmd.Wait()         // killed, as it should be
	figures, err := tally.Figures()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, fmt.Errorf("java: %w", err)
	}
	m := measured(figures)
	m["peak_mib"] = peak / (1 << 20)
	m.spent(cmd.ProcessState, j)
	return m, nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
