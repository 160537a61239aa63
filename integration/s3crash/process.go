package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// A process is a program that runs. What it prints is kept in a file and looked through for some words.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its output was read

	mu      sync.Mutex
	adopted int
	last    []string
}

// start starts a program whose output goes to the file log, too.
func start(name, log, program string, env []string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		file.Close()
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = write, write
	err = p.cmd.Start()
	write.Close()
	if err != nil {
		read.Close()
		file.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go p.collect(read, file)
	return p, nil
}

// collect reads the output until the process has ended.
func (p *process) collect(out, log *os.File) {
	defer close(p.done)
	defer out.Close()
	defer log.Close()
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		fmt.Fprint(log, line)
		p.mu.Lock()
		if strings.Contains(line, "its end is taken over") {
			p.adopted++
		}
		p.last = append(p.last[max(0, len(p.last)-20):], line)
		p.mu.Unlock()
		if err != nil {
			break
		}
	}
	_ = p.cmd.Wait() // the state is in ProcessState
}

func (p *process) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.adopted
}

func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.last, "")
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// signal sends a signal to a process that has not ended.
func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w\n%s", p.name, err, p.tail())
	}
	return nil
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}
