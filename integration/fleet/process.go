package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// An Event is a line of JSON that a worker printed.
type Event struct {
	At      time.Time `json:"at"`
	Name    string    `json:"event"`
	Session string    `json:"session"`
	Shard   string    `json:"shard"`
	Detail  string    `json:"detail"`
}

// A process is a program that tells events on its standard output. All that it prints goes to a file, too.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	log   *os.File
	done  chan struct{} // closed once it has ended and its output was read

	mu     sync.Mutex
	events []Event
	grown  chan struct{} // closed and replaced with each event
}

// launch starts cmd. Its output is appended to the file log.
func launch(name string, cmd *exec.Cmd, log string) (*process, error) {
	p := &process{name: name, cmd: cmd, done: make(chan struct{}), grown: make(chan struct{})}
	var err error
	if p.log, err = os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	cmd.Stderr = p.log
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	cmd.Stdout = write
	err = cmd.Start()
	_ = write.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), read.Close(), p.log.Close())
	}
	go p.collect(read)
	return p, nil
}

// collect reads the events until the process has ended.
func (p *process) collect(out *os.File) {
	defer close(p.done)
	defer p.log.Close()
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = fmt.Fprintln(p.log, lines.Text())
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Name == "" {
			continue
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // the state is in ProcessState
}

// Events is what the process has told so far.
func (p *process) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// await waits for an event behind the first from ones and returns the number of events up to it.
func (p *process) await(ctx context.Context, event string, from int, limit time.Duration) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %v", limit))
	defer cancel()
	for {
		p.mu.Lock()
		for ; from < len(p.events); from++ {
			if p.events[from].Name == event {
				p.mu.Unlock()
				return from + 1, nil
			}
		}
		grown := p.grown
		p.mu.Unlock()
		select {
		case <-grown:
		case <-p.done:
			if p.count() == from {
				return 0, fmt.Errorf("%s ended before the event %q; see %s", p.name, event, p.log.Name())
			}
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the event %q of %s: %w; see %s", event, p.name, context.Cause(ctx), p.log.Name())
		}
	}
}

func (p *process) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

// tell writes a command to its standard input.
func (p *process) tell(command string) error {
	if _, err := io.WriteString(p.stdin, command); err != nil {
		return fmt.Errorf("tell %s to %s: %w", p.name, strings.TrimSpace(command), err)
	}
	return nil
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %v to %s: %w", s, p.name, err)
	}
	return nil
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// ended waits for the end of the process, which must be good.
func (p *process) ended(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		return fmt.Errorf("%s has not ended within %v; see %s", p.name, limit, p.log.Name())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with status %d; see %s", p.name, code, p.log.Name())
	}
	return nil
}
