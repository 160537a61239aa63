package leasetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// testFleetFaults sees that after each conditional write of what a fleet shares whose outcome is unknown, a reading
// tells the outcome, and the same write once more does no harm: it is refused if the first was applied, or says the same.
func testFleetFaults(t *testing.T, s lease.Store) {
	v1, v2 := lock("a", "v1"), lock("a", "v2")
	released := v1
	released.Released = true
	init := lease.Migration{Key: lease.SingleTable, State: lease.TableInit, By: "w", At: noon}
	deployed := lease.Migration{Key: lease.SingleTable, State: lease.TableDeployed, By: "w", At: noon}
	leads := func(t *testing.T, version string) bool {
		l, err := s.Leader(t.Context())
		if err != nil && !errors.Is(err, lease.ErrNotFound) {
			t.Fatal(err)
		}
		return l.Version == version
	}
	migrated := func(t *testing.T, state string) bool {
		m, err := s.Migration(t.Context(), lease.SingleTable)
		if err != nil && !errors.Is(err, lease.ErrNotFound) {
			t.Fatal(err)
		}
		return m.State == state
	}
	// Cases of migrations go on where the one before has ended, so the order counts.
	for _, test := range []struct {
		name    string
		set     func(t *testing.T, key string)
		write   func(ctx context.Context, s lease.Store, key string) error
		applied func(t *testing.T, key string) bool // by what is to be read
		refused error                               // what it gives if it was applied before
	}{
		{"assign", func(t *testing.T, key string) { put(t, s, lease.Lease{Key: key, Owner: "me"}) },
			func(ctx context.Context, s lease.Store, key string) error {
				_, err := s.Assign(ctx, lease.Lease{Key: key, Owner: "me"}, "you")
				return err
			},
			func(t *testing.T, key string) bool {
				l := get(t, s, key)
				if l.Owner == "you" && (l.Counter != 2 || l.OwnerSwitches != 1) {
					t.Errorf("the row is %s", show(l))
				}
				return l.Owner == "you"
			}, lease.ErrConflict},
		{"describe", func(t *testing.T, key string) { put(t, s, lease.Lease{Key: key, Owner: "me"}) },
			func(ctx context.Context, s lease.Store, key string) error {
				return s.Describe(ctx, key, nil, &record.FullRange)
			},
			func(t *testing.T, key string) bool {
				l := get(t, s, key)
				if l.Owner != "me" || l.Counter != 1 {
					t.Errorf("the row is %s", show(l))
				}
				return l.Range != nil && *l.Range == record.FullRange
			}, nil},
		{"delete a member", func(t *testing.T, key string) {
			if err := s.PutMember(t.Context(), lease.Member{Worker: key, Updated: noon}); err != nil {
				t.Fatal(err)
			}
		},
			func(ctx context.Context, s lease.Store, key string) error {
				return s.DeleteMember(ctx, lease.Member{Worker: key, Updated: noon})
			},
			func(t *testing.T, key string) bool {
				_, members := survey(t, s)
				return members[key].Worker == ""
			}, lease.ErrNotFound},
		{"take the lead", func(t *testing.T, _ string) { setLock(t, s, lease.Lock{}) },
			func(ctx context.Context, s lease.Store, _ string) error { return s.PutLeader(ctx, lease.Lock{}, v2) },
			func(t *testing.T, _ string) bool { return leads(t, "v2") }, lease.ErrConflict},
		{"take a released lead", func(t *testing.T, _ string) { setLock(t, s, released) },
			func(ctx context.Context, s lease.Store, _ string) error { return s.PutLeader(ctx, released, v2) },
			func(t *testing.T, _ string) bool { return leads(t, "v2") }, lease.ErrConflict},
		{"take the lead over", func(t *testing.T, _ string) { setLock(t, s, v1) },
			func(ctx context.Context, s lease.Store, _ string) error { return s.PutLeader(ctx, v1, v2) },
			func(t *testing.T, _ string) bool { return leads(t, "v2") }, lease.ErrConflict},
		{"keep the lead", func(t *testing.T, _ string) { setLock(t, s, v1) },
			func(ctx context.Context, s lease.Store, _ string) error { return s.Beat(ctx, v1, v2) },
			func(t *testing.T, _ string) bool { return leads(t, "v2") }, lease.ErrConflict},
		{"give the lead up", func(t *testing.T, _ string) { setLock(t, s, v1) },
			func(ctx context.Context, s lease.Store, _ string) error { return s.DeleteLeader(ctx, v1) },
			func(t *testing.T, _ string) bool { return leads(t, "") }, lease.ErrNotFound},
		{"go on with a migration", func(t *testing.T, _ string) {
			for _, from := range []lease.Migration{{}, deployed} {
				if err := s.PutMigration(t.Context(), from, init); err == nil {
					return
				}
			}
			t.Fatal("the migration cannot be set back")
		},
			func(ctx context.Context, s lease.Store, _ string) error { return s.PutMigration(ctx, init, deployed) },
			func(t *testing.T, _ string) bool { return migrated(t, lease.TableDeployed) }, lease.ErrConflict},
	} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %v", test.name, applied), func(t *testing.T) {
				key := fmt.Sprint(test.name, applied)
				test.set(t, key)
				if test.applied(t, key) {
					t.Fatal("it seems to have happened before")
				}
				f := &Faulty{Store: s, Applied: applied}
				if err := test.write(t.Context(), f, key); !errors.Is(err, errBroken) {
					t.Fatalf("it = %v, want that the answer is lost", err)
				}
				if got := test.applied(t, key); got != applied {
					t.Errorf("a reading tells %v, want %v", got, applied)
				}
				switch err := test.write(t.Context(), f, key); {
				case applied && !errors.Is(err, test.refused):
					t.Errorf("once more = %v, want %v", err, test.refused)
				case !applied && err != nil:
					t.Errorf("once more = %v", err)
				}
				if !test.applied(t, key) {
					t.Error("in the end it has not happened")
				}
			})
		}
	}
}

// testFirstMigration is testFleetFaults for the first item of a migration.
func testFirstMigration(t *testing.T, s lease.Store) {
	for key, applied := range map[lease.MigrationKey]bool{lease.ClientVersion: false, lease.SingleTable: true} {
		f := &Faulty{Store: s, Applied: applied}
		m := lease.Migration{Key: key, State: "X", By: "w", At: noon}
		if err := f.PutMigration(t.Context(), lease.Migration{}, m); !errors.Is(err, errBroken) {
			t.Fatalf("it = %v, want that the answer is lost", err)
		}
		if _, err := s.Migration(t.Context(), key); errors.Is(err, lease.ErrNotFound) == applied {
			t.Errorf("applied %v: Migration = %v", applied, err)
		}
		if err := f.PutMigration(t.Context(), lease.Migration{}, m); (err == nil) == applied || applied && !errors.Is(err, lease.ErrConflict) {
			t.Errorf("applied %v: once more = %v", applied, err)
		}
		if got, err := s.Migration(t.Context(), key); err != nil || got.State != "X" {
			t.Errorf("Migration = %+v, %v", got, err)
		}
	}
}
