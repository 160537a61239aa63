package lease_test

import (
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

func TestMarksTravelWithTheNextWrite(t *testing.T) {
	third := duration / 3
	t.Run("of a renewal", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			b.keeper.Mark(at(5))
			b.keeper.Mark(at(3))
			time.Sleep(third)
			if got := b.row().Checkpoint; got != at(5) {
				t.Errorf("the checkpoint is %v, want 5", got)
			}
		})
	})
	t.Run("of a checkpoint behind it", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			b.keeper.Mark(at(5))
			if err := b.keeper.Save(t.Context(), lease.Change{Checkpoint: at(4)}); err != nil || b.row().Checkpoint != at(5) {
				t.Errorf("Save = %v, the checkpoint is %v, want 5", err, b.row().Checkpoint)
			}
		})
	})
	t.Run("but a checkpoint never goes back", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			for _, n := range []int{9, 5} {
				if err := b.keeper.Save(t.Context(), lease.Change{Checkpoint: at(n)}); err != nil || b.row().Checkpoint != at(9) {
					t.Errorf("Save = %v, the checkpoint is %v, want 9", err, b.row().Checkpoint)
				}
			}
			b.keeper.Mark(at(8))
			time.Sleep(duration)
			if got := b.row().Checkpoint; got != at(9) {
				t.Errorf("the checkpoint is %v, want 9", got)
			}
		})
	})
	t.Run("of a release", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			b.keeper.Mark(at(5))
			if err := b.keeper.Release(t.Context(), ""); err != nil || b.row().Checkpoint != at(5) || b.row().Owner != "" {
				t.Errorf("Release = %v, the row is %+v", err, b.row())
			}
		})
	})
	t.Run("but wait behind a prepared checkpoint", func(t *testing.T) {
		keep(t, nil, func(t *testing.T, b *bench) {
			if err := b.keeper.Save(t.Context(), lease.Change{Pending: at(7), PendingState: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			b.keeper.Mark(at(6))
			time.Sleep(duration)
			if l := b.row(); l.Pending != at(7) || l.Checkpoint != record.TrimHorizon {
				t.Errorf("the row is %+v, want the prepared checkpoint kept", l)
			}
			b.keeper.Mark(at(7))
			time.Sleep(duration)
			if l := b.row(); !l.Pending.IsZero() || l.Checkpoint != at(7) {
				t.Errorf("the row is %+v, want checkpoint 7", l)
			}
		})
	})
}
