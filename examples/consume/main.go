// Command consume is one worker of an application that consumes a stream; start as many as you like, they share the
// shards. It is one of two programs that show a stream used by separate processes; the other is produce.
//
//	go run ./localstream/cmd/localstream serve -data /tmp/stream &
//	go run ./examples/consume -stream flights -app delays -log /tmp/delays.log
//
// What to notice: kill -9 it, and the others take its shards over; stop it by SIGTERM or ctrl-C, and they go on at
// once with nothing repeated; stop localstream for a while, and it waits. With -log it writes down what it was given;
// integration/check compares such logs with what the stream holds.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

const usage = `Usage: go run ./examples/consume -stream NAME -app NAME [flags]

Runs one worker of the application on the stream until SIGTERM or SIGINT, then drains. The worker
prints a line that begins with "ready" once it runs, and one with "done" at its end.

Exit status: 0 after a clean drain, 1 after an error, 2 for wrong flags.

Flags:
`

type options struct {
	endpoint, stream, app, worker, log, start, checkpoint string
	lease                                                 time.Duration
	aws, verbose                                          bool
}

func main() {
	var o options
	flag.StringVar(&o.endpoint, "endpoint", "http://127.0.0.1:4567", "`URL` of localstream")
	flag.BoolVar(&o.aws, "aws", false, "use AWS, with the credentials and region of the environment, and not -endpoint")
	flag.StringVar(&o.stream, "stream", "", "`name` or ARN of the stream")
	flag.StringVar(&o.app, "app", "", "`name` of the application, and of its lease table")
	flag.StringVar(&o.worker, "worker", "", "`name` of this worker, unique in the application; default: the host's and a random part")
	flag.DurationVar(&o.lease, "lease", 10*time.Second, "`time` after which a dead worker's shards go to others, the same for all workers")
	flag.StringVar(&o.log, "log", "", "append what was delivered to this `file`, before it is checkpointed")
	flag.StringVar(&o.start, "start", "trim_horizon", "`where` a new application begins: trim_horizon or latest")
	flag.StringVar(&o.checkpoint, "checkpoint", "batch", "`when` to checkpoint: batch (after each) or interval (with the lease's renewals)")
	flag.BoolVar(&o.verbose, "v", false, "print the states of shards and what was survived")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := o.validate(flag.NArg()); err != nil {
		fmt.Fprintf(os.Stderr, "consume: %v; see -h\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "consume: %v\n", err)
		os.Exit(1)
	}
}

func (o *options) validate(args int) error {
	switch {
	case args > 0:
		return fmt.Errorf("%d arguments that are no flags", args)
	case o.stream == "":
		return errors.New("-stream is missing; want the stream's name")
	case o.app == "":
		return errors.New("-app is missing; want the application's name")
	case o.start != "trim_horizon" && o.start != "latest":
		return fmt.Errorf("-start is %q; want trim_horizon or latest", o.start)
	case o.checkpoint != "batch" && o.checkpoint != "interval":
		return fmt.Errorf("-checkpoint is %q; want batch or interval", o.checkpoint)
	default:
		return nil
	}
}

// run is the worker from its start to the end of its drain.
func run(ctx context.Context, o options) (err error) {
	cfg, err := awsConfig(ctx, o)
	if err != nil {
		return fmt.Errorf("read AWS configuration: %w", err)
	}
	c := &consumer{each: o.checkpoint == "batch"}
	if o.log != "" {
		if c.log, err = check.OpenFile(o.log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.log.Close()) }()
	}
	w, err := worker.New(worker.Config{
		Application:   o.app,
		Streams:       []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), o.stream)},
		Leases:        dynamo.New(dynamodb.NewFromConfig(cfg), o.app),
		NewProcessor:  c.newProcessor,
		Start:         map[string]record.Position{"trim_horizon": record.TrimHorizon, "latest": record.Latest}[o.start],
		WorkerID:      o.worker,
		LeaseDuration: o.lease,
		Hooks:         hooks(o.verbose),
	})
	if err != nil {
		return err
	}
	c.worker = w.ID()
	fmt.Printf("ready: worker %s of %s on %s\n", w.ID(), o.app, o.stream)
	err = w.Run(ctx)
	fmt.Printf("done: worker %s processed %d records\n", w.ID(), c.records.Load())
	return err
}

// hooks print what happens to shards, if wanted.
func hooks(verbose bool) worker.Hooks {
	if !verbose {
		return worker.Hooks{}
	}
	return worker.Hooks{
		State: func(s worker.ShardInfo, from, to worker.State) {
			fmt.Fprintf(os.Stderr, "%s %s: %v\n", now(), s.Shard, to)
		},
		Failed: func(s worker.ShardInfo, err error) {
			fmt.Fprintf(os.Stderr, "%s %s: survived: %v\n", now(), cmp.Or(s.Shard, s.Stream, "worker"), err)
		},
		Twin: func(id string) {
			fmt.Fprintf(os.Stderr, "%s another process works as %s, too\n", now(), id)
		},
	}
}

func now() string { return time.Now().Format("15:04:05.000") }

// awsConfig is what SDK clients need to reach localstream, or AWS.
func awsConfig(ctx context.Context, o options) (aws.Config, error) {
	if o.aws {
		return config.LoadDefaultConfig(ctx)
	}
	return config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"), config.WithBaseEndpoint(o.endpoint),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
}
