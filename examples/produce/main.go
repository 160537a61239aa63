// Command produce puts the lines of a file into a stream, as one of two programs that show a stream used by separate
// processes; the other is consume.
//
//	go run ./localstream/cmd/localstream serve -data /tmp/stream &
//	go run ./examples/produce -stream flights -create 4 -file flights.ndjson -key origin
//
// What to notice: the order of the records of one key is kept whatever happens, and an error that may pass does not end
// the program. record/producer does both; send.go hands it the lines and counts its answers.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

const usage = `Usage: go run ./examples/produce -stream NAME -file FILE [flags]

Puts each line of FILE into the stream as one record. With -key the lines are JSON objects, and
the order of the records of one key is kept. At the end the last line says how many records the service has acknowledged and
how many it has not: {"put":20000,"failed":0}.

An acknowledgement that was lost makes produce put the records of that request again, so the stream
may hold some of them twice; it never misses one that is counted as put.

Exit status: 0 if everything was put, 1 if not, 2 for wrong flags.

Flags:
`

type options struct {
	endpoint, stream, file, key string
	aws                         bool
	create, rate                int
	patience                    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.endpoint, "endpoint", "http://127.0.0.1:4567", "`URL` of localstream")
	flag.BoolVar(&o.aws, "aws", false, "use AWS, with the credentials and region of the environment, and not -endpoint")
	flag.StringVar(&o.stream, "stream", "", "`name` of the stream")
	flag.IntVar(&o.create, "create", 0, "make the stream with so many `shards` unless there is one")
	flag.StringVar(&o.file, "file", "", "`file` with one record a line; - is the standard input")
	flag.StringVar(&o.key, "key", "", "JSON `field` whose value is the partition key, such as origin or properties.net; without it each line is on its own")
	flag.IntVar(&o.rate, "rate", 0, "put at most so many `records` a second; 0 is as fast as possible")
	flag.DurationVar(&o.patience, "patience", 2*time.Minute, "give up when a record could not be put for this `time`, at least 1ms")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := o.validate(flag.NArg()); err != nil {
		fmt.Fprintf(os.Stderr, "produce: %v; see -h\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	put, failed, err := run(ctx, o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "produce: %v\n", err)
	}
	result := struct {
		Put    int `json:"put"`
		Failed int `json:"failed"`
	}{put, failed}
	if e := json.NewEncoder(os.Stdout).Encode(result); e != nil || err != nil || failed > 0 {
		os.Exit(1)
	}
}

func (o *options) validate(args int) error {
	switch {
	case args > 0:
		return fmt.Errorf("%d arguments that are no flags", args)
	case o.stream == "":
		return fmt.Errorf("-stream is missing; want the stream's name")
	case o.file == "":
		return fmt.Errorf("-file is missing; want a file, or - for the standard input")
	case o.create < 0:
		return fmt.Errorf("-create is %d; want 0, or at least 1 shard", o.create)
	case o.rate < 0:
		return fmt.Errorf("-rate is %d; want 0 for no limit, or at least 1", o.rate)
	case o.patience < time.Millisecond || o.patience > 24*time.Hour:
		return fmt.Errorf("-patience is %v; want 1ms to 24h", o.patience)
	default:
		return nil
	}
}

// run puts the whole file. failed counts the lines that were read and not acknowledged.
func run(ctx context.Context, o options) (put, failed int, err error) {
	in := io.Reader(os.Stdin)
	if o.file != "-" {
		f, err := os.Open(o.file)
		if err != nil {
			return 0, 0, err
		}
		defer f.Close()
		in = f
	}
	cfg, err := awsConfig(ctx, o)
	if err != nil {
		return 0, 0, fmt.Errorf("read AWS configuration: %w", err)
	}
	client := kinesis.NewFromConfig(cfg)
	if o.create > 0 {
		if err := create(ctx, client, o); err != nil {
			return 0, 0, err
		}
	}
	return sendAll(ctx, client, o, newLines(in, o.key))
}

// awsConfig is what SDK clients need to reach localstream, or AWS.
func awsConfig(ctx context.Context, o options) (aws.Config, error) {
	if o.aws {
		return config.LoadDefaultConfig(ctx)
	}
	return config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"), config.WithBaseEndpoint(o.endpoint),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
}
