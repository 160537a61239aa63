package memory

import (
	"context"
	"errors"
	"testing"
	"time"

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

// The hook hears of each operation of a fleet with what it is about, and can refuse it or lose its answer.
func TestFaultsOfAFleet(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	member := lease.Member{Worker: "w", Updated: now}
	lock := lease.Lock{Owner: "w", Version: "v", Duration: time.Second}
	migration := lease.Migration{Key: lease.ClientVersion, State: lease.Client3X, By: "w", At: now}
	for _, test := range []struct {
		op, key string
		call    func(ctx context.Context, s *Store) error
	}{
		{OpSurvey, "", func(ctx context.Context, s *Store) error { _, _, err := s.Survey(ctx); return err }},
		{OpOwned, "w", func(ctx context.Context, s *Store) error { _, err := s.Owned(ctx, "w"); return err }},
		{OpAssign, "a", func(ctx context.Context, s *Store) error {
			_, err := s.Assign(ctx, lease.Lease{Key: "a"}, "w")
			return err
		}},
		{OpPutMember, "w", func(ctx context.Context, s *Store) error { return s.PutMember(ctx, member) }},
		{OpDeleteMember, "w", func(ctx context.Context, s *Store) error { return s.DeleteMember(ctx, member) }},
		{OpLeader, "", func(ctx context.Context, s *Store) error { _, err := s.Leader(ctx); return err }},
		{OpPutLeader, "", func(ctx context.Context, s *Store) error { return s.PutLeader(ctx, lease.Lock{}, lock) }},
		{OpBeat, "", func(ctx context.Context, s *Store) error { return s.Beat(ctx, lock, lock) }},
		{OpDeleteLeader, "", func(ctx context.Context, s *Store) error { return s.DeleteLeader(ctx, lock) }},
		{OpMigration, string(lease.ClientVersion), func(ctx context.Context, s *Store) error {
			_, err := s.Migration(ctx, lease.ClientVersion)
			return err
		}},
		{OpPutMigration, string(lease.ClientVersion), func(ctx context.Context, s *Store) error {
			return s.PutMigration(ctx, lease.Migration{}, migration)
		}},
	} {
		for _, apply := range []bool{false, true} {
			s, broken, heard := New(), errors.New("broken"), ""
			s.Put(lease.Lease{Key: "a", Shard: "a", Checkpoint: record.TrimHorizon})
			s.Fault = func(_ context.Context, op, key string) (bool, error) {
				heard = op + " " + key
				return apply, broken
			}
			if err := test.call(t.Context(), s); err != broken {
				t.Errorf("%s = %v, want the fault", test.op, err)
			}
			if want := test.op + " " + test.key; heard != want {
				t.Errorf("the hook heard %q, want %q", heard, want)
			}
			s.Fault = nil
			_, members, err := s.Survey(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, noLeader := s.Leader(t.Context())
			_, noMigration := s.Migration(t.Context(), lease.ClientVersion)
			for op, done := range map[string]bool{
				OpAssign: s.Row("a").Owner == "w", OpPutMember: len(members) == 1, OpPutLeader: noLeader == nil, OpPutMigration: noMigration == nil,
			} {
				if done != (apply && op == test.op) {
					t.Errorf("%s, applied %v: %s is done: %v", test.op, apply, op, done)
				}
			}
		}
	}
}
