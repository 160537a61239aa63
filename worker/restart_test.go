package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestAProcessorThatBreaksIsReplacedAndStartsFromTheCheckpoint(t *testing.T) {
	for _, c := range []struct {
		name  string
		crash func(ctx context.Context, s *worker.Shard) error
		want  string // in the reported error
	}{
		{"a panic", func(context.Context, *worker.Shard) error { panic("out of cheese") }, "out of cheese"},
		{"a panic with an error", func(context.Context, *worker.Shard) error { panic(errTest) }, "not today"},
		{"ErrRestart", func(context.Context, *worker.Shard) error { return fmt.Errorf("start over: %w", worker.ErrRestart) }, "start over"},
		{"an error of Shard.Go", func(ctx context.Context, s *worker.Shard) error {
			s.Go(func(context.Context) error { return errTest })
			return waiting(ctx)
		}, "not today"},
		{"a panic in Shard.Go", func(ctx context.Context, s *worker.Shard) error {
			s.Go(func(context.Context) error { panic("out of cheese") })
			return waiting(ctx)
		}, "out of cheese"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{PageRecords: 10})
				at := f.putIn(id(0), 50)
				var crashes, reports int
				a := f.start("a", config(processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, next func() error) error {
					switch {
					case crashes == 0 && b.Records[0].Position() == at[20]:
						if err := s.Checkpoint(ctx, at[24]); err != nil {
							t.Error(err)
						}
						crashes++
						return c.crash(ctx, s)
					case crashes == 1 && b.Records[0].Position() != at[25]:
						t.Errorf("the new processor begins with %v, want the record after the checkpoint", b.Records[0].Position())
					case crashes == 1:
						if s.Start != at[24] {
							t.Errorf("Start is %v, want the checkpoint", s.Start)
						}
						crashes++
					}
					return next()
				}), func(cfg *worker.Config) {
					cfg.Hooks.Failed = func(_ worker.ShardInfo, err error) {
						if strings.Contains(err.Error(), c.want) {
							reports++
						}
					}
				}))
				f.until("all but those checkpointed at the crash", time.Minute, func() bool { return f.log.count() >= 45 })
				if f.tenureCount() != 2 || crashes != 2 {
					t.Errorf("%d processors, %d crashes; want the first and its successor", f.tenureCount(), crashes)
				}
				stop(t, a)
				if reports == 0 {
					t.Errorf("no error with %q was reported", c.want)
				}
				if row := f.row(id(0)); row.OwnerSwitches != 0 {
					t.Error("the lease changed hands")
				}
			})
		})
	}
}

func TestAFailingStartIsRetried(t *testing.T) {
	for name, failing := range map[string]func(c *worker.Config, fail func() error){
		"NewProcessor": func(c *worker.Config, fail func() error) {
			inner := c.NewProcessor
			c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
				if err := fail(); err != nil {
					return nil, err
				}
				return inner(ctx, s)
			}
		},
		"StartAt": func(c *worker.Config, fail func() error) {
			c.StartAt = func(context.Context, string, string) (record.Position, error) { return record.Position{}, fail() }
		},
		"StartAt with a position that is none": func(c *worker.Config, fail func() error) {
			c.StartAt = func(context.Context, string, string) (record.Position, error) {
				if fail() != nil {
					return record.ShardEnd, nil
				}
				return record.TrimHorizon, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				f.put(20)
				var calls tally
				a := f.start("a", func(c *worker.Config) {
					failing(c, func() error {
						switch calls.add("") {
						case 1, 2, 3, 4, 5:
							return errTest
						case 6:
							panic(errTest)
						}
						return nil
					})
				})
				f.all(10 * time.Second)
				stop(t, a)
				f.once()
			})
		})
	}
}

// waiting is what a processor does that hands its records to a goroutine which has failed.
func waiting(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// A processor that keeps panicking is restarted with growing pauses, for ever.
func TestRestartsBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.put(10)
		restarts := 0
		a := f.start("a", processing(func(context.Context, *worker.Shard, *worker.Batch, func() error) error {
			restarts++
			panic("always")
		}))
		pass(5 * time.Minute)
		if restarts < 12 || restarts > 35 {
			t.Errorf("%d restarts in 5 minutes, want pauses from 100 ms to 30 s", restarts)
		}
		if _, took := a.halt(); took > 0 {
			t.Errorf("the stop took %v", took)
		}
	})
}
