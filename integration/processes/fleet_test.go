package processes

import (
	"bufio"
	"compress/gzip"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/proc"
	"github.com/shoal-stream/shoal/record"
)

// 20,000 U.S. flights of 2001 as reported to the Bureau of Transportation Statistics, one JSON object a line; public
// data, from the vega-datasets npm package 3.2.1.
//
//go:embed flights-20k.ndjson.gz
var flightsGz string

const flightsStream = "flights"

// A fleet is a server, a producer and consumers, each a process.
type fleet struct {
	*server
	logs []string
}

// consume starts a consumer with a log of its own.
func (f *fleet) consume(name string) *proc.Process {
	f.t.Helper()
	log := filepath.Join(f.t.TempDir(), name+".log")
	f.logs = append(f.logs, log)
	p := proc.Start(f.t, name, filepath.Join(f.bin, "consume"), "-endpoint", f.url(), "-stream", flightsStream, "-app", "delays",
		"-worker", name, "-lease", "2s", "-log", log, "-v")
	if _, err := p.Line("ready", 10*time.Second); err != nil {
		f.t.Fatal(err)
	}
	return p
}

// delivered is what all consumers have written down so far.
func (f *fleet) delivered() []check.Batch {
	f.t.Helper()
	var all [][]check.Batch
	for _, path := range f.logs {
		log, err := check.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			f.t.Fatal(err)
		}
		all = append(all, log)
	}
	return check.Merge(all...)
}

// processed waits until n different records were delivered.
func (f *fleet) processed(n int, limit time.Duration) {
	f.t.Helper()
	proc.Poll(f.t, fmt.Sprintf("%d records processed", n), limit, func() bool { return distinct(f.delivered()) >= n })
}

type place struct {
	shard string
	at    record.Position
}

func distinct(log []check.Batch) int {
	seen := map[place]bool{}
	for _, b := range log {
		for _, p := range b.Records {
			seen[place{b.Shard, p}] = true
		}
	}
	return len(seen)
}

// TestFleetSurvivesKillsAReshardAndAStop runs three consumers on a stream while it is being filled: one consumer is
// killed, the server is killed and started again, a shard is split, a consumer is stopped. Everything is processed, in
// order, and the stop repeats nothing (G1, G2, G5, G8).
func TestFleetSurvivesKillsAReshardAndAStop(t *testing.T) {
	flights := unpack(t)
	f := &fleet{server: newServer(t, proc.Build(t, "localstream/cmd/localstream", "examples/produce", "examples/consume"))}
	f.start()
	producer := proc.Start(t, "produce", filepath.Join(f.bin, "produce"), "-endpoint", f.url(), "-stream", flightsStream,
		"-create", "4", "-file", flights, "-key", "origin", "-rate", "1500")
	proc.Poll(t, "stream made", 10*time.Second, func() bool {
		_, err := f.client().DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(flightsStream)})
		return err == nil
	})
	one, two, three := f.consume("one"), f.consume("two"), f.consume("three")

	f.processed(3000, 30*time.Second)
	one.Kill()
	f.processed(7000, 30*time.Second)
	f.proc.Kill()
	f.start()
	f.processed(10000, 30*time.Second)
	f.split("shardId-000000000000")
	f.processed(14000, 30*time.Second)
	stopped := time.Now()
	two.Signal(syscall.SIGTERM)
	if code, err := two.Wait(20 * time.Second); err != nil || code != 0 {
		t.Fatalf("the stopped consumer: exit code %d, error %v", code, err)
	}

	if code, err := producer.Wait(time.Minute); err != nil || code != 0 {
		t.Fatalf("produce: exit code %d, error %v", code, err)
	}
	stream, err := check.Read(t.Context(), f.client(), flightsStream)
	if err != nil {
		t.Fatal(err)
	}
	everyLine(t, flights, stream)
	f.processed(stream.Len(), 30*time.Second)
	three.Signal(syscall.SIGTERM)
	if code, err := three.Wait(20 * time.Second); err != nil || code != 0 {
		t.Errorf("the last consumer: exit code %d, error %v", code, err)
	}
	log := f.delivered()
	verdict := check.Check(stream, log)
	t.Logf("%+v", verdict)
	if !verdict.OK() || verdict.Expected != stream.Len() || verdict.Processed != verdict.Expected {
		t.Errorf("verdict %+v", verdict)
	}
	if n := repeatedAfter(log, "two", stopped); n > 0 {
		t.Errorf("%d records of the consumer that was stopped were repeated by others", n)
	}
}

// split splits a shard in the middle.
func (f *fleet) split(id string) {
	f.t.Helper()
	out, err := f.client().ListShards(f.t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(flightsStream)})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, s := range out.Shards {
		if aws.ToString(s.ShardId) != id {
			continue
		}
		end, err := record.ParseHashKey(aws.ToString(s.HashKeyRange.EndingHashKey))
		if err != nil {
			f.t.Fatal(err)
		}
		_, err = f.client().SplitShard(f.t.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String(flightsStream), ShardToSplit: s.ShardId, NewStartingHashKey: aws.String(record.HashKey{Hi: end.Hi / 2}.String()),
		})
		if err != nil {
			f.t.Fatal(err)
		}
		return
	}
	f.t.Fatalf("no shard %s", id)
}

// repeatedAfter counts the records that worker had been given and others were given again after a moment.
func repeatedAfter(log []check.Batch, worker string, moment time.Time) int {
	had, repeated := map[place]bool{}, 0
	for _, b := range log {
		for _, p := range b.Records {
			switch at := (place{b.Shard, p}); {
			case b.Worker == worker:
				had[at] = true
			case had[at] && b.At.After(moment):
				repeated++
			}
		}
	}
	return repeated
}

// everyLine checks that the stream holds each line of the file.
func everyLine(t *testing.T, path string, stream check.Stream) {
	t.Helper()
	held := map[string]int{}
	for _, s := range stream.Shards {
		for _, r := range s.Records {
			held[string(r.Data)]++
		}
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, missing := 0, 0
	for scan := bufio.NewScanner(file); scan.Scan(); lines++ {
		if held[scan.Text()]--; held[scan.Text()] < 0 {
			missing++
		}
	}
	if lines != 20000 || missing > 0 {
		t.Errorf("of %d lines %d are not in the stream", lines, missing)
	}
}

// unpack writes the flights to a file.
func unpack(t *testing.T) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(flightsGz))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "flights.ndjson")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return path
}
