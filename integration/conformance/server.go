package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A server is a localstream process, and the planted fault in front of it if there is one.
type server struct {
	direct string // the server's URL
	url    string // what clients are told
	cmd    *exec.Cmd
	log    *os.File
	front  *front
}

// stopLimit is how long a process gets to end after SIGTERM.
const stopLimit = 10 * time.Second

// serve starts a server that keeps its data in memory. What it logs is in a file named after its client.
func (c *campaign) serve(ctx context.Context, name string, args ...string) (*server, error) {
	log, err := os.Create(filepath.Join(c.work, name+"-localstream.log"))
	if err != nil {
		return nil, err
	}
	s := &server{log: log}
	s.cmd = exec.Command(c.tools.localstream, append([]string{"serve", "-memory", "-addr", "127.0.0.1:0"}, args...)...)
	s.cmd.Stderr = log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			s.direct = "http://" + addr
			break
		}
	}
	if s.direct == "" {
		_ = s.stop()
		return nil, fmt.Errorf("localstream for %s ended before it was ready: %s", name, tail(log.Name()))
	}
	s.url = s.direct
	if c.fault != "" {
		if s.front, err = newFront(ctx, s.direct, faults[c.fault]); err != nil {
			_ = s.stop()
			return nil, err
		}
		s.url = s.front.url
	}
	return s, nil
}

// stop ends the process and says whether it ended well.
func (s *server) stop() error {
	if s.front != nil {
		s.front.close()
	}
	defer s.log.Close()
	if err := end(s.cmd, syscall.SIGTERM); err != nil {
		return fmt.Errorf("localstream: %w; %s", err, tail(s.log.Name()))
	}
	return nil
}

// end signals a process and waits for its end, which it forces in the end. The error is that of the exit.
func end(cmd *exec.Cmd, how syscall.Signal) error {
	_ = cmd.Process.Signal(how) // it may have ended
	force := time.AfterFunc(stopLimit, func() { _ = cmd.Process.Kill() })
	defer force.Stop()
	return cmd.Wait()
}

// tail is the last part of a log file.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}
