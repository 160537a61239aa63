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

// An aggregator counts records by key. It adds what it has counted to a database now and then, in one transaction with
// the position up to which it has counted, and the next tenure begins there: so every record counts exactly once. It
// needs no lock, for one processor has one shard.
type aggregator struct {
	shard  *worker.Shard
	add    func(context.Context, addition) error
	counts map[string]int  // of what is not in the database
	upTo   record.Position // counted up to here
	saved  record.Position // in the database up to here
}

// An addition is what a transaction adds: the counts of a shard's records behind from, up to and including upTo.
type addition struct {
	shard      string
	from, upTo record.Position
	counts     map[string]int
}

// totals stand for a database.
type totals struct {
	mu     sync.Mutex
	counts map[string]int
	upTo   map[string]record.Position // by shard
}

func newTotals() *totals {
	return &totals{counts: map[string]int{}, upTo: map[string]record.Position{}}
}

func (t *totals) position(shard string) record.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.upTo[shard]
}

// add is the transaction. It is refused when the shard has gone on meanwhile: by another owner, or by this very addition,
// whose answer was lost. The shard then begins anew at the position that the database has.
func (t *totals) add(_ context.Context, a addition) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.upTo[a.shard] != a.from {
		return fmt.Errorf("shard %s is at %v, not at %v: %w", a.shard, t.upTo[a.shard], a.from, worker.ErrRestart)
	}
	for key, n := range a.counts {
		t.counts[key] += n
	}
	t.upTo[a.shard] = a.upTo
	return nil
}

func newAggregator(s *worker.Shard, at record.Position, add func(context.Context, addition) error) *aggregator {
	return &aggregator{shard: s, add: add, counts: map[string]int{}, upTo: at, saved: at}
}

func (a *aggregator) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	for _, r := range b.Records {
		if r.Position().Compare(a.upTo) > 0 { // else it comes again after an error
			a.counts[r.PartitionKey]++
			a.upTo = r.Position()
		}
	}
	if len(a.counts) < 20 {
		return nil
	}
	return a.save(ctx)
}

func (a *aggregator) save(ctx context.Context) error {
	if a.upTo == a.saved {
		return nil
	}
	if err := a.add(ctx, addition{a.shard.Stream + "/" + a.shard.ID, a.saved, a.upTo, a.counts}); err != nil {
		return err
	}
	a.saved, a.counts = a.upTo, map[string]int{}
	a.shard.Mark(a.saved) // for those who look at the lease table; Config.StartAt says where to begin
	return nil
}

func (a *aggregator) Finish(ctx context.Context, _ worker.FinishReason) error { return a.save(ctx) }

// A processor with state per shard, over two streams in one worker.
func ExampleRecordProcessor_aggregator() {
	west := memstream.New("west", 1, memstream.Options{})
	east := memstream.New("east", 2, memstream.Options{})
	west.Put("ci", []byte("a"))
	west.Put("nc", []byte("b"))
	east.Put("ci", []byte("c"))
	ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()

	sum := newTotals()
	w, err := worker.New(worker.Config{
		Application: "quake-counts",
		Streams:     []worker.Stream{west, east},
		Leases:      memory.New(),
		StartAt: func(_ context.Context, stream, shard string) (record.Position, error) {
			return sum.position(stream + "/" + shard), nil
		},
		NewProcessor: func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return newAggregator(s, sum.position(s.Stream+"/"+s.ID), sum.add), nil
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
