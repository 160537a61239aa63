package worker_test

import (
	"context"
	"fmt"
	"math/big"
	"runtime"
	"testing"
	"testing/synctest"
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

// What a worker keeps for each shard that has no records: one goroutine, and memory that is told with -v.
func TestAnIdleShardIsOneGoroutine(t *testing.T) {
	const shards = 2_000
	const shared = 1_200 // at most: 64 that read, 1,024 that call the table, and the worker's own
	bubble(t, func(t *testing.T) {
		stream, store := newIdleStream(shards), memory.New()
		w, err := worker.New(worker.Config{
			Application: "idle", Streams: []worker.Stream{stream}, Leases: store, LeaseDuration: 10 * time.Minute,
			NewProcessor: worker.Stateless(func(context.Context, *worker.Batch) error { return nil }),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		before := measure()
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(time.Minute)
		after := measure()
		running := 0
		for _, s := range w.Status().Shards {
			if s.State == worker.Processing {
				running++
			}
		}
		n := int(after.goroutines - before.goroutines)
		if running != shards || n > shards+shared {
			t.Errorf("%d shards run with %d goroutines, want %d with one each, and up to %d that they share", running, n, shards, shared)
		}
		t.Logf("each of %d shards: %+v", shards, after.less(before).over(shards))
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A footprint is what there is of goroutines, and of bytes of heap and stacks.
type footprint struct{ goroutines, heap, stacks float64 }

// measure takes the footprint of all once nothing moves.
func measure() footprint {
	synctest.Wait()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{float64(runtime.NumGoroutine()), float64(m.HeapAlloc), float64(m.StackInuse)}
}

func (f footprint) less(g footprint) footprint {
	return footprint{f.goroutines - g.goroutines, f.heap - g.heap, f.stacks - g.stacks}
}

func (f footprint) over(n float64) footprint {
	return footprint{f.goroutines / n, f.heap / n, f.stacks / n}
}
