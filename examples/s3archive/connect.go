package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/examples/s3archive/verify"
	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/internal/plainbody"
	"github.com/shoal-stream/shoal/worker"
)

// A connection is the clients of one process with its settings.
type connection struct {
	s       *settings
	kinesis *kinesis.Client
	tables  *dynamodb.Client
	store   *archive.S3
	config  archive.Config
	since   time.Time   // from where a second pass begins, once prepared
	pace    worker.Pace // of the reads; zero is that of a real stream
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

// prepare finds out whether the store can carry an archive and puts the marker into its folder. It asks again while the
// store or the stream cannot be reached.
func (c *connection) prepare(ctx context.Context, log *zap.Logger) error {
	for attempt := 1; ; attempt++ {
		err := c.tryPrepare(ctx, log)
		if err == nil || errors.Is(err, archive.ErrRefused) || errors.Is(err, archive.ErrClaimed) || errors.Is(err, archive.ErrUnconditional) || isNotFound(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		log.Warn("not ready; tried again", zap.Int("attempt", attempt), zap.Error(err))
		var real clock.Clock
		if err := real.Sleep(ctx, real.Backoff(attempt, 100*time.Millisecond, 10*time.Second)); err != nil {
			return err
		}
	}
}

func (c *connection) tryPrepare(ctx context.Context, log *zap.Logger) error {
	err := c.store.Probe(ctx, archive.Folder(c.config.Prefix), c.config.Clock)
	if errors.Is(err, archive.ErrUnconditional) && c.s.unsafeStore {
		log.Warn("the store cannot keep records once; -unsafe-store says to go on", zap.Error(err))
		err = nil
	}
	if err != nil {
		return err
	}
	if !c.store.Parts {
		log.Info("the store has no conditional completion of parts: objects are kept below 16 MiB")
		c.config.MaxBytes = min(c.s.maxBytes, 15<<20)
	}
	stream, err := c.kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &c.s.stream})
	if err != nil {
		return fmt.Errorf("look at the stream: %w", err)
	}
	summary := stream.StreamDescriptionSummary
	marker := archive.Marker{
		Application: c.s.app, Epoch: c.s.epoch, Stream: aws.ToString(summary.StreamARN), Created: aws.ToTime(summary.StreamCreationTimestamp).UTC(),
		Prefix: c.s.prefix, ErrorPrefix: c.s.errorPrefix, Query: c.s.query, Transform: c.s.transform, Zone: c.s.zone,
		Format: c.s.format, Columns: c.s.columns, Compression: c.s.compression,
	}
	if c.s.replaySince > 0 {
		marker.Since = time.Now().Add(-c.s.replaySince).UTC().Truncate(time.Millisecond)
	}
	// All processes of a pass begin at one moment: the objects are named by what comes first behind it.
	marker, err = c.store.Claim(ctx, c.config.Prefix, marker)
	c.since = marker.Since
	return err
}

// isNotFound reports whether there is no such stream.
func isNotFound(err error) bool {
	var gone *types.ResourceNotFoundException
	return errors.As(err, &gone)
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
