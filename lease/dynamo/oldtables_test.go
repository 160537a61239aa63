package dynamo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
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

// Who is to use one table only leaves the old table of workers as soon as everybody understands that, and not before.
func TestWorkersThatAreToUniteLeaveTheOldTableWhenAllUnderstandOne(t *testing.T) {
	client, s := threeTables(t)
	ctx := t.Context()
	s.Unite()
	seen := lease.Migration{}
	for _, test := range []struct{ state, want string }{
		{lease.TableInit, "leases [], coordinators [TableMigration3.5], workers [w1]"},
		{lease.TableDeployed, "leases [w1], coordinators [TableMigration3.5], workers []"},
	} {
		must(t, s.PutMigration(ctx, seen, tables(test.state)))
		seen = tables(test.state)
		must(t, s.PutMember(ctx, lease.Member{Worker: "w1", Updated: noon}))
		if got := where(t, client); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.state, got, test.want)
		}
	}
}

// An item that was left in the old table would be taken for a sign of life when that in the lease table has gone.
func TestAWorkerThatHasGoneLeavesNoItemInEitherTable(t *testing.T) {
	_, s := threeTables(t)
	ctx := t.Context()
	before := lease.Member{Worker: "w1", Updated: noon}
	must(t, s.PutMember(ctx, before))
	must(t, s.PutMigration(ctx, lease.Migration{}, tables(lease.TablePending)))
	after := lease.Member{Worker: "w1", Updated: noon.Add(10 * time.Second)}
	must(t, s.PutMember(ctx, after))
	must(t, s.DeleteMember(ctx, after))
	if _, members, err := s.Survey(ctx); err != nil || len(members) != 0 {
		t.Errorf("Survey gave members %v, %v; want none", members, err)
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
