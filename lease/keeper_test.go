package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

const duration = 10 * time.Second

var errNet = errors.New("connection reset")

func at(n int) record.Position { return record.At(record.SequenceNumber(strconv.Itoa(n)), 0) }

// A bench is one kept lease in a store in memory.
type bench struct {
	t       *testing.T
	store   *memory.Store
	keeper  *lease.Keeper
	start   time.Time
	cancel  context.CancelFunc
	result  chan error
	reports []error
	writes  []write
	wanted  atomic.Int32 // calls

	mu    sync.Mutex // guards spoil
	spoil func(ctx context.Context, op string) (bool, error)
}

type write struct {
	op    string
	after time.Duration
	row   lease.Lease
}

// keep runs f with a keeper of the lease "s" for the worker "me", which took it at bench.start. Faults of the store
// may be set by f and count from then on. wrap, if not nil, stands between the keeper and the store.
func keep(t *testing.T, wrap func(*bench) lease.Store, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, store: memory.New(), start: time.Now(), result: make(chan error, 1)}
		b.store.Written = func(op string, _, after lease.Lease) {
			b.writes = append(b.writes, write{op, time.Since(b.start), after})
		}
		b.store.Fault = func(ctx context.Context, op, _ string) (bool, error) {
			b.mu.Lock()
			fault := b.spoil
			b.mu.Unlock()
			if fault == nil {
				return true, nil
			}
			return fault(ctx, op)
		}
		if err := b.store.Create(t.Context(), lease.Lease{Key: "s", Shard: "s", Checkpoint: record.TrimHorizon}); err != nil {
			t.Fatal(err)
		}
		seen, err := b.store.Get(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		held, err := b.store.Take(t.Context(), seen, "me")
		if err != nil {
			t.Fatal(err)
		}
		b.writes = nil
		cfg := lease.KeeperConfig{
			Store: b.store, Worker: "me", Duration: duration,
			Clock:  clock.Clock{Uint64Func: func() uint64 { return 0 }}, // jitter gives the least
			Report: func(err error) { b.reports = append(b.reports, err) },
			Wanted: func() { b.wanted.Add(1) },
		}
		if wrap != nil {
			cfg.Store = wrap(b)
		}
		b.keeper = lease.NewKeeper(cfg, held, b.start)
		ctx, cancel := context.WithCancel(t.Context())
		b.cancel = cancel
		var wg sync.WaitGroup
		wg.Go(func() { b.result <- b.keeper.Run(ctx) })
		f(t, b)
		cancel()
		wg.Wait()
	})
}

// fault makes f the fault of the store from now on, none if nil.
func (b *bench) fault(f func(ctx context.Context, op string) (bool, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spoil = f
}

// row is the row in the table, past all faults.
func (b *bench) row() lease.Lease { return b.store.Row("s") }

func (b *bench) stillRuns() {
	b.t.Helper()
	synctest.Wait()
	select {
	case err := <-b.result:
		b.t.Fatalf("Run has ended after %v: %v", time.Since(b.start), err)
	default:
	}
}

// ended waits for the end of Run and returns its result.
func (b *bench) ended() error {
	b.t.Helper()
	select {
	case err := <-b.result:
		return err
	case <-time.After(time.Hour):
		b.t.Fatal("Run has not ended within an hour")
		return nil
	}
}

func TestKeeperRenewsEveryThirdOfTheDuration(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		time.Sleep(12 * time.Second)
		b.stillRuns()
		var times []time.Duration
		for _, w := range b.writes {
			times = append(times, w.after)
		}
		third := duration / 3
		want := []time.Duration{third / 2, third/2 + third, third/2 + 2*third, third/2 + 3*third}
		if !slices.Equal(times, want) {
			t.Errorf("renewed at %v, want %v", times, want)
		}
		if d := b.keeper.Deadline().Sub(b.start); d != want[3]+9*time.Second {
			t.Errorf("deadline %v after the start, want 9 s after the last renewal", d)
		}
	})
}

func TestKeeperTrustsFromTheSendingOfARenewal(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		b.fault(func(ctx context.Context, op string) (bool, error) {
			time.Sleep(2 * time.Second)
			return true, nil
		})
		first := duration / 6
		time.Sleep(first + 1900*time.Millisecond)
		if d := b.keeper.Deadline().Sub(b.start); d != 9*time.Second {
			t.Errorf("while a renewal is under way the deadline is %v, want that of the take", d)
		}
		time.Sleep(200 * time.Millisecond)
		if d := b.keeper.Deadline().Sub(b.start); d != first+9*time.Second {
			t.Errorf("after the answer the deadline is %v, want 9 s after the sending at %v", d, first)
		}
	})
}

func TestKeeperLosesTheLeaseAtItsDeadlineAndNotBefore(t *testing.T) {
	for name, fault := range map[string]func(ctx context.Context, op string) (bool, error){
		"throttled":   func(context.Context, string) (bool, error) { return false, lease.ErrThrottled },
		"unreachable": func(context.Context, string) (bool, error) { return false, errNet },
		"no answer": func(ctx context.Context, op string) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			keep(t, nil, func(t *testing.T, b *bench) {
				b.fault(fault)
				time.Sleep(9*time.Second - 1)
				b.stillRuns()
				if err := b.ended(); !errors.Is(err, lease.ErrLost) || time.Since(b.start) != 9*time.Second {
					t.Errorf("Run = %v after %v, want ErrLost after 9 s", err, time.Since(b.start))
				}
				if len(b.reports) < 3 {
					t.Errorf("%d failed attempts were reported, want several", len(b.reports))
				}
				if err := b.keeper.Save(t.Context(), lease.Change{}); !errors.Is(err, lease.ErrLost) {
					t.Errorf("Save after the loss = %v", err)
				}
				if err := b.keeper.Release(t.Context(), ""); !errors.Is(err, lease.ErrLost) {
					t.Errorf("Release after the loss = %v", err)
				}
			})
		})
	}
}

func TestKeeperSurvivesTroubleThatEndsBeforeItsDeadline(t *testing.T) {
	for name, fault := range map[string]func(ctx context.Context, op string) (bool, error){
		"throttled":         func(context.Context, string) (bool, error) { return false, lease.ErrThrottled },
		"refused":           func(context.Context, string) (bool, error) { return false, errNet },
		"answers lost":      func(context.Context, string) (bool, error) { return true, errNet },
		"reads fail":        func(_ context.Context, op string) (bool, error) { return op == memory.OpRenew, errNet },
		"answered too late": func(ctx context.Context, op string) (bool, error) { <-ctx.Done(); return true, ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			keep(t, nil, func(t *testing.T, b *bench) {
				until := 8 * time.Second
				if name == "answered too late" {
					until = 6 * time.Second // an attempt is given up after a quarter of the duration
				}
				b.fault(func(ctx context.Context, op string) (bool, error) {
					if time.Since(b.start) < until {
						return fault(ctx, op)
					}
					return true, nil
				})
				time.Sleep(time.Minute)
				b.stillRuns()
				if l := b.row(); l.Counter != b.keeper.Lease().Counter || l.Owner != "me" {
					t.Errorf("the row is %+v, the keeper believes %+v", l, b.keeper.Lease())
				}
			})
		})
	}
}

func TestKeeperNoticesThatItsLeaseIsGone(t *testing.T) {
	for name, steal := range map[string]func(b *bench) error{
		"taken": func(b *bench) error { _, err := b.store.Take(b.t.Context(), b.row(), "you"); return err },
		"taken by a twin": func(b *bench) error {
			_, err := b.store.Take(b.t.Context(), b.row(), "me")
			return err
		},
		"deleted": func(b *bench) error { return b.store.Delete(b.t.Context(), b.row()) },
		"taken, handed back, and asked for by a third": func(b *bench) error {
			l := b.row()
			l.Counter, l.Owner, l.CheckpointOwner = l.Counter+5, "you", "me"
			b.store.Put(l)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			keep(t, nil, func(t *testing.T, b *bench) {
				if err := steal(b); err != nil {
					t.Fatal(err)
				}
				if err := b.keeper.Save(t.Context(), lease.Change{Checkpoint: at(5)}); !errors.Is(err, lease.ErrLost) {
					t.Errorf("Save = %v, want ErrLost", err)
				}
				if err := b.ended(); !errors.Is(err, lease.ErrLost) || time.Since(b.start) != 0 {
					t.Errorf("Run = %v after %v, want ErrLost at once", err, time.Since(b.start))
				}
			})
		})
	}
}

func TestKeeperHearsThatItsLeaseIsWanted(t *testing.T) {
	wanted := func(b *bench) bool {
		synctest.Wait()
		return b.wanted.Load() == 1
	}
	ask := func(b *bench) lease.Lease {
		l, err := b.store.Ask(b.t.Context(), b.row(), "you")
		if err != nil {
			b.t.Fatal(err)
		}
		return l
	}
	t.Run("by its next renewal", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			ask(b)
			time.Sleep(duration/6 - 1)
			if wanted(b) {
				t.Error("wanted before the renewal")
			}
			time.Sleep(1)
			if !wanted(b) {
				t.Error("not wanted after the renewal")
			}
			time.Sleep(time.Minute) // it goes on renewing until it is released
			b.stillRuns()
			if err := b.keeper.Release(t.Context(), ""); err != nil || b.holder() != "you" {
				t.Errorf("Release = %v, the row is %+v", err, b.row())
			}
		})
	})
	t.Run("by a scan", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			b.keeper.Notice(ask(b))
			if !wanted(b) || b.keeper.Lease().Owner != "you" {
				t.Error("a seen hand-over was not noticed")
			}
			if err := b.keeper.Release(t.Context(), ""); err != nil || b.holder() != "you" || len(b.reports) > 0 {
				t.Errorf("Release = %v, the row is %+v, reports %v", err, b.row(), b.reports)
			}
		})
	})
	t.Run("not by a scan from before its tenure", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			b.keeper.Notice(lease.Lease{Key: "s", Owner: "you", CheckpointOwner: "me", Counter: 0})
			if wanted(b) {
				t.Error("wanted by an old row")
			}
		})
	})
	t.Run("only when it releases", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			ask(b)
			if err := b.keeper.Release(t.Context(), "she"); err != nil || b.holder() != "you" {
				t.Errorf("Release = %v, the row is %+v", err, b.row())
			}
		})
	})
}

func TestSaveEndsWithItsContextAndTheKeeperGoesOn(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		b.fault(func(ctx context.Context, op string) (bool, error) {
			if op == memory.OpRenew && time.Since(b.start) < 4*time.Second {
				<-ctx.Done()
				return true, ctx.Err()
			}
			return true, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.keeper.Save(ctx, lease.Change{Checkpoint: at(5)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Save = %v, want its context's end", err)
		}
		if since := time.Since(b.start); since != time.Second {
			t.Errorf("Save returned after %v, want 1 s", since)
		}
		time.Sleep(time.Minute)
		b.stillRuns()
		if got := b.keeper.Lease().Checkpoint; got != at(5) || b.row().Checkpoint != at(5) {
			t.Errorf("the keeper believes in checkpoint %v, the row has %v", got, b.row().Checkpoint)
		}
	})
}

func TestAnAbandonedSaveIsNotTriedAgain(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		b.fault(func(ctx context.Context, op string) (bool, error) {
			if op == memory.OpRenew && time.Since(b.start) < 4*time.Second {
				return false, lease.ErrThrottled
			}
			return true, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.keeper.Save(ctx, lease.Change{Checkpoint: at(5)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Save = %v, want its context's end", err)
		}
		time.Sleep(time.Minute)
		b.stillRuns()
		if got := b.row().Checkpoint; got != record.TrimHorizon {
			t.Errorf("the checkpoint is %v, want none", got)
		}
	})
}

func TestAChangeThatCannotBeStoredDoesNotCostTheLease(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		both := lease.Change{Checkpoint: at(1), Pending: at(2)}
		if err := b.keeper.Save(t.Context(), both); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("Save of a checkpoint and a prepared one = %v", err)
		}
		b.fault(func(_ context.Context, op string) (bool, error) {
			return false, fmt.Errorf("%w: item larger than 400 KB", lease.ErrInvalid)
		})
		if err := b.keeper.Save(t.Context(), lease.Change{Pending: at(2), PendingState: make([]byte, 500<<10)}); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("Save of too much = %v", err)
		}
		b.fault(nil)
		time.Sleep(time.Minute)
		b.stillRuns()
	})
}

func TestKeeperEndsWithItsContextAndLeavesTheRow(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		before := b.row()
		b.cancel()
		if err := b.ended(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if err := b.keeper.Save(t.Context(), lease.Change{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Save after the end = %v", err)
		}
		if l := b.row(); l.Counter != before.Counter || l.Owner != "me" {
			t.Errorf("the row is %+v", l)
		}
	})
}

func TestThroughputGoesWithEachWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		store.Put(lease.Lease{Key: "s", Shard: "s", Owner: "me", Checkpoint: record.TrimHorizon})
		held, err := store.Get(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		k := lease.NewKeeper(lease.KeeperConfig{
			Store: store, Worker: "me", Duration: duration, Throughput: func() float64 { return 12.5 },
		}, held, time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		if err := k.Save(ctx, lease.Change{Checkpoint: at(3)}); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if l := k.Lease(); l.ThroughputKBps == nil || *l.ThroughputKBps != 12.5 {
			t.Errorf("the row says %v, want 12.5", l.ThroughputKBps)
		}
	})
}

func (b *bench) holder() string {
	l := b.row()
	return l.Holder()
}
