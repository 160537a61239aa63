package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/examples/s3archive/verify"
	"github.com/shoal-stream/shoal/integration/processes"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A demonstration archives real flights with two workers, crashes one, splits a shard, and checks the result.
type demonstration struct {
	*connection
	out    io.Writer
	stream aws.Config // the network of everybody but the workers
	bucket aws.Config

	screen  *progress
	mu      sync.Mutex
	members []*member
}

// What the demonstration is made of.
const (
	demoStream = "flights"
	demoShards = 3
	demoBucket = "archive"
)

func demonstrate(ctx context.Context, s *settings, out io.Writer) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "shoal-s3archive-")
	if err != nil {
		return false, fmt.Errorf("make a data directory: %w", err)
	}
	if s.keep {
		defer fmt.Fprintf(out, "the stream's data: %s\n", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	srv, err := localstream.Open(dir, localstream.Options{})
	if err != nil {
		return false, fmt.Errorf("open localstream: %w", err)
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	s.stream, s.bucket = demoStream, demoBucket
	s.lease = 2 * time.Second
	s.maxAge = 2 * time.Second
	bucket, err := inProcess(s.bucket)
	if err != nil {
		return false, err
	}
	d := &demonstration{out: out, stream: srv.AWSConfig(), bucket: bucket}
	if d.connection, err = newConnection(s, d.stream, bucket); err != nil {
		return false, err
	}
	if err := d.play(ctx); err != nil {
		return false, err
	}
	report, err := d.judge(ctx)
	if err != nil {
		return false, err
	}
	return report.Complete(), nil
}

func (d *demonstration) say(format string, args ...any) { d.screen.say(format, args...) }

// status is that of the workers which live.
func (d *demonstration) status() (all []worker.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.members {
		if !m.cut.Load() {
			all = append(all, m.worker.Status())
		}
	}
	return all
}

// play feeds the stream while two workers archive it.
func (d *demonstration) play(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	flights, err := processes.Flights()
	if err != nil {
		return err
	}
	d.screen = newProgress(d.out, d.status)
	defer d.screen.stop()
	shards := int32(demoShards)
	if _, err := d.kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(demoStream), ShardCount: &shards}); err != nil {
		return fmt.Errorf("create the stream: %w", err)
	}
	d.say("a stream of %d shards, %d flights, two workers", demoShards, len(flights))
	if err := d.prepare(ctx, zap.NewNop()); err != nil {
		return err
	}
	first, second := d.member("one"), d.member("two")
	for _, m := range []*member{first, second} {
		if err := m.start(ctx, cancel); err != nil {
			return err
		}
		defer m.end()
	}
	step := len(flights) / 100
	tick := time.NewTicker(d.s.pace / 100)
	defer tick.Stop()
	for i := 0; i*step < len(flights); i++ {
		if err := d.feed(ctx, flights[i*step:min(len(flights), (i+1)*step)]); err != nil {
			return err
		}
		switch i {
		case 30:
			d.say("worker one crashes: it releases nothing, and nobody hears of it any more")
			first.crash()
		case 60:
			if err := d.split(ctx); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	d.say("all %d flights are in the stream", len(flights))
	return d.settled(ctx)
}

// settled waits until nothing is missing.
func (d *demonstration) settled(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		report, err := d.report(ctx)
		if err != nil {
			return err
		}
		if report.Missing == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// feed puts flights into the stream, by the airport that they start from.
func (d *demonstration) feed(ctx context.Context, flights []string) error {
	var entries []types.PutRecordsRequestEntry
	for _, f := range flights {
		var flight struct{ Origin string }
		if err := json.Unmarshal([]byte(f), &flight); err != nil {
			return err
		}
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &flight.Origin, Data: []byte(f)})
	}
	for len(entries) > 0 {
		n := min(500, len(entries))
		out, err := d.kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(demoStream), Records: entries[:n]})
		if err != nil {
			return fmt.Errorf("put flights: %w", err)
		}
		var again []types.PutRecordsRequestEntry
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				again = append(again, entries[i])
			}
		}
		entries = append(again, entries[n:]...)
	}
	return nil
}

// split splits the first shard in the middle.
func (d *demonstration) split(ctx context.Context) error {
	out, err := d.kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String(demoStream)})
	if err != nil {
		return fmt.Errorf("split a shard: %w", err)
	}
	end, err := record.ParseHashKey(aws.ToString(out.Shards[0].HashKeyRange.EndingHashKey))
	if err != nil {
		return fmt.Errorf("split a shard: %w", err)
	}
	d.say("%s is split", aws.ToString(out.Shards[0].ShardId))
	_, err = d.kinesis.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: aws.String(demoStream), ShardToSplit: out.Shards[0].ShardId, NewStartingHashKey: aws.String(record.HashKey{Hi: end.Hi / 2}.String()),
	})
	if err != nil {
		return fmt.Errorf("split a shard: %w", err)
	}
	return nil
}

// judge checks the archive and prints it.
func (d *demonstration) judge(ctx context.Context) (*verify.Report, error) {
	report, err := d.report(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := d.store.List(ctx, "")
	if err != nil {
		return nil, err
	}
	printTree(d.out, listed)
	printReport(d.out, report)
	if d.s.json {
		return report, json.NewEncoder(d.out).Encode(report)
	}
	return report, nil
}

// A member is one of the workers, with a network of its own that can be cut.
type member struct {
	d      *demonstration
	name   string
	worker *worker.Worker
	cut    atomic.Bool
	stop   context.CancelFunc
	ended  chan struct{}
}

func (d *demonstration) member(name string) *member {
	return &member{d: d, name: name, ended: make(chan struct{})}
}

// start runs the worker; fail is told if it cannot go on.
func (m *member) start(ctx context.Context, fail context.CancelCauseFunc) error {
	settings := *m.d.s
	settings.worker = m.name
	settings.maxBytes = m.d.config.MaxBytes // what the probe has found to be right
	c, err := newConnection(&settings, m.wired(m.d.stream), m.wired(m.d.bucket))
	if err != nil {
		return err
	}
	c.config.Hooks, c.since = m.d.screen.hooks(), m.d.since
	if m.worker, err = c.newWorker(zap.NewNop(), worker.Hooks{}); err != nil {
		return err
	}
	m.d.mu.Lock()
	m.d.members = append(m.d.members, m)
	m.d.mu.Unlock()
	ctx, m.stop = context.WithCancel(ctx)
	go func() {
		defer close(m.ended)
		if err := m.worker.Run(ctx); err != nil && !m.cut.Load() {
			fail(fmt.Errorf("worker %s: %w", m.name, err))
		}
	}()
	return nil
}

// crash ends the worker as if its process were killed: the network goes first.
func (m *member) crash() {
	m.cut.Store(true)
	m.stop()
}

func (m *member) end() {
	m.stop()
	<-m.ended
}

// wired is a configuration whose clients use the member's network.
func (m *member) wired(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.HTTPClient = wire{cfg.HTTPClient, &m.cut}
	return cfg
}

type wire struct {
	next aws.HTTPClient
	cut  *atomic.Bool
}

var errCut = errors.New("network is cut")

func (w wire) Do(r *http.Request) (*http.Response, error) {
	if w.cut.Load() {
		return nil, errCut
	}
	resp, err := w.next.Do(r)
	if err == nil && w.cut.Load() {
		return nil, errors.Join(errCut, resp.Body.Close())
	}
	return resp, err
}
