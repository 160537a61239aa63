package leasetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

var noon = time.Unix(1_700_000_000, 0)

func fullMember() lease.Member {
	return lease.Member{
		Worker: "w1", Updated: noon,
		Metrics: map[string][]float64{"C": {0, 12.5, 99.123456, -1}, "T": {3}},
		Limits:  map[string]float64{"C": 80, "T": 100},
		Support: 1, SupportTime: noon.Add(-30 * time.Second), Shoal: true,
	}
}

func sameMember(t *testing.T, what string, got, want lease.Member) {
	t.Helper()
	if got.Worker != want.Worker || !got.Updated.Equal(want.Updated) || got.Support != want.Support ||
		!got.SupportTime.Equal(want.SupportTime) || got.Shoal != want.Shoal || !maps.Equal(got.Limits, want.Limits) ||
		!maps.EqualFunc(got.Metrics, want.Metrics, func(a, b []float64) bool { return slices.Equal(a, b) }) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// survey returns what a Survey sees, the members by worker.
func survey(t *testing.T, s lease.Store) ([]lease.Lease, map[string]lease.Member) {
	t.Helper()
	rows, members, err := s.Survey(t.Context())
	if err != nil {
		t.Fatalf("Survey: %v", err)
	}
	byWorker := make(map[string]lease.Member, len(members))
	for _, m := range members {
		byWorker[m.Worker] = m
	}
	if len(byWorker) != len(members) {
		t.Fatalf("Survey gave a worker twice: %+v", members)
	}
	return rows, byWorker
}

func testSurvey(t *testing.T, s lease.Store) {
	if rows, members := survey(t, s); len(rows) != 0 || len(members) != 0 {
		t.Fatalf("Survey of nothing = %v, %v", rows, members)
	}
	row := put(t, s, lease.Lease{Key: "a", Owner: "w1"})
	done := put(t, s, lease.Lease{Key: "b", Checkpoint: record.ShardEnd})
	plain := lease.Member{Worker: "w2", Updated: noon.Add(time.Second)}
	for _, m := range []lease.Member{fullMember(), plain} {
		if err := s.PutMember(t.Context(), m); err != nil {
			t.Fatalf("PutMember: %v", err)
		}
	}
	// What else there can be is neither a row nor a member.
	if err := s.PutLeader(t.Context(), lease.Lock{}, lock("w1", "v1")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []lease.MigrationKey{lease.ClientVersion, lease.SingleTable} {
		if err := s.PutMigration(t.Context(), lease.Migration{}, lease.Migration{Key: key, State: "X", By: "w1", At: noon}); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, members := survey(t, s)
	for what, rows := range map[string][]lease.Lease{"surveyed": rows, "listed": listed} {
		if len(rows) != 2 {
			t.Fatalf("%s: %d rows, want 2: %v", what, len(rows), rows)
		}
		if rows[0].Key != "a" {
			rows[0], rows[1] = rows[1], rows[0]
		}
		same(t, what, rows[0], row)
		same(t, what, rows[1], done)
	}
	if len(members) != 2 {
		t.Errorf("Survey gave members %v, want w1 and w2", members)
	}
	sameMember(t, "w1", members["w1"], fullMember())
	sameMember(t, "w2", members["w2"], plain)
	for _, key := range []string{"w1", "Leader", string(lease.ClientVersion)} {
		if _, err := s.Get(t.Context(), key); !errors.Is(err, lease.ErrNotFound) {
			t.Errorf("Get of %s, which is no lease = %v, want ErrNotFound", key, err)
		}
	}
}

func testMembers(t *testing.T, s lease.Store) {
	// A later item replaces an earlier one as a whole, and can say less.
	for i, m := range []lease.Member{
		fullMember(),
		{Worker: "w1", Updated: noon.Add(30 * time.Second), Metrics: map[string][]float64{"T": {1, 2}}, Limits: map[string]float64{"T": 90}},
		{Worker: "w1", Updated: noon.Add(-time.Hour)}, // a clock that was set back is the worker's own affair
		fullMember(),
	} {
		for range 2 { // again: an answer was lost
			if err := s.PutMember(t.Context(), m); err != nil {
				t.Fatalf("PutMember %d: %v", i, err)
			}
		}
		_, members := survey(t, s)
		sameMember(t, fmt.Sprint("after write ", i), members["w1"], m)
	}
	m := fullMember()
	m.Updated, m.SupportTime = m.Updated.Add(999*time.Millisecond), m.SupportTime.Add(time.Millisecond)
	if err := s.PutMember(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	_, members := survey(t, s)
	sameMember(t, "in whole seconds", members["w1"], fullMember())

	other := fullMember()
	other.Updated = noon.Add(-time.Second)
	if err := s.DeleteMember(t.Context(), other); !errors.Is(err, lease.ErrConflict) {
		t.Errorf("DeleteMember of one who has written since = %v, want ErrConflict", err)
	}
	if err := s.DeleteMember(t.Context(), m); err != nil {
		t.Errorf("DeleteMember = %v", err)
	}
	if err := s.DeleteMember(t.Context(), m); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("DeleteMember again = %v, want ErrNotFound", err)
	}
	if _, members := survey(t, s); len(members) != 0 {
		t.Errorf("there is still %v", members)
	}
}

func testOwned(t *testing.T, s lease.Store) {
	const n = 30
	var want []string
	for i := range n {
		key := fmt.Sprintf("s%02d", i)
		switch i % 3 {
		case 0:
			put(t, s, lease.Lease{Key: key, Owner: "me"})
		case 1:
			put(t, s, lease.Lease{Key: key, Owner: "me", CheckpointOwner: "you"}) // on its way to me
		default:
			put(t, s, lease.Lease{Key: key, Owner: "you", CheckpointOwner: "me"}) // on its way to you
			continue
		}
		want = append(want, key)
	}
	put(t, s, lease.Lease{Key: "free"})
	owned := func(worker string) []string {
		keys, err := s.Owned(t.Context(), worker)
		if err != nil {
			t.Fatalf("Owned: %v", err)
		}
		slices.Sort(keys)
		return keys
	}
	if got := owned("me"); !slices.Equal(got, want) {
		t.Errorf("Owned = %q, want %q", got, want)
	}
	if got := owned("nobody"); len(got) != 0 {
		t.Errorf("Owned by nobody = %q", got)
	}
	if got := owned(""); len(got) != 0 {
		t.Errorf("Owned by no worker = %q", got)
	}
	if _, err := s.Release(t.Context(), get(t, s, want[0]), "me", "she"); err != nil {
		t.Fatal(err)
	}
	if got := owned("she"); !slices.Equal(got, want[:1]) {
		t.Errorf("Owned after a change = %q, want %q", got, want[:1])
	}
}

func lock(owner, version string) lease.Lock {
	return lease.Lock{Owner: owner, Version: version, Duration: 10 * time.Second}
}

func sameLock(t *testing.T, s lease.Store, want lease.Lock) {
	t.Helper()
	got, err := s.Leader(t.Context())
	if want.IsZero() {
		if !errors.Is(err, lease.ErrNotFound) {
			t.Errorf("Leader = %+v, %v; want ErrNotFound", got, err)
		}
		return
	}
	if err != nil || got.Owner != want.Owner || got.Version != want.Version || got.Duration != want.Duration ||
		got.Released != want.Released || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("Leader = %+v, %v; want %+v", got, err, want)
	}
}

// testLock tries each write of the lock on each lock that it can meet.
func testLock(t *testing.T, s lease.Store) {
	v1, v2, next := lock("a", "v1"), lock("a", "v2"), lock("b", "v3")
	next.Duration, next.Data = 120*time.Second, []byte{0, 1, 255}
	released := lock("a", "v1")
	released.Released = true
	withData := lock("a", "v1")
	withData.Data = []byte("x")
	foreign := lock("z", "v1")
	type write func(ctx context.Context, s lease.Store) error
	replace := func(seen, next lease.Lock) write {
		return func(ctx context.Context, s lease.Store) error { return s.PutLeader(ctx, seen, next) }
	}
	beat := func(held, next lease.Lock) write {
		return func(ctx context.Context, s lease.Store) error { return s.Beat(ctx, held, next) }
	}
	drop := func(held lease.Lock) write {
		return func(ctx context.Context, s lease.Store) error { return s.DeleteLeader(ctx, held) }
	}
	beaten := v2
	beaten.Data = []byte("y")
	none := lease.Lock{}
	for _, test := range []struct {
		name          string
		before, after lease.Lock
		write         write
		want          error
	}{
		{"the first", none, next, replace(none, next), nil},
		{"first, but there is one", v1, v1, replace(none, next), lease.ErrConflict},
		{"first, but there is a released one", released, released, replace(none, next), lease.ErrConflict},
		{"over one that stood still", v1, next, replace(v1, next), nil},
		{"over one that has moved on", v2, v2, replace(v1, next), lease.ErrConflict},
		{"over one that was released since", released, next, replace(v1, next), nil},
		{"over one that is gone", none, none, replace(v1, next), lease.ErrConflict},
		{"over a released one", released, next, replace(released, next), nil},
		{"over a released one that was taken", v1, v1, replace(released, next), lease.ErrConflict},
		{"over a released one that is gone", none, none, replace(released, next), lease.ErrConflict},
		{"release, leaving the item", v1, released, replace(v1, released), nil},

		{"beat", v1, v2, beat(v1, v2), nil},
		{"beat with data", v1, beaten, beat(v1, beaten), nil},
		{"beat with other data", withData, beaten, beat(withData, beaten), nil},
		{"beat without data", withData, v2, beat(withData, v2), nil},
		{"beat after a takeover", next, next, beat(v1, v2), lease.ErrConflict},
		{"beat with another's version", foreign, foreign, beat(v1, v2), lease.ErrConflict},
		{"beat after the deletion", none, none, beat(v1, v2), lease.ErrNotFound},

		{"delete", v1, none, drop(v1), nil},
		{"delete after a takeover", next, next, drop(v1), lease.ErrConflict},
		{"delete with another's version", foreign, foreign, drop(v1), lease.ErrConflict},
		{"delete what is gone", none, none, drop(v1), lease.ErrNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			setLock(t, s, test.before)
			if err := test.write(t.Context(), s); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("it = %v, want %v", err, test.want)
			}
			sameLock(t, s, test.after)
		})
	}
}

// setLock makes the lock as it is to be, whatever it was.
func setLock(t *testing.T, s lease.Store, want lease.Lock) {
	t.Helper()
	now, err := s.Leader(t.Context())
	if err == nil {
		err = s.DeleteLeader(t.Context(), now)
	}
	if err != nil && !errors.Is(err, lease.ErrNotFound) {
		t.Fatal(err)
	}
	if want.IsZero() {
		return
	}
	if err := s.PutLeader(t.Context(), lease.Lock{}, want); err != nil {
		t.Fatal(err)
	}
}

// testElection lets many workers run for a lock: one wins.
func testElection(t *testing.T, s lease.Store) {
	seen := lease.Lock{}
	for round := range 3 {
		const n = 8
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { errs[i] = s.PutLeader(t.Context(), seen, lock(fmt.Sprint("w", i), fmt.Sprint("v", round, i))) })
		}
		wg.Wait()
		now, err := s.Leader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range errs {
			switch won := now.Owner == fmt.Sprint("w", i); {
			case won && err != nil:
				t.Errorf("round %d: w%d leads and was told %v", round, i, err)
			case !won && !errors.Is(err, lease.ErrConflict):
				t.Errorf("round %d: w%d does not lead and was told %v, want ErrConflict", round, i, err)
			}
		}
		if now.Version == seen.Version {
			t.Fatalf("round %d: nobody won", round)
		}
		seen = now
	}
}

func testMigrations(t *testing.T, s lease.Store) {
	state := func(key lease.MigrationKey, state string, ms int64) lease.Migration {
		return lease.Migration{Key: key, State: state, By: "tool-" + state, At: noon.Add(time.Duration(ms) * time.Millisecond)}
	}
	check := func(want lease.Migration) {
		t.Helper()
		got, err := s.Migration(t.Context(), want.Key)
		if err != nil || got.Key != want.Key || got.State != want.State || got.By != want.By || !got.At.Equal(want.At) {
			t.Errorf("Migration = %+v, %v; want %+v", got, err, want)
		}
	}
	for key, states := range map[lease.MigrationKey][3]string{
		lease.ClientVersion: {lease.ClientUpgradeFrom2X, lease.Client3XWithRollback, lease.Client3X},
		lease.SingleTable:   {lease.TableInit, lease.TableDeployed, lease.TablePending},
	} {
		first, second, third := state(key, states[0], 1), state(key, states[1], 22), state(key, states[2], 333)
		if m, err := s.Migration(t.Context(), key); !errors.Is(err, lease.ErrNotFound) {
			t.Fatalf("Migration of nothing = %+v, %v; want ErrNotFound", m, err)
		}
		if err := s.PutMigration(t.Context(), first, second); !errors.Is(err, lease.ErrConflict) {
			t.Errorf("PutMigration over nothing = %v, want ErrConflict", err)
		}
		if err := s.PutMigration(t.Context(), lease.Migration{}, first); err != nil {
			t.Fatalf("PutMigration: %v", err)
		}
		check(first)
		if err := s.PutMigration(t.Context(), lease.Migration{}, second); !errors.Is(err, lease.ErrConflict) {
			t.Errorf("PutMigration of the first again = %v, want ErrConflict", err)
		}
		check(first)
		if err := s.PutMigration(t.Context(), first, second); err != nil {
			t.Fatalf("PutMigration: %v", err)
		}
		check(second)
		if err := s.PutMigration(t.Context(), first, third); !errors.Is(err, lease.ErrConflict) {
			t.Errorf("PutMigration over another state = %v, want ErrConflict", err)
		}
		check(second)
		for i := range 24 { // to and fro, for longer than the history is
			from, to := second, third
			if i%2 == 1 {
				from, to = third, second
			}
			if err := s.PutMigration(t.Context(), from, to); err != nil {
				t.Fatalf("PutMigration: %v", err)
			}
			check(to)
		}
	}
	if _, err := s.Migration(t.Context(), "Migration9.9"); err == nil {
		t.Error("Migration of a key that is none gave no error")
	}
}

func testFleetInvalid(t *testing.T, s lease.Store) {
	member := func(change func(*lease.Member)) func() error {
		m := fullMember()
		change(&m)
		return func() error { return s.PutMember(t.Context(), m) }
	}
	put := func(change func(*lease.Lock)) func() error {
		l := lock("a", "v1")
		change(&l)
		return func() error { return s.PutLeader(t.Context(), lease.Lock{}, l) }
	}
	migration := func(change func(*lease.Migration)) func() error {
		m := lease.Migration{Key: lease.ClientVersion, State: lease.Client3X, By: "w", At: noon}
		change(&m)
		return func() error { return s.PutMigration(t.Context(), lease.Migration{}, m) }
	}
	for name, write := range map[string]func() error{
		"a member without a name":         member(func(m *lease.Member) { m.Worker = "" }),
		"a member without a time":         member(func(m *lease.Member) { m.Updated = time.Time{} }),
		"support without a time":          member(func(m *lease.Member) { m.SupportTime = time.Time{} }),
		"a time of support without":       member(func(m *lease.Member) { m.Support = 0 }),
		"a metric without values":         member(func(m *lease.Member) { m.Metrics["C"] = nil }),
		"a metric with too many values":   member(func(m *lease.Member) { m.Metrics["C"] = make([]float64, 11) }),
		"a metric without a limit":        member(func(m *lease.Member) { delete(m.Limits, "C") }),
		"a metric with the limit 0":       member(func(m *lease.Member) { m.Limits["C"] = 0 }),
		"a limit without a metric":        member(func(m *lease.Member) { m.Limits["M"] = 50 }),
		"a lock without an owner":         put(func(l *lease.Lock) { l.Owner = "" }),
		"a lock without a version":        put(func(l *lease.Lock) { l.Version = "" }),
		"a lock without a duration":       put(func(l *lease.Lock) { l.Duration = 0 }),
		"a beat without a version":        func() error { return s.Beat(t.Context(), lock("a", "v1"), lock("a", "")) },
		"a migration without a key":       migration(func(m *lease.Migration) { m.Key = "" }),
		"a migration without a state":     migration(func(m *lease.Migration) { m.State = "" }),
		"a migration by nobody":           migration(func(m *lease.Migration) { m.By = "" }),
		"a migration without a time":      migration(func(m *lease.Migration) { m.At = time.Time{} }),
		"an assignment to no worker":      func() error { _, err := s.Assign(t.Context(), lease.Lease{Key: "a"}, ""); return err },
		"a migration with a foreign name": migration(func(m *lease.Migration) { m.Key = "Leader" }),
	} {
		if err := write(); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("%s = %v, want ErrInvalid", name, err)
		}
	}
	if _, members := survey(t, s); len(members) != 0 {
		t.Errorf("there are members: %v", members)
	}
	sameLock(t, s, lease.Lock{})
}

func testFleetContext(t *testing.T, s lease.Store) {
	row := put(t, s, lease.Lease{Key: "a", Owner: "me"})
	setLock(t, s, lock("a", "v1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := lease.Migration{Key: lease.ClientVersion, State: lease.Client3X, By: "w", At: noon}
	for name, call := range map[string]func() error{
		"Survey":       func() error { _, _, err := s.Survey(ctx); return err },
		"Owned":        func() error { _, err := s.Owned(ctx, "me"); return err },
		"Assign":       func() error { _, err := s.Assign(ctx, row, "you"); return err },
		"PutMember":    func() error { return s.PutMember(ctx, fullMember()) },
		"DeleteMember": func() error { return s.DeleteMember(ctx, fullMember()) },
		"Leader":       func() error { _, err := s.Leader(ctx); return err },
		"PutLeader":    func() error { return s.PutLeader(ctx, lock("a", "v1"), lock("b", "v2")) },
		"Beat":         func() error { return s.Beat(ctx, lock("a", "v1"), lock("a", "v2")) },
		"DeleteLeader": func() error { return s.DeleteLeader(ctx, lock("a", "v1")) },
		"Migration":    func() error { _, err := s.Migration(ctx, lease.ClientVersion); return err },
		"PutMigration": func() error { return s.PutMigration(ctx, lease.Migration{}, m) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context = %v, want context.Canceled", name, err)
		}
	}
	same(t, "the row", get(t, s, "a"), row)
	sameLock(t, s, lock("a", "v1"))
	if _, members := survey(t, s); len(members) != 0 {
		t.Errorf("there are members: %v", members)
	}
	if _, err := s.Migration(t.Context(), lease.ClientVersion); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Migration = %v, want ErrNotFound", err)
	}
}
