package dynamo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/lease/leasetest"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

const (
	leaseTable       = "quake-alerts"
	coordinatorTable = "quake-alerts-CoordinatorState"
	metricsTable     = "quake-alerts-WorkerMetricStats"
)

func makeTable(t *testing.T, client *dynamodb.Client, table, key string) {
	t.Helper()
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
	})
	must(t, err)
}

// threeTables is what KCL 3.0 to 3.4 leaves: the tables, with a migration state of its own in the old form.
func threeTables(t *testing.T) (*dynamodb.Client, *dynamo.Store) {
	t.Helper()
	client := serve(t, localstream.Options{})
	makeTable(t, client, coordinatorTable, "key")
	makeTable(t, client, metricsTable, "wid")
	return client, open(t, client)
}

func putIn(t *testing.T, client *dynamodb.Client, table string, attrs map[string]types.AttributeValue) {
	t.Helper()
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: attrs})
	must(t, err)
}

// keys are the keys of all items of a table.
func keys(t *testing.T, client *dynamodb.Client, table, keyAttr string) []string {
	t.Helper()
	out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
	must(t, err)
	found := []string{}
	for _, it := range out.Items {
		found = append(found, it[keyAttr].(*types.AttributeValueMemberS).Value)
	}
	slices.Sort(found)
	return found
}

// where says in which tables the items of a fleet are.
func where(t *testing.T, client *dynamodb.Client) string {
	t.Helper()
	return fmt.Sprintf("leases %v, coordinators %v, workers %v",
		keys(t, client, leaseTable, "leaseKey"), keys(t, client, coordinatorTable, "key"), keys(t, client, metricsTable, "wid"))
}

func tables(state string) lease.Migration {
	return lease.Migration{Key: lease.SingleTable, State: state, By: "w", At: noon}
}

// The store of three tables is a Store as any other, whatever state they are in.
func TestStoreOfThreeTables(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store {
		client := serve(t, localstream.Options{})
		makeTable(t, client, coordinatorTable, "key")
		makeTable(t, client, metricsTable, "wid")
		return dynamo.New(client, leaseTable)
	})
}

func TestEverythingIsWhereTheMigrationSays(t *testing.T) {
	for _, test := range []struct{ state, want string }{
		{"", "leases [], coordinators [Leader Migration3.0], workers [w1]"},
		{lease.TableInit, "leases [], coordinators [Leader Migration3.0 TableMigration3.5], workers [w1]"},
		{lease.TableDeployed, "leases [], coordinators [Leader Migration3.0 TableMigration3.5], workers [w1]"},
		{lease.TablePending, "leases [Migration3.0 w1], coordinators [Leader TableMigration3.5], workers []"},
		{lease.TableComplete, "leases [Leader Migration3.0 w1], coordinators [TableMigration3.5], workers []"},
	} {
		for _, learned := range []string{"at Open", "by a read", "by a write"} {
			t.Run(test.state+" learned "+learned, func(t *testing.T) {
				client, s := threeTables(t)
				ctx := t.Context()
				if test.state != "" {
					writer := s
					if learned != "by a write" {
						writer = open(t, client) // another process
					}
					must(t, writer.PutMigration(ctx, lease.Migration{}, tables(test.state)))
				}
				switch learned {
				case "at Open":
					must(t, s.Open(ctx))
				case "by a read":
					if _, err := s.Migration(ctx, lease.SingleTable); err != nil && test.state != "" {
						t.Fatal(err)
					}
				}
				lock := lease.Lock{Owner: "w1", Version: "v1", Duration: 10 * time.Second}
				must(t, s.PutLeader(ctx, lease.Lock{}, lock))
				must(t, s.PutMember(ctx, lease.Member{Worker: "w1", Updated: noon}))
				must(t, s.PutMigration(ctx, lease.Migration{}, lease.Migration{Key: lease.ClientVersion, State: lease.Client3X, By: "w1", At: noon}))
				if got := where(t, client); got != test.want {
					t.Errorf("%s\nwant %s", got, test.want)
				}
				// It is found again, and can be removed.
				if got, err := s.Leader(ctx); err != nil || got.Version != "v1" {
					t.Errorf("Leader = %+v, %v", got, err)
				}
				if m, err := s.Migration(ctx, lease.ClientVersion); err != nil || m.State != lease.Client3X {
					t.Errorf("Migration = %+v, %v", m, err)
				}
				_, members, err := s.Survey(ctx)
				if err != nil || len(members) != 1 || members[0].Worker != "w1" {
					t.Errorf("Survey gave members %v, %v", members, err)
				}
				must(t, s.DeleteLeader(ctx, lock))
				must(t, s.DeleteMember(ctx, lease.Member{Worker: "w1", Updated: noon}))
				got := where(t, client)
				for _, key := range []string{"Leader", "w1"} {
					if strings.Contains(got, key) {
						t.Errorf("%s is left: %s", key, got)
					}
				}
			})
		}
	}
}

// Items of KCL 3.0 to 3.4 have no type. Those of both tables are merged, the later counting.
func TestSurveyMergesOldAndNewTableOfWorkers(t *testing.T) {
	client, s := threeTables(t)
	member := func(key, worker string, lut string, more ...string) map[string]types.AttributeValue {
		m := map[string]types.AttributeValue{key: str(worker), "lut": num(lut)}
		for _, kind := range more {
			m["entityType"] = str(kind)
		}
		return m
	}
	putIn(t, client, metricsTable, member("wid", "old", "10"))
	putIn(t, client, metricsTable, member("wid", "moved", "20"))
	putIn(t, client, metricsTable, member("wid", "back", "40"))
	putIn(t, client, leaseTable, member("leaseKey", "moved", "30", "WORKER_METRIC_STATS"))
	putIn(t, client, leaseTable, member("leaseKey", "back", "30", "WORKER_METRIC_STATS"))
	putIn(t, client, leaseTable, member("leaseKey", "new", "50", "WORKER_METRIC_STATS"))
	must(t, s.Create(t.Context(), lease.Lease{Key: "a", Shard: "a", Checkpoint: record.TrimHorizon}))
	survey := func() string {
		rows, members, err := s.Survey(t.Context())
		if err != nil || len(rows) != 1 {
			t.Fatalf("Survey gave %v, %v", rows, err)
		}
		var seen []string
		for _, m := range members {
			seen = append(seen, fmt.Sprint(m.Worker, " ", m.Updated.Unix()))
		}
		slices.Sort(seen)
		return strings.Join(seen, ", ")
	}
	if got, want := survey(), "back 40, moved 30, new 50, old 10"; got != want {
		t.Errorf("Survey: %s; want %s", got, want)
	}
	// A worker's last word may be in the table to which nothing is written any more.
	for _, state := range []string{"", lease.TablePending} {
		if state != "" {
			must(t, s.PutMigration(t.Context(), lease.Migration{}, tables(state)))
			putIn(t, client, metricsTable, member("wid", "back", "40"))
			putIn(t, client, leaseTable, member("leaseKey", "moved", "30", "WORKER_METRIC_STATS"))
		}
		must(t, s.DeleteMember(t.Context(), lease.Member{Worker: "back", Updated: time.Unix(40, 0)}))
		must(t, s.DeleteMember(t.Context(), lease.Member{Worker: "moved", Updated: time.Unix(30, 0)}))
	}
	err := s.DeleteMember(t.Context(), lease.Member{Worker: "old", Updated: time.Unix(9, 0)})
	if !errors.Is(err, lease.ErrConflict) {
		t.Errorf("DeleteMember of one who has written since = %v, want ErrConflict", err)
	}
	if got, want := survey(), "back 30, moved 20, new 50, old 10"; got != want {
		t.Errorf("after the deletions Survey: %s; want %s", got, want)
	}
	must(t, s.PutMigration(t.Context(), tables(lease.TablePending), tables(lease.TableComplete)))
	if got, want := survey(), "back 30, new 50"; got != want {
		t.Errorf("when complete Survey: %s; want %s", got, want)
	}
}

func TestOldTablesAreFoundByNameAndNeverMade(t *testing.T) {
	client := serve(t, localstream.Options{})
	open(t, client)
	made, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	must(t, err)
	if len(made.TableNames) != 1 {
		t.Errorf("Open made %v, want the lease table alone", made.TableNames)
	}
	makeTable(t, client, "mine-c", "key")
	makeTable(t, client, "mine-m", "wid")
	makeTable(t, client, metricsTable, "id")
	apart := func(cfg dynamo.Config) (bool, error) {
		cfg.Table = leaseTable
		s := dynamo.NewWith(client, cfg)
		return s.Apart(), errors.Join(s.Open(t.Context()), func() error {
			if s.Apart() != (cfg.CoordinatorTable != "" && !cfg.NoOldTables) {
				return errors.New("Apart is wrong")
			}
			return nil
		}())
	}
	for _, cfg := range []dynamo.Config{
		{NoOldTables: true},
		{CoordinatorTable: "mine-c", MetricsTable: "mine-m"},
		{CoordinatorTable: "mine-c", MetricsTable: "mine-m", NoOldTables: true},
	} {
		if before, err := apart(cfg); before || err != nil {
			t.Errorf("%+v: %v, %v", cfg, before, err)
		}
	}
	if _, err := apart(dynamo.Config{}); !errors.Is(err, lease.ErrSchema) || !strings.Contains(err.Error(), metricsTable) {
		t.Errorf("Open with a foreign table in the place = %v, want ErrSchema and its name", err)
	}
}

func TestOpenSaysThatItMayNotLookForOldTables(t *testing.T) {
	client := serve(t, localstream.Options{})
	open(t, client)
	denied := serveDenied(t, client)
	err := dynamo.New(denied, leaseTable).Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "look for table \""+coordinatorTable) || !strings.Contains(err.Error(), "NoOldTables") {
		t.Errorf("Open = %v, want the table and the way out named", err)
	}
	must(t, dynamo.NewWith(denied, dynamo.Config{Table: leaseTable, NoOldTables: true}).Open(t.Context()))
}

// serveDenied is client without the right to see any other table than that of leases.
func serveDenied(t *testing.T, client *dynamodb.Client) *dynamodb.Client {
	o := client.Options()
	o.HTTPClient = denying{o.HTTPClient}
	return dynamodb.New(o)
}

// legacyItems are a hundred things that KCL 3.4 keeps in its coordinator table.
func legacyItems(t *testing.T, client *dynamodb.Client) (want []string) {
	t.Helper()
	putIn(t, client, coordinatorTable, map[string]types.AttributeValue{
		"key": str("Leader"), "ownerName": str("w1"), "leaseDuration": str("120000"), "recordVersionNumber": str("v1"),
	})
	putIn(t, client, coordinatorTable, map[string]types.AttributeValue{
		"key": str("Migration3.0"), "cv": str(lease.Client3X), "mb": str("java"), "mts": num("5"),
	})
	want = append(want, "Migration3.0")
	for i := range 60 {
		id := fmt.Sprintf("123456789012:s%02d:1700000000", i)
		putIn(t, client, coordinatorTable, map[string]types.AttributeValue{"key": str(id), "streamId": str("x")})
		want = append(want, id)
	}
	slices.Sort(want)
	return want
}

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
	must(t, s.PutLeader(ctx, lease.Lock{}, held))
	must(t, s.DeleteLeader(ctx, held)) // the new one
	must(t, s.DeleteLeader(ctx, held)) // the old one
	if got := keys(t, client, coordinatorTable, "key"); !slices.Equal(got, []string{"TableMigration3.5"}) {
		t.Errorf("the coordinator table has %v", got)
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

type denying struct{ dynamodb.HTTPClient }

// Do denies what names another table than that of leases.
func (d denying) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(body, []byte(`"`+leaseTable+`"`)) {
		const denied = `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not authorized to perform: dynamodb:DescribeTable"}`
		return &http.Response{
			StatusCode: 400, ContentLength: int64(len(denied)), Body: io.NopCloser(strings.NewReader(denied)),
			Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		}, nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return d.HTTPClient.Do(r)
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
			nil, "leases [TableMigration3.5], coordinators [Leader Migration3.0 TableMigration3.5], workers []"},
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
