// Command goworker is a worker of a fleet that a harness drives: it writes down what it is given, as the Java one of
// integration/kclworker does, and tells events on its standard output, a line of JSON each.
//
//	goworker -endpoint URL -stream NAME -app NAME -worker ID -output FILE [-lease 10s] [-work 0s] [-batch 0]
//	         [-journal] [-compatible-2x] [-fault NAME]
//
// With -streams FILE in place of -stream it reads the streams that the file lists, and names shards by their leases. Everything that has no flag is as Shoal sets it. SIGTERM stops it; a goroutine or socket that it leaves behind then is an
// error. -fault plants one of fleet.Faults.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

type options struct {
	endpoint, stream, streams, app, worker, output, fault string
	lease, work                                           time.Duration
	batch                                                 int
	journal, compatible                                   bool
}

func main() {
	var o options
	flag.StringVar(&o.endpoint, "endpoint", "", "`URL` of localstream")
	flag.StringVar(&o.stream, "stream", "", "`name` of the stream")
	flag.StringVar(&o.streams, "streams", "", "`file` that lists several streams at any time, in place of -stream; see fleet.Listed")
	flag.StringVar(&o.app, "app", "", "`name` of the application and its lease table")
	flag.StringVar(&o.worker, "worker", "", "`name` of this worker")
	flag.StringVar(&o.output, "output", "", "`file` to which what was delivered is appended")
	flag.DurationVar(&o.lease, "lease", 0, "lease `duration`; the default is Shoal's")
	flag.DurationVar(&o.work, "work", 0, "`time` that a batch takes before it is checkpointed")
	flag.IntVar(&o.batch, "batch", 0, "most `records` of a batch; the default is Shoal's")
	flag.BoolVar(&o.journal, "journal", false, "tell each call's end and each checkpoint as well")
	flag.StringVar(&o.fault, "fault", "", "`name` of a fault to plant: "+strings.Join(fleet.Faults, ", "))
	flag.BoolVar(&o.compatible, "compatible-2x", false, "work beside workers of KCL 2.x")
	flag.Parse()
	if o.endpoint == "" || (o.stream == "") == (o.streams == "") || o.app == "" || o.worker == "" || o.output == "" || !fleet.HasFault(o.fault) || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "goworker: -endpoint, -stream or -streams, -app, -worker and -output are needed; see -h")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	connections := awshttp.NewBuildableClient().GetTransport()
	err := run(ctx, o, connections)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "goworker: %v\n", err)
		os.Exit(1)
	}
	connections.CloseIdleConnections()
	if left := leftovers(2 * time.Second); left != "" {
		fmt.Fprintf(os.Stderr, "goworker: left behind:\n%s\n", left)
		os.Exit(3)
	}
}

// run is the worker from its start to its end. Its clients are the SDK's own but for the transport, which the caller closes.
func run(ctx context.Context, o options, connections http.RoundTripper) (err error) {
	cfg := aws.Config{
		HTTPClient: &http.Client{Transport: connections},
		Region:     "us-east-1", BaseEndpoint: &o.endpoint, Credentials: credentials.NewStaticCredentialsProvider("localstream", "localstream", ""),
	}
	h := &handler{options: o}
	if h.log, err = check.OpenFile(o.output); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.log.Close()) }()
	config := worker.Config{
		Application:     o.app,
		Leases:          dynamo.New(dynamodb.NewFromConfig(cfg), o.app),
		NewProcessor:    h.newProcessor,
		Start:           record.TrimHorizon,
		WorkerID:        o.worker,
		LeaseDuration:   o.lease,
		Compatible2X:    o.compatible,
		MaxBatchRecords: o.batch,
		Hooks: worker.Hooks{
			State:  func(s worker.ShardInfo, _, to worker.State) { event("state", "", s.Shard, to.String()) },
			Failed: func(s worker.ShardInfo, err error) { event("survived", "", s.Shard, err.Error()) },
			Twin:   func(id string) { event("twin", "", "", id) },
		},
	}
	if client := kinesis.NewFromConfig(cfg); o.streams != "" {
		config.StreamsFunc = listed(client, o.streams)
	} else {
		config.Streams = []worker.Stream{kinesisstream.New(client, o.stream)}
	}
	w, err := worker.New(config)
	if err != nil {
		return err
	}
	if o.fault == "leak" {
		go func() { select {} }()
	}
	if o.fault == "greedy" { // gone at the signal, like a process without a handler for it
		context.AfterFunc(ctx, func() { os.Exit(0) })
	}
	event("started", w.ID(), "", "")
	err = w.Run(ctx)
	event("stopped", "", "", "")
	return err
}

// listed gives the streams that a file lists whenever it is asked.
func listed(client *kinesis.Client, path string) func(context.Context) ([]worker.Stream, error) {
	return func(context.Context) ([]worker.Stream, error) {
		ids, err := fleet.Listed(path)
		if err != nil {
			return nil, err
		}
		var streams []worker.Stream
		for name := range ids {
			streams = append(streams, kinesisstream.New(client, name))
		}
		return streams, nil
	}
}
