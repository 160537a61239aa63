// Command first is the README's first program: it prints the records of the stream "earthquakes" as they come. Start it
// several times and the copies share the shards; stop one, and the others go on where it stopped.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	w, err := worker.New(worker.Config{
		Application: "quake-alerts",
		Streams:     []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), "earthquakes")},
		Leases:      dynamo.New(dynamodb.NewFromConfig(cfg), "quake-alerts"),
		NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
			for _, r := range b.Records {
				fmt.Printf("%s: %s\n", r.PartitionKey, r.Data)
			}
			return b.Checkpoint(ctx)
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
