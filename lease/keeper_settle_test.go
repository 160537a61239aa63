package lease_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// Every conditional write is tried refused, applied with its answer lost, and applied after its answer was given up.
func TestEveryWriteOfAKeeperSettlesItsLostAnswers(t *testing.T) {
	writes := []struct {
		name  string
		do    func(ctx context.Context, k *lease.Keeper) error
		asked bool // by another worker, before
		want  func(l lease.Lease) bool
		ends  bool
	}{
		{"checkpoint", func(ctx context.Context, k *lease.Keeper) error {
			return k.Save(ctx, lease.Change{Checkpoint: at(7)})
		}, false, func(l lease.Lease) bool { return l.Owner == "me" && l.Checkpoint == at(7) }, false},
		{"prepared checkpoint", func(ctx context.Context, k *lease.Keeper) error {
			return k.Save(ctx, lease.Change{Pending: at(7), PendingState: []byte("x")})
		}, false, func(l lease.Lease) bool { return l.Pending == at(7) && string(l.PendingState) == "x" }, false},
		{"checkpoint in a hand-over", func(ctx context.Context, k *lease.Keeper) error {
			return k.Save(ctx, lease.Change{Checkpoint: at(7)})
		}, true, func(l lease.Lease) bool { return l.Owner == "you" && l.Holder() == "me" && l.Checkpoint == at(7) }, false},
		{"shard end", func(ctx context.Context, k *lease.Keeper) error {
			return k.Save(ctx, lease.Change{Checkpoint: record.ShardEnd, Children: []string{"a", "b"}})
		}, false, func(l lease.Lease) bool { return l.Finished() && len(l.Children) == 2 }, true},
		{"release", func(ctx context.Context, k *lease.Keeper) error {
			return k.Release(ctx, "")
		}, false, func(l lease.Lease) bool { return l.Holder() == "" }, true},
		{"release to another", func(ctx context.Context, k *lease.Keeper) error {
			return k.Release(ctx, "she")
		}, false, func(l lease.Lease) bool { return l.Owner == "she" && l.Holder() == "she" }, true},
		{"end of a hand-over", func(ctx context.Context, k *lease.Keeper) error {
			return k.Release(ctx, "she")
		}, true, func(l lease.Lease) bool { return l.Owner == "you" && l.Holder() == "you" }, true},
	}
	faults := []struct {
		name string
		wrap func(b *bench) lease.Store
	}{
		{"refused", func(b *bench) lease.Store { return &faulty{Store: b.store} }},
		{"answer lost", func(b *bench) lease.Store { return &faulty{Store: b.store, applied: true} }},
		{"refused, and the read after it fails", func(b *bench) lease.Store { return &faulty{Store: b.store, reads: 2} }},
		{"answer lost, and the read after it fails", func(b *bench) lease.Store {
			return &faulty{Store: b.store, applied: true, reads: 2}
		}},
		{"applied between the read and the next attempt", func(b *bench) lease.Store {
			return &faulty{Store: b.store, delay: time.Millisecond}
		}},
		{"applied long after", func(b *bench) lease.Store { return &faulty{Store: b.store, delay: 3 * time.Second} }},
	}
	for _, w := range writes {
		for _, f := range faults {
			t.Run(w.name+" "+f.name, func(t *testing.T) {
				keep(t, f.wrap, func(t *testing.T, b *bench) {
					if w.asked {
						if _, err := b.store.Ask(t.Context(), b.row(), "you"); err != nil {
							t.Fatal(err)
						}
					}
					if err := w.do(t.Context(), b.keeper); err != nil {
						t.Fatalf("after %v: %v", time.Since(b.start), err)
					}
					if l := b.row(); !w.want(l) {
						t.Fatalf("the row is %+v", l)
					}
					time.Sleep(20 * time.Second) // whatever is delayed has come in
					if l := b.row(); !w.want(l) {
						t.Fatalf("later the row is %+v", l)
					}
					if !w.ends {
						b.stillRuns()
						return
					}
					if err := b.ended(); err != nil {
						t.Errorf("Run = %v, want nil", err)
					}
					if err := b.keeper.Save(t.Context(), lease.Change{}); !errors.Is(err, lease.ErrReleased) && !errors.Is(err, lease.ErrLost) {
						t.Errorf("Save after the end = %v", err)
					}
				})
			})
		}
	}
}

// faulty spoils the first write that goes through it.
type faulty struct {
	lease.Store
	applied bool          // the write is applied, and its answer lost
	delay   time.Duration // after which the write is applied, its answer long given up
	reads   int           // that fail afterwards
	done    bool
}

func (f *faulty) Get(ctx context.Context, key string) (lease.Lease, error) {
	if f.done && f.reads > 0 {
		f.reads--
		return lease.Lease{}, errNet
	}
	return f.Store.Get(ctx, key)
}

func (f *faulty) Renew(ctx context.Context, held lease.Lease, worker string, c lease.Change) (lease.Lease, error) {
	return f.write(func(s lease.Store) (lease.Lease, error) { return s.Renew(context.WithoutCancel(ctx), held, worker, c) })
}

func (f *faulty) Release(ctx context.Context, held lease.Lease, worker, next string) (lease.Lease, error) {
	return f.write(func(s lease.Store) (lease.Lease, error) {
		return s.Release(context.WithoutCancel(ctx), held, worker, next)
	})
}

func (f *faulty) write(do func(lease.Store) (lease.Lease, error)) (lease.Lease, error) {
	switch {
	case f.done:
		return do(f.Store)
	case f.delay > 0:
		time.AfterFunc(f.delay, func() { do(f.Store) })
	case f.applied:
		if _, err := do(f.Store); err != nil {
			return lease.Lease{}, err
		}
	}
	f.done = true
	return lease.Lease{}, errNet
}
