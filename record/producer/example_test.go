package producer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/producer"
)

// exampleStream opens a localstream with a stream of one shard.
func exampleStream() (client *kinesis.Client, closeAll func() error) {
	srv, err := localstream.Open("", localstream.Options{Memory: true})
	if err != nil {
		log.Fatal(err)
	}
	client = kinesis.NewFromConfig(srv.AWSConfig())
	in := &kinesis.CreateStreamInput{StreamName: aws.String("flights"), ShardCount: aws.Int32(1)}
	if _, err := client.CreateStream(context.Background(), in); err != nil {
		log.Fatal(err)
	}
	return client, srv.Close
}

// Put waits for the record's answer: for programs in which many goroutines put.
func ExampleProducer_Put() {
	client, closeAll := exampleStream()
	defer closeAll()
	ctx := context.Background()

	p, err := producer.New(client, producer.Config{Stream: "flights"})
	if err != nil {
		log.Fatal(err)
	}
	ack, err := p.Put(ctx, record.Record{PartitionKey: "OSL", Data: []byte("SK1234 to ARN")})
	switch {
	case errors.Is(err, producer.ErrUnknown):
		log.Fatal("may be in the stream or not: ", err)
	case err != nil:
		log.Fatal("not in the stream: ", err)
	}
	fmt.Println(ack.Shard, "after attempt", ack.Attempts)
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: shardId-000000000000 after attempt 1
}

// PutAsync is for one goroutine that puts many records: it waits only while the buffer is full, and each record's answer
// comes to its function.
func ExampleProducer_PutAsync() {
	client, closeAll := exampleStream()
	defer closeAll()
	ctx := context.Background()

	p, err := producer.New(client, producer.Config{Stream: "flights", Aggregate: true})
	if err != nil {
		log.Fatal(err)
	}
	failed := 0
	for i := range 1000 {
		r := record.Record{PartitionKey: "OSL", Data: fmt.Appendf(nil, "position %d", i)}
		err := p.PutAsync(ctx, r, func(_ producer.Ack, err error) {
			if err != nil {
				failed++ // no lock: answers come one at a time
			}
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// At the end give it some time: what cannot be put by then is given up, and its functions are told.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Stats().Put, "records put,", failed, "failed")
	// Output: 1000 records put, 0 failed
}
