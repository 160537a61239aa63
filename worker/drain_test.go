package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestRunLeavesBehindWhateverDoesNotReturnAndNamesIt(t *testing.T) {
	for op, hang := range map[string]func(c *worker.Config, hang func()){
		"NewProcessor": func(c *worker.Config, hang func()) {
			c.NewProcessor = func(context.Context, *worker.Shard) (worker.RecordProcessor, error) {
				hang()
				return nil, errTest
			}
		},
		"StartAt": func(c *worker.Config, hang func()) {
			c.StartAt = func(context.Context, string, string) (record.Position, error) {
				hang()
				return record.Position{}, errTest
			}
		},
		"ProcessRecords": func(c *worker.Config, hang func()) {
			processing(func(context.Context, *worker.Shard, *worker.Batch, func() error) error { hang(); return nil })(c)
		},
		"Finish": func(c *worker.Config, hang func()) {
			finishing(func(*worker.Shard, worker.FinishReason) error { hang(); return nil })(c)
		},
		"Shard.Go": func(c *worker.Config, hang func()) {
			processing(func(_ context.Context, s *worker.Shard, _ *worker.Batch, next func() error) error {
				s.Go(func(context.Context) error { hang(); return nil })
				return next()
			})(c)
		},
		"DeadLetter": func(c *worker.Config, hang func()) {
			processing(func(context.Context, *worker.Shard, *worker.Batch, func() error) error { return errTest })(c)
			c.Retry.Attempts = 1
			c.Retry.DeadLetter = func(context.Context, *worker.Shard, record.Record, error) error { hang(); return nil }
		},
	} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				free := make(chan struct{})
				f := newFleet(t, 1, memstream.Options{})
				f.put(1)
				a := f.start("a", func(c *worker.Config) { hang(c, func() { <-free }) })
				pass(5 * time.Second)
				err, took := a.halt()
				var shardErr *worker.ShardError
				if !errors.Is(err, worker.ErrAbandoned) || !errors.As(err, &shardErr) || shardErr.Shard != id(0) || shardErr.Op != op {
					t.Errorf("Run = %v, want a ShardError of %s in %s that wraps ErrAbandoned", err, op, id(0))
				}
				if took > 20*time.Second {
					t.Errorf("Run returned after %v, want at most 20s", took)
				}
				if row := f.row(id(0)); row.Owner != "" {
					t.Errorf("the lease is still owned by %q", row.Owner)
				}
				close(free)
				pass(time.Second)
			})
		})
	}
}

// A lease that another worker asks for goes there within the drain bound, also when the processor does not look up.
func TestAHandOverDoesNotWaitForAProcessorThatDoesNotReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		var mu sync.Mutex
		late := map[string]error{}
		a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
			time.Sleep(2 * time.Minute)
			err := b.Checkpoint(context.WithoutCancel(ctx))
			mu.Lock()
			defer mu.Unlock()
			late[s.ID] = err
			return nil
		}))
		f.put(20)
		pass(5 * time.Second)
		b := f.start("b", nil)
		f.until("b has one of the shards", 22*time.Second, func() bool { return b.state(id(0)) != 0 || b.state(id(1)) != 0 })
		moved := id(0)
		if b.state(moved) == 0 {
			moved = id(1)
		}
		pass(2 * time.Minute)
		mu.Lock()
		err := late[moved]
		mu.Unlock()
		if !errors.Is(err, lease.ErrLost) {
			t.Errorf("the late checkpoint gave %v, want lease.ErrLost", err)
		}
		if n := len(a.Status().Shards); n != 1 {
			t.Errorf("a has %d shards, want the other one", n)
		}
		f.until("all records checkpointed", time.Minute, func() bool {
			return f.row(id(0)).Checkpoint.Kind() == record.KindSequence && f.row(id(1)).Checkpoint.Kind() == record.KindSequence
		})
		b.halt()
		a.halt()
	})
}

// A handle that somebody kept is of no use after the tenure, however that ended.
func TestAHandleOfATenureThatIsOverRefusesAll(t *testing.T) {
	for name, end := range map[string]func(f *fleet, a *member){
		"a clean stop": func(f *fleet, a *member) { a.halt() },
		"a crash":      func(f *fleet, a *member) { a.crash() },
		"the shard's end": func(f *fleet, a *member) {
			f.split(id(0))
			f.until("the end", 10*time.Second, func() bool { return f.row(id(0)).Finished() && a.state(id(0)) == 0 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				var shard *worker.Shard
				var batch *worker.Batch
				var prepared func() error
				a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
					f.log.add("a", 0, s.ID, b.Records)
					if s.ID != id(0) {
						return nil
					}
					shard, batch = s, b
					p, err := s.Prepare(ctx, b.Last(), nil)
					prepared = func() error { return p.Checkpoint(context.Background()) }
					return err
				}))
				f.put(10)
				f.all(10 * time.Second)
				end(f, a)
				before := *f.row(id(0))
				_, err := shard.Prepare(context.Background(), batch.Last(), nil)
				for what, err := range map[string]error{
					"Shard.Checkpoint": shard.Checkpoint(context.Background(), batch.Last()), "Prepare": err,
					"Batch.Checkpoint": batch.Checkpoint(context.Background()), "Prepared.Checkpoint": prepared(),
				} {
					if !errors.Is(err, lease.ErrLost) || !strings.Contains(err.Error(), id(0)) {
						t.Errorf("%s = %v, want an error that wraps lease.ErrLost and names the shard", what, err)
					}
				}
				shard.Mark(batch.Last())
				ran := false
				shard.Go(func(ctx context.Context) error { ran = ctx.Err() == nil; return nil })
				pass(10 * time.Second)
				if ran {
					t.Error("Go ran a function with a live context")
				}
				if after := f.row(id(0)); after.Checkpoint != before.Checkpoint || after.Counter != before.Counter {
					t.Errorf("the row went from %+v to %+v", before, after)
				}
			})
		})
	}
}

func TestASmallMemoryBudgetStopsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 20, memstream.Options{PageBytes: 1 << 20})
		a := f.start("a", func(c *worker.Config) { c.MemoryBudget = 1 << 20 })
		large := strings.Repeat("x", 700<<10)
		for i := range 20 {
			for range 3 {
				f.putData(id(i), large)
			}
		}
		f.all(time.Minute)
		stop(t, a)
		f.once()
	})
}
