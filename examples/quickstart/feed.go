package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// The events of a week; see ATTRIBUTION.md.
//
//go:embed earthquakes.ndjson.gz
var earthquakes []byte

// An event is one line of the data with what is needed to put it.
type event struct {
	quake
	data []byte
}

// readEvents gives the events in the order of their time.
func readEvents() ([]event, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(earthquakes))
	if err != nil {
		return nil, fmt.Errorf("read the earthquakes: %w", err)
	}
	var events []event
	lines := bufio.NewScanner(unzipped)
	for lines.Scan() {
		data := bytes.Clone(lines.Bytes())
		q, err := parseQuake(data)
		if err != nil {
			return nil, err
		}
		events = append(events, event{q, data})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the earthquakes: %w", err)
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.Time.Compare(b.Time) })
	return events, nil
}

// A feed puts the events into the stream, spread evenly over its pace.
type feed struct {
	client *kinesis.Client
	events []event
	pace   time.Duration

	mu     sync.Mutex
	put    int
	shards map[string]int // how many went to each shard
}

// run returns when everything is put.
func (f *feed) run(ctx context.Context) error {
	const step = 100 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for began, done := time.Now(), 0; done < len(f.events); {
		due := int(float64(len(f.events)) * min(1, float64(time.Since(began)+step)/float64(f.pace)))
		if err := f.send(ctx, f.events[done:due]); err != nil {
			return err
		}
		done = due
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// send puts events keyed by sensor network, so the events of one network keep their order. Records that the service
// refuses are sent again.
func (f *feed) send(ctx context.Context, events []event) error {
	var entries []types.PutRecordsRequestEntry
	for _, e := range events {
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(e.Network), Data: e.data})
	}
	for len(entries) > 0 {
		batch := entries[:min(500, len(entries))]
		out, err := f.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(streamName), Records: batch})
		if err != nil {
			return fmt.Errorf("put events: %w", err)
		}
		var refused []types.PutRecordsRequestEntry
		f.mu.Lock()
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				refused = append(refused, batch[i])
				continue
			}
			f.put++
			f.shards[aws.ToString(r.ShardId)]++
		}
		f.mu.Unlock()
		entries = append(refused, entries[len(batch):]...)
	}
	return nil
}

// count is how many events are in the stream.
func (f *feed) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.put
}

// busiest is the shard with the most events, "" before the first.
func (f *feed) busiest() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	busiest := ""
	for id, n := range f.shards {
		if most := f.shards[busiest]; n > most || n == most && id < busiest {
			busiest = id
		}
	}
	return busiest
}
