package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// makeStreams makes the streams of a new fleet.
func (f *Fleet) makeStreams(ctx context.Context) error {
	if len(f.Streams) == 0 {
		return f.makeStream(ctx, f.Name)
	}
	for _, name := range f.Streams {
		if err := f.makeStream(ctx, name); err != nil {
			return err
		}
	}
	return f.list()
}

// AddStream adds a stream to a fleet that reads several: the workers are told of it once each of its shards has records.
func (f *Fleet) AddStream(ctx context.Context, name string) error {
	if err := f.makeStream(ctx, name); err != nil {
		return err
	}
	flows := f.flows()
	added := flows[len(flows)-1]
	err := f.wait(ctx, "records flow into "+name, time.Minute, func() (bool, error) {
		put, err := added.progress()
		return put >= f.Shards, err // a round is put at once
	})
	if err != nil {
		return err
	}
	return f.list()
}

// makeStream makes a stream and lets records flow.
func (f *Fleet) makeStream(ctx context.Context, name string) error {
	client := f.site.Kinesis
	_, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(int32(f.Shards))})
	if err != nil {
		return fmt.Errorf("create the stream %s: %w", name, err)
	}
	err = kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond }).
		Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &name}, time.Minute)
	if err != nil {
		return fmt.Errorf("wait for the stream %s: %w", name, err)
	}
	id := ""
	if len(f.Streams) > 0 {
		if id, err = f.identify(ctx, name); err != nil {
			return err
		}
	}
	p := startProducer(ctx, client, name, id, f.Config)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.producers = append(f.producers, p)
	return nil
}

// identify is how KCL tells streams apart: account:name:epoch.
func (f *Fleet) identify(ctx context.Context, name string) (string, error) {
	out, err := f.site.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return "", fmt.Errorf("describe the stream %s: %w", name, err)
	}
	s := out.StreamDescriptionSummary
	arn := strings.Split(aws.ToString(s.StreamARN), ":")
	if len(arn) != 6 || s.StreamCreationTimestamp == nil {
		return "", fmt.Errorf("the stream %s has the ARN %q and was made at %v", name, aws.ToString(s.StreamARN), s.StreamCreationTimestamp)
	}
	return fmt.Sprintf("%s:%s:%d", arn[4], name, s.StreamCreationTimestamp.Unix()), nil
}

// flows are the producers of all streams.
func (f *Fleet) flows() []*producer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.producers)
}

// listPath is the file that tells the workers which streams there are.
func (f *Fleet) listPath() string { return filepath.Join(f.folder, "streams") }

// list tells the workers of all streams. They may be reading the file just now.
func (f *Fleet) list() error {
	var ids []string
	for _, p := range f.flows() {
		ids = append(ids, p.id+"\n")
	}
	next := f.listPath() + ".next"
	if err := os.WriteFile(next, []byte(strings.Join(ids, "")), 0o644); err != nil {
		return err
	}
	return os.Rename(next, f.listPath())
}

// Listed reads the file with which workers are told of several streams: the name of each, and its identifier in leases.
func Listed(path string) (ids map[string]string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ids = map[string]string{}
	for _, id := range strings.Fields(string(text)) {
		parts := strings.Split(id, ":")
		if len(parts) != 3 {
			return nil, fmt.Errorf("list of streams %s: %q is not account:name:epoch", path, id)
		}
		ids[parts[1]] = id
	}
	return ids, nil
}

// Misnamed tells of each lease that KCL would key or name otherwise where it reads several streams.
func (f *Fleet) Misnamed(rows []Row) (bad []string) {
	ids := map[string]bool{}
	for _, p := range f.flows() {
		ids[p.id] = true
	}
	for _, r := range rows {
		if !ids[r.Stream] || !strings.HasPrefix(r.Shard, "shardId-") || r.Key != r.Stream+":"+r.Shard {
			bad = append(bad, fmt.Sprintf("the lease %q is of the stream %q and the shard %q", r.Key, r.Stream, r.Shard))
		}
	}
	return bad
}
