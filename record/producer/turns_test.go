package producer_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/producer"
)

func TestShardsAreServedByTurns(t *testing.T) {
	bubble(t, 8, noLimits, func(t *testing.T, w *world) {
		const each, batch = 40, 5
		var served []string // explicit hash keys of the requests
		w.wire.set(func(c *call) (*http.Response, error) {
			if !c.puts() {
				return c.send()
			}
			time.Sleep(10 * time.Millisecond)
			rs := c.records()
			for _, r := range rs {
				if r.ExplicitHashKey != rs[0].ExplicitHashKey {
					t.Error("a shard that has enough gave only a part of a request")
				}
			}
			served = append(served, rs[0].ExplicitHashKey)
			return c.send()
		})
		p := w.producer(producer.Config{Order: producer.OrderNone, MaxBatchRecords: batch, MaxInFlight: 1, RateLimit: -1, Linger: -1})
		b := newBook()
		for n := range 1 + 8*each {
			r := record.Record{PartitionKey: "k", ExplicitHashKey: hashIn(n % 8), Data: text(n)}
			if err := p.PutAsync(t.Context(), r, b.note(n)); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				synctest.Wait() // all others are put while its request is under way
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.failures(t)
		b.check(t, w.read(), byNone)
		for turn := range slices.Chunk(served[1:], 8) {
			if slices.Sort(turn); len(slices.Compact(turn)) != 8 {
				t.Errorf("in a turn of 8 requests were the shards of %v", turn)
			}
		}
		if len(served) != 1+8*each/batch {
			t.Errorf("%d requests", len(served))
		}
	})
}

// hashIn is a hash key in the i-th of eight shards.
func hashIn(i int) string { return record.HashKey{Hi: uint64(i) << 61}.String() }

// Else one shard's small records could keep another's larger ones out for ever.
func TestAShardWhoseRecordFoundNoRoomInARequestIsFirstInTheNext(t *testing.T) {
	bubble(t, 2, noLimits, func(t *testing.T, w *world) {
		w.wire.set(func(c *call) (*http.Response, error) {
			if c.puts() {
				time.Sleep(50 * time.Millisecond)
			}
			return c.send()
		})
		p := w.producer(producer.Config{Order: producer.OrderNone, MaxBatchBytes: 10_000, MaxInFlight: 1, RateLimit: -1, Linger: -1})
		b := newBook()
		n := 0
		put := func(hash record.HashKey, size int) {
			t.Helper()
			r := record.Record{PartitionKey: "k", ExplicitHashKey: hash.String(), Data: fmt.Appendf(nil, "%-*d", size, n)}
			if err := p.PutAsync(t.Context(), r, b.note(n)); err != nil {
				t.Fatal(err)
			}
			n++
		}
		put(record.HashKey{}, 9000)
		time.Sleep(25 * time.Millisecond)
		large := n + 1
		for round := range 20 { // always while a request is under way
			put(record.HashKey{}, 9000)
			if round == 0 {
				put(record.MaxHashKey, 2000)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if acked, _ := b.answers(); acked < 10 || b.order[2] != large {
			t.Errorf("answers for %v, want that for %d third", b.order, large)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.failures(t)
		b.check(t, w.read(), byNone)
	})
}
