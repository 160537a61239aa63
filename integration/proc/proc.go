// Package proc runs the project's programs as real processes for tests: it builds them, starts them, reads what they
// print, and ends them gently or not. It ends only what it started.
package proc

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const module = "github.com/shoal-stream/shoal/"

// Build compiles commands, named by their folders in the module, and returns the folder with the programs.
func Build(tb testing.TB, folders ...string) string {
	tb.Helper()
	bin := tb.TempDir()
	args := []string{"build", "-o", bin + string(filepath.Separator)}
	for _, f := range folders {
		args = append(args, module+f)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// A Process is a running program. What it prints is kept for the test's log.
type Process struct {
	Name string
	tb   testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended and all its output was read

	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed and replaced with each line
}

// Start starts a program. When the test ends it is killed, if it still runs, and its last lines are logged if the test
// failed.
func Start(tb testing.TB, name, program string, args ...string) *Process {
	tb.Helper()
	p := &Process{Name: name, tb: tb, cmd: exec.Command(program, args...), done: make(chan struct{}), grown: make(chan struct{})}
	read, write, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", name, err)
	}
	write.Close()
	go p.collect(read)
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("%s, last lines:\n%s", name, strings.Join(p.tail(4000), "\n"))
		}
	})
	return p
}

// collect reads the output until the process has ended.
func (p *Process) collect(out *os.File) {
	defer close(p.done)
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // the state is in ProcessState
}

func (p *Process) tail(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines[max(0, len(p.lines)-n):]...)
}

// Line waits for a line that contains text and returns it.
func (p *Process) Line(text string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for from := 0; ; {
		p.mu.Lock()
		for ; from < len(p.lines); from++ {
			if strings.Contains(p.lines[from], text) {
				line := p.lines[from]
				p.mu.Unlock()
				return line, nil
			}
		}
		grown := p.grown
		p.mu.Unlock()
		select {
		case <-grown:
		case <-p.done:
			if p.count() == from {
				return "", fmt.Errorf("%s ended without a line with %q", p.Name, text)
			}
		case <-ctx.Done():
			return "", fmt.Errorf("%s printed no line with %q within %v", p.Name, text, limit)
		}
	}
}

func (p *Process) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// Kill ends the process at once (SIGKILL) and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.tb.Fatalf("signal %s: %v", p.Name, err)
	}
}

// Wait waits for the process to end and returns its exit code.
func (p *Process) Wait(limit time.Duration) (int, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-timer.C:
		return 0, fmt.Errorf("%s has not ended within %v", p.Name, limit)
	}
}

// Poll asks until ok says yes, or fails the test after limit.
func Poll(tb testing.TB, what string, limit time.Duration, ok func() bool) {
	tb.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(limit); !ok(); <-ticker.C {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within %v", what, limit)
		}
	}
}
