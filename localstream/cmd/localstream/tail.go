package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/sourcegraph/conc"

	"github.com/shoal-stream/shoal/internal/clock"
)

// A follower prints the records of a stream from all its shards. A child begins when those of its parents that are
// followed have ended.
type follower struct {
	client *kinesis.Client
	stream string
	once   bool // end where the records end
	bare   bool // print data alone
	left   int  // records still to print; negative: all
	end    context.CancelCauseFunc
	tasks  conc.WaitGroup

	mu      sync.Mutex // guards what is below, and left; never held while the server is asked
	out     io.Writer
	known   map[string]bool // shards that were begun
	running map[string]bool // those that have not ended
}

// errEnough ends a follower that has printed what it should.
var errEnough = errors.New("enough")

// tail prints records as they come.
func tail(ctx context.Context, args []string, stdout io.Writer) error {
	var t target
	fl := flag.NewFlagSet("tail", flag.ContinueOnError)
	t.flags(fl)
	from := fl.String("from", "latest", "where to `start`: latest, horizon, or how long ago, such as 10m")
	f := &follower{out: stdout, known: map[string]bool{}, running: map[string]bool{}}
	fl.BoolVar(&f.once, "once", false, "end at the newest record in place of waiting for more")
	fl.IntVar(&f.left, "n", -1, "end after so many `records`")
	fl.BoolVar(&f.bare, "data", false, "print the data alone, a line each, as it is")
	rest, err := parse(fl, args, stdout, "tail STREAM [flags]", 1, 1)
	if err != nil {
		return err
	}
	f.stream = rest[0]
	if f.client, err = t.client(); err != nil {
		return err
	}
	filter, start, err := position(*from, time.Now())
	if err != nil {
		return err
	}
	if f.left == 0 {
		return nil
	}
	ctx, f.end = context.WithCancelCause(ctx)
	defer f.end(nil)
	first, err := listShards(ctx, f.client, f.stream, filter)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, s := range first {
		listed[*s.ShardId] = true
	}
	for _, s := range first { // the others are children, and come in their turn
		if !listed[aws.ToString(s.ParentShardId)] && !listed[aws.ToString(s.AdjacentParentShardId)] {
			f.begin(ctx, *s.ShardId, start)
		}
	}
	f.tasks.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, errEnough) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// position turns -from into the shards to begin with and where in them.
func position(from string, now time.Time) (*types.ShardFilter, kinesis.GetShardIteratorInput, error) {
	var start kinesis.GetShardIteratorInput
	switch from {
	case "latest":
		start.ShardIteratorType = types.ShardIteratorTypeLatest
		return &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}, start, nil
	case "horizon":
		start.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
		return &types.ShardFilter{Type: types.ShardFilterTypeFromTrimHorizon}, start, nil
	}
	ago, err := time.ParseDuration(from)
	if err != nil || ago < 0 {
		return nil, start, fmt.Errorf("%w: -from %q; want latest, horizon or a duration such as 10m", errUsage, from)
	}
	at := now.Add(-ago)
	start.ShardIteratorType, start.Timestamp = types.ShardIteratorTypeAtTimestamp, &at
	return &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: &at}, start, nil
}

// begin follows a shard unless it is followed already.
func (f *follower) begin(ctx context.Context, shard string, start kinesis.GetShardIteratorInput) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[shard] {
		return
	}
	f.known[shard], f.running[shard] = true, true
	f.tasks.Go(func() {
		children, err := f.follow(ctx, shard, start)
		if err != nil {
			f.end(fmt.Errorf("%s: %w", shard, err))
		}
		f.mu.Lock()
		delete(f.running, shard)
		f.mu.Unlock()
		for _, c := range children {
			if f.ready(c) {
				f.begin(ctx, *c.ShardId, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
			}
		}
	})
}

// ready reports whether no parent is still running. Each parent of a merge asks when it has ended, so the last one
// begins the child.
func (f *follower) ready(c types.ChildShard) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range c.ParentShards {
		if f.running[p] {
			return false
		}
	}
	return true
}

// follow prints a shard until it ends, and returns its children.
func (f *follower) follow(ctx context.Context, shard string, start kinesis.GetShardIteratorInput) ([]types.ChildShard, error) {
	start.StreamName, start.ShardId = &f.stream, &shard
	it, err := f.client.GetShardIterator(ctx, &start)
	if err != nil {
		return nil, err
	}
	for next := it.ShardIterator; ; {
		page, err := f.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		var throttled *types.ProvisionedThroughputExceededException
		switch {
		case errors.As(err, &throttled):
			if err := pause(ctx, time.Second); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		if err := f.print(shard, page.Records); err != nil {
			return nil, err
		}
		if next = page.NextShardIterator; next == nil {
			return page.ChildShards, nil
		}
		behind := aws.ToInt64(page.MillisBehindLatest) > 0
		if f.once && !behind && len(page.Records) == 0 {
			return nil, nil
		}
		if !behind && !f.once {
			if err := pause(ctx, 250*time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error { return clock.Clock{}.Sleep(ctx, d) }

func (f *follower) print(shard string, records []types.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range records {
		if f.left == 0 {
			return errEnough
		}
		f.left--
		var err error
		if f.bare {
			_, err = fmt.Fprintf(f.out, "%s\n", r.Data)
		} else {
			at := aws.ToTime(r.ApproximateArrivalTimestamp).UTC().Format("2006-01-02T15:04:05.000Z")
			_, err = fmt.Fprintf(f.out, "%s  %s  %s  %s\n", at, shard, legible([]byte(*r.PartitionKey)), legible(r.Data))
		}
		if err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	if f.left == 0 {
		return errEnough
	}
	return nil
}

// legible is text as it is, and anything that would disturb a terminal quoted.
func legible(b []byte) string {
	if utf8.Valid(b) {
		plain := true
		for _, r := range string(b) {
			plain = plain && unicode.IsPrint(r)
		}
		if plain {
			return string(b)
		}
	}
	return fmt.Sprintf("%q", b)
}
