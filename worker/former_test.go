package worker_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A tracker is what an application says its streams are, and what became of their records.
type tracker struct {
	t       *testing.T
	mu      sync.Mutex
	streams []worker.Stream
	got     tally
}

func (k *tracker) name(s ...worker.Stream) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.streams = s
}

// several makes a worker follow k; it reads former streams on with those given.
func (k *tracker) several(readOn ...worker.Stream) func(*worker.Config) {
	return func(c *worker.Config) {
		c.Streams, c.FormerStreams = nil, 20*time.Minute
		c.StreamsFunc = func(context.Context) ([]worker.Stream, error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			return slices.Clone(k.streams), nil
		}
		c.ReadFormer = func(id worker.Identity) worker.Stream {
			if i := slices.IndexFunc(readOn, func(s worker.Stream) bool { return s.Name() == id.Name }); i >= 0 {
				return readOn[i]
			}
			return nil
		}
		c.NewProcessor = worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
			for _, r := range b.Records {
				k.got.add(string(r.Data))
			}
			return b.Checkpoint(ctx)
		})
	}
}

func (k *tracker) put(s *memstream.Stream, data string) {
	k.t.Helper()
	if _, _, err := s.Put("key", []byte(data)); err != nil {
		k.t.Fatal(err)
	}
}

// leases are how many rows there are of a stream.
func (f *fleet) leases(name string) (n int) {
	rows, _ := f.store.List(f.t.Context())
	for _, row := range rows {
		if strings.Contains(row.Stream, ":"+name+":") {
			n++
		}
	}
	return n
}

func TestAFormerStreamIsReadOnUntilItsLeasesAreDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, k := newFleet(t, 1, memstream.Options{}), &tracker{t: t}
		one, two := memstream.New("one", 1, memstream.Options{}), memstream.New("two", 1, memstream.Options{})
		comes := func(s *memstream.Stream, data string) {
			t.Helper()
			k.put(s, data)
			f.until(data+" is processed", time.Minute, func() bool { return k.got.of(data) > 0 })
		}
		k.name(one, two)
		a := f.start("a", k.several(two))
		comes(two, "while it is named")

		k.name(one)
		pass(150 * time.Second)
		comes(two, "not named any more")

		b := f.start("b", k.several(two)) // has never heard of it
		pass(150 * time.Second)
		stop(t, a)
		comes(two, "to a worker that knows it from the table alone")
		if _, _, err := two.Split("shardId-000000000000", record.HashKey{Hi: 1 << 63}); err != nil {
			t.Fatal(err)
		}
		comes(two, "of a shard of later")

		f.until("its leases are deleted", 25*time.Minute, func() bool { return f.leases("two") == 0 })
		pass(10 * time.Second) // its owner learns of that by the next renewal
		k.put(two, "when its leases are deleted")
		pass(5 * time.Minute)
		if n := f.leases("two"); n != 0 || k.got.of("when its leases are deleted") != 0 {
			t.Errorf("the stream has %d leases again, and is read", n)
		}
		k.name(one, worker.From(two, record.Latest))
		f.until("it is named anew", 3*time.Minute, func() bool { return f.leases("two") > 0 })
		comes(two, "named anew")
		stop(t, b)
		for data, n := range k.got.all() {
			if n != 1 || data == "when its leases are deleted" {
				t.Errorf("%q was processed %d times", data, n)
			}
		}
	})
}

// Workers ask at times of their own which streams there are, so that most are assigned leases of a stream that they have
// not been told of yet.
func TestANewStreamIsBegunByAllWorkersOnceOneHasBeenToldOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, k := newFleet(t, 1, memstream.Options{}), &tracker{t: t}
		one, two := memstream.New("one", 4, memstream.Options{}), memstream.New("two", 16, memstream.Options{})
		k.name(one)
		var workers []*member
		for _, name := range []string{"a", "b", "c", "d"} {
			workers = append(workers, f.start(name, func(c *worker.Config) {
				k.several()(c)
				c.ReadFormer = nil
			}))
		}
		pass(5 * time.Minute) // by now they ask at different times
		k.name(one, two)
		f.until("there are leases", 2*time.Minute, func() bool { return f.leases("two") == 16 })
		f.until("each has its shards", 10*time.Second, func() bool {
			n := 0
			for _, w := range workers {
				n += len(w.Status().Shards)
			}
			return n == 20
		})
		stop(t, workers...)
	})
}

func TestAFormerStreamIsLeftAloneThatIsAnotherOrGone(t *testing.T) {
	for name, readOn := range map[string]func() worker.Stream{
		"made anew":    func() worker.Stream { return memstream.New("two", 1, memstream.Options{}) },
		"named":        func() worker.Stream { return renamed{memstream.New("two", 1, memstream.Options{}), "one"} },
		"gone":         func() worker.Stream { return goneStream{memstream.New("two", 1, memstream.Options{})} },
		"left to none": func() worker.Stream { return renamed{memstream.New("x", 1, memstream.Options{}), "x"} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f, k := newFleet(t, 1, memstream.Options{}), &tracker{t: t}
				one, two := memstream.New("one", 1, memstream.Options{}), memstream.New("two", 1, memstream.Options{})
				k.name(one, two)
				a := f.start("a", k.several())
				f.until("both have leases", time.Minute, func() bool { return f.leases("two") == 1 && f.leases("one") == 1 })
				stop(t, a)
				k.name(one)
				pass(2 * time.Second) // the epoch of a stream is in seconds
				other := readOn()
				b := f.start("b", func(c *worker.Config) {
					k.several()(c)
					c.ReadFormer = func(worker.Identity) worker.Stream {
						if other.Name() == "x" {
							return nil
						}
						return other
					}
				})
				pass(10 * time.Minute)
				if n := len(b.Status().Shards); n != 1 || f.leases("two") != 1 {
					t.Errorf("%d shards are read, want that of the named stream alone, and the other's lease kept", n)
				}
				if err := b.Status().LastError; (err != nil) != (other.Name() != "x") || err != nil && !strings.Contains(err.Error(), ":two:") {
					t.Errorf("Status tells of %v", err)
				}
				stop(t, b)
			})
		})
	}
}

// renamed is a stream under another name.
type renamed struct {
	worker.Stream
	name string
}

func (s renamed) Name() string { return s.name }

// goneStream does not exist.
type goneStream struct{ worker.Stream }

func (goneStream) Identify(context.Context) (worker.Identity, error) {
	return worker.Identity{}, worker.ErrNoStream
}
