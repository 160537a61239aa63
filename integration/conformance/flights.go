package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/internal/plainbody"
)

// The flights of the tests of processes; the program runs in the project's root.
const (
	flightsFile   = "integration/processes/flights-20k.ndjson.gz"
	flightsStream = "flights"
	flightsCount  = 20_000
)

// flights fills the stream that the KCL consumes, past any planted fault.
type flights struct {
	kinesis *kinesis.Client
	tables  *dynamodb.Client
	lines   []string
}

func newFlights(url string) *flights {
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("localstream", "localstream", ""),
		HTTPClient: plainbody.Wrap(http.DefaultClient),
	}
	return &flights{kinesis: kinesis.NewFromConfig(cfg), tables: dynamodb.NewFromConfig(cfg)}
}

// create reads the flights and makes the stream with two shards.
func (f *flights) create(ctx context.Context) error {
	file, err := os.Open(flightsFile)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	scan := bufio.NewScanner(text)
	for scan.Scan() {
		f.lines = append(f.lines, scan.Text())
	}
	if err := scan.Err(); err != nil {
		return err
	}
	if len(f.lines) != flightsCount {
		return fmt.Errorf("%s holds %d flights; want %d", flightsFile, len(f.lines), flightsCount)
	}
	_, err = f.kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(flightsStream), ShardCount: aws.Int32(2)})
	return err
}

// fill puts all flights, splits the first shard after a third of them and merges two others after two thirds. It calls
// started before the split.
func (f *flights) fill(ctx context.Context, started func() error) error {
	third := len(f.lines) / 3
	if err := f.put(ctx, f.lines[:third]); err != nil {
		return err
	}
	if err := started(); err != nil {
		return err
	}
	if _, err := f.kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String(flightsStream), ShardToSplit: aws.String(shardID(0)), NewStartingHashKey: aws.String(quarter)}); err != nil {
		return err
	}
	if err := f.put(ctx, f.lines[third:2*third]); err != nil {
		return err
	}
	if _, err := f.kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String(flightsStream), ShardToMerge: aws.String(shardID(3)), AdjacentShardToMerge: aws.String(shardID(1))}); err != nil {
		return err
	}
	return f.put(ctx, f.lines[2*third:])
}

// put puts lines by their airport, 500 in a request.
func (f *flights) put(ctx context.Context, lines []string) error {
	for len(lines) > 0 {
		n := min(500, len(lines))
		in := &kinesis.PutRecordsInput{StreamName: aws.String(flightsStream)}
		for _, line := range lines[:n] {
			var flight struct{ Origin string }
			if err := json.Unmarshal([]byte(line), &flight); err != nil {
				return err
			}
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: &flight.Origin, Data: []byte(line)})
		}
		out, err := f.kinesis.PutRecords(ctx, in)
		if err != nil {
			return err
		}
		if failed := aws.ToInt32(out.FailedRecordCount); failed > 0 {
			return fmt.Errorf("%d records were refused", failed)
		}
		lines = lines[n:]
	}
	return nil
}

// compare checks that the stream holds each flight, in shards as told, and nothing else. A flight may be there twice: a
// client whose connection breaks after the server has stored its request puts it again.
func (f *flights) compare(stream check.Stream) error {
	held := map[string]int{}
	for i := range stream.Shards {
		for _, r := range stream.Shards[i].Records {
			held[string(r.Data)]++
		}
	}
	for _, line := range f.lines {
		if held[line] == 0 {
			return fmt.Errorf("it lacks %s", line)
		}
	}
	for _, line := range f.lines {
		delete(held, line)
	}
	if len(held) > 0 || len(stream.Shards) != 5 {
		return fmt.Errorf("%d shards and %d records that are no flights; want 5 and none", len(stream.Shards), len(held))
	}
	return nil
}
