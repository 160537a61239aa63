package dynamo_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

var noon = time.Unix(1_700_000_000, 0)

// wire is a value as DynamoDB's JSON has it, with the members of maps in order.
func wire(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return fmt.Sprintf("S:%s", v.Value)
	case *types.AttributeValueMemberN:
		return fmt.Sprintf("N:%s", v.Value)
	case *types.AttributeValueMemberB:
		return fmt.Sprintf("B:%x", v.Value)
	case *types.AttributeValueMemberSS:
		return fmt.Sprintf("SS:%v", v.Value)
	case *types.AttributeValueMemberL:
		var parts []string
		for _, e := range v.Value {
			parts = append(parts, wire(e))
		}
		return "L:[" + strings.Join(parts, " ") + "]"
	case *types.AttributeValueMemberM:
		return "M:{" + wireItem(v.Value, " ") + "}"
	}
	return fmt.Sprintf("%T", v)
}

func wireItem(it map[string]types.AttributeValue, sep string) string {
	var parts []string
	for name, v := range it {
		parts = append(parts, name+" "+wire(v))
	}
	slices.Sort(parts)
	return strings.Join(parts, sep)
}

func in(t *testing.T, client *dynamodb.Client, table, keyAttr, key string) map[string]types.AttributeValue {
	t.Helper()
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &table, ConsistentRead: aws.Bool(true), Key: map[string]types.AttributeValue{keyAttr: str(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

func str(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func num(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The items of a fleet are those of Java KCL 3.5.1 and the lock client 1.4.0, attribute by attribute.
func TestItemsOfAFleetAreThoseOfJavaKCL(t *testing.T) {
	client := serve(t, localstream.Options{})
	s, ctx := open(t, client), t.Context()
	check := func(step, key string, want ...string) {
		t.Helper()
		slices.Sort(want)
		if got := wireItem(item(t, client, key), "\n"); got != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", step, got, strings.Join(want, "\n"))
		}
	}

	busy := lease.Member{
		Worker: "w1", Updated: noon, Metrics: map[string][]float64{"C": {0, 12.5, 1.0 / 3, -1}, "T": {7}},
		Limits: map[string]float64{"C": 79.6, "T": 100}, Support: 1, SupportTime: noon.Add(-time.Second),
	}
	must(t, s.PutMember(ctx, busy))
	check("a worker", "w1", "leaseKey S:w1", "entityType S:WORKER_METRIC_STATS", "lut N:1700000000",
		"sts M:{C L:[N:0 N:12.5 N:0.333333 N:-1] T L:[N:7]}", "opr M:{C L:[N:80] T L:[N:100]}", "sup N:1", "slu N:1699999999")
	must(t, s.PutMember(ctx, lease.Member{Worker: "w2", Updated: noon}))
	check("a worker that cannot measure", "w2", "leaseKey S:w2", "entityType S:WORKER_METRIC_STATS", "lut N:1700000000", "sts M:{}", "opr M:{}")

	v1 := lease.Lock{Owner: "w1", Version: "1d3d", Duration: 10 * time.Second}
	must(t, s.PutLeader(ctx, lease.Lock{}, v1))
	check("a leader", "Leader", "leaseKey S:Leader", "entityType S:LEADER", "ownerName S:w1", "leaseDuration S:10000", "recordVersionNumber S:1d3d")
	v2 := v1
	v2.Version, v2.Data = "1d3e", []byte{1, 255}
	must(t, s.Beat(ctx, v1, v2))
	check("a heartbeat", "Leader", "leaseKey S:Leader", "entityType S:LEADER", "ownerName S:w1", "leaseDuration S:10000", "recordVersionNumber S:1d3e", "data B:01ff")
	gone := v1
	gone.Released = true
	must(t, s.PutLeader(ctx, v2, gone))
	check("a released lock", "Leader", "leaseKey S:Leader", "entityType S:LEADER", "ownerName S:w1", "leaseDuration S:10000", "recordVersionNumber S:1d3d", "isReleased S:1")

	from2 := lease.Migration{Key: lease.ClientVersion, State: lease.ClientUpgradeFrom2X, By: "w1", At: time.UnixMilli(1_700_000_000_123)}
	to3 := lease.Migration{Key: lease.ClientVersion, State: lease.Client3X, By: "w2", At: time.UnixMilli(1_700_000_000_456)}
	must(t, s.PutMigration(ctx, lease.Migration{}, from2))
	check("a migration", "Migration3.0", "leaseKey S:Migration3.0", "entityType S:CLIENT_VERSION_MIGRATION",
		"cv S:CLIENT_VERSION_UPGRADE_FROM_2X", "mb S:w1", "mts N:1700000000123")
	must(t, s.PutMigration(ctx, from2, to3))
	check("a migration that went on", "Migration3.0", "leaseKey S:Migration3.0", "entityType S:CLIENT_VERSION_MIGRATION",
		"cv S:CLIENT_VERSION_3X", "mb S:w2", "mts N:1700000000456",
		"h L:[M:{cv S:CLIENT_VERSION_UPGRADE_FROM_2X mb S:w1 mts N:1700000000123}]")
	tables := lease.Migration{Key: lease.SingleTable, State: lease.TableComplete, By: "w1", At: noon}
	must(t, s.PutMigration(ctx, lease.Migration{}, tables))
	check("a migration of tables", "TableMigration3.5", "leaseKey S:TableMigration3.5", "entityType S:TABLE_MIGRATION",
		"tm S:TABLE_MIGRATION_STATUS_COMPLETE", "mb S:w1", "mts N:1700000000000")
}

func TestAHistoryHoldsTheLastTenStatesTheLatestFirst(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := open(t, client)
	seen := lease.Migration{}
	for i := range 14 {
		next := lease.Migration{Key: lease.ClientVersion, State: fmt.Sprint("S", i), By: "w", At: time.UnixMilli(int64(1000 + i))}
		must(t, s.PutMigration(t.Context(), seen, next))
		seen = next
	}
	var want []string
	for i := 12; i >= 3; i-- {
		want = append(want, fmt.Sprintf("M:{cv S:S%d mb S:w mts N:%d}", i, 1000+i))
	}
	if got := wire(item(t, client, "Migration3.0")["h"]); got != "L:["+strings.Join(want, " ")+"]" {
		t.Errorf("the history is %s, want %v", got, want)
	}
}

// What others write beside what a worker knows stays, as long as the item is not put anew.
func TestUnknownAttributesOfAFleetSurvive(t *testing.T) {
	client := serve(t, localstream.Options{})
	s, ctx := open(t, client), t.Context()
	put(t, client, map[string]types.AttributeValue{
		"leaseKey": str("w1"), "entityType": str("WORKER_METRIC_STATS"), "lut": num("5"), "theirs": str("kept"), "sup": num("2"), "slu": num("4"),
		"properties": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"a": str("b")}},
	})
	put(t, client, map[string]types.AttributeValue{
		"leaseKey": str("Leader"), "entityType": str("LEADER"), "ownerName": str("w1"), "leaseDuration": str("120000"),
		"recordVersionNumber": str("v1"), "theirs": str("kept"),
	})
	put(t, client, map[string]types.AttributeValue{
		"leaseKey": str("Migration3.0"), "entityType": str("CLIENT_VERSION_MIGRATION"), "cv": str(lease.Client2X),
		"mb": str("KclMigrationTool-rollback"), "mts": num("7"), "theirs": str("kept"),
	})
	must(t, s.PutMember(ctx, lease.Member{Worker: "w1", Updated: noon}))
	lock, err := s.Leader(ctx)
	must(t, err)
	if lock.Owner != "w1" || lock.Version != "v1" || lock.Duration != 2*time.Minute || lock.Released {
		t.Errorf("Leader = %+v", lock)
	}
	next := lock
	next.Version = "v2"
	must(t, s.Beat(ctx, lock, next))
	m, err := s.Migration(ctx, lease.ClientVersion)
	must(t, err)
	must(t, s.PutMigration(ctx, m, lease.Migration{Key: m.Key, State: lease.ClientUpgradeFrom2X, By: "w1", At: noon}))
	for key, want := range map[string]string{
		"w1":           "entityType S:WORKER_METRIC_STATS|leaseKey S:w1|lut N:1700000000|opr M:{}|properties M:{a S:b}|sts M:{}|theirs S:kept",
		"Leader":       "entityType S:LEADER|leaseDuration S:120000|leaseKey S:Leader|ownerName S:w1|recordVersionNumber S:v2|theirs S:kept",
		"Migration3.0": "cv S:CLIENT_VERSION_UPGRADE_FROM_2X|entityType S:CLIENT_VERSION_MIGRATION|h L:[M:{cv S:CLIENT_VERSION_2X mb S:KclMigrationTool-rollback mts N:7}]|leaseKey S:Migration3.0|mb S:w1|mts N:1700000000000|theirs S:kept",
	} {
		if got := wireItem(item(t, client, key), "|"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", key, got, want)
		}
	}
}

// The mark that a member is Shoal's is in what Java declares for extensions, and good for the one writing only: a Java worker
// under the same ID leaves it as it is.
func TestAMemberThatJavaHasWrittenSinceIsNotTakenForShoals(t *testing.T) {
	client := serve(t, localstream.Options{})
	s, ctx := open(t, client), t.Context()
	must(t, s.PutMember(ctx, lease.Member{Worker: "w1", Updated: noon, Shoal: true}))
	want := "entityType S:WORKER_METRIC_STATS|leaseKey S:w1|lut N:1700000000|opr M:{}|properties M:{shoal S:1700000000}|sts M:{}"
	if got := wireItem(item(t, client, "w1"), "|"); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	for lut, want := range map[string]bool{"1700000000": true, "1700000030": false} {
		it := item(t, client, "w1")
		it["lut"] = num(lut)
		put(t, client, it)
		_, members, err := s.Survey(ctx)
		must(t, err)
		if len(members) != 1 || members[0].Shoal != want {
			t.Errorf("written at %s: %+v, want Shoal %v", lut, members, want)
		}
	}
}

// What a reader meets in a table that holds everything.
func TestSurveyLeavesOutOtherKindsAndReportsDamage(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := open(t, client)
	for key, kind := range map[string]string{
		"1:a:1": "STREAM", "Leader": "LEADER", "Migration3.0": "CLIENT_VERSION_MIGRATION", "TableMigration3.5": "TABLE_MIGRATION", "future": "NEW_KIND",
	} {
		put(t, client, map[string]types.AttributeValue{"leaseKey": str(key), "entityType": str(kind)})
	}
	put(t, client, map[string]types.AttributeValue{"leaseKey": str("plain"), "leaseCounter": num("1"), "checkpoint": str("LATEST")})
	put(t, client, map[string]types.AttributeValue{"leaseKey": str("typed"), "entityType": str("LEASE"), "leaseCounter": num("1"), "checkpoint": str("LATEST")})
	member := func(key string, attrs map[string]types.AttributeValue) {
		attrs["leaseKey"], attrs["entityType"] = str(key), str("WORKER_METRIC_STATS")
		put(t, client, attrs)
	}
	member("bare", map[string]types.AttributeValue{"lut": num("1700000000")})
	list := func(vs ...types.AttributeValue) types.AttributeValue { return &types.AttributeValueMemberL{Value: vs} }
	byName := func(v types.AttributeValue) types.AttributeValue {
		return &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"C": v}}
	}
	damage := map[string]map[string]types.AttributeValue{
		"lut: want a number, and there is none": {},
		"lut: want a number (N)":                {"lut": str("1")},
		"sts: want a map (M)":                   {"lut": num("1"), "sts": list()},
		"sts: want lists (L)":                   {"lut": num("1"), "sts": byName(num("1"))},
		"opr: want lists of numbers (N)":        {"lut": num("1"), "opr": byName(list(num("1"), str("2")))},
		"sup: want an integer":                  {"lut": num("1"), "sup": num("1.5")},
	}
	var n int
	for _, attrs := range damage {
		n++
		member(fmt.Sprint("damaged-", n), attrs)
	}
	rows, members, err := s.Survey(t.Context())
	if !errors.Is(err, lease.ErrDamaged) {
		t.Fatalf("Survey = %v, want ErrDamaged", err)
	}
	for want := range damage {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not tell of %q:\n%v", want, err)
		}
	}
	if len(rows) != 2 || len(members) != 1 || members[0].Worker != "bare" || !members[0].Updated.Equal(noon) {
		t.Errorf("Survey gave %v and %v, want two rows and one member", rows, members)
	}
	if rows, err := s.List(t.Context()); err != nil || len(rows) != 2 {
		t.Errorf("List = %v, %v; want two rows and nothing of members", rows, err)
	}
}

func TestDamagedItemsOfAFleetAreNamed(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := open(t, client)
	for attr, it := range map[string]map[string]types.AttributeValue{
		"ownerName":           {"leaseDuration": str("1"), "recordVersionNumber": str("v")},
		"recordVersionNumber": {"leaseDuration": str("1"), "ownerName": str("w")},
		"leaseDuration":       {"leaseDuration": str("long"), "ownerName": str("w"), "recordVersionNumber": str("v")},
	} {
		it["leaseKey"] = str("Leader")
		put(t, client, it)
		if _, err := s.Leader(t.Context()); !errors.Is(err, lease.ErrDamaged) || !strings.Contains(err.Error(), attr) {
			t.Errorf("Leader without a good %s = %v, want ErrDamaged and its name", attr, err)
		}
	}
	put(t, client, map[string]types.AttributeValue{"leaseKey": str("Migration3.0"), "mb": str("w")})
	if _, err := s.Migration(t.Context(), lease.ClientVersion); !errors.Is(err, lease.ErrDamaged) || !strings.Contains(err.Error(), "cv") {
		t.Errorf("Migration without a state = %v, want ErrDamaged and cv named", err)
	}
}

func TestOwnedReadsAllPages(t *testing.T) {
	var queries atomic.Int32
	client := serve(t, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
		if c.Operation == "Query" {
			queries.Add(1)
		}
		return localstream.Fault{}
	}})
	s := open(t, client)
	const writers, each = 8, 60
	me, tail := strings.Repeat("m", 2000), strings.Repeat("k", 950) // 480 entries of 3 kB are more than one page of 1 MiB
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				l := lease.Lease{Key: fmt.Sprint(w, "-", i, tail), Shard: "s", Owner: me, Checkpoint: record.TrimHorizon}
				if err := s.Create(t.Context(), l); err != nil {
					t.Error("a row cannot be created")
					return
				}
			}
		})
	}
	wg.Wait()
	keys, err := s.Owned(t.Context(), me)
	must(t, err)
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) != writers*each {
		t.Errorf("Owned gave %d different keys, want %d", len(keys), writers*each)
	}
	if queries.Load() < 2 {
		t.Errorf("Owned made %d calls; the test wants several pages", queries.Load())
	}
}

func TestUnitsAreCounted(t *testing.T) {
	client := serve(t, localstream.Options{})
	type sum struct{ calls, read, write float64 }
	var mu sync.Mutex
	got := make(map[string]sum)
	s := dynamo.NewWith(client, dynamo.Config{Table: "quake-alerts", Units: func(op string, read, write float64) {
		mu.Lock()
		defer mu.Unlock()
		g := got[op]
		got[op] = sum{g.calls + 1, g.read + read, g.write + write}
	}})
	must(t, s.Open(t.Context()))
	ctx := t.Context()
	must(t, s.Create(ctx, lease.Lease{Key: "a", Shard: "a", Checkpoint: record.TrimHorizon})) // 1
	l, err := s.Get(ctx, "a")                                                                 // 1, being consistent
	must(t, err)
	l, err = s.Take(ctx, l, "me") // 1, and 1 for the index
	must(t, err)
	_, err = s.Renew(ctx, l, "me", lease.Change{}) // 1
	must(t, err)
	if _, err = s.Renew(ctx, l, "me", lease.Change{}); !errors.Is(err, lease.ErrConflict) { // 1
		t.Fatal(err)
	}
	_, _, err = s.Survey(ctx) // half
	must(t, err)
	_, err = s.Owned(ctx, "me") // half
	must(t, err)
	for op, want := range map[string]sum{
		"PutItem": {1, 0, 1}, "GetItem": {1, 1, 0}, "UpdateItem": {3, 0, 4}, "Scan": {1, 0.5, 0}, "Query": {1, 0.5, 0},
	} {
		if got[op] != want {
			t.Errorf("%s: %+v, want %+v", op, got[op], want)
		}
	}
	if len(got) != 5 {
		t.Errorf("counted were %v, want calls for data alone", got)
	}
}

// Java counts a lease that its leader gives back to the one who hands it over.
func TestAssigningToAHolderWhoIsTheOwnerCounts(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := open(t, client)
	put(t, client, map[string]types.AttributeValue{
		"leaseKey": str("a"), "leaseCounter": num("4"), "checkpoint": str("LATEST"), "leaseOwner": str("me"), "checkpointOwner": str("me"),
	})
	l, err := s.Get(t.Context(), "a")
	must(t, err)
	if l, err = s.Assign(t.Context(), l, "me"); err != nil || l.OwnerSwitches != 1 || l.Counter != 5 || l.CheckpointOwner != "" {
		t.Errorf("Assign = %+v, %v; want one switch and no hand-over", l, err)
	}
}
