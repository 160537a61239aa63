package producer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/producer"
)

// storm is a weather of throttling, parts that fail, answers that are lost, and slowness.
func storm(d *dice) func(c *call) (*http.Response, error) {
	return func(c *call) (*http.Response, error) {
		time.Sleep(time.Duration(d.n(30)) * time.Millisecond)
		switch d.n(10) {
		case 0:
			if c.puts() {
				return c.refuse("ProvisionedThroughputExceededException")
			}
			return c.refuse("LimitExceededException")
		case 1:
			return c.lost()
		case 2:
			return nil, errCut
		case 3:
			return c.answer(500, `{"__type":"InternalFailure"}`)
		case 4, 5:
			if c.op == "PutRecords" {
				share := 1 + d.n(4)
				return c.partly(func(int) bool { return d.n(share) == 0 })
			}
		}
		return c.send()
	}
}

// modes are the orders with what they keep order in.
var modes = []struct {
	order     producer.Order
	aggregate bool
	group     func(stored) string
}{
	{producer.OrderPerKey, false, byKey}, {producer.OrderPerKey, true, byKey},
	{producer.OrderStrict, false, byShard}, {producer.OrderStrict, true, byShard},
	{producer.OrderNone, false, byNone}, {producer.OrderNone, true, byNone},
}

func inAllModes(t *testing.T, shards int32, limits localstream.Limits, f func(t *testing.T, w *world, cfg producer.Config, group func(stored) string)) {
	for _, m := range modes {
		name := m.order.String()
		if m.aggregate {
			name += ", aggregated"
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, shards, limits, func(t *testing.T, w *world) {
				f(t, w, producer.Config{Order: m.order, Aggregate: m.aggregate, AggregateBytes: 1 << 10}, m.group)
			})
		})
	}
}

// putMany puts records of a few keys, some of which come often.
func putMany(t *testing.T, p *producer.Producer, b *book, d *dice, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		data := fmt.Sprintf("%d%*s", n, d.n(200), "")
		if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint("key-", d.n(1+d.n(30))), Data: []byte(data)}, b.note(n)); err != nil {
			t.Fatal(err)
		}
		if d.n(10) == 0 {
			time.Sleep(time.Duration(d.n(10)) * time.Millisecond)
		}
	}
}

func TestOrderIsKeptAndNothingLostInAStorm(t *testing.T) {
	inAllModes(t, 3, noLimits, func(t *testing.T, w *world, cfg producer.Config, group func(stored) string) {
		d := newDice(uint64(cfg.Order))
		w.wire.set(storm(d))
		cfg.Deadline, cfg.MaxInFlight = time.Hour, 5
		p := w.producer(cfg)
		b := newBook()
		putMany(t, p, b, d, 0, 600)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.failures(t)
		all := w.read()
		copies := b.check(t, all, group)
		s := p.Stats()
		if s.Put != 600 || s.Retried == 0 || s.Unanswered == 0 || copies == 0 || cfg.Order != producer.OrderNone && s.Throttled == 0 {
			t.Errorf("Stats = %+v with %d copies, want all kinds of trouble", s, copies)
		}
		if cfg.Order == producer.OrderPerKey && !cfg.Aggregate && !nonDecreasing(all, group) {
			t.Error("a copy does not lie directly behind its first")
		}
		if cfg.Order != producer.OrderNone {
			b.answeredInOrder(t, all)
		}
	})
}

func nonDecreasing(all []stored, group func(stored) string) bool {
	last := map[string]int{}
	for _, r := range all {
		if r.n < last[group(r)] {
			return false
		}
		last[group(r)] = r.n
	}
	return true
}

// Requests that had no answer may be carried out long after their repetition. Then copies come late, but the first ones
// still are in order.
func TestFirstCopiesKeepTheirOrderWhenLostRequestsArriveLate(t *testing.T) {
	inAllModes(t, 2, noLimits, func(t *testing.T, w *world, cfg producer.Config, group func(stored) string) {
		d := newDice(5)
		late := 0
		w.wire.set(func(c *call) (*http.Response, error) {
			if !c.puts() || d.n(4) > 0 {
				return c.send()
			}
			late++
			delay := time.Duration(d.n(500)) * time.Millisecond
			r := c.req.Clone(t.Context())
			go func() {
				time.Sleep(delay)
				if out, err := c.sendBody(r, c.body); err == nil {
					_ = out.Body.Close()
				}
			}()
			return nil, errCut
		})
		cfg.Deadline = time.Hour
		p := w.producer(cfg)
		b := newBook()
		putMany(t, p, b, d, 0, 400)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		b.failures(t)
		all := w.read()
		if b.check(t, all, group); late == 0 {
			t.Error("nothing was late")
		}
		if cfg.Order == producer.OrderPerKey && nonDecreasing(all, group) {
			t.Error("no copy came late: the test does not test")
		}
	})
}

func TestRecordsThatExpireLeaveGapsAndNoDisorder(t *testing.T) {
	inAllModes(t, 2, noLimits, func(t *testing.T, w *world, cfg producer.Config, group func(stored) string) {
		d := newDice(9)
		weather := storm(d)
		w.wire.set(func(c *call) (*http.Response, error) {
			if c.puts() && d.n(3) == 0 {
				return c.lost()
			}
			if !c.puts() {
				return c.send()
			}
			return weather(c)
		})
		cfg.Deadline = 300 * time.Millisecond
		p := w.producer(cfg)
		b := newBook()
		for n := 0; n < 600; n += 20 {
			putMany(t, p, b, d, n, n+20)
			time.Sleep(100 * time.Millisecond)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.check(t, w.read(), group)
		acked, bad := b.answers()
		// Aggregated records are few: throttled at their start they may all be late.
		if acked == 0 && !cfg.Aggregate || bad == 0 || acked+bad != 600 {
			t.Errorf("%d acknowledged and %d given up of 600, want some of both", acked, bad)
		}
		for n, err := range b.bad {
			if !errors.Is(err, producer.ErrExpired) {
				t.Errorf("record %d: %v", n, err)
			}
		}
	})
}

func TestAnswersOfAKeyComeInOrderThoughRecordsBehindOneInFlightAreGivenUp(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *producer.Producer){
		"at their deadline": func(t *testing.T, p *producer.Producer) {
			time.Sleep(4 * time.Second)
			if s := p.Stats(); s.Buffered != 3 {
				t.Errorf("Stats = %+v while the first is in flight, want 3 records", s)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"by Close": func(t *testing.T, p *producer.Producer) {
			if err := closeBy(t, p, time.Millisecond); !strings.Contains(fmt.Sprint(err), "gave up 3 records") {
				t.Errorf("Close = %v", err)
			}
		},
	} {
		for _, order := range []producer.Order{producer.OrderPerKey, producer.OrderStrict} {
			t.Run(name+", "+order.String(), func(t *testing.T) {
				bubble(t, 1, noLimits, func(t *testing.T, w *world) {
					w.wire.set(func(c *call) (*http.Response, error) {
						if !c.puts() {
							return c.send()
						}
						select {
						case <-time.After(5 * time.Second):
							return c.send()
						case <-c.req.Context().Done():
							return nil, c.req.Context().Err()
						}
					})
					p := w.producer(producer.Config{Order: order, Deadline: time.Second})
					b := newBook()
					for n := range 3 {
						if err := p.PutAsync(t.Context(), record.Record{PartitionKey: "k", Data: text(n)}, b.note(n)); err != nil {
							t.Fatal(err)
						}
						time.Sleep(20 * time.Millisecond)
					}
					end(t, p)
					if !slices.Equal(b.order, []int{0, 1, 2}) {
						t.Errorf("answers for %v: %v", b.order, b.bad)
					}
					for n := 1; n < 3; n++ {
						if errors.Is(b.bad[n], producer.ErrUnknown) || errors.Is(b.bad[n], producer.ErrExpired) == errors.Is(b.bad[n], producer.ErrClosed) {
							t.Errorf("record %d: %v", n, b.bad[n])
						}
					}
				})
			})
		}
	}
}

// What was due first may have been given up when its time comes.
func TestALaneIsSentInTimeAfterOneThatHasNothingLeft(t *testing.T) {
	inAllModes(t, 2, noLimits, func(t *testing.T, w *world, cfg producer.Config, _ func(stored) string) {
		cfg.Linger = 100 * time.Millisecond
		p := w.producer(cfg)
		put := func(ctx context.Context, hash record.HashKey) error {
			_, err := p.Put(ctx, record.Record{PartitionKey: hash.String(), ExplicitHashKey: hash.String()})
			return err
		}
		if err := put(t.Context(), record.HashKey{}); err != nil { // lists the shards
			t.Fatal(err)
		}
		cancelled := make(chan error)
		go func() {
			ctx, cancel := contextFor(50 * time.Millisecond)
			defer cancel()
			cancelled <- put(ctx, record.HashKey{})
		}()
		time.Sleep(60 * time.Millisecond)
		began := time.Now()
		if err := put(t.Context(), record.MaxHashKey); err != nil || time.Since(began) > cfg.Linger {
			t.Errorf("Put = %v after %v, want at most %v", err, time.Since(began), cfg.Linger)
		}
		<-cancelled
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestReshardsInMidFlightLoseNothingAndKeepOrder(t *testing.T) {
	inAllModes(t, 2, noLimits, func(t *testing.T, w *world, cfg producer.Config, group func(stored) string) {
		resharding(t, w, cfg, func(round int) {
			if round%3 == 2 && cfg.Order != producer.OrderStrict {
				w.merge()
			} else {
				w.split()
			}
		}, group)
	})
}

func TestMergesKeepTheOrderOfKeysInStrictOrder(t *testing.T) {
	inAllModes(t, 8, noLimits, func(t *testing.T, w *world, cfg producer.Config, _ func(stored) string) {
		if cfg.Order == producer.OrderStrict {
			resharding(t, w, cfg, func(round int) {
				if round < 5 {
					w.merge()
				}
			}, byKey)
		}
	})
}

// resharding puts records during several reshards and checks them in their groups.
func resharding(t *testing.T, w *world, cfg producer.Config, reshard func(round int), group func(stored) string) {
	t.Helper()
	d := newDice(11)
	weather := storm(d)
	w.wire.set(func(c *call) (*http.Response, error) {
		if d.n(2) == 0 {
			return weather(c)
		}
		time.Sleep(time.Duration(d.n(30)) * time.Millisecond)
		return c.send()
	})
	cfg.Deadline, cfg.Linger = time.Hour, 20*time.Millisecond
	p := w.producer(cfg)
	b := newBook()
	for round := range 8 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(time.Duration(d.n(200)) * time.Millisecond)
			reshard(round)
		}()
		putMany(t, p, b, d, round*150, round*150+150)
		<-done
		time.Sleep(2 * time.Second) // the map follows
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	b.failures(t)
	all := w.read()
	b.check(t, all, group)
	keys := map[string]record.HashKeyRange{}
	for _, s := range w.shards() {
		a, _ := record.ParseHashKey(*s.HashKeyRange.StartingHashKey)
		z, _ := record.ParseHashKey(*s.HashKeyRange.EndingHashKey)
		keys[*s.ShardId] = record.HashKeyRange{Start: a, End: z}
	}
	foreign, kept := map[string]bool{}, map[int]bool{} // aggregates that Amazon's KCL drops, records that it does not
	place := func(r stored) string { return r.shard + string(r.SequenceNumber) }
	for _, r := range all {
		foreign[place(r)] = foreign[place(r)] || !keys[r.shard].Contains(r.HashKey())
	}
	for _, r := range all {
		kept[r.n] = kept[r.n] || !foreign[place(r)]
	}
	for n := range b.acked {
		if !kept[n] {
			t.Errorf("record %d lies only in aggregates with records of other shards", n)
		}
	}
	if s := p.Stats(); s.Mispredicted == 0 || s.Listings < 3 {
		t.Errorf("Stats = %+v, want that records went elsewhere", s)
	}
}

// Whether aggregates lie where they belong cannot be told then, and must not be asked for each of them in turn.
func TestAggregatesThatWentElsewhereAreSettledTogetherIfTheShardsCannotBeListed(t *testing.T) {
	bubble(t, 1, noLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{Aggregate: true, AggregateBytes: 1 << 10, RequestTimeout: 2 * time.Second, Deadline: time.Second})
		if _, err := p.Put(t.Context(), record.Record{PartitionKey: "k"}); err != nil {
			t.Fatal(err)
		}
		w.split()
		w.wire.set(func(c *call) (*http.Response, error) {
			if c.op == "ListShards" {
				return nil, errCut
			}
			return c.send()
		})
		began := time.Now()
		b := newBook()
		for n := range 100 {
			data := fmt.Appendf(nil, "%d%100s", n, "")
			if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: data}, b.note(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil || time.Since(began) > 3*time.Second {
			t.Errorf("Close = %v after %v, want within a request's time", err, time.Since(began))
		}
		if _, bad := b.answers(); bad != 100 || !errors.Is(b.bad[7], producer.ErrUnknown) || p.Stats().Mispredicted < 5 {
			t.Errorf("%d of 100 given up, %+v: %v", bad, p.Stats(), b.bad[7])
		}
	})
}

// A stream that distributes its records itself has no wrong shards: nothing may be sent again for ever.
func TestAggregatesOfAStreamThatDistributesItsRecordsAreSentOnce(t *testing.T) {
	bubble(t, 4, noLimits, func(t *testing.T, w *world) {
		rng := rand.New(rand.NewPCG(3, 3))
		w.wire.set(func(c *call) (*http.Response, error) {
			if c.puts() { // as if there were other hash keys
				for _, part := range strings.Split(string(c.body), `"ExplicitHashKey":"`)[1:] {
					hash, _, _ := strings.Cut(part, `"`)
					other := record.HashKey{Hi: rng.Uint64()}.String()
					c.body = []byte(strings.Replace(string(c.body), hash, other, 1))
				}
			}
			return c.send()
		})
		p := w.producer(producer.Config{Aggregate: true})
		b := newBook()
		for n := range 400 {
			if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: text(n)}, b.note(n)); err != nil {
				t.Fatal(err)
			}
			if n%40 == 0 {
				time.Sleep(time.Second)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.failures(t)
		if copies := b.check(t, w.read(), byNone); copies != 0 {
			t.Errorf("%d copies", copies)
		}
		if s := p.Stats(); s.Mispredicted == 0 || s.Listings > 20 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

func TestAShardIsPacedAndOneThatThrottlesDoesNotHoldUpTheOthers(t *testing.T) {
	bubble(t, 2, localstream.RealLimits, func(t *testing.T, w *world) {
		p := w.producer(producer.Config{Deadline: time.Hour, Order: producer.OrderNone})
		b := newBook()
		began := time.Now()
		var quick time.Duration
		for n := range 20_000 {
			r := record.Record{PartitionKey: "k", ExplicitHashKey: "0", Data: text(n)}
			done := b.note(n)
			if n%100 == 99 {
				r.ExplicitHashKey = record.MaxHashKey.String()
				done = func(ack producer.Ack, err error) { quick = time.Since(began); b.note(n)(ack, err) }
			}
			if err := p.PutAsync(t.Context(), r, done); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.failures(t)
		took := time.Since(began)
		if took < 18*time.Second || took > 24*time.Second {
			t.Errorf("19800 records to a shard took %v, want little more than 19.8s", took)
		}
		if quick > time.Second {
			t.Errorf("200 records to the other shard took %v", quick)
		}
		if s := p.Stats(); s.Throttled > 2000 {
			t.Errorf("%d records were throttled of 20000, want few", s.Throttled)
		}
	})
}

func TestAProducerFindsTheRateThatAnotherLeavesIt(t *testing.T) {
	bubble(t, 1, localstream.RealLimits.Scale(0.25), func(t *testing.T, w *world) {
		p := w.producer(producer.Config{Deadline: time.Hour})
		b := newBook()
		began := time.Now()
		for n := range 10_000 {
			if err := p.PutAsync(t.Context(), record.Record{PartitionKey: fmt.Sprint(n), Data: text(n)}, b.note(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		took := time.Since(began)
		b.failures(t)
		b.check(t, w.read(), byKey)
		if took > 60*time.Second {
			t.Errorf("10000 records at 250 a second took %v, want little more than 40s", took)
		}
		if s := p.Stats(); s.Throttled > 10_000 {
			t.Errorf("%d refusals of 10000 records", s.Throttled)
		}
	})
}
