package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/integration/bench/calm"
	"github.com/shoal-stream/shoal/integration/bench/job"
)

// A run is one pass over the scenarios.
type run struct {
	smoke  bool
	rounds int
	self   string // this program
	url    string // of the server
	report *report
	write  string // the folder for the report, "" is none
	launch map[string]launcher
	number atomic.Int64 // of the last application and stream

	patience calm.Patience
	began    time.Time
}

// roundLimit is how long one round of one contender may take.
const roundLimit = 5 * time.Minute

// serve starts localstream in memory, without limits, and returns a function that ends it.
func (r *run) serve(ctx context.Context, work string) (stop func(), err error) {
	program := filepath.Join(work, "localstream")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, module+"/localstream/cmd/localstream").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, program, "serve", "-memory", "-addr", "127.0.0.1:0", "-limits", "off")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start localstream: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed, as it should be
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			r.url = "http://" + address
			return stop, nil
		}
	}
	stop()
	return nil, errors.New("start localstream: it ended before it was ready")
}

// scenario runs a scenario's contenders by turns; another one begins each round. Rounds that other machines disturb are
// done again, but for the smoke test.
func (r *run) scenario(ctx context.Context, s scenario) error {
	j := s.full
	if r.smoke {
		j = s.smoke
	}
	j.URL = r.url
	rounds := r.rounds
	if s.once {
		rounds = 1
	}
	if s.filled {
		j.Stream = r.fresh(s.name)
		if err := create(ctx, j); err != nil {
			return err
		}
		defer remove(ctx, j)
		if err := fill(ctx, j); err != nil {
			return err
		}
	}
	found := results{}
	turns := slices.DeleteFunc(s.turns(), func(names []string) bool { return r.launch[names[0]] == nil }) // left out
	most, limit := 2*rounds, cmp.Or(s.stolen, mostStolen)
	if r.smoke {
		most = rounds
	}
	wait := func() { r.patience.Wait(ctx, limit) }
	counted, done, err := calm.Rounds(rounds, most, limit, wait, func(round int) error {
		for i := range turns {
			names := turns[(i+round)%len(turns)]
			if err := r.together(ctx, names, s, j, found); err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
			for _, name := range names {
				fmt.Printf("%5.0fs  %-10s round %d  %-15s %s\n", time.Since(r.began).Seconds(), s.name, round+1, name, found[name][round].line(s.shown))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.report.add(s, j, taken{counted, done}, found)
}

// together is one round of contenders that run at the same time, mostly of one.
func (r *run) together(ctx context.Context, names []string, s scenario, j job.Job, found results) error {
	figures := make([]measured, len(names))
	running := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	for i, name := range names {
		running.Go(func(ctx context.Context) (err error) {
			figures[i], err = r.turn(ctx, name, s, j)
			return err
		})
	}
	if err := running.Wait(); err != nil {
		return err
	}
	for i, name := range names {
		found[name] = append(found[name], figures[i])
	}
	return nil
}

// turn is one round of one contender.
func (r *run) turn(ctx context.Context, name string, s scenario, j job.Job) (measured, error) {
	j.App = r.fresh("app")
	if j.Shards > 0 && !s.filled {
		j.Stream = r.fresh(s.name)
		if err := create(ctx, j); err != nil {
			return nil, err
		}
		defer remove(ctx, j)
	}
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	return r.launch[name](ctx, j)
}

// process runs a contender and reads its last line. Its CPU time is the whole process's.
func (r *run) process(cmd *exec.Cmd, j job.Job) (measured, error) {
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	figures := measured{}
	if err := json.Unmarshal([]byte(lastLine(string(out))), &figures); err != nil {
		return nil, fmt.Errorf("%s: its last line: %w", cmd, err)
	}
	figures.spent(cmd.ProcessState, j)
	return figures, nil
}

// spent adds the CPU time of a process that has ended.
func (m measured) spent(state *os.ProcessState, j job.Job) {
	m["cpu_s"] = (state.UserTime() + state.SystemTime()).Seconds()
	if j.Records > 0 {
		m["cpu_s_per_million"] = m["cpu_s"] / float64(j.Records) * 1e6
	}
}

func (r *run) fresh(kind string) string {
	return fmt.Sprintf("%s-%d", kind, r.number.Add(1))
}

func create(ctx context.Context, j job.Job) error {
	_, err := kinesis.NewFromConfig(config(j)).CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &j.Stream, ShardCount: aws.Int32(int32(j.Shards))})
	return err
}

// remove deletes a stream, so that the server's memory does not fill.
func remove(ctx context.Context, j job.Job) {
	_, err := kinesis.NewFromConfig(config(j)).DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &j.Stream, EnforceConsumerDeletion: aws.Bool(true)})
	if err != nil {
		fmt.Fprintln(os.Stderr, "delete a stream:", err)
	}
}

// fill puts the job's records, evenly over the shards.
func fill(ctx context.Context, j job.Job) error {
	const batch = 500
	api := kinesis.NewFromConfig(config(j))
	data := payload(j.Size)
	putting := pool.New().WithContext(ctx).WithCancelOnError().WithMaxGoroutines(2)
	for from := 0; from < j.Records; from += batch {
		putting.Go(func(ctx context.Context) error {
			in := &kinesis.PutRecordsInput{StreamName: &j.Stream}
			for i := range min(batch, j.Records-from) {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: data, PartitionKey: aws.String(j.Key(from + i))})
			}
			out, err := api.PutRecords(ctx, in)
			if err == nil && aws.ToInt32(out.FailedRecordCount) > 0 {
				err = fmt.Errorf("%d records were not put", *out.FailedRecordCount)
			}
			return err
		})
	}
	return putting.Wait()
}
