package lease_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// between does something of a test's choice in place of each write of the keeper, counted from 1.
type between struct {
	lease.Store
	n    int
	step func(n int, write func() (lease.Lease, error)) (lease.Lease, error)
}

func (s *between) Renew(ctx context.Context, held lease.Lease, worker string, c lease.Change) (lease.Lease, error) {
	s.n++
	return s.step(s.n, func() (lease.Lease, error) { return s.Store.Renew(context.WithoutCancel(ctx), held, worker, c) })
}

func (s *between) Release(ctx context.Context, held lease.Lease, worker, next string) (lease.Lease, error) {
	s.n++
	return s.step(s.n, func() (lease.Lease, error) {
		return s.Store.Release(context.WithoutCancel(ctx), held, worker, next)
	})
}

// twin renews the row as another process with the same worker ID would.
func twin(b *bench) {
	if _, err := b.store.Renew(b.t.Context(), b.row(), "me", lease.Change{}); err != nil {
		b.t.Error(err)
	}
}

func TestALostAnswerIsNotMistakenForATwinsWrite(t *testing.T) {
	for name, step := range map[string]func(b *bench, write func() (lease.Lease, error)){
		"refused, and the twin raised the counter": func(b *bench, _ func() (lease.Lease, error)) { twin(b) },
		"applied, and the twin wrote after it": func(b *bench, write func() (lease.Lease, error)) {
			if _, err := write(); err != nil {
				b.t.Error(err)
			}
			twin(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			keep(t, func(b *bench) lease.Store {
				return &between{Store: b.store, step: func(_ int, write func() (lease.Lease, error)) (lease.Lease, error) {
					step(b, write)
					return lease.Lease{}, errNet
				}}
			}, func(t *testing.T, b *bench) {
				if err := b.keeper.Save(t.Context(), lease.Change{Checkpoint: at(7)}); !errors.Is(err, lease.ErrLost) {
					t.Errorf("Save = %v, want ErrLost", err)
				}
				if err := b.ended(); !errors.Is(err, lease.ErrLost) {
					t.Errorf("Run = %v, want ErrLost", err)
				}
			})
		})
	}
}

func TestAWriteOfAnAbandonedSaveIsKnownAgain(t *testing.T) {
	keep(t, func(b *bench) lease.Store {
		var late func() (lease.Lease, error)
		return &between{Store: b.store, step: func(n int, write func() (lease.Lease, error)) (lease.Lease, error) {
			switch n {
			case 1: // the checkpoint is on its way for long, and its caller gives up
				late = write
				time.Sleep(2 * time.Second)
				return lease.Lease{}, errNet
			case 2: // the renewal after it is lost; the checkpoint comes in
				if _, err := late(); err != nil {
					b.t.Error(err)
				}
				return lease.Lease{}, errNet
			default:
				return write()
			}
		}}
	}, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.keeper.Save(ctx, lease.Change{Checkpoint: at(7)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Save = %v, want its context's end", err)
		}
		time.Sleep(time.Minute)
		b.stillRuns()
		if got := b.keeper.Lease().Checkpoint; got != at(7) {
			t.Errorf("the keeper believes in %v, want 7", got)
		}
	})
}

func TestAReleaseWhoseNextOwnerIsQuickIsDone(t *testing.T) {
	keep(t, func(b *bench) lease.Store {
		return &between{Store: b.store, step: func(n int, write func() (lease.Lease, error)) (lease.Lease, error) {
			if _, err := write(); err != nil {
				return lease.Lease{}, err
			}
			if _, err := b.store.Take(b.t.Context(), b.row(), "you"); err != nil {
				b.t.Error(err)
			}
			return lease.Lease{}, errNet
		}}
	}, func(t *testing.T, b *bench) {
		if err := b.keeper.Release(t.Context(), ""); err != nil {
			t.Errorf("Release = %v", err)
		}
		if err := b.ended(); err != nil || b.holder() != "you" {
			t.Errorf("Run = %v, held by %q", err, b.holder())
		}
	})
}

func TestAReleaseCarriesAMarkOnlyOnce(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		b.keeper.Mark(at(3))
		if err := b.keeper.Release(t.Context(), "you"); err != nil {
			t.Fatal(err)
		}
		if l := b.row(); l.Checkpoint != at(3) || l.Owner != "you" || len(b.writes) != 2 {
			t.Errorf("%d writes made %+v; want 2: the mark, and the release", len(b.writes), l)
		}
	})
}

func TestAMarkAtTheEndEndsTheTenure(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		b.keeper.Mark(record.ShardEnd)
		if err := b.ended(); err != nil {
			t.Errorf("Run = %v", err)
		}
		if l := b.row(); !l.Finished() {
			t.Errorf("the row is %+v", l)
		}
	})
}
