package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/shoal-stream/shoal/integration/processes"
	"github.com/shoal-stream/shoal/localstream"
)

// What both runs are made of.
const (
	streamName  = "flights"
	bucketName  = "archive"
	firstShards = 4
	archivers   = 3
	lease       = 2 * time.Second
	accessKey   = "crash"
)

// A scene is one run: a stream, an S3 server behind a proxy, and archivers.
type scene struct {
	o        options
	programs programs
	dir      string
	without  bool
	random   *rand.Rand

	stream    *kinesis.Client
	streamURL string
	bucket    *s3.Client
	gateway   *gateway
	slots     []*slot
	flights   []string
	put       int

	result verdict
}

// play runs one scene from its beginning to its verdict.
func play(ctx context.Context, o options, p programs, name string, records, faults int) (v *verdict, err error) {
	began := time.Now()
	s := &scene{
		o: o, programs: p, dir: filepath.Join(o.dir, name), without: name == "without",
		random: rand.New(rand.NewPCG(o.seed, uint64(len(name)))),
	}
	if s.flights, err = processes.Flights(); err != nil {
		return nil, err
	}
	if records > len(s.flights) {
		return nil, fmt.Errorf("-records %d: there are %d flights", records, len(s.flights))
	}
	s.flights = s.flights[:records]
	srv, err := localstream.Open(filepath.Join(s.dir, "stream"), localstream.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	ctx, cancel := context.WithCancel(ctx)
	served, err := s.serve(ctx, srv)
	if err != nil {
		cancel()
		return nil, err
	}
	defer func() { cancel(); err = errors.Join(err, <-served) }()
	defer s.end()
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	if err := s.faults(ctx, faults); err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	s.result.Seconds = time.Since(began).Round(100 * time.Millisecond).Seconds()
	return &s.result, nil
}

// serve lets the stream listen on a port.
func (s *scene) serve(ctx context.Context, srv *localstream.Server) (<-chan error, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, l) }()
	s.streamURL = "http://" + l.Addr().String()
	s.stream = kinesis.NewFromConfig(srv.AWSConfig())
	return served, nil
}

// start makes the stream and the bucket, and starts all processes.
func (s *scene) start(ctx context.Context) (err error) {
	shards := int32(firstShards)
	if _, err := s.stream.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(streamName), ShardCount: &shards}); err != nil {
		return fmt.Errorf("create the stream: %w", err)
	}
	if s.gateway, err = newGateway(ctx, s.programs.gateway, s.dir); err != nil {
		return err
	}
	s.bucket = s3.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.gateway.url, Credentials: credentials.NewStaticCredentialsProvider(accessKey, accessKey, ""),
	}, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := s.bucket.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		return fmt.Errorf("create the bucket: %w", err)
	}
	for i := range archivers {
		slot := &slot{scene: s, number: i + 1}
		if slot.proxy, err = newProxy(s.gateway.url); err != nil {
			return err
		}
		s.slots = append(s.slots, slot)
		if err := slot.start(); err != nil {
			return err
		}
	}
	return nil
}

// end ends what still runs.
func (s *scene) end() {
	for _, slot := range s.slots {
		slot.end()
		slot.proxy.Close()
	}
	if s.gateway != nil {
		s.gateway.end()
	}
}

// faults feeds the stream bit by bit, with a fault after each.
func (s *scene) faults(ctx context.Context, n int) error {
	plan := s.plan(n)
	for i, f := range plan {
		if err := s.feed(ctx, len(s.flights)*(i+1)/n); err != nil {
			return err
		}
		if err := pause(ctx, time.Duration(100+s.random.IntN(700))*time.Millisecond); err != nil {
			return err
		}
		if err := f(ctx); err != nil {
			return fmt.Errorf("fault %d: %w", i+1, err)
		}
		if (i+1)%30 == 0 {
			fmt.Printf("%d faults, %d flights in the stream\n", i+1, s.put)
		}
	}
	return nil
}

// settle lets everything run in peace until nothing more is stored, and counts.
func (s *scene) settle(ctx context.Context) error {
	for _, slot := range s.slots {
		if err := slot.resume(); err != nil {
			return err
		}
	}
	if err := s.gateway.up(ctx); err != nil {
		return err
	}
	last, since := -1, time.Now()
	for time.Since(since) < 20*time.Second {
		t, err := judge(ctx, s.stream, s.bucket)
		if err != nil {
			return err
		}
		if t.Missing == 0 {
			break
		}
		if t.Missing != last {
			last, since = t.Missing, time.Now()
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	for _, slot := range s.slots {
		if err := slot.stop(); err != nil {
			return err
		}
		s.result.Adopted += slot.adopted
		s.result.Lost += slot.proxy.lost()
	}
	if err := pause(ctx, lateness); err != nil { // what is late may still come
		return err
	}
	t, err := judge(ctx, s.stream, s.bucket)
	if err != nil {
		return err
	}
	s.result.tally = t
	if s.without {
		return nil
	}
	if s.result.Verify, err = s.verify(ctx, t); err != nil {
		return err
	}
	return s.large(ctx)
}

// verify asks the archiver's own check and reports whether it says the same.
func (s *scene) verify(ctx context.Context, t tally) (bool, error) {
	cmd := exec.CommandContext(ctx, s.programs.archiver, append(s.arguments(s.gateway.url), "-verify", "-complete", "-json")...)
	cmd.Env = append(os.Environ(), credentialsEnv...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return false, fmt.Errorf("verify: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var said tally
	if e := json.Unmarshal([]byte(lines[len(lines)-1]), &said); e != nil {
		return false, fmt.Errorf("verify: %w: %s", e, out)
	}
	said.Objects = t.Objects // dead letters are none, the marker is one more
	fmt.Printf("-verify: %s\n", strings.Join(lines[:len(lines)-1], "\n         "))
	return said == t && (err == nil) == t.whole(), nil
}

var credentialsEnv = []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + accessKey}

// arguments are those of an archiver that reaches S3 at endpoint.
func (s *scene) arguments(endpoint string) []string {
	args := []string{
		"-endpoint", s.streamURL, "-stream", streamName, "-app", "crash", "-lease", lease.String(), "-s3-endpoint", endpoint,
		"-bucket", bucketName, "-prefix", "records/!{timestamp:yyyy/MM/dd/HH}/", "-max-age", "400ms", "-max-records", "40",
		"-timeout", "2s",
	}
	if s.without {
		args = append(args, "-unsafe-no-adopt")
	}
	return args
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
