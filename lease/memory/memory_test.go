package memory

import (
	"context"
	"errors"
	"testing"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/leasetest"
	"github.com/shoal-stream/shoal/record"
)

func TestStore(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store { return New() })
}

func TestFaultsRefuseOrLoseTheAnswer(t *testing.T) {
	broken := errors.New("broken")
	for _, apply := range []bool{false, true} {
		s := New()
		s.Put(lease.Lease{Key: "a", Shard: "a", Checkpoint: record.TrimHorizon})
		s.Fault = func(context.Context, string, string) (bool, error) { return apply, broken }
		if _, err := s.Take(t.Context(), lease.Lease{Key: "a"}, "me"); err != broken {
			t.Errorf("Take = %v, want the fault", err)
		}
		if err := s.Create(t.Context(), lease.Lease{Key: "a", Shard: "a", Checkpoint: record.Latest}); err != broken {
			t.Errorf("Create of a row that exists = %v, want the fault, not what was refused", err)
		}
		if taken := s.Row("a").Owner == "me"; taken != apply {
			t.Errorf("apply %v: taken %v", apply, taken)
		}
	}
}

func TestStaleListsShowWhatTheListBeforeSaw(t *testing.T) {
	s := New()
	stale := false
	s.Stale = func() bool { return stale }
	s.Put(lease.Lease{Key: "a", Shard: "a", Checkpoint: record.TrimHorizon})
	counters := func() []int64 {
		rows, err := s.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var c []int64
		for _, l := range rows {
			c = append(c, l.Counter)
		}
		return c
	}
	counters()
	if _, err := s.Take(t.Context(), lease.Lease{Key: "a"}, "me"); err != nil {
		t.Fatal(err)
	}
	stale = true
	if c := counters(); c[0] != 0 {
		t.Errorf("a stale list shows counter %d, want 0", c[0])
	}
	stale = false
	if c := counters(); c[0] != 1 {
		t.Errorf("a list shows counter %d, want 1", c[0])
	}
}

func TestWrittenHearsOfAppliedWritesOnly(t *testing.T) {
	s := New()
	var heard []string
	s.Written = func(op string, before, after lease.Lease) { heard = append(heard, op+" "+before.Owner+">"+after.Owner) }
	s.Put(lease.Lease{Key: "a", Shard: "a", Checkpoint: record.TrimHorizon})
	if _, err := s.Take(t.Context(), lease.Lease{Key: "a"}, "me"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Take(t.Context(), lease.Lease{Key: "a"}, "you"); !errors.Is(err, lease.ErrConflict) {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), s.Row("a")); err != nil {
		t.Fatal(err)
	}
	want := []string{"Put >", "Take >me", "Delete me>"}
	if len(heard) != len(want) || heard[0] != want[0] || heard[1] != want[1] || heard[2] != want[2] {
		t.Errorf("heard %q, want %q", heard, want)
	}
}
