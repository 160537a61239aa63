package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A stateless consumer: one function for all shards, and a checkpoint after each batch.
func ExampleStateless() {
	stream := memstream.New("earthquakes", 2, memstream.Options{})
	stream.Put("ci", []byte("2km E of San Marino, CA"))

	ctx, stop := context.WithCancel(context.Background())
	w, err := worker.New(worker.Config{
		Application: "quake-alerts",
		Streams:     []worker.Stream{stream},
		Leases:      memory.New(),
		NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
			for _, r := range b.Records {
				fmt.Printf("%s: %s\n", r.PartitionKey, r.Data)
			}
			defer stop() // one batch is enough for an example
			return b.Checkpoint(ctx)
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: ci: 2km E of San Marino, CA
}

// An archiver buffers records, uploads them beside the processor, and checkpoints behind each upload.
type archiver struct {
	shard  *worker.Shard
	upload func(ctx context.Context, name string, body []byte) error
	chunks chan chunk
	buffer bytes.Buffer
	first  record.Position
	last   record.Position
	done   chan struct{} // closed when the uploader has nothing left
}

type chunk struct {
	name string
	body []byte
	last record.Position
}

func newArchiver(s *worker.Shard, upload func(context.Context, string, []byte) error) *archiver {
	a := &archiver{shard: s, upload: upload, chunks: make(chan chunk, 1), done: make(chan struct{})}
	s.Go(a.uploads)
	return a
}

// uploads stores one chunk after the other. An error restarts the shard from its checkpoint: nothing is skipped.
func (a *archiver) uploads(ctx context.Context) error {
	defer close(a.done)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, more := <-a.chunks:
			if !more {
				return nil
			}
			if err := a.upload(ctx, c.name, c.body); err != nil {
				return err
			}
			a.shard.Mark(c.last) // free: the next renewal of the lease carries it
		}
	}
}

func (a *archiver) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	for _, r := range b.Records {
		if a.buffer.Len() == 0 {
			a.first = r.Position()
		}
		a.buffer.Write(r.Data)
		a.buffer.WriteByte('\n')
		a.last = r.Position()
	}
	if a.buffer.Len() > 1<<20 {
		return a.flush(ctx)
	}
	return nil
}

func (a *archiver) flush(ctx context.Context) error {
	if a.buffer.Len() == 0 {
		return nil
	}
	c := chunk{name: fmt.Sprintf("%s/%s", a.shard.ID, a.first), body: bytes.Clone(a.buffer.Bytes()), last: a.last}
	select {
	case a.chunks <- c: // waits while an upload is under way: back-pressure
		a.buffer.Reset()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *archiver) Finish(ctx context.Context, _ worker.FinishReason) error {
	if err := a.flush(ctx); err != nil {
		return err
	}
	close(a.chunks)
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A processor that buffers and uploads in the background: Shard.Go runs the uploads, Finish waits for the last one.
func ExampleRecordProcessor_archiver() {
	stream := memstream.New("earthquakes", 1, memstream.Options{})
	stream.Put("ak", []byte("40km WSW of Cantwell, Alaska"))
	stream.Put("ci", []byte("4km W of Castaic, CA"))
	ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()

	w, err := worker.New(worker.Config{
		Application: "quake-archive",
		Streams:     []worker.Stream{stream},
		Leases:      memory.New(),
		NewProcessor: func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return newArchiver(s, func(_ context.Context, _ string, body []byte) error {
				fmt.Printf("%s", body)
				return nil
			}), nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 40km WSW of Cantwell, Alaska
	// 4km W of Castaic, CA
}

// An aggregator keeps state per shard, saves it together with the position that it covers, and so needs no lock: one
// processor has one shard.
type aggregator struct {
	shard  *worker.Shard
	totals *totals
	counts map[string]int
}

// totals stands for a database table that stores counts and position in one transaction.
type totals struct {
	mu     sync.Mutex
	counts map[string]int
}

func (t *totals) add(counts map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, n := range counts {
		t.counts[k] += n
	}
}

func (a *aggregator) ProcessRecords(_ context.Context, b *worker.Batch) error {
	for _, r := range b.Records {
		a.counts[r.PartitionKey]++
	}
	return nil
}

func (a *aggregator) Finish(context.Context, worker.FinishReason) error {
	a.totals.add(a.counts)
	return nil
}

// A processor with state per shard, over two streams in one worker.
func ExampleRecordProcessor_aggregator() {
	west := memstream.New("west", 1, memstream.Options{})
	east := memstream.New("east", 2, memstream.Options{})
	west.Put("ci", []byte("a"))
	west.Put("nc", []byte("b"))
	east.Put("ci", []byte("c"))
	ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()

	sum := &totals{counts: map[string]int{}}
	w, err := worker.New(worker.Config{
		Application: "quake-counts",
		Streams:     []worker.Stream{west, east},
		Leases:      memory.New(),
		NewProcessor: func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return &aggregator{shard: s, totals: sum, counts: map[string]int{}}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum.counts)
	// Output: map[ci:2 nc:1]
}
