package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/kclworker"
	"github.com/shoal-stream/shoal/record"
)

// How long workers may take. A fresh fleet of the KCL needs up to half a minute until its first record.
const (
	firstRecord = 2 * time.Minute
	allRecords  = 3 * time.Minute
)

// kcl lets two applications of the Java KCL, one polling and one with enhanced fan-out, consume a stream that is split and
// merged while it fills.
func (c *campaign) kcl(ctx context.Context, r *result) (err error) {
	s, err := c.serve(ctx, "java_kcl")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	f := newFlights(s.direct)
	if err := f.create(ctx); err != nil {
		return err
	}
	var workers []*kclWorker
	for _, mode := range []string{"polling", "fanout"} {
		w, err := c.startKCL(s.url, mode)
		if err != nil {
			return err
		}
		defer w.end()
		workers = append(workers, w)
	}
	if err := f.fill(ctx, func() error {
		for _, w := range workers {
			if err := w.waitFor(ctx, 1, firstRecord); err != nil {
				c.out.line("java_kcl: %v", err) // judged below
			}
		}
		return nil
	}); err != nil {
		return err
	}
	stream, err := check.Read(ctx, f.kinesis, flightsStream)
	if err != nil {
		return err
	}
	verdict := func(what string, err error) {
		if err != nil {
			r.Failed++
			c.out.line("java_kcl: FAILED: %s: %s", what, oneLine(err))
			return
		}
		r.Passed++
		if c.out.verbose {
			c.out.line("java_kcl: passed: %s", what)
		}
	}
	verdict("the stream holds what was put", f.compare(stream))
	for _, w := range workers {
		verdict(w.mode+": all records come", w.waitFor(ctx, stream.Len(), allRecords))
		verdict(w.mode+": each closed shard ends", w.waitForEnds(ctx, stream))
		verdict(w.mode+": the worker stops at SIGTERM", w.stop())
		w.judge(ctx, stream, f, verdict)
	}
	return nil
}

// A kclWorker is a process of integration/kclworker.
type kclWorker struct {
	mode  string
	app   string
	out   string // what it processed
	log   string // what it printed
	cmd   *exec.Cmd
	done  bool
	print func(format string, args ...any)
}

func (c *campaign) startKCL(url, mode string) (*kclWorker, error) {
	w := &kclWorker{mode: mode, app: "delays-" + mode, print: c.out.line}
	w.out, w.log = filepath.Join(c.work, w.app+".ndjson"), filepath.Join(c.work, w.app+".log")
	log, err := os.Create(w.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	w.cmd = kclworker.Command(c.tools.kcl)
	w.cmd.Stdout, w.cmd.Stderr = log, log
	commands, err := w.cmd.StdinPipe() // it stays open until the worker has ended
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	_, err = io.WriteString(commands, kclworker.Settings{
		Endpoint: url, Stream: flightsStream, App: w.app, Worker: mode, Output: w.out, Fanout: mode == "fanout",
	}.Start())
	return w, err
}

// end ends the process at once if it runs.
func (w *kclWorker) end() {
	if !w.done {
		w.done = true
		_ = end(w.cmd, syscall.SIGKILL)
	}
}

// stop ends the process as a deployment does.
func (w *kclWorker) stop() error {
	w.done = true
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	force := time.AfterFunc(time.Minute, func() { _ = w.cmd.Process.Kill() })
	defer force.Stop()
	_ = w.cmd.Wait() // a JVM that a signal ended says 143 even after a good stop
	events, err := w.events()
	if err == nil && events["stopped"] == nil {
		err = fmt.Errorf("it did not stop within its limits; %s", tail(w.log))
	}
	return err
}

// waitFor waits until so many different records were processed.
func (w *kclWorker) waitFor(ctx context.Context, n int, limit time.Duration) error {
	return w.poll(ctx, limit, func() error {
		_, sums, err := w.deliveries()
		if err == nil && len(sums) < n {
			err = fmt.Errorf("%d of %d records", len(sums), n)
		}
		return err
	})
}

// waitForEnds waits until the processor of each closed shard was told of its end.
func (w *kclWorker) waitForEnds(ctx context.Context, stream check.Stream) error {
	parents := map[string]bool{}
	for _, s := range stream.Shards {
		for _, p := range s.Parents {
			parents[p] = true
		}
	}
	return w.poll(ctx, time.Minute, func() error {
		events, err := w.events()
		for p := range parents {
			if err == nil && !events["shardEnded"][p] {
				err = fmt.Errorf("%s has not ended", p)
			}
		}
		return err
	})
}

func (w *kclWorker) poll(ctx context.Context, limit time.Duration, ask func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: after %v: %w; it printed: %s", w.mode, limit, err, tail(w.log))
		}
		if err := pause(ctx, pace); err != nil {
			return err
		}
	}
}

// A spot is one record of a stream.
type spot struct {
	shard string
	at    record.Position
}

// deliveries reads what was processed so far, and the checksum of each record's data.
func (w *kclWorker) deliveries() ([]check.Batch, map[spot]uint32, error) {
	log, err := check.ReadFile(w.out)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(w.out)
	if err != nil {
		return nil, nil, err
	}
	sums := map[spot]uint32{}
	lines := bytes.Split(text, []byte("\n"))
	for i, b := range log {
		var line struct {
			Sums []uint32 `json:"crc32"`
		}
		if err := json.Unmarshal(lines[i], &line); err != nil {
			return nil, nil, err
		}
		if len(line.Sums) != len(b.Records) {
			return nil, nil, fmt.Errorf("line %d: %d checksums of %d records", i+1, len(line.Sums), len(b.Records))
		}
		for n, p := range b.Records {
			sums[spot{b.Shard, p}] = line.Sums[n]
		}
	}
	return log, sums, nil
}

// events reads what the worker told of its shards: the shards by the name of the event.
func (w *kclWorker) events() (map[string]map[string]bool, error) {
	f, err := os.Open(w.log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	events := map[string]map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct{ Event, Shard string }
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Event == "" {
			continue // a line of the logger
		}
		if events[e.Event] == nil {
			events[e.Event] = map[string]bool{}
		}
		events[e.Event][e.Shard] = true
	}
	return events, lines.Err()
}

// judge compares what was processed with what the stream holds, and looks at what the worker left in its table.
func (w *kclWorker) judge(ctx context.Context, stream check.Stream, f *flights, verdict func(string, error)) {
	log, sums, err := w.deliveries()
	if err != nil {
		verdict(w.mode+": its log", err)
		return
	}
	v := check.Check(stream, log)
	w.print("java_kcl: %s: %+v", w.mode, v)
	count := func(what string, n int) {
		var err error
		if n != 0 {
			err = fmt.Errorf("%d are", n)
		}
		verdict(w.mode+": no records "+what, err)
	}
	count("lost", v.Lost+stream.Len()-v.Expected)
	count("unknown", v.Unknown)
	count("out of order", v.OutOfOrder)
	count("of children before their parents'", v.ChildrenBeforeParents)
	changed := 0
	for i := range stream.Shards {
		for _, r := range stream.Shards[i].Records {
			if sum, ok := sums[spot{stream.Shards[i].ID, r.Position()}]; ok && sum != crc32.ChecksumIEEE(r.Data) {
				changed++
			}
		}
	}
	count("changed", changed)
	verdict(w.mode+": its leases", f.leases(ctx, w.app, stream))
	if w.mode == "fanout" {
		verdict(w.mode+": its consumer", f.consumer(ctx, w.app))
	}
}

// leases checks the rows of an application: closed shards at their end or gone, open ones at their last record.
func (f *flights) leases(ctx context.Context, app string, stream check.Stream) error {
	out, err := f.tables.Scan(ctx, &dynamodb.ScanInput{TableName: &app, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return err
	}
	at := map[string]string{}
	for _, item := range out.Items {
		key, _ := item["leaseKey"].(*types.AttributeValueMemberS)
		checkpoint, _ := item["checkpoint"].(*types.AttributeValueMemberS)
		if key != nil && checkpoint != nil {
			at[key.Value] = checkpoint.Value
		}
	}
	closed := map[string]bool{}
	for _, s := range stream.Shards {
		for _, p := range s.Parents {
			closed[p] = true
		}
	}
	var errs []error
	for _, s := range stream.Shards {
		got, there := at[s.ID]
		switch {
		case closed[s.ID]:
			if there && got != "SHARD_END" {
				errs = append(errs, fmt.Errorf("%s is closed and its lease at %s", s.ID, got))
			}
		case len(s.Records) > 0 && got != string(s.Records[len(s.Records)-1].SequenceNumber):
			errs = append(errs, fmt.Errorf("%s is open and its lease at %q; want its last record", s.ID, got))
		}
	}
	return errors.Join(errs...)
}

// consumer checks that an application has registered for enhanced fan-out.
func (f *flights) consumer(ctx context.Context, app string) error {
	stream, err := f.kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(flightsStream)})
	if err != nil {
		return err
	}
	out, err := f.kinesis.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: stream.StreamDescriptionSummary.StreamARN, ConsumerName: &app})
	if err != nil {
		return err
	}
	if status := out.ConsumerDescription.ConsumerStatus; status != kinesistypes.ConsumerStatusActive {
		return fmt.Errorf("%s is %s", app, status)
	}
	return nil
}
