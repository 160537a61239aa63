package worker_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A handler that waits for another service, for up to 64 records of different keys at once: here 128 records of 64 keys
// take little more than 2 calls' time.
func ExampleByKey() {
	stream := memstream.New("orders", 1, memstream.Options{})
	for i := range 128 {
		stream.Put(fmt.Sprint("customer-", i%64), fmt.Appendf(nil, "order %d", i))
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()

	var done atomic.Int64
	w, err := worker.New(worker.Config{
		Application: "shipping",
		Streams:     []worker.Stream{stream},
		Leases:      memory.New(),
		NewProcessor: worker.ByKey(64, func(ctx context.Context, _ *worker.Shard, r record.Record) error {
			select { // stands for a call of the service
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if done.Add(1) == 128 {
				stop()
			}
			return nil
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Load(), "orders shipped")
	// Output: 128 orders shipped
}
