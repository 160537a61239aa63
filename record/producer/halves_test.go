package producer_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/producer"
)

// One record that the service refuses must not take those down that share its request.
func TestABadRecordFailsAlone(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{RateLimit: -1})
		b := newBook()
		for n := range 300 {
			data := text(n)
			if n == 17 || n == 250 {
				data = make([]byte, 1<<20) // with its key more than this stream takes
			}
			if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: data}, b.note(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		acked, bad := b.answers()
		var refused *types.InvalidArgumentException
		if acked != 298 || bad != 2 || !errors.As(b.bad[17], &refused) || errors.Is(b.bad[250], producer.ErrUnknown) {
			t.Errorf("%d acknowledged, %d not: %v, %v", acked, bad, b.bad[17], b.bad[250])
		}
		if n := p.Stats().Requests; n != int64(w.wire.count("PutRecords")) {
			t.Errorf("Stats tell %d requests of %d", n, w.wire.count("PutRecords"))
		}
	})
}

// poisoned is a weather in which each request takes some time, and is refused if it has a record of the key "bad".
func poisoned(takes time.Duration, saw func(keys []string)) func(c *call) (*http.Response, error) {
	return func(c *call) (*http.Response, error) {
		if !c.puts() {
			return c.send()
		}
		keys := c.keys()
		saw(keys)
		time.Sleep(takes)
		if slices.Contains(keys, "bad") {
			return c.refuse("InvalidArgumentException")
		}
		return c.send()
	}
}

// alsoAggregated runs f with and without aggregates of three records of 300 bytes, with one request at a time.
func alsoAggregated(t *testing.T, f func(*testing.T, producer.Config)) {
	for _, aggregate := range []bool{false, true} {
		t.Run(fmt.Sprintf("aggregate=%t", aggregate), func(t *testing.T) {
			f(t, producer.Config{Aggregate: aggregate, AggregateBytes: 1 << 10, MaxInFlight: 1})
		})
	}
}

func padded(n int) []byte { return fmt.Appendf(nil, "%-300d", n) }

func TestEachRequestWithARecordCountsAsAnAttempt(t *testing.T) {
	alsoAggregated(t, func(t *testing.T, cfg producer.Config) {
		bubble(t, 1, noLimits, func(t *testing.T, w *world) {
			sent := map[string]int{}
			w.wire.set(poisoned(0, func(keys []string) {
				for _, key := range keys {
					sent[key]++
				}
			}))
			p := w.producer(cfg)
			b := newBook()
			for n := range 24 {
				key := fmt.Sprint(n)
				if n == 10 {
					key = "bad"
				}
				if err := p.PutAsync(t.Context(), record.Record{PartitionKey: key, Data: padded(n)}, b.note(n)); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			again := 0
			for n, ack := range b.acked {
				if again += ack.Attempts - 1; ack.Attempts < 2 || ack.Attempts != sent[fmt.Sprint(n)] {
					t.Errorf("%d attempts at record %d were in %d requests, of which there are several", ack.Attempts, n, sent[fmt.Sprint(n)])
				}
			}
			for range b.bad { // all in the bad one's aggregate
				again += sent["bad"] - 1
			}
			if want := fmt.Sprintf("after %d attempts", sent["bad"]); !strings.Contains(fmt.Sprint(b.bad[10]), want) {
				t.Errorf("%v: want %q", b.bad[10], want)
			}
			if s := p.Stats(); s.Retried != int64(again) || s.Requests != int64(w.wire.count("PutRecords")) || len(b.acked)+len(b.bad) != 24 {
				t.Errorf("Stats = %+v, want %d retried", s, again)
			}
		})
	})
}

func TestNoRecordIsSentAfterItsDeadlineThoughItsRequestWasRefusedForAnother(t *testing.T) {
	alsoAggregated(t, func(t *testing.T, cfg producer.Config) {
		bubble(t, 1, noLimits, func(t *testing.T, w *world) {
			const bad = 30
			began, put := time.Now(), map[string]time.Time{}
			w.wire.set(poisoned(200*time.Millisecond, func(keys []string) {
				for _, key := range keys {
					if time.Since(put[key]) >= cfg.Deadline {
						t.Errorf("the record of key %s was put after %v, and is sent after %v", key, put[key].Sub(began), time.Since(began))
					}
				}
			}))
			cfg.Deadline, cfg.Linger = time.Second, 500*time.Millisecond
			p := w.producer(cfg)
			b := newBook()
			for n := range 50 { // one request, in which all that are put before 0.5 s fit
				key := fmt.Sprint(n)
				if n == bad {
					key = "bad"
				}
				put[key] = time.Now()
				if err := p.PutAsync(t.Context(), record.Record{PartitionKey: key, Data: padded(n)}, b.note(n)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			// Sent at 0.7 s was the first half, and at 1.3 s what was put between the bad one and 0.37 s.
			if acked, bad := b.answers(); acked < 25 || bad < 15 || acked+bad != 50 {
				t.Errorf("%d acknowledged, %d given up", acked, bad)
			}
			for n, err := range b.bad {
				if !errors.Is(err, producer.ErrExpired) || errors.Is(err, producer.ErrUnknown) {
					t.Errorf("record %d: %v", n, err)
				}
			}
			b.check(t, w.read(), byKey)
		})
	})
}

func TestACancelledPutIsNotSentAgainThoughItsRequestWasRefusedForAnother(t *testing.T) {
	alsoAggregated(t, func(t *testing.T, cfg producer.Config) {
		bubble(t, 1, noLimits, func(t *testing.T, w *world) {
			sent := map[string]int{}
			w.wire.set(poisoned(100*time.Millisecond, func(keys []string) {
				for _, key := range keys {
					sent[key]++
				}
			}))
			p := w.producer(cfg)
			b := newBook()
			ctx, cancel := contextFor(50 * time.Millisecond)
			defer cancel()
			cancelled := make(chan error, 1)
			for n, key := range []string{"0", "cancelled", "2", "3", "4", "5", "6", "7", "bad"} {
				r := record.Record{PartitionKey: key, Data: padded(n)}
				if n == 1 {
					go func() {
						_, err := p.Put(ctx, r)
						cancelled <- err
					}()
					synctest.Wait()
				} else if err := p.PutAsync(t.Context(), r, b.note(n)); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-cancelled; !errors.Is(err, producer.ErrUnknown) {
				t.Errorf("Put = %v, want that the record may be in the stream", err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if sent["cancelled"] != 1 || sent["bad"] < 2 {
				t.Errorf("sent were %v", sent)
			}
			for _, n := range []int{0, 2, 3, 4, 5} { // nor do those in the same aggregate come to harm
				if _, ok := b.acked[n]; !ok {
					t.Errorf("record %d: %v", n, b.bad[n])
				}
			}
			b.check(t, w.read(), byKey)
		})
	})
}

// A front end may refuse a request for its size before anything looks into it, with no error that it has a name for.
func TestARequestTooLargeForAFrontEndIsPutInParts(t *testing.T) {
	for name, body := range map[string]string{"no body": "", "a page": "<html>413 Request Entity Too Large</html>"} {
		for _, cbor := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cbor=%t", name, cbor), func(t *testing.T) {
				bubble(t, 1, noLimits, func(t *testing.T, w *world) {
					w.wire.set(func(c *call) (*http.Response, error) {
						if len(c.body) > 100_000 {
							return c.answer(http.StatusRequestEntityTooLarge, body)
						}
						return c.send()
					})
					p := w.inCBOR(producer.Config{RateLimit: -1, SDKCodec: !cbor})
					b := newBook()
					began := time.Now()
					for n := range 50 {
						data := fmt.Appendf(nil, "%-10000d", n)
						if n == 20 {
							data = make([]byte, 100_000)
						}
						if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: data}, b.note(n)); err != nil {
							t.Fatal(err)
						}
					}
					if err := p.Close(t.Context()); err != nil || time.Since(began) > time.Second {
						t.Errorf("Close = %v after %v", err, time.Since(began))
					}
					if acked, bad := b.answers(); acked != 49 || bad != 1 || !strings.Contains(fmt.Sprint(b.bad[20]), "413") || errors.Is(b.bad[20], producer.ErrUnknown) {
						t.Errorf("%d acknowledged, %d given up; the large one: %v", acked, bad, b.bad[20])
					}
					b.check(t, w.read(), byKey)
				})
			})
		}
	}
}

// What is wrong with a record is not its shard's fault.
func TestBadRecordsDoNotSlowTheirShard(t *testing.T) {
	for _, order := range []producer.Order{producer.OrderPerKey, producer.OrderStrict} {
		t.Run(order.String(), func(t *testing.T) {
			bubble(t, 1, noLimits, func(t *testing.T, w *world) {
				w.wire.set(poisoned(0, func([]string) {}))
				p := w.producer(producer.Config{Order: order, Linger: -1})
				began := time.Now()
				for range 10 {
					var refused *types.InvalidArgumentException
					if _, err := p.Put(t.Context(), record.Record{PartitionKey: "bad"}); !errors.As(err, &refused) {
						t.Fatal(err)
					}
				}
				if _, err := p.Put(t.Context(), record.Record{PartitionKey: "good"}); err != nil || time.Since(began) > 0 {
					t.Errorf("Put = %v after %v", err, time.Since(began))
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
