package producer_test

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/producer"
)

// A shard's pace comes back by a tenth of its limit a second, from a twentieth at the least, and it rests 5 s at the
// longest, in which the pace comes back too: so all of it is there 9.5 s after the last refusal, however many there were.
func TestThePaceIsBackWithinTenSecondsOfTheLastRefusal(t *testing.T) {
	const storm, calm = 30, 20 // seconds
	for name, weather := range map[string]func(c *call) (*http.Response, error){
		"of 19 records in 20": func(c *call) (*http.Response, error) {
			return c.partlyFor(throttling, func(i int) bool { return i%20 != 19 })
		},
		"of 2 records in 3": func(c *call) (*http.Response, error) {
			return c.partlyFor(throttling, func(i int) bool { return i%3 != 2 })
		},
		"of whole requests": func(c *call) (*http.Response, error) { return c.refuse(throttling) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, noLimits, func(t *testing.T, w *world) {
				longest := clock.Clock{Uint64Func: func() uint64 { return math.MaxUint64 }} // of the possible rests
				p := w.producer(producer.Config{Deadline: time.Hour, MaxBuffered: 2 << 20, Clock: longest})
				began := time.Now()
				w.wire.set(func(c *call) (*http.Response, error) {
					if c.puts() && time.Since(began) < storm*time.Second {
						return weather(c)
					}
					return c.send()
				})
				b := newBook()
				var acked [storm + calm]int // by the second
				for n := 0; time.Since(began) < (storm+calm)*time.Second; n++ {
					note := b.note(n)
					if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: text(n)}, func(ack producer.Ack, err error) {
						note(ack, err)
						if s := int(time.Since(began) / time.Second); s < len(acked) {
							acked[s]++
						}
					}); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if acked[storm-1] > 100 || acked[storm] > 500 {
					t.Errorf("%d records in the last second of the throttling, %d in the next: it has slowed nothing", acked[storm-1], acked[storm])
				}
				for s, n := range acked {
					if s >= storm+10 && (n < 900 || n > 1100) {
						t.Errorf("%d records in second %d after the throttling, want 1000: %v", n, s-storm, acked[storm:])
						break
					}
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
				b.failures(t)
				if copies := b.check(t, w.read(), byKey); copies != 0 {
					t.Errorf("%d copies", copies)
				}
			})
		})
	}
}
