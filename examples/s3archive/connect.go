package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/examples/s3archive/verify"
	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/internal/plainbody"
)

// A connection is the clients of one process with its settings.
type connection struct {
	s       *settings
	kinesis *kinesis.Client
	tables  *dynamodb.Client
	store   *archive.S3
	config  archive.Config
}

// connect makes the clients; it calls nobody.
func connect(ctx context.Context, s *settings) (*connection, error) {
	var base aws.Config
	var err error
	if s.aws {
		base, err = config.LoadDefaultConfig(ctx, config.WithDefaultRegion(s.region))
		if err != nil {
			return nil, fmt.Errorf("read the AWS configuration: %w", err)
		}
	} else {
		base = aws.Config{
			Region: s.region, BaseEndpoint: &s.endpoint, HTTPClient: plainbody.Wrap(http.DefaultClient),
			Credentials: credentials.NewStaticCredentialsProvider(env("AWS_ACCESS_KEY_ID", "localstream"), env("AWS_SECRET_ACCESS_KEY", "localstream"), ""),
		}
	}
	objects := base.Copy()
	objects.HTTPClient = nil
	if s.s3Endpoint != "" {
		objects.BaseEndpoint = &s.s3Endpoint
	}
	return newConnection(s, base, objects)
}

func newConnection(s *settings, stream, objects aws.Config) (*connection, error) {
	cfg, err := s.archive()
	if err != nil {
		return nil, err
	}
	store := archive.NewS3(s3.NewFromConfig(objects, func(o *s3.Options) { o.UsePathStyle = objects.BaseEndpoint != nil }), s.bucket)
	store.Timeout = s.timeout
	cfg.Store = store
	return &connection{s: s, kinesis: kinesis.NewFromConfig(stream), tables: dynamodb.NewFromConfig(stream), store: store, config: cfg}, nil
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// verify compares the stream with the bucket and prints what it finds.
func (c *connection) verify(ctx context.Context, out io.Writer) (ok bool, err error) {
	report, err := c.report(ctx)
	if err != nil {
		return false, err
	}
	printReport(out, report)
	if c.s.json {
		if err := json.NewEncoder(out).Encode(report); err != nil {
			return false, err
		}
	}
	if c.s.complete {
		return report.Complete(), nil
	}
	return report.OK(), nil
}

func (c *connection) report(ctx context.Context) (*verify.Report, error) {
	a, err := archive.New(c.config)
	if err != nil {
		return nil, err
	}
	stream, err := check.Read(ctx, c.kinesis, c.s.stream)
	if err != nil {
		return nil, err
	}
	return verify.Run(ctx, a, c.s.stream, stream, c.store)
}

func printReport(out io.Writer, r *verify.Report) {
	for _, p := range r.Problems {
		fmt.Fprintln(out, " ", p)
	}
	fmt.Fprintf(out, "%d records, %d in exactly one object; %d missing (%d of them waiting), %d repeated, %d out of order\n",
		r.Records, r.InExactlyOne, r.Missing, r.Waiting, r.Repeated, r.OutOfOrder)
	fmt.Fprintf(out, "%d objects, %d bytes, %d bad, %d older than the stream; %d dropped, %d dead letters, %d redriven\n",
		r.Objects, r.Bytes, r.Bad, r.Older, r.Dropped, r.DeadLetters, r.Redriven)
}
