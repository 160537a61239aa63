package producer

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/record"
)

// BenchmarkBook is what the producer costs a record besides the request: all of it but the SDK.
func BenchmarkBook(b *testing.B) {
	for _, aggregate := range []bool{false, true} {
		b.Run(fmt.Sprintf("aggregate=%t", aggregate), func(b *testing.B) {
			p, err := New(kinesis.New(kinesis.Options{}), Config{Stream: "s", RateLimit: -1, Linger: -1, Aggregate: aggregate})
			if err != nil {
				b.Fatal(err)
			}
			p.end(ErrClosed) // its own goroutines do nothing
			p.finish()
			p.running.Wait()
			p.adopt(&shardMap{open: []record.Shard{{ID: "shardId-000000000000", Range: record.FullRange}}, ends: []record.HashKey{record.MaxHashKey}})
			keys := make([]string, 10_000)
			for i := range keys {
				keys[i] = fmt.Sprint("key-", i)
			}
			data := make([]byte, 1024)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if err := p.PutAsync(b.Context(), record.Record{PartitionKey: keys[n%len(keys)], Data: data}, nil); err != nil {
					b.Fatal(err)
				}
				if n%5000 == 4999 {
					p.flyAll()
				}
			}
		})
	}
}

// BenchmarkManyShards is the same for 10,000 shards with one record each: all are sent together, or a hundred at a time
// while dispatch looks whenever it is woken.
func BenchmarkManyShards(b *testing.B) {
	const shards, width = 10_000, math.MaxUint64 / 10_000
	for _, together := range []int{shards, 100} {
		b.Run(fmt.Sprintf("together=%d", together), func(b *testing.B) {
			p, err := New(kinesis.New(kinesis.Options{}), Config{Stream: "s", RateLimit: -1, Linger: time.Minute, Order: OrderNone})
			if err != nil {
				b.Fatal(err)
			}
			p.end(ErrClosed) // its own goroutines do nothing
			p.finish()
			p.running.Wait()
			m, keys := &shardMap{}, make([]string, shards)
			for i := range uint64(shards) {
				start, end := record.HashKey{Hi: i * width}, record.HashKey{Hi: (i + 1) * width}
				m.open = append(m.open, record.Shard{ID: fmt.Sprint(i), Range: record.HashKeyRange{Start: start, End: end.Prev()}})
				m.ends = append(m.ends, end.Prev())
				keys[i] = start.String()
			}
			p.adopt(m)
			p.dispatched(b)
			data := make([]byte, 100)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				r := record.Record{PartitionKey: "k", ExplicitHashKey: keys[n*7919%shards], Data: data}
				if err := p.PutAsync(b.Context(), r, nil); err != nil {
					b.Fatal(err)
				}
				if together < shards && len(p.wake) > 0 {
					p.dispatched(b)
				}
				if n%together == together-1 {
					p.hurry = 1
					p.flyAll()
					p.hurry = 0
					p.dispatched(b)
				}
			}
		})
	}
}

// dispatched does what dispatch does when it is woken and finds nothing to send.
func (p *Producer) dispatched(b *testing.B) {
	select {
	case <-p.wake:
	default:
	}
	if f, _, _ := p.plan(); f != nil {
		b.Fatal("a request before its time")
	}
}

// flyAll takes everything that waits through requests that all succeed.
func (p *Producer) flyAll() {
	p.mu.Lock()
	f, _ := p.compose(time.Now())
	p.mu.Unlock()
	for f != nil {
		for _, u := range f.units {
			u.content()
			u.outcome = outcome{shard: u.lane.shard, sequence: "1"}
		}
		f = p.settle(f)
		p.mu.Lock()
		for _, a := range p.answers {
			p.backlog.remove(a.entry)
			p.room.give(a.cost())
		}
		p.answers = p.answers[:0]
		p.mu.Unlock()
	}
}
