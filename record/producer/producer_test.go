package producer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/producer"
)

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

var noLimits localstream.Limits

func TestPutReturnsWhereTheRecordIs(t *testing.T) {
	for _, order := range []producer.Order{producer.OrderPerKey, producer.OrderStrict, producer.OrderNone} {
		t.Run(order.String(), func(t *testing.T) {
			bubble(t, 4, noLimits, func(t *testing.T, w *world) {
				p := w.inCBOR(producer.Config{Order: order})
				b := newBook()
				var wg sync.WaitGroup
				for n := range 100 {
					wg.Go(func() {
						r := record.Record{PartitionKey: fmt.Sprint("k", n), Data: text(n)}
						if n%10 == 0 {
							r.ExplicitHashKey = record.HashKey{Hi: uint64(n) << 56}.String()
						}
						ack, err := p.Put(t.Context(), r)
						b.note(n)(ack, err)
					})
				}
				wg.Wait()
				if err := p.Close(t.Context()); err != nil {
					t.Errorf("Close = %v", err)
				}
				b.failures(t)
				if copies := b.check(t, w.read(), byNone); copies != 0 || len(b.acked) != 100 {
					t.Errorf("%d copies of %d records", copies, len(b.acked))
				}
				if s := p.Stats(); s.Put != 100 || s.Failed != 0 || s.Buffered != 0 || s.BufferedBytes != 0 || s.InFlight != 0 || s.Mispredicted != 0 {
					t.Errorf("Stats = %+v", s)
				}
			})
		})
	}
}

func TestRecordsLingerForEachOtherAndNotLonger(t *testing.T) {
	bubble(t, 2, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{Linger: 20 * time.Millisecond})
		if _, err := p.Put(t.Context(), record.Record{PartitionKey: "first", Data: text(0)}); err != nil { // lists the shards
			t.Fatal(err)
		}
		began := time.Now()
		var answered []time.Duration
		for n := range 3 {
			if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: text(n)}, func(producer.Ack, error) {
				answered = append(answered, time.Since(began))
			}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(answered) != 3 || answered[0] != 20*time.Millisecond || answered[2] != 20*time.Millisecond {
			t.Errorf("answers after %v, want all after 20ms", answered)
		}
		for n := range 500 { // a full request does not wait
			if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: text(n)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if s := p.Stats(); s.Buffered != 0 || w.wire.count("PutRecords") != 3 {
			t.Errorf("%d records wait after %d requests, want 0 after 3", s.Buffered, w.wire.count("PutRecords"))
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRequestsKeepToTheirLimits(t *testing.T) {
	bubble(t, 2, noLimits, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var flying, most int
		w.wire.set(func(c *call) (*http.Response, error) {
			if !c.puts() {
				return c.send()
			}
			if n := strings.Count(string(c.body), `"PartitionKey"`); n > 40 {
				t.Errorf("a request has %d records", n)
			}
			if len(c.body) > 30_000*4/3+40*60 && strings.Count(string(c.body), `"PartitionKey"`) > 1 {
				t.Errorf("a request has %d bytes", len(c.body))
			}
			mu.Lock()
			flying++
			most = max(most, flying)
			mu.Unlock()
			time.Sleep(50 * time.Millisecond)
			mu.Lock()
			flying--
			mu.Unlock()
			return c.send()
		})
		p := w.producer(producer.Config{MaxBatchRecords: 40, MaxBatchBytes: 30_000, MaxInFlight: 3, RateLimit: -1})
		b := newBook()
		for n := range 1000 {
			data := append(text(n), strings.Repeat(" ", n%100*20)...)
			if n%333 == 0 {
				data = append(data, make([]byte, 40_000)...)
				data = []byte(fmt.Sprintf("%d%40000s", n, ""))
			}
			if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: data}, b.note(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.failures(t)
		b.check(t, w.read(), byNone)
		if most != 3 {
			t.Errorf("%d requests at once, want 3", most)
		}
	})
}

func TestAProducerThatWasIdleForLongSendsInTime(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{Deadline: 10 * time.Second})
		for range 3 {
			began := time.Now()
			if _, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(1)}); err != nil || time.Since(began) != 10*time.Millisecond {
				t.Errorf("Put = %v after %v", err, time.Since(began))
			}
			time.Sleep(time.Hour)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingLingersWhileAPutWaitsForRoom(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{MaxBuffered: 10_000, Linger: 10 * time.Second})
		began := time.Now()
		data := make([]byte, 9000) // of which there is room for one
		if err := p.PutAsync(t.Context(), record.Record{PartitionKey: "0", Data: data}, func(producer.Ack, error) {
			time.Sleep(time.Second) // until then its room is not given back
		}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var took [2]time.Duration
		for n := range took {
			wg.Go(func() {
				if _, err := p.Put(t.Context(), record.Record{PartitionKey: fmt.Sprint(1 + n), Data: data}); err != nil {
					t.Error(err)
				}
				took[n] = time.Since(began)
			})
			synctest.Wait()
		}
		wg.Wait()
		if took[0] != time.Second || took[1] != 11*time.Second { // for the last one's room nobody waits
			t.Errorf("Puts took %v", took)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingLingersWhileAFlushWaits(t *testing.T) {
	bubble(t, 2, noLimits, func(t *testing.T, w *world) {
		began := time.Now()
		w.wire.set(func(c *call) (*http.Response, error) {
			if c.puts() && c.records()[0].PartitionKey == "low" && time.Since(began) < 3*time.Second {
				return c.refuse(throttling)
			}
			return c.send()
		})
		p := w.producer(producer.Config{Linger: 10 * time.Second})
		if err := p.PutAsync(t.Context(), record.Record{PartitionKey: "low", ExplicitHashKey: "0"}, nil); err != nil {
			t.Fatal(err)
		}
		flushed := make(chan error)
		go func() { flushed <- p.Flush(t.Context()) }()
		time.Sleep(time.Second) // now the one shard rests
		_, err := p.Put(t.Context(), record.Record{PartitionKey: "high", ExplicitHashKey: record.MaxHashKey.String()})
		if took := time.Since(began); err != nil || took != time.Second {
			t.Errorf("Put = %v after %v", err, took)
		}
		if err := <-flushed; err != nil || time.Since(began) < 3*time.Second {
			t.Errorf("Flush = %v after %v", err, time.Since(began))
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// An aggregate is not larger than a request may be, whatever AggregateBytes allows.
func TestAggregatesKeepToTheLimitOfARequest(t *testing.T) {
	for _, order := range []producer.Order{producer.OrderPerKey, producer.OrderStrict, producer.OrderNone} {
		t.Run(order.String(), func(t *testing.T) {
			bubble(t, 1, noLimits, func(t *testing.T, w *world) {
				const most = 2000
				var aggregated atomic.Int64
				w.wire.set(func(c *call) (*http.Response, error) {
					size, n := 0, len(c.keys())
					for _, r := range c.records() {
						size += r.Size()
						if record.IsAggregate(r.Data) {
							aggregated.Add(1)
						}
					}
					if size > most && n > 1 {
						t.Errorf("a request of %d records has %d bytes", n, size)
					}
					return c.send()
				})
				p := w.producer(producer.Config{Order: order, Aggregate: true, MaxBatchBytes: most})
				b := newBook()
				for n := range 200 {
					data := fmt.Appendf(nil, "%-150d", n)
					if n == 100 {
						data = fmt.Appendf(nil, "%-3000d", n) // goes alone
					}
					if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: data}, b.note(n)); err != nil {
						t.Fatal(err)
					}
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
				b.failures(t)
				if b.check(t, w.read(), byKey); aggregated.Load() < 10 {
					t.Errorf("%d aggregates of 200 records", aggregated.Load())
				}
			})
		})
	}
}

func TestPutRefusesWhatNoStreamTakes(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{})
		for want, r := range map[string]record.Record{
			"PartitionKey has 0 characters":   {Data: []byte("x")},
			"PartitionKey has 257 characters": {PartitionKey: strings.Repeat("é", 257)},
			"not valid UTF-8":                 {PartitionKey: "\xff"},
			"want a decimal number from 0":    {PartitionKey: "k", ExplicitHashKey: "x"},
			"want at most 10485760":           {PartitionKey: "k", Data: make([]byte, 10<<20)},
		} {
			called := false
			err := p.PutAsync(t.Context(), r, func(producer.Ack, error) { called = true })
			if err == nil || !strings.Contains(err.Error(), want) || called {
				t.Errorf("PutAsync = %v, done called: %t; want an error with %q", err, called, want)
			}
		}
		if _, err := p.Put(t.Context(), record.Record{PartitionKey: strings.Repeat("é", 256)}); err != nil {
			t.Errorf("Put of a key of 256 characters without data: %v", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := p.Put(t.Context(), record.Record{PartitionKey: "k"}); !errors.Is(err, producer.ErrClosed) {
			t.Errorf("Put after Close = %v, want ErrClosed", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("the second Close = %v", err)
		}
	})
}

func TestTheBufferKeepsToItsBytes(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		const most = 100_000
		w.wire.set(func(c *call) (*http.Response, error) {
			time.Sleep(30 * time.Millisecond)
			return c.send()
		})
		p := w.producer(producer.Config{MaxBuffered: most, RateLimit: -1, Linger: time.Minute})
		b := newBook()
		var wg sync.WaitGroup
		var largest atomic.Int64
		for g := range 8 {
			wg.Go(func() {
				for i := range 50 {
					n := g*50 + i
					data := []byte(fmt.Sprintf("%d%*s", n, 100*(1+n%37), ""))
					if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: data}, b.note(n)); err != nil {
						t.Error(err)
					}
					largest.Store(max(largest.Load(), p.Stats().BufferedBytes))
				}
			})
		}
		wg.Wait()
		if n := largest.Load(); n > most || n < most*8/10 {
			t.Errorf("up to %d bytes were buffered, want nearly %d", n, most)
		}
		// a record that never fits is let in alone
		if err := p.PutAsync(t.Context(), record.Record{PartitionKey: "big", Data: []byte(fmt.Sprintf("1000%*s", 2*most, ""))}, b.note(1000)); err != nil {
			t.Error(err)
		}
		if n := p.Stats().Buffered; n != 1 {
			t.Errorf("%d records beside the large one", n-1)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.failures(t)
		b.check(t, w.read(), byNone)
	})
}

func TestAContextEndsTheWaitForRoom(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		w.wire.set(func(c *call) (*http.Response, error) {
			time.Sleep(time.Second)
			return c.send()
		})
		p := w.producer(producer.Config{MaxBuffered: 1024})
		if err := p.PutAsync(t.Context(), record.Record{PartitionKey: "k", Data: make([]byte, 2000)}, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := contextFor(100 * time.Millisecond)
		defer cancel()
		began := time.Now()
		err := p.PutAsync(ctx, record.Record{PartitionKey: "k", Data: make([]byte, 800)}, func(producer.Ack, error) { t.Error("done was called") })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 100*time.Millisecond || !strings.Contains(err.Error(), "room") {
			t.Errorf("PutAsync = %v after %v", err, time.Since(began))
		}
		if _, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(1)}); err != nil {
			t.Error(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(w.read()); n != 2 {
			t.Errorf("the stream has %d records, want 2", n)
		}
	})
}

func TestACancelledPutIsNotSentLater(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{Linger: time.Second})
		ctx, cancel := contextFor(100 * time.Millisecond)
		defer cancel()
		_, err := p.Put(ctx, record.Record{PartitionKey: "k", Data: text(1)})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, producer.ErrUnknown) {
			t.Errorf("Put = %v, want its deadline and that the record was not sent", err)
		}
		w.wire.set(func(c *call) (*http.Response, error) { // now one that is under way
			if c.puts() {
				time.Sleep(time.Second)
				return c.lost()
			}
			return c.send()
		})
		ctx, cancel = contextFor(1500 * time.Millisecond)
		defer cancel()
		_, err = p.Put(ctx, record.Record{PartitionKey: "k", Data: text(2)})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, producer.ErrUnknown) {
			t.Errorf("Put = %v, want its deadline and that the record may be in the stream", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if all := w.read(); len(all) != 1 || all[0].n != 2 {
			t.Errorf("the stream has %v, want record 2 once", all)
		}
		if s := p.Stats(); s.Failed != 2 || s.Unanswered != 1 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

func TestARecordIsGivenUpAtItsDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		weather func(c *call) (*http.Response, error)
		unknown bool
		last    string
	}{
		"refused":     {func(c *call) (*http.Response, error) { return c.refuse("ProvisionedThroughputExceededException") }, false, "ProvisionedThroughput"},
		"no network":  {func(c *call) (*http.Response, error) { return nil, errCut }, true, "connection cut"},
		"no shards":   {nil, false, "list the shards"},
		"failed part": {func(c *call) (*http.Response, error) { return c.partly(func(int) bool { return true }) }, false, "Internal Service Failure"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, noLimits, func(t *testing.T, w *world) {
				w.wire.set(func(call *call) (*http.Response, error) {
					if c.weather == nil {
						return nil, errCut
					}
					if call.puts() {
						return c.weather(call)
					}
					return call.send()
				})
				p := w.producer(producer.Config{Deadline: 7 * time.Second})
				began := time.Now()
				_, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(1)})
				if !errors.Is(err, producer.ErrExpired) || errors.Is(err, producer.ErrUnknown) != c.unknown || !strings.Contains(fmt.Sprint(err), c.last) {
					t.Errorf("Put = %v", err)
				}
				if took := time.Since(began); took != 7*time.Second {
					t.Errorf("given up after %v, want 7s", took)
				}
				w.wire.set(nil)
				if _, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(2)}); err != nil {
					t.Errorf("Put in good weather = %v", err)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestErrorsThatLastAreToldAtOnce(t *testing.T) {
	bubble(t, 0, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{})
		began := time.Now()
		_, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(1)})
		var missing *types.ResourceNotFoundException
		if !errors.As(err, &missing) || time.Since(began) > time.Second {
			t.Errorf("Put into a stream that is not there = %v after %v", err, time.Since(began))
		}
		w.create(1)
		if _, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(2)}); err != nil {
			t.Errorf("Put once it is there = %v", err)
		}
		w.wire.set(func(c *call) (*http.Response, error) { return c.refuse("AccessDeniedException") })
		began = time.Now()
		_, err = p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(3)})
		var denied *types.AccessDeniedException
		if !errors.As(err, &denied) || errors.Is(err, producer.ErrUnknown) || time.Since(began) > time.Second {
			t.Errorf("Put without permission = %v after %v", err, time.Since(began))
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The SDK has types for few of the errors that every service may answer with.
func TestARefusalWithoutATypeIsAnAnswer(t *testing.T) {
	for code, lasting := range map[string]bool{
		"UnrecognizedClientException": true, "MissingAuthenticationTokenException": true, "SerializationException": true,
		"ThrottlingException": false, "ExpiredTokenException": false, "InvalidSignatureException": false,
	} {
		t.Run(code, func(t *testing.T) {
			bubble(t, 1, noLimits, func(t *testing.T, w *world) {
				w.wire.set(func(c *call) (*http.Response, error) {
					if c.puts() {
						return c.refuse(code)
					}
					return c.send()
				})
				p := w.producer(producer.Config{Deadline: 5 * time.Second})
				began := time.Now()
				_, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(1)})
				if err == nil || !strings.Contains(err.Error(), code) || errors.Is(err, producer.ErrUnknown) || errors.Is(err, producer.ErrExpired) == lasting {
					t.Errorf("Put = %v, want to know that the record is not in the stream", err)
				}
				if took := time.Since(began); lasting != (took < time.Second) {
					t.Errorf("told after %v", took)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if s := p.Stats(); s.Unanswered != 0 {
					t.Errorf("Stats = %+v, want every request answered", s)
				}
			})
		})
	}
}

func TestARecordDoesNotLingerUntilItsDeadline(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{Linger: time.Minute, Deadline: 10 * time.Second})
		began := time.Now()
		if _, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(1)}); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("Put = %v after %v, want that it is sent after 5s", err, time.Since(began))
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestARequestWithoutAnswerIsGivenUpAndSentAgain(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		hung := 0
		w.wire.set(func(c *call) (*http.Response, error) {
			if c.puts() && hung < 2 {
				hung++
				<-c.req.Context().Done()
				return nil, c.req.Context().Err()
			}
			return c.send()
		})
		p := w.producer(producer.Config{RequestTimeout: 3 * time.Second})
		began := time.Now()
		ack, err := p.Put(t.Context(), record.Record{PartitionKey: "k", Data: text(1)})
		if took := time.Since(began); err != nil || ack.Attempts != 3 || took < 6*time.Second || took > 7*time.Second {
			t.Errorf("Put = %+v, %v after %v, want the third attempt after 6s", ack, err, took)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFlushSendsAtOnceAndWaitsForAnswers(t *testing.T) {
	bubble(t, 2, noLimits, func(t *testing.T, w *world) {
		w.wire.set(func(c *call) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			return c.send()
		})
		p := w.producer(producer.Config{Linger: time.Minute})
		b := newBook()
		for n := range 20 {
			if err := p.PutAsync(t.Context(), record.Record{PartitionKey: "k", Data: text(n)}, b.note(n)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := contextFor(500 * time.Millisecond)
		defer cancel()
		if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush = %v, want its deadline", err)
		}
		began := time.Now()
		if err := p.Flush(t.Context()); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("Flush = %v after %v", err, time.Since(began))
		}
		if acked, _ := b.answers(); acked != 20 {
			t.Errorf("%d of 20 answers were handed on when Flush returned", acked)
		}
		b.check(t, w.read(), byKey)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseGivesUpWhatItCannotSendInTime(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		w.wire.set(func(c *call) (*http.Response, error) {
			if c.puts() {
				<-c.req.Context().Done()
				return nil, c.req.Context().Err()
			}
			return c.send()
		})
		p := w.producer(producer.Config{MaxBuffered: 20_000})
		b := newBook()
		put := func(n int) error {
			return p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n % 10), Data: text(n)}, b.note(n))
		}
		n := 0
		for ; p.Stats().BufferedBytes < 19_700; n++ {
			if err := put(n); err != nil {
				t.Fatal(err)
			}
		}
		blocked := make(chan error)
		go func() { blocked <- put(n) }()
		time.Sleep(time.Second)
		began := time.Now()
		go func() { _ = p.Close(context.Background()) }() // a second one waits along
		err := closeBy(t, p, 2*time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("gave up %d records", n)) || time.Since(began) != 2*time.Second {
			t.Errorf("Close = %v after %v, want that it gave up %d records after 2s", err, time.Since(began), n)
		}
		if err := <-blocked; !errors.Is(err, producer.ErrClosed) {
			t.Errorf("the blocked Put returned %v, want ErrClosed", err)
		}
		acked, bad := b.answers()
		if acked != 0 || bad != n {
			t.Fatalf("%d acknowledged and %d given up, want 0 and %d", acked, bad, n)
		}
		for i := range n {
			if err := b.bad[i]; !errors.Is(err, producer.ErrClosed) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, producer.ErrUnknown) != (i < 10) {
				t.Errorf("record %d: %v", i, err)
			}
		}
	})
}

func TestConfigNamesEachFieldThatIsWrong(t *testing.T) {
	_, err := producer.New(nil, producer.Config{
		Stream: "a b", Order: 7, Linger: time.Hour, MaxBatchRecords: 501, MaxBatchBytes: 11 << 20, MaxInFlight: -1, MaxBuffered: 1,
		Deadline: -1, RequestTimeout: time.Hour, RateLimit: 1e9, AggregateBytes: 5,
	})
	for _, field := range []string{
		"Stream", "Order", "Linger", "MaxBatchRecords", "MaxBatchBytes", "MaxInFlight", "MaxBuffered", "Deadline", "RequestTimeout", "RateLimit", "AggregateBytes",
	} {
		if !strings.Contains(fmt.Sprint(err), "producer.Config."+field+":") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	if _, err := producer.New(nil, producer.Config{Stream: "arn:aws:kinesis:us-east-1:000000000000:stream/flights"}); err == nil || !strings.Contains(err.Error(), "no Kinesis client") {
		t.Errorf("New without a client = %v", err)
	}
}
