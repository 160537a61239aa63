package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/internal/plainbody"
)

// killsOfEach is how often processes on one data directory are killed.
const killsOfEach = 10

// killed kills processes with SIGKILL and starts others on what is left.
func (p plan) killed(ctx context.Context, v *verdict) error {
	tmp, err := os.MkdirTemp("", "shoal-durability-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	program := p.program
	if program == "" {
		if program, err = build(ctx, tmp); err != nil {
			return err
		}
	}
	work := pool.New().WithContext(ctx).WithCancelOnError().WithMaxGoroutines(lanes)
	for i := 0; i < p.kills; i += killsOfEach {
		work.Go(func(ctx context.Context) error {
			data, err := os.MkdirTemp(tmp, "data-")
			if err != nil {
				return err
			}
			k := &killing{
				v: v, command: []string{program, "serve", "-addr", "127.0.0.1:0", "-data", data}, cast: newCast(p.fault),
				left: min(killsOfEach, p.kills-i), rng: rand.New(rand.NewPCG(p.seed, uint64(i))),
			}
			if p.fault == faultMemory {
				k.command = append(k.command[:len(k.command)-2], "-memory")
			}
			return k.run(ctx)
		})
	}
	return work.Wait()
}

// build builds localstream into a folder.
func build(ctx context.Context, folder string) (program string, err error) {
	program = filepath.Join(folder, "localstream")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/shoal-stream/shoal/localstream/cmd/localstream").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building localstream: %w\n%s", err, out)
	}
	return program, nil
}

// A killing is a data directory whose servers are killed again and again.
type killing struct {
	v       *verdict
	command []string // that starts one
	cast    cast
	rng     *rand.Rand
	left    int
}

func (k *killing) run(ctx context.Context) error {
	for first := true; ; first = false {
		if !first && k.left > 0 && k.rng.IntN(4) == 0 {
			if err := k.atStart(ctx); err != nil {
				return err
			}
		}
		s, err := startProcess(ctx, k.command)
		if err != nil {
			k.found(err)
			return ctx.Err()
		}
		if first {
			err = furnish(ctx, s.api)
		} else {
			var found []int64
			if found, err = k.cast.audit(ctx, s.api, k.cast.acknowledged().upTo(k.cast)); err == nil {
				k.cast.settle(found)
			}
		}
		if err != nil {
			k.found(err)
		}
		if err != nil || k.left <= 0 {
			s.kill()
			k.v.count(&k.v.Operations, k.cast.acts())
			return ctx.Err()
		}
		k.underLoad(ctx, s)
		k.left--
		k.v.count(&k.v.Kills, 1)
	}
}

func (k *killing) found(err error) {
	k.v.found(fmt.Sprintf("kills, %d before the last of this directory", k.left), err)
}

// atStart kills a server while it starts.
func (k *killing) atStart(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, k.command[0], k.command[1:]...)
	if err := cmd.Start(); err != nil {
		return err
	}
	pause(ctx, time.Duration(k.rng.IntN(40))*time.Millisecond)
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // its end is what was asked for
	k.left--
	k.v.count(&k.v.Kills, 1)
	return nil
}

// underLoad kills a server some time after a few operations were acknowledged. Until then nothing may fail.
func (k *killing) underLoad(ctx context.Context, s *process) {
	playing, stop := context.WithCancel(ctx)
	failed := make(chan error, len(together))
	before := k.cast.acts()
	players := k.cast.play(playing, s.api, failed)
	for k.cast.acts() < before+10 && ctx.Err() == nil && len(failed) == 0 {
		pause(ctx, time.Millisecond)
	}
	pause(ctx, time.Duration(k.rng.IntN(30))*time.Millisecond)
	select {
	case err := <-failed:
		k.found(err)
	default:
	}
	s.kill() // what is under way is not cut short by its client before
	stop()
	players.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// A process is a running localstream.
type process struct {
	api
	cmd  *exec.Cmd
	idle func()
}

// startProcess starts a server and waits until it is ready.
func startProcess(ctx context.Context, command []string) (*process, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	address := ""
	lines := bufio.NewScanner(out)
	for address == "" && lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			address = text
		}
	}
	if address == "" {
		return nil, errors.Join(errors.New("it ended before it was ready: "), cmd.Wait(), errors.New(complaint.String()))
	}
	network := &http.Transport{MaxIdleConnsPerHost: 2 * len(together)}
	return &process{cmd: cmd, idle: network.CloseIdleConnections, api: newAPI(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + address),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDLOCAL", "secret", ""),
		HTTPClient:  plainbody.Wrap(&http.Client{Transport: network}),
	})}, nil
}

func (s *process) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // its end is what was asked for
	s.idle()
}
