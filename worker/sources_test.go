package worker_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

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
