// Package whole tests the parts put together as a user does, in one process on virtual time: a worker over the AWS SDK's
// clients, with its leases in tables, against localstream.
package whole

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// A rig is a server in a bubble with clients for it and a stream.
type rig struct {
	t       *testing.T
	streams *kinesis.Client
	tables  *dynamodb.Client
}

const stream = "records"

func bubble(t *testing.T, o localstream.Options, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Memory = true
		srv, err := localstream.Open("", o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		}()
		r := &rig{t: t, streams: kinesis.NewFromConfig(srv.AWSConfig()), tables: dynamodb.NewFromConfig(srv.AWSConfig())}
		if _, err := r.streams.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(2)}); err != nil {
			t.Fatal(err)
		}
		test(t, r)
	})
}

// put stores a record.
func (r *rig) put(key string, data []byte) {
	r.t.Helper()
	_, err := r.streams.PutRecord(r.t.Context(), &kinesis.PutRecordInput{StreamName: aws.String(stream), PartitionKey: &key, Data: data})
	if err != nil {
		r.t.Fatal(err)
	}
}

// got is what processors were handed: the length of the data by partition key.
type got struct {
	mu   sync.Mutex
	sums map[string]int
}

func (g *got) process(ctx context.Context, b *worker.Batch) error {
	g.mu.Lock()
	for _, rec := range b.Records {
		g.sums[rec.PartitionKey] += 1 + len(rec.Data)
	}
	g.mu.Unlock()
	return b.Checkpoint(ctx)
}

func (g *got) all() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.sums)
}

// config is a worker over the stream, by name or ARN, that writes down what it gets.
func (r *rig) config(name string, g *got) worker.Config {
	return worker.Config{
		Application:  "whole",
		Streams:      []worker.Stream{kinesisstream.New(r.streams, name)},
		Leases:       dynamo.New(r.tables, "whole"),
		NewProcessor: worker.Stateless(g.process),
	}
}

// run starts a worker; the returned function stops it and returns Run's error.
func (r *rig) run(cfg worker.Config) (stop func() error) {
	r.t.Helper()
	w, err := worker.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func (r *rig) until(what string, limit time.Duration, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

func TestRecordsAtTheirLimitsReachTheProcessor(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, r *rig) {
		long := strings.Repeat("ä", 256)
		want := map[string]int{"empty": 1, "largest": 1 + 1<<20 - len("largest"), long: 2}
		r.put("empty", []byte{})
		r.put("largest", make([]byte, 1<<20-len("largest")))
		r.put(long, []byte("x"))
		out, err := r.streams.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(stream)})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{stream, aws.ToString(out.StreamDescriptionSummary.StreamARN)} {
			g := &got{sums: map[string]int{}}
			cfg := r.config(name, g)
			cfg.Leases = dynamo.New(r.tables, "whole-"+fmt.Sprint(len(name)))
			stop := r.run(cfg)
			r.until("all records", 10*time.Second, func() bool { return len(g.all()) == len(want) })
			if err := stop(); err != nil {
				t.Error(err)
			}
			if !maps.Equal(g.all(), want) {
				t.Errorf("by %s: got %v, want %v", name, g.all(), want)
			}
		}
	})
}

// Reads are throttled as AWS does, and of all calls of the worker a third is refused or loses its answer; it gets through.
func TestAWorkerGetsThroughThrottlesAndLostAnswers(t *testing.T) {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	fault := func(c localstream.Call) localstream.Fault {
		if c.Operation == "PutRecord" || c.Operation == "CreateStream" {
			return localstream.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		switch dice.IntN(9) {
		case 3:
			return localstream.Fault{Reject: &localstream.Error{Type: "ProvisionedThroughputExceededException", Message: "slow down"}}
		case 6:
			return localstream.Fault{Reject: &localstream.Error{Type: "InternalFailure", Status: 500}}
		case 0:
			return localstream.Fault{CutAfter: true}
		default:
			return localstream.Fault{Delay: 5 * time.Millisecond}
		}
	}
	bubble(t, localstream.Options{Limits: localstream.RealLimits, Fault: fault}, func(t *testing.T, r *rig) {
		g := &got{sums: map[string]int{}}
		stop := r.run(r.config(stream, g))
		for i := range 200 {
			r.put(fmt.Sprintf("key-%d", i), []byte("data"))
			time.Sleep(100 * time.Millisecond)
		}
		r.until("all records", 2*time.Minute, func() bool { return len(g.all()) == 200 })
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRunNamesWhatItCannotStartWith(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, r *rig) {
		_, err := r.tables.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String("foreign"), BillingMode: ddbtypes.BillingModePayPerRequest,
			KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddbtypes.KeyTypeHash}},
			AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddbtypes.ScalarAttributeTypeN}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			change func(*worker.Config)
			is     error
			text   string
		}{
			{func(c *worker.Config) { c.Leases = dynamo.New(r.tables, "foreign") }, lease.ErrSchema, "leaseKey"},
			{func(c *worker.Config) { c.Leases = dynamo.New(r.tables, "x") }, lease.ErrInvalid, "3 to 255"},
			{func(c *worker.Config) {
				c.Leases = dynamo.NewWith(r.tables, dynamo.Config{Table: "absent", NoCreate: true})
			}, nil, "there is none, and NoCreate is set"},
			{func(c *worker.Config) { c.Streams = []worker.Stream{kinesisstream.New(r.streams, "absent")} }, worker.ErrNoStream, "absent"},
			{func(c *worker.Config) { c.Streams = []worker.Stream{kinesisstream.New(r.streams, "not/a name")} }, worker.ErrNoStream, "1 to 128 characters"},
		} {
			cfg := r.config(stream, &got{sums: map[string]int{}})
			c.change(&cfg)
			w, err := worker.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			err = w.Run(ctx)
			cancel()
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Run = %v; want an error that wraps %v and says %q", err, c.is, c.text)
			}
		}
	})
}
