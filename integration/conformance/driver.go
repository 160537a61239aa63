package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A request is one call as every driver takes it. Blobs are {"$bytes": base64} and moments {"$time": epoch ms}, in both
// directions.
type request struct {
	Service string         `json:"service"`
	Op      string         `json:"op"`
	Input   map[string]any `json:"input"`
}

// A reply is what the client's caller got.
type reply struct {
	// Output is the answer, with the members that the service sent.
	Output map[string]any `json:"output"`
	// RequestID is that of the answer or error, if the client shows it.
	RequestID string `json:"requestId"`
	// Error is the service's error.
	Error *apiError `json:"error"`
	// Unknown tells that the client is too old to know the operation or one of its members.
	Unknown string `json:"unknown"`
	// Broken is what the client made of an answer that it could not understand.
	Broken string `json:"broken"`
}

// String is the reply for a message.
func (r reply) String() string {
	switch {
	case r.Error != nil:
		return show(r.Error)
	case r.Broken != "":
		return r.Broken
	default:
		return show(r.Output)
	}
}

// An apiError is an error of the service as a client shows it. Members are those besides the message.
type apiError struct {
	Type    string         `json:"type"`
	Message string         `json:"message"`
	Members map[string]any `json:"members"`
}

// A driver makes calls with one client.
type driver interface {
	call(ctx context.Context, r request) (reply, error)
	close() error
}

// A processDriver is a program that reads a request a line and answers each with a line.
type processDriver struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log *os.File
}

func (c *campaign) startDriver(ctx context.Context, name, program string, args ...string) (*processDriver, error) {
	log, err := os.CreateTemp(c.work, name+"-*.log")
	if err != nil {
		return nil, err
	}
	d := &processDriver{cmd: exec.CommandContext(ctx, program, args...), log: log}
	d.cmd.Stderr = log
	d.cmd.Env = clientEnv()
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.out = bufio.NewReaderSize(out, 1<<20)
	return d, d.cmd.Start()
}

// clientEnv is this program's environment without settings of AWS clients, and with the ones that localstream prints.
func clientEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if len(v) < 4 || v[:4] != "AWS_" {
			env = append(env, v)
		}
	}
	return append(env, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=localstream", "AWS_SECRET_ACCESS_KEY=localstream",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=")
}

// callLimit bounds one call, with the client's retries.
const callLimit = 90 * time.Second

func (d *processDriver) call(_ context.Context, r request) (reply, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	late := time.AfterFunc(callLimit, func() { _ = d.cmd.Process.Kill() })
	defer late.Stop()
	if _, err := d.in.Write(append(text, '\n')); err != nil {
		return reply{}, fmt.Errorf("ask the driver: %w; %s", err, tail(d.log.Name()))
	}
	line, err := d.out.ReadBytes('\n')
	if err != nil {
		return reply{}, fmt.Errorf("the driver's answer: %w; %s", err, tail(d.log.Name()))
	}
	var out reply
	if err := json.Unmarshal(line, &out); err != nil {
		return reply{}, fmt.Errorf("the driver's answer %.200q: %w", line, err)
	}
	return out, nil
}

// close ends the driver: it stops at the end of its input.
func (d *processDriver) close() error {
	defer d.log.Close()
	_ = d.in.Close()
	if err := end(d.cmd, syscall.Signal(0)); err != nil {
		return fmt.Errorf("the driver's end: %w; %s", err, tail(d.log.Name()))
	}
	return nil
}

func (c *campaign) pythonClient(name, script string) func(context.Context, *result) error {
	return func(ctx context.Context, r *result) error {
		return c.steps(ctx, name, r, func(url string) (driver, error) {
			return c.startDriver(ctx, name, c.tools.python, filepath.Join(c.tools.scripts, script), url)
		})
	}
}

func (c *campaign) javaClient(name string) func(context.Context, *result) error {
	return func(ctx context.Context, r *result) error {
		return c.steps(ctx, name, r, func(url string) (driver, error) {
			return c.startDriver(ctx, name, "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", c.tools.sdk, "io.shoal.conformance.SdkDriver", url)
		})
	}
}

func (c *campaign) goClient(name string) func(context.Context, *result) error {
	return func(ctx context.Context, r *result) error {
		return c.steps(ctx, name, r, func(url string) (driver, error) { return newGoDriver(url), nil })
	}
}
