package producer

import (
	"fmt"
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
