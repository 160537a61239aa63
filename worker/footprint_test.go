package worker_test

import (
	"context"
	"fmt"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// An idleStream has shards and never a record.
type idleStream struct{ shards []record.Shard }

func newIdleStream(shards int) *idleStream {
	s := &idleStream{}
	width := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(int64(shards)))
	key := func(i int) record.HashKey {
		k, err := record.ParseHashKey(new(big.Int).Mul(width, big.NewInt(int64(i))).String())
		if err != nil {
			panic(err)
		}
		return k
	}
	for i := range shards {
		r := record.HashKeyRange{Start: key(i), End: record.MaxHashKey}
		if i+1 < shards {
			end := new(big.Int).Sub(new(big.Int).Mul(width, big.NewInt(int64(i+1))), big.NewInt(1))
			r.End, _ = record.ParseHashKey(end.String())
		}
		s.shards = append(s.shards, record.Shard{ID: id(i), Range: r, First: record.SequenceNumber(fmt.Sprintf("4959033827149025660855969253836157109592157598913%07d", i))})
	}
	return s
}

func (s *idleStream) Name() string { return "idle" }

func (s *idleStream) Identify(context.Context) (worker.Identity, error) {
	return worker.Identity{Account: "123456789012", Name: "idle", Epoch: 1}, nil
}

func (s *idleStream) Shards(context.Context, record.Position) ([]record.Shard, time.Time, error) {
	return s.shards, time.Now().Truncate(time.Second), nil
}

func (s *idleStream) Open(string, record.Position) worker.Reader { return &idleReader{} }

func (s *idleStream) Pace() worker.Pace {
	return worker.Pace{PerSecond: 5, Idle: time.Hour, Timeout: 30 * time.Second}
}

type idleReader struct{ n int }

func (r *idleReader) Read(context.Context) (record.Page, error) {
	r.n = deep(20)
	return record.Page{}, nil
}
func (r *idleReader) Close() {}

// deep uses as much stack as a call of an SDK.
//
//go:noinline
func deep(n int) int {
	var frame [512]byte
	if n == 0 {
		return len(frame)
	}
	frame[n] = byte(n)
	return deep(n-1) + int(frame[n/2])
}

// What a worker keeps for each shard that has no records: memory and goroutines.
func BenchmarkIdleShards(b *testing.B) {
	const shards = 2_000
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		stream, store := newIdleStream(shards), memory.New()
		w, err := worker.New(worker.Config{
			Application: "idle", Streams: []worker.Stream{stream}, Leases: store, LeaseDuration: 10 * time.Minute,
			NewProcessor: worker.Stateless(func(context.Context, *worker.Batch) error { return nil }),
		})
		if err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		goroutines := runtime.NumGoroutine()
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		measure := func(m *runtime.MemStats) {
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(m)
		}
		measure(&before)
		for n := 0; n < shards; time.Sleep(50 * time.Millisecond) {
			n = 0
			for _, s := range w.Status().Shards {
				if s.State == worker.Processing {
					n++
				}
			}
		}
		time.Sleep(time.Second)
		measure(&after)
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/shards, "goroutines/shard")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/shards, "heap-B/shard")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/shards, "stack-B/shard")
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}
