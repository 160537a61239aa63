package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A gateway is the S3 server: objects are files below a folder. It comes back on the same port.
type gateway struct {
	program, dir string
	address, url string

	mu      sync.Mutex
	process *process
}

func newGateway(ctx context.Context, program, dir string) (*gateway, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		return nil, err
	}
	g := &gateway{program: program, dir: dir, address: l.Addr().String()}
	g.url = "http://" + g.address
	l.Close()
	if err := os.MkdirAll(filepath.Join(dir, "s3"), 0o755); err != nil {
		return nil, err
	}
	return g, g.up(ctx)
}

// up starts the server unless it runs, and waits until it listens.
func (g *gateway) up(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process != nil && g.process.running() {
		return nil
	}
	var err error
	g.process, err = start("versitygw", filepath.Join(g.dir, "gateway.log"), g.program, nil,
		"--port", g.address, "--access", accessKey, "--secret", accessKey, "--quiet", "posix", filepath.Join(g.dir, "s3"))
	if err != nil {
		return err
	}
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
		if c, err := net.Dial("tcp", g.address); err == nil {
			return c.Close()
		}
		if !g.process.running() {
			return fmt.Errorf("the S3 server has ended:\n%s", g.process.tail())
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the S3 server does not listen:\n%s", strings.TrimSpace(g.process.tail()))
}

// end kills the server.
func (g *gateway) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process != nil {
		g.process.kill()
	}
}
