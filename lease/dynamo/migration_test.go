package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/localstream"
)

func TestAMigrationToOneTableFromBeginningToEnd(t *testing.T) {
	client, s := threeTables(t)
	ctx := t.Context()
	want := legacyItems(t, client)
	var mover lease.TableMover = s
	held, err := s.Leader(ctx)
	must(t, err)
	putIn(t, client, metricsTable, map[string]types.AttributeValue{"wid": str("w1"), "lut": num("10")})
	must(t, s.PutMigration(ctx, lease.Migration{}, tables(lease.TableInit)))
	must(t, mover.Withdraw(ctx, tables(lease.TableInit))) // a worker of an older version has come back
	if err := mover.Withdraw(ctx, tables(lease.TableInit)); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Withdraw again = %v, want ErrNotFound", err)
	}
	must(t, s.PutMigration(ctx, lease.Migration{}, tables(lease.TableInit)))
	must(t, s.PutMigration(ctx, tables(lease.TableInit), tables(lease.TableDeployed)))
	if err := mover.Withdraw(ctx, tables(lease.TableInit)); !errors.Is(err, lease.ErrConflict) {
		t.Errorf("Withdraw of another state = %v, want ErrConflict", err)
	}
	items, members, err := mover.Leftovers(ctx)
	if err != nil || items != len(want) || len(members) != 1 || members[0].Worker != "w1" {
		t.Errorf("Leftovers = %d, %v, %v", items, members, err)
	}
	if err := mover.Complete(ctx, held, "w1"); !errors.Is(err, lease.ErrConflict) {
		t.Errorf("Complete when DEPLOYED = %v, want ErrConflict", err)
	}
	for range 2 { // again: an answer was lost
		must(t, mover.MoveItems(ctx, held))
		if items, _, err := mover.Leftovers(ctx); err != nil || items != 0 {
			t.Errorf("after the move Leftovers = %d, %v", items, err)
		}
	}
	if got := keys(t, client, leaseTable, "leaseKey"); !slices.Equal(got, want) {
		t.Errorf("moved were %v", got)
	}
	if got := wireItem(in(t, client, leaseTable, "leaseKey", "Migration3.0"), "|"); got !=
		"cv S:CLIENT_VERSION_3X|entityType S:CLIENT_VERSION_MIGRATION|leaseKey S:Migration3.0|mb S:java|mts N:5" {
		t.Errorf("the moved migration is %s", got)
	}
	if got := wireItem(in(t, client, leaseTable, "leaseKey", want[0]), "|"); got != "entityType S:STREAM|leaseKey S:"+want[0]+"|streamId S:x" {
		t.Errorf("a moved stream is %s", got)
	}
	if rows, err := s.List(ctx); err != nil || len(rows) != 0 {
		t.Errorf("List = %v, %v; want nothing", rows, err)
	}
	must(t, s.PutMigration(ctx, tables(lease.TableDeployed), tables(lease.TablePending)))
	for range 2 {
		must(t, mover.Complete(ctx, held, "w1"))
		if mover.Apart() {
			t.Error("it is complete, and everything is apart still")
		}
		must(t, s.Open(ctx))
	}
	for table, key := range map[string]string{leaseTable: "leaseKey", coordinatorTable: "key"} {
		it := in(t, client, table, key, "TableMigration3.5")
		if wire(it["tm"]) != "S:"+lease.TableComplete || wire(it["mb"]) != "S:w1" || wire(it["entityType"]) != "S:TABLE_MIGRATION" ||
			!strings.HasPrefix(wire(it["h"]), "L:[M:{mb S:w mts N:1700000000000 tm S:TABLE_MIGRATION_STATUS_PENDING} M:{") {
			t.Errorf("%s has %s", table, wireItem(it, "|"))
		}
	}
	if _, err := s.Leader(ctx); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Leader = %v, want that nobody has the new lock", err)
	}
	if err := s.Beat(ctx, held, lease.Lock{Owner: "w1", Version: "v2", Duration: time.Second}); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Beat of the old lock = %v, want ErrNotFound", err)
	}
	if got := keys(t, client, coordinatorTable, "key"); !slices.Equal(got, []string{"TableMigration3.5"}) {
		t.Errorf("the coordinator table has %v", got)
	}
	must(t, s.PutLeader(ctx, lease.Lock{}, held))
	must(t, s.DeleteLeader(ctx, held))
	if _, err := s.Leader(ctx); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Leader = %v, want that the new lock is given up", err)
	}
}

// A worker looks at the migration each minute only. One that has not heard that it is complete must not lead by the old lock,
// beside the leader that has the new one.
func TestWhoHasNotHeardOfTheEndOfTheMigrationDoesNotLeadByTheOldLock(t *testing.T) {
	client, s := threeTables(t)
	ctx := t.Context()
	first := lease.Lock{Owner: "w1", Version: "v1", Duration: time.Second}
	must(t, s.PutLeader(ctx, lease.Lock{}, first))
	must(t, s.PutMigration(ctx, lease.Migration{}, tables(lease.TablePending)))
	waits, slow := open(t, client), open(t, client)
	seen, err := slow.Leader(ctx)
	must(t, err)
	must(t, s.Complete(ctx, first, "w1"))
	second := lease.Lock{Owner: "w2", Version: "v2", Duration: time.Second}
	if _, err := waits.Leader(ctx); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Leader = %v, want that nobody has the old lock", err)
	}
	must(t, waits.PutLeader(ctx, lease.Lock{}, second))
	if got, err := s.Leader(ctx); err != nil || got.Owner != "w2" {
		t.Errorf("Leader of the new lock = %+v, %v; want w2", got, err)
	}
	third := lease.Lock{Owner: "w3", Version: "v3", Duration: time.Second}
	if err := slow.PutLeader(ctx, seen, third); !errors.Is(err, lease.ErrConflict) {
		t.Errorf("PutLeader over the old lock = %v, want ErrConflict", err)
	}
	if got, want := where(t, client), "leases [Leader TableMigration3.5], coordinators [TableMigration3.5], workers []"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Both steps are refused to one who leads no more, and change nothing then.
func TestOnlyTheLeaderMovesTables(t *testing.T) {
	client, s := threeTables(t)
	ctx := t.Context()
	want := legacyItems(t, client)
	must(t, s.PutMigration(ctx, lease.Migration{}, tables(lease.TablePending)))
	former := lease.Lock{Owner: "w0", Version: "v0", Duration: time.Second}
	for name, step := range map[string]func(context.Context) error{
		"MoveItems": func(ctx context.Context) error { return s.MoveItems(ctx, former) },
		"Complete":  func(ctx context.Context) error { return s.Complete(ctx, former, "w0") },
	} {
		if err := step(ctx); !errors.Is(err, lease.ErrConflict) || !strings.Contains(err.Error(), "the lock is another's") {
			t.Errorf("%s by a former leader = %v, want ErrConflict", name, err)
		}
	}
	if items, _, err := s.Leftovers(ctx); err != nil || items != len(want) || !s.Apart() {
		t.Errorf("Leftovers = %d, %v; want all %d", items, err, len(want))
	}
	if l, err := s.Leader(ctx); err != nil || l.Owner != "w1" {
		t.Errorf("Leader = %+v, %v; want w1", l, err)
	}
	if got := keys(t, client, leaseTable, "leaseKey"); len(got) != 0 {
		t.Errorf("the lease table has %v", got)
	}
}

func TestAnItemThatIsInTheLeaseTableAlreadyIsNotOverwritten(t *testing.T) {
	client, s := threeTables(t)
	legacyItems(t, client)
	held, err := s.Leader(t.Context())
	must(t, err)
	put(t, client, map[string]types.AttributeValue{"leaseKey": str("Migration3.0"), "entityType": str("CLIENT_VERSION_MIGRATION"), "cv": str("X")})
	if err := s.MoveItems(t.Context(), held); !errors.Is(err, lease.ErrConflict) {
		t.Errorf("MoveItems = %v, want ErrConflict", err)
	}
	if got := wire(item(t, client, "Migration3.0")["cv"]); got != "S:X" {
		t.Errorf("the item is %s now", got)
	}
}

// Each step of the migration can be lost on its way or have its answer lost; the same step once more settles it.
func TestEachStepOfAMigrationMayFailInTwoWays(t *testing.T) {
	for name, test := range map[string]struct {
		state, op string
		step      func(ctx context.Context, s *dynamo.Store, held lease.Lock) error
		again     error // what it gives when it was done already
		want      string
	}{
		"MoveItems": {lease.TableDeployed, "TransactWriteItems",
			func(ctx context.Context, s *dynamo.Store, held lease.Lock) error { return s.MoveItems(ctx, held) },
			nil, "leases [Migration3.0], coordinators [Leader TableMigration3.5], workers []"},
		"Complete": {lease.TablePending, "TransactWriteItems",
			func(ctx context.Context, s *dynamo.Store, held lease.Lock) error { return s.Complete(ctx, held, "w1") },
			nil, "leases [TableMigration3.5], coordinators [Migration3.0 TableMigration3.5], workers []"},
		"Withdraw": {lease.TableInit, "DeleteItem",
			func(ctx context.Context, s *dynamo.Store, _ lease.Lock) error {
				return s.Withdraw(ctx, tables(lease.TableInit))
			},
			lease.ErrNotFound, "leases [], coordinators [Leader Migration3.0], workers []"},
	} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %v", name, applied), func(t *testing.T) {
				var cut atomic.Bool
				client := serve(t, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
					hit := c.Operation == test.op && cut.CompareAndSwap(true, false)
					return localstream.Fault{CutBefore: hit && !applied, CutAfter: hit && applied}
				}})
				makeTable(t, client, coordinatorTable, "key")
				makeTable(t, client, metricsTable, "wid")
				s := open(t, client)
				held := lease.Lock{Owner: "w1", Version: "v1", Duration: time.Second}
				must(t, s.PutLeader(t.Context(), lease.Lock{}, held))
				must(t, s.PutMigration(t.Context(), lease.Migration{}, lease.Migration{Key: lease.ClientVersion, State: lease.Client3X, By: "w", At: noon}))
				must(t, s.PutMigration(t.Context(), lease.Migration{}, tables(test.state)))
				cut.Store(true)
				err := test.step(t.Context(), s, held)
				if err == nil || errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrThrottled) {
					t.Fatalf("it = %v, want an error that leaves the outcome open", err)
				}
				want := test.again
				if !applied {
					want = nil
				}
				if err := test.step(t.Context(), s, held); !errors.Is(err, want) {
					t.Errorf("once more = %v, want %v", err, want)
				}
				if got := where(t, client); got != test.want {
					t.Errorf("%s\nwant %s", got, test.want)
				}
			})
		}
	}
}

// What changes between the reading and the transaction stops that.
func TestAStepDoesNotOverwriteWhatHasChangedMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		step   func(ctx context.Context, s *dynamo.Store, held lease.Lock) error
		change map[string]types.AttributeValue
	}{
		"MoveItems": {
			func(ctx context.Context, s *dynamo.Store, held lease.Lock) error { return s.MoveItems(ctx, held) },
			map[string]types.AttributeValue{"key": str("Migration3.0"), "cv": str(lease.Client2X), "mb": str("tool"), "mts": num("9")},
		},
		"Complete": {
			func(ctx context.Context, s *dynamo.Store, held lease.Lock) error { return s.Complete(ctx, held, "w1") },
			map[string]types.AttributeValue{"key": str("TableMigration3.5"), "tm": str(lease.TableDeployed), "mb": str("tool"), "mts": num("9")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var armed atomic.Bool
			var client *dynamodb.Client
			client = serve(t, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
				if c.Operation == "TransactWriteItems" && armed.CompareAndSwap(true, false) {
					putIn(t, client, coordinatorTable, test.change)
				}
				return localstream.Fault{}
			}})
			makeTable(t, client, coordinatorTable, "key")
			makeTable(t, client, metricsTable, "wid")
			s := open(t, client)
			legacyItems(t, client)
			held, err := s.Leader(t.Context())
			must(t, err)
			must(t, s.PutMigration(t.Context(), lease.Migration{}, tables(lease.TablePending)))
			armed.Store(true)
			if err := test.step(t.Context(), s, held); !errors.Is(err, lease.ErrConflict) {
				t.Errorf("it = %v, want ErrConflict", err)
			}
			if got := keys(t, client, leaseTable, "leaseKey"); slices.Contains(got, wire(test.change["key"])[2:]) {
				t.Errorf("the lease table has %v", got)
			}
			key := wire(test.change["key"])[2:]
			if got := wire(in(t, client, coordinatorTable, "key", key)["mts"]); got != "N:9" {
				t.Errorf("the item that has changed has mts %s", got)
			}
		})
	}
}
