package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// skewed is a clock that runs at a rate, in parts per hundred of the bubble's, and differs from it by an offset. Its
// times carry no monotonic reading.
func skewed(percent int, offset time.Duration) func(*worker.Config) {
	began := time.Now().Round(0)
	scale := func(d time.Duration, to, from int) time.Duration { return d * time.Duration(to) / time.Duration(from) }
	return func(c *worker.Config) {
		c.Clock = clock.Clock{
			NowFunc: func() time.Time {
				return began.Add(offset + scale(time.Now().Round(0).Sub(began), percent, 100))
			},
			AfterFuncFunc: func(d time.Duration, f func()) func() bool {
				return time.AfterFunc(scale(d+time.Duration(percent)/100, 100, percent), f).Stop // rounded up: a timer must not come before its time
			},
		}
	}
}

var skews = []struct {
	name    string
	percent int
	offset  time.Duration
}{
	{"five percent fast", 105, 0}, {"five percent slow", 95, 0}, {"an hour ahead", 100, time.Hour},
	{"an hour behind", 100, -time.Hour}, {"fast and decades behind", 105, -30 * 365 * 24 * time.Hour},
}

func TestAWorkerWithAClockOfItsOwnSharesAFleet(t *testing.T) {
	for _, c := range skews {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 6, memstream.Options{PageRecords: 10})
				a, b := f.start("skewed", skewed(c.percent, c.offset)), f.start("true", nil)
				f.until("three shards each", 30*time.Second, func() bool { return len(a.Status().Shards) == 3 && len(b.Status().Shards) == 3 })
				pass(time.Second)
				before := f.tenureCount()
				for range 60 {
					f.put(5)
					pass(time.Second)
				}
				f.all(10 * time.Second)
				if n := f.tenureCount() - before; n != 0 {
					t.Errorf("%d leases moved", n)
				}
				f.split(id(0))
				f.merge(id(2), id(3))
				f.put(50)
				f.all(20 * time.Second)
				stop(t, a, b)
				f.once()
			})
		})
	}
}

func TestFailoverFromAndToAWorkerWithAClockOfItsOwn(t *testing.T) {
	for _, c := range skews {
		for _, dies := range []string{"skewed", "true"} {
			t.Run(c.name+", and the "+dies+" one dies", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFleet(t, 4, memstream.Options{})
					members := map[string]*member{"skewed": f.start("skewed", skewed(c.percent, c.offset)), "true": f.start("true", nil)}
					f.until("two shards each", 30*time.Second, func() bool {
						return len(members["skewed"].Status().Shards) == 2 && len(members["true"].Status().Shards) == 2
					})
					f.put(50)
					f.all(10 * time.Second)
					pass(4 * time.Second) // every lease was renewed, and the leader has named its deputy
					members[dies].crash()
					f.put(50)
					if took := f.all(20 * time.Second); took > 15*time.Second {
						t.Errorf("failover took %v", took)
					}
					delete(members, dies)
					for _, m := range members {
						stop(t, m)
					}
					f.verify()
				})
			})
		}
	}
}

// The owner's trust ends before another may take the lease, also where its clock is the slow one and the other's fast.
func TestAStaleOwnersContextEndsBeforeTheLeaseIsTakenWhateverTheClocks(t *testing.T) {
	for _, c := range []struct{ owner, taker int }{{100, 100}, {95, 100}, {100, 105}, {97, 103}} {
		t.Run(fmt.Sprintf("owner at %d%%, taker at %d%%", c.owner, c.taker), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				tenures := make(chan context.Context, 1)
				a := f.start("a", config(skewed(c.owner, -time.Hour), func(cfg *worker.Config) {
					inner := cfg.NewProcessor
					cfg.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
						tenures <- ctx
						return inner(ctx, s)
					}
				}))
				f.put(5)
				f.all(5 * time.Second)
				b := f.start("b", skewed(c.taker, time.Hour))
				pass(10 * time.Second)
				tenure := <-tenures
				a.link.cut.Store(true)
				f.until("b has taken the lease", 20*time.Second, func() bool {
					row := f.row(id(0))
					if row.Owner == "a" && row.CheckpointOwner == "" {
						return false
					}
					return true
				})
				if !errors.Is(context.Cause(tenure), lease.ErrLost) {
					t.Error("the lease was taken while its owner still trusted it")
				}
				a.crash()
				stop(t, b)
			})
		})
	}
}

func TestBackOffAndRunKeepToTheWorkersClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.put(1)
		var at []time.Time
		a := f.start("a", config(skewed(200, 0), retry(worker.Retry{MinBackoff: 10 * time.Second, MaxBackoff: 10 * time.Second}),
			processing(func(context.Context, *worker.Shard, *worker.Batch, func() error) error {
				at = append(at, time.Now())
				return errTest
			})))
		f.until("ten attempts", 2*time.Minute, func() bool { return len(at) == 10 })
		for i := range at[1:] {
			if d := at[i+1].Sub(at[i]); d < 2500*time.Millisecond || d > 5001*time.Millisecond {
				t.Errorf("a pause of %v, want 10s with jitter on a clock that runs twice as fast", d)
			}
		}
		stop(t, a)
	})
}
