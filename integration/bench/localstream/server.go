package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A server is a running server process.
type server struct {
	name string
	url  string
	cmd  *exec.Cmd
}

// startTime is how long a server may take until it answers.
const startTime = 20 * time.Second

// startNull starts the null server: this program again.
func startNull(ctx context.Context) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the null server: %w", err)
	}
	return startPrinting(ctx, "null", self, "-null")
}

// startLocalstream starts localstream on a data directory below work, with every write synced.
func startLocalstream(ctx context.Context, program, work, name string) (*server, error) {
	return startPrinting(ctx, name, program, "serve", "-data", filepath.Join(work, name), "-addr", "127.0.0.1:0", "-limits", "off")
}

// startPrinting starts a program that prints "ready ADDRESS".
func startPrinting(ctx context.Context, name, program string, args ...string) (*server, error) {
	s := &server{name: name, cmd: exec.CommandContext(ctx, program, args...)}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			s.url = "http://" + address
			return s, nil
		}
	}
	return nil, fmt.Errorf("start %s: it ended before it was ready: %w", name, s.cmd.Wait())
}

// startKinesalite starts kinesalite, in memory, from the folder that npm installed it into.
func startKinesalite(ctx context.Context, folder string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start kinesalite: %w", err)
	}
	address := l.Addr().String()
	l.Close() // kinesalite does not say which port it took, so it is told one
	_, port, _ := net.SplitHostPort(address)
	s := &server{name: "kinesalite", url: "http://" + address}
	s.cmd = exec.CommandContext(ctx, filepath.Join(folder, "node_modules", ".bin", "kinesalite"), "--port", port, "--createStreamMs", "0", "--shardLimit", "1000")
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start kinesalite: %w", err)
	}
	for deadline := time.Now().Add(startTime); ; {
		c, err := net.Dial("tcp", address)
		if err == nil {
			return s, c.Close()
		}
		if time.Now().After(deadline) {
			s.kill()
			return nil, fmt.Errorf("start kinesalite: it does not answer: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// kill ends the process and waits until it is gone.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // killed, as it should be
}

// status reads a size in bytes from the process's status, such as VmHWM, the peak of its resident memory.
func (s *server) status(name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("memory of %s: %w", s.name, err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name+":" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("memory of " + s.name + ": no " + name + " in its status")
}

// cpu is the processor time that the process has used.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("processor time of %s: %w", s.name, err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("processor time of " + s.name + ": its stat is too short")
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time of %s: %w", s.name, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // USER_HZ is 100
}
