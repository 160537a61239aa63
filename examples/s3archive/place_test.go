package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/integration/processes"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/worker"
)

// A place is a stream and an S3 in this process.
type place struct {
	t              *testing.T
	stream, bucket aws.Config
	client         *kinesis.Client
}

func newPlace(t *testing.T) *place {
	t.Helper()
	srv, err := localstream.Open("", localstream.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	p := &place{t: t, stream: srv.AWSConfig()}
	p.client = kinesis.NewFromConfig(p.stream)
	if _, err := p.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(2)}); err != nil {
		t.Fatal(err)
	}
	if p.bucket, err = inProcess("b"); err != nil {
		t.Fatal(err)
	}
	return p
}

// settings are those for the place, with changes.
func (p *place) settings(change func(s *settings)) *settings {
	s := &settings{}
	s.defaults()
	s.stream, s.bucket, s.maxAge, s.lease = "s", "b", 100*time.Millisecond, time.Second
	if change != nil {
		change(s)
	}
	return s
}

func (p *place) connect(s *settings) *connection {
	p.t.Helper()
	c, err := newConnection(s, p.stream, p.bucket)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// put puts records, each of its own key.
func (p *place) put(records ...string) {
	p.t.Helper()
	for len(records) > 0 {
		n := min(500, len(records))
		var entries []types.PutRecordsRequestEntry
		for i, r := range records[:n] {
			entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(i)), Data: []byte(r)})
		}
		if _, err := p.client.PutRecords(p.t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: entries}); err != nil {
			p.t.Fatal(err)
		}
		records = records[n:]
	}
}

// archive archives until the check says that nothing is missing, and stops.
func (p *place) archive(c *connection) {
	p.t.Helper()
	if err := c.prepare(p.t.Context(), zap.NewNop()); err != nil {
		p.t.Fatal(err)
	}
	w, err := c.newWorker(zap.NewNop(), worker.Hooks{})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(30 * time.Second); ; <-tick.C {
		report, err := c.report(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		if report.Complete() {
			break
		}
		if time.Now().After(limit) {
			p.t.Errorf("not complete in time: %+v", *report)
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		p.t.Error(err)
	}
}

// get is an object's body.
func (p *place) get(c *connection, key string) string {
	p.t.Helper()
	body, _, err := c.store.Get(p.t.Context(), key)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

func (p *place) keys(c *connection, folder string) []string {
	p.t.Helper()
	listed, err := c.store.List(p.t.Context(), folder)
	if err != nil {
		p.t.Fatal(err)
	}
	var keys []string
	for _, o := range listed {
		keys = append(keys, o.Key)
	}
	return keys
}

func flights(t *testing.T, n int) []string {
	t.Helper()
	all, err := processes.Flights()
	if err != nil {
		t.Fatal(err)
	}
	return all[:n]
}
