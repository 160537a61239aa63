package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/internal/plainbody"
)

// A target is the server that a command talks to.
type target struct{ endpoint, region string }

func (t *target) flags(f *flag.FlagSet) {
	f.StringVar(&t.endpoint, "endpoint", cmp.Or(os.Getenv("AWS_ENDPOINT_URL_KINESIS"), "http://127.0.0.1:4567"), "`URL` of the server")
	f.StringVar(&t.region, "region", cmp.Or(os.Getenv("AWS_REGION"), "us-east-1"), "AWS `region` of the server")
}

// client is for the server, by TLS with the authority that AWS_CA_BUNDLE names, if it does.
func (t *target) client() (*kinesis.Client, error) {
	network := http.DefaultTransport.(*http.Transport).Clone()
	if bundle := os.Getenv("AWS_CA_BUNDLE"); bundle != "" {
		text, err := os.ReadFile(bundle)
		if err != nil {
			return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("AWS_CA_BUNDLE: no certificate in %s", bundle)
		}
		network.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	id, secret := cmp.Or(os.Getenv("AWS_ACCESS_KEY_ID"), "localstream"), cmp.Or(os.Getenv("AWS_SECRET_ACCESS_KEY"), "localstream")
	return kinesis.New(kinesis.Options{
		Region: t.region, BaseEndpoint: &t.endpoint, HTTPClient: plainbody.Wrap(&http.Client{Transport: network}),
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, os.Getenv("AWS_SESSION_TOKEN")),
	}), nil
}

// streams lists the streams.
func streams(ctx context.Context, args []string, stdout io.Writer) error {
	var t target
	f := flag.NewFlagSet("streams", flag.ContinueOnError)
	t.flags(f)
	if _, err := parse(f, args, stdout, "streams [flags]", 0, 0); err != nil {
		return err
	}
	client, err := t.client()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tSTATUS\tMODE\tOPEN SHARDS\tRETENTION")
	for p := kinesis.NewListStreamsPaginator(client, &kinesis.ListStreamsInput{}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, name := range page.StreamNames {
			out, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
			if err != nil {
				return err
			}
			s := out.StreamDescriptionSummary
			mode := types.StreamModeProvisioned
			if s.StreamModeDetails != nil {
				mode = s.StreamModeDetails.StreamMode
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d h\n", name, s.StreamStatus, mode, aws.ToInt32(s.OpenShardCount), aws.ToInt32(s.RetentionPeriodHours))
		}
	}
	return w.Flush()
}

// shards lists the shards of a stream.
func shards(ctx context.Context, args []string, stdout io.Writer) error {
	var t target
	f := flag.NewFlagSet("shards", flag.ContinueOnError)
	t.flags(f)
	rest, err := parse(f, args, stdout, "shards STREAM [flags]", 1, 1)
	if err != nil {
		return err
	}
	client, err := t.client()
	if err != nil {
		return err
	}
	all, err := listShards(ctx, client, rest[0], nil)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tSTATE\tPARENTS\tFIRST HASH KEY\tLAST HASH KEY")
	for _, s := range all {
		state, parents := "open", cmp.Or(aws.ToString(s.ParentShardId), "-")
		if s.SequenceNumberRange.EndingSequenceNumber != nil {
			state = "closed"
		}
		if s.AdjacentParentShardId != nil {
			parents += "+" + *s.AdjacentParentShardId
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", *s.ShardId, state, parents, *s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey)
	}
	return w.Flush()
}

func listShards(ctx context.Context, client *kinesis.Client, stream string, filter *types.ShardFilter) ([]types.Shard, error) {
	var all []types.Shard
	in := &kinesis.ListShardsInput{StreamName: &stream, ShardFilter: filter}
	for {
		page, err := client.ListShards(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Shards...)
		if page.NextToken == nil {
			return all, nil
		}
		in = &kinesis.ListShardsInput{NextToken: page.NextToken}
	}
}

// Bounds of one PutRecords, half of what the service takes in bytes.
const (
	maxEntries    = 500
	maxEntryBytes = 2 << 20
)

// put puts its arguments, or the lines of standard input, each as soon as no more are there.
func put(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	var t target
	f := flag.NewFlagSet("put", flag.ContinueOnError)
	t.flags(f)
	key := f.String("key", "", "partition `key` of all records; a random one each if none is given")
	rest, err := parse(f, args, stdout, "put STREAM [DATA…] [flags]", 1, 1<<20)
	if err != nil {
		return err
	}
	client, err := t.client()
	if err != nil {
		return err
	}
	b := &batch{client: client, stream: rest[0], key: *key}
	defer func() { fmt.Fprintf(stdout, "%d records put\n", b.done) }()
	if len(rest) > 1 {
		for _, data := range rest[1:] {
			if err := b.add(ctx, []byte(data)); err != nil {
				return err
			}
		}
		return b.flush(ctx)
	}
	lines := bufio.NewReaderSize(stdin, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			if err := b.add(ctx, line); err != nil {
				return err
			}
		}
		if err != nil || lines.Buffered() == 0 {
			if err := b.flush(ctx); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading standard input: %w", err)
		}
	}
}

// A batch gathers records for one PutRecords.
type batch struct {
	client      *kinesis.Client
	stream, key string
	entries     []types.PutRecordsRequestEntry
	bytes       int
	done        int
}

func (b *batch) add(ctx context.Context, data []byte) error {
	if len(b.entries) == maxEntries || b.bytes+len(data) > maxEntryBytes {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	key := cmp.Or(b.key, strconv.FormatUint(rand.Uint64(), 36))
	b.entries = append(b.entries, types.PutRecordsRequestEntry{Data: data, PartitionKey: &key})
	b.bytes += len(data)
	return nil
}

// flush puts what was gathered, and again those records that were throttled.
func (b *batch) flush(ctx context.Context) error {
	for len(b.entries) > 0 {
		out, err := b.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &b.stream, Records: b.entries})
		if err != nil {
			return err
		}
		var again []types.PutRecordsRequestEntry
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				again = append(again, b.entries[i])
			}
		}
		b.done += len(b.entries) - len(again)
		if b.entries = again; len(again) > 0 {
			if err := pause(ctx, 250*time.Millisecond); err != nil {
				return err
			}
		}
	}
	b.bytes = 0
	return nil
}
