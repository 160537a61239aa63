package worker_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A quietStream has one record in each shard; reads behind it wait until their context ends.
type quietStream struct {
	*idleStream
	reads atomic.Int64
}

func (s *quietStream) Open(string, record.Position) worker.Reader { return &quietReader{stream: s} }

type quietReader struct {
	stream *quietStream
	given  bool
}

func (r *quietReader) Close() {}

func (r *quietReader) Read(ctx context.Context) (record.Page, error) {
	r.stream.reads.Add(1)
	if !r.given {
		r.given = true
		return record.Page{Records: []record.Record{{SequenceNumber: "49590338271490256608559692538361571095921575989136588898", Data: []byte("x")}}, Behind: time.Second}, nil
	}
	<-ctx.Done()
	return record.Page{}, context.Cause(ctx)
}

func TestNothingIsReadAnyMoreForAProcessorThatDoesNotReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stream, release := &quietStream{idleStream: newIdleStream(1)}, make(chan struct{})
		defer close(release)
		w, err := worker.New(worker.Config{
			Application: "quiet", Streams: []worker.Stream{stream}, Leases: memory.New(), DrainTimeout: 10 * time.Second,
			NewProcessor: worker.Stateless(func(context.Context, *worker.Batch) error {
				<-release
				return nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Second, cancel)
		if err := w.Run(ctx); !errors.Is(err, worker.ErrAbandoned) {
			t.Fatalf("Run = %v, want ErrAbandoned", err)
		}
		if n := stream.reads.Load(); n != 2 {
			t.Errorf("%d reads, want one of the record, and one that ends with the session", n)
		}
	})
}

// A largeStream has one large record, which only the page has that a reader gives.
type largeStream struct {
	*idleStream
	data weak.Pointer[byte]
}

func (s *largeStream) Open(string, record.Position) worker.Reader { return &largeReader{stream: s} }

type largeReader struct {
	stream *largeStream
	given  bool
}

func (r *largeReader) Close() {}

func (r *largeReader) Read(context.Context) (record.Page, error) {
	if r.given {
		return record.Page{}, nil
	}
	r.given = true
	data := make([]byte, 1<<20)
	r.stream.data = weak.Make(&data[0])
	return record.Page{Records: []record.Record{{SequenceNumber: "49590338271490256608559692538361571095921575989136588898", Data: data}}}, nil
}

func TestAnIdleShardKeepsNothingOfItsLastPage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stream := &largeStream{idleStream: newIdleStream(1)}
		got := 0
		w, err := worker.New(worker.Config{
			Application: "large", Streams: []worker.Stream{stream}, Leases: memory.New(),
			NewProcessor: worker.Stateless(func(_ context.Context, b *worker.Batch) error {
				got += len(b.Records)
				return nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		runtime.GC()
		if got != 1 || stream.data.Value() != nil {
			t.Errorf("%d records came, want one; its memory is kept: %v", got, stream.data.Value() != nil)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
