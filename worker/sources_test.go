package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestStreamsComeAndGoAtRunTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		one, two := memstream.New("one", 2, memstream.Options{}), memstream.New("two", 2, memstream.Options{})
		var mu sync.Mutex
		streams := []worker.Stream{one}
		name := func(s ...worker.Stream) { mu.Lock(); defer mu.Unlock(); streams = s }
		var got tally
		several := func(c *worker.Config) {
			c.Streams, c.FormerStreams = nil, 5*time.Minute
			c.StreamsFunc = func(context.Context) ([]worker.Stream, error) {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(streams), nil
			}
			c.NewProcessor = worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
				for _, r := range b.Records {
					got.add(string(r.Data))
				}
				return b.Checkpoint(ctx)
			})
		}
		put := func(s *memstream.Stream, data string) {
			if _, _, err := s.Put("key", []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		comes := func(data string) {
			t.Helper()
			f.until(data+" is processed", 2*time.Minute+30*time.Second, func() bool { return got.of(data) > 0 })
		}
		a, b := f.start("a", several), f.start("b", several)
		put(one, "of the first")
		comes("of the first")

		put(two, "from before the second was named")
		name(one, worker.From(two, record.Latest))
		pass(150 * time.Second)
		put(two, "of the second")
		comes("of the second")

		name(two)
		pass(150 * time.Second)
		put(one, "while the first is not named")
		pass(time.Minute)
		name(one, two)
		comes("while the first is not named")

		name(two)
		f.until("the leases of the first are deleted", 20*time.Minute, func() bool {
			rows, _ := f.store.List(t.Context())
			return len(rows) == 2
		})
		put(two, "the last")
		comes("the last")
		stop(t, a, b)
		for data, n := range got.all() {
			if n != 1 || data == "from before the second was named" {
				t.Errorf("%q was processed %d times", data, n)
			}
		}
	})
}

// Streams are told apart by their names, so a second one of a name would be left out in silence.
func TestAListOfStreamsThatNamesOneTwiceIsReportedAndChangesNothing(t *testing.T) {
	one := memstream.New("one", 1, memstream.Options{})
	for name, streams := range map[string][]worker.Stream{
		"twice": {one, memstream.New("one", 1, memstream.Options{Account: "123456789012"})},
		"nil":   {one, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				var listed atomic.Bool
				a := f.start("a", func(c *worker.Config) {
					c.Streams = nil
					c.StreamsFunc = func(context.Context) ([]worker.Stream, error) {
						if listed.Swap(true) {
							return streams, nil
						}
						return []worker.Stream{one}, nil
					}
				})
				pass(2 * time.Minute)
				if err := a.Status().LastError; err == nil || !strings.Contains(err.Error(), "StreamsFunc: ") || !strings.Contains(err.Error(), name) {
					t.Errorf("Status tells of %v, want what is wrong with the list", err)
				}
				if n := len(a.Status().Shards); n != 1 {
					t.Errorf("%d shards are read, want that of the first list", n)
				}
				stop(t, a)
				b := f.start("b", func(c *worker.Config) {
					c.Streams = nil
					c.StreamsFunc = func(context.Context) ([]worker.Stream, error) { return streams, nil }
				})
				err := <-b.done
				b.done <- err
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("Run = %v, want what is wrong with the list", err)
				}
			})
		})
	}
}

func TestSeveralStreamsInOneWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := memory.New()
		streams := []*memstream.Stream{memstream.New("x", 2, memstream.Options{Account: "123456789012"}), memstream.New("y", 3, memstream.Options{})}
		var got tally
		cfg := worker.Config{
			Application: "test", WorkerID: "a", Leases: store, Streams: []worker.Stream{streams[0], streams[1]},
			NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
				for _, r := range b.Records {
					got.add(b.Shard.Stream + "/" + string(r.Data))
				}
				return b.Checkpoint(ctx)
			}),
		}
		w, err := worker.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		created := time.Now().Unix()
		for _, s := range streams {
			for i := range 20 {
				s.Put(fmt.Sprint(i), []byte(s.Name()))
			}
			s.Split(id(0), record.HashKey{Hi: 1})
			s.Put("more", []byte(s.Name()))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		pass(20 * time.Second)
		rows, _ := store.List(t.Context())
		for _, row := range rows {
			stream := fmt.Sprintf("123456789012:x:%d", created)
			if strings.Contains(row.Key, ":y:") {
				stream = fmt.Sprintf("000000000000:y:%d", created)
			}
			if row.Stream != stream || row.Key != stream+":"+row.Shard {
				t.Errorf("row %q of stream %q and shard %q", row.Key, row.Stream, row.Shard)
			}
		}
		names := []string{}
		for _, s := range w.Status().Shards {
			names = append(names, s.Stream)
		}
		if want := []string{"x", "x", "x", "y", "y", "y", "y"}; !slices.Equal(names, want) {
			t.Errorf("Status tells of the streams %v, want %v", names, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if all := got.all(); all["x/x"] != 21 || all["y/y"] != 21 || len(all) != 2 {
			t.Errorf("handed over %v, want 21 of each stream", all)
		}
	})
}

// A table with rows of the other kind is left alone and complained about.
func TestATableOfTheOtherModalityIsRefused(t *testing.T) {
	for _, several := range []bool{false, true} {
		t.Run(fmt.Sprintf("several %t", several), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				f.put(5)
				row := lease.Lease{Key: id(0), Shard: id(0), Checkpoint: record.TrimHorizon}
				want := "reads one stream"
				if !several {
					row.Key, row.Stream = "000000000000:s:1:"+id(0), "000000000000:s:1"
					want = "reads several streams"
				}
				f.store.Put(row)
				a := f.start("a", func(c *worker.Config) {
					if several {
						c.Streams = append(c.Streams, memstream.New("t", 1, memstream.Options{}))
					}
				})
				pass(10 * time.Second)
				if err := a.Status().LastError; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), row.Key) {
					t.Errorf("Status tells of %v, want the row and that its application %s", err, want)
				}
				if rows, _ := f.store.List(t.Context()); len(rows) != 1 || rows[0].Counter != 0 || f.log.count() != 0 {
					t.Errorf("%d rows, %d records; want all left alone", len(rows), f.log.count())
				}
				stop(t, a)
			})
		})
	}
}

// mute is a table whose lock a worker cannot keep or take, while all its other calls succeed.
type mute struct {
	lease.Store
	is *atomic.Bool
}

func (s mute) PutLeader(ctx context.Context, seen, next lease.Lock) error {
	if s.is.Load() {
		return errCut
	}
	return s.Store.PutLeader(ctx, seen, next)
}

func (s mute) Beat(ctx context.Context, held, next lease.Lock) error {
	if s.is.Load() {
		return errCut
	}
	return s.Store.Beat(ctx, held, next)
}

func TestOnlyLeasesOfStreamsThatMayBeDroppedAreDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		one, two, three := memstream.New("one", 1, memstream.Options{}), memstream.New("two", 1, memstream.Options{}), memstream.New("three", 1, memstream.Options{})
		var mu sync.Mutex
		streams := []worker.Stream{one, two, three}
		a := f.start("a", func(c *worker.Config) {
			c.Streams, c.FormerStreams = nil, 5*time.Minute
			c.DropStream = func(stream string) bool { return strings.Contains(stream, "two") }
			c.StreamsFunc = func(context.Context) ([]worker.Stream, error) {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(streams), nil
			}
		})
		left := func() (names []string) {
			rows, _ := f.store.List(t.Context())
			for _, row := range rows {
				names = append(names, row.Stream)
			}
			slices.Sort(names)
			return names
		}
		f.until("there are three leases", 3*time.Minute, func() bool { return len(left()) == 3 })
		mu.Lock()
		streams = streams[:1]
		mu.Unlock()
		pass(30 * time.Minute)
		if names := left(); len(names) != 2 || strings.Contains(strings.Join(names, " "), "two") {
			t.Errorf("there are leases of %q, want those of one and three", names)
		}
		stop(t, a)
	})
}

// What a leader saw before another led does not count: the stream may have been named meanwhile.
func TestAFormerStreamIsKeptForItsTimeWhoeverHasLedBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		one, two := memstream.New("one", 1, memstream.Options{}), memstream.New("two", 1, memstream.Options{})
		var mu sync.Mutex
		streams := []worker.Stream{one, two}
		name := func(s ...worker.Stream) { mu.Lock(); defer mu.Unlock(); streams = s }
		var mutes [2]atomic.Bool
		start := func(i int) *member {
			return f.start(string(rune('a'+i)), func(c *worker.Config) {
				c.Streams, c.FormerStreams, c.Leases = nil, 10*time.Minute, mute{c.Leases, &mutes[i]}
				c.StreamsFunc = func(context.Context) ([]worker.Stream, error) {
					mu.Lock()
					defer mu.Unlock()
					return slices.Clone(streams), nil
				}
			})
		}
		a, b := start(0), (*member)(nil)
		leads := func(m *member) {
			t.Helper()
			f.until(m.ID()+" leads", time.Minute, func() bool { return a.Status().Leader == m.ID() && b.Status().Leader == m.ID() })
		}
		f.until("a leads", time.Minute, func() bool { return a.Status().Leader == "a" })
		b = start(1)
		leads(a)
		rows := func() int { rows, _ := f.store.List(t.Context()); return len(rows) }
		f.until("there are two leases", time.Minute, func() bool { return rows() == 2 })

		name(one)
		pass(3 * time.Minute)
		mutes[0].Store(true)
		leads(b)
		name(one, two)
		pass(2 * time.Minute)
		name(one)
		pass(6 * time.Minute)
		mutes[0].Store(false)
		mutes[1].Store(true)
		leads(a)
		pass(2 * time.Minute)
		if rows() != 2 {
			t.Error("the leases of a stream are gone that is not named for 8 minutes; want 10 at least")
		}
		f.until("they are deleted", 15*time.Minute, func() bool { return rows() == 1 })
		stop(t, a, b)
	})
}
