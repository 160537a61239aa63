package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/lease/leasetest"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

// serve is a client of a DynamoDB in this process.
func serve(t *testing.T, o localstream.Options) *dynamodb.Client {
	t.Helper()
	o.Memory = true
	srv, err := localstream.Open("", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return dynamodb.NewFromConfig(srv.AWSConfig())
}

func open(t *testing.T, client *dynamodb.Client) *dynamo.Store {
	t.Helper()
	s := dynamo.New(client, "quake-alerts")
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store { return dynamo.New(serve(t, localstream.Options{}), "quake-alerts") })
}

// item reads a raw item.
func item(t *testing.T, client *dynamodb.Client, key string) map[string]types.AttributeValue {
	t.Helper()
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String("quake-alerts"), ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

func put(t *testing.T, client *dynamodb.Client, attrs map[string]types.AttributeValue) {
	t.Helper()
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("quake-alerts"), Item: attrs})
	if err != nil {
		t.Fatal(err)
	}
}

// show is an item in one line, ordered, as "name type:value".
func show(it map[string]types.AttributeValue) string {
	var parts []string
	for _, name := range []string{
		"leaseKey", "leaseOwner", "leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint", "checkpointSubSequenceNumber",
		"pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState", "parentShardId", "childShardIds",
		"startingHashKey", "endingHashKey", "throughputKBps", "checkpointOwner", "entityType", "streamName", "shardId",
		"startTimestamp", "theirs",
	} {
		switch v := it[name].(type) {
		case *types.AttributeValueMemberS:
			parts = append(parts, name+" S:"+v.Value)
		case *types.AttributeValueMemberN:
			parts = append(parts, name+" N:"+v.Value)
		case *types.AttributeValueMemberB:
			parts = append(parts, name+" B:"+string(v.Value))
		case *types.AttributeValueMemberSS:
			parts = append(parts, name+" SS:"+strings.Join(v.Value, ","))
		}
		delete(it, name)
	}
	for name := range it {
		parts = append(parts, "unknown attribute "+name)
	}
	return strings.Join(parts, "\n")
}

// The items are those of Java KCL 3.5.1, attribute by attribute, through the life of a lease.
func TestItemsAreThoseOfJavaKCL(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := open(t, client)
	key := "123456789012:quakes:1700000000:shardId-000000000001"
	check := func(step, want string) {
		t.Helper()
		if got := show(item(t, client, key)); got != strings.TrimSpace(want) {
			t.Fatalf("%s:\n%s\nwant\n%s", step, got, strings.TrimSpace(want))
		}
	}
	err := s.Create(t.Context(), lease.Lease{
		Key: key, Stream: "123456789012:quakes:1700000000", Shard: "shardId-000000000001",
		Checkpoint: record.TrimHorizon, Parents: []string{"shardId-000000000000"}, Range: &record.FullRange,
	})
	if err != nil {
		t.Fatal(err)
	}
	created := `
leaseKey S:` + key + `
%sleaseCounter N:%d
ownerSwitchesSinceCheckpoint N:0
%s
parentShardId SS:shardId-000000000000
%sstartingHashKey S:0
endingHashKey S:340282366920938463463374607431768211455
%sentityType S:LEASE
streamName S:123456789012:quakes:1700000000
shardId S:shardId-000000000001`
	sentinel := "checkpoint S:TRIM_HORIZON\ncheckpointSubSequenceNumber N:0"
	check("created", fmt.Sprintf(created, "", 0, sentinel, "", ""))

	l, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	step := func(name string, f func() (lease.Lease, error), want string) {
		t.Helper()
		if l, err = f(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		check(name, want)
	}
	ctx := t.Context()
	step("taken", func() (lease.Lease, error) { return s.Take(ctx, l, "a") },
		fmt.Sprintf(created, "leaseOwner S:a\n", 1, sentinel, "", ""))
	kbps := 1.5
	step("prepared", func() (lease.Lease, error) {
		return s.Renew(ctx, l, "a", lease.Change{Pending: record.At("77", 2), PendingState: []byte("st"), ThroughputKBps: &kbps})
	}, fmt.Sprintf(created, "leaseOwner S:a\n", 2,
		sentinel+"\npendingCheckpoint S:77\npendingCheckpointSubSequenceNumber N:2\npendingCheckpointState B:st", "", "throughputKBps N:1.5\n"))
	step("checkpointed", func() (lease.Lease, error) {
		return s.Renew(ctx, l, "a", lease.Change{Checkpoint: record.At("77", 2)})
	}, fmt.Sprintf(created, "leaseOwner S:a\n", 3, "checkpoint S:77\ncheckpointSubSequenceNumber N:2", "", "throughputKBps N:1.5\n"))
	step("asked for", func() (lease.Lease, error) { return s.Ask(ctx, l, "b") },
		fmt.Sprintf(created, "leaseOwner S:b\n", 3, "checkpoint S:77\ncheckpointSubSequenceNumber N:2", "", "throughputKBps N:1.5\ncheckpointOwner S:a\n"))
	step("handed over", func() (lease.Lease, error) { return s.Release(ctx, l, "a", "") },
		fmt.Sprintf(created, "leaseOwner S:b\n", 4, "checkpoint S:77\ncheckpointSubSequenceNumber N:2", "", "throughputKBps N:1.5\n"))
	step("ended", func() (lease.Lease, error) {
		return s.Renew(ctx, l, "b", lease.Change{Checkpoint: record.ShardEnd, Children: []string{"shardId-000000000002"}})
	}, fmt.Sprintf(created, "leaseOwner S:b\n", 5, "checkpoint S:SHARD_END\ncheckpointSubSequenceNumber N:0",
		"childShardIds SS:shardId-000000000002\n", "throughputKBps N:1.5\n"))
	step("released", func() (lease.Lease, error) { return s.Release(ctx, l, "b", "") },
		fmt.Sprintf(created, "", 6, "checkpoint S:SHARD_END\ncheckpointSubSequenceNumber N:0",
			"childShardIds SS:shardId-000000000002\n", "throughputKBps N:1.5\n"))
}

func TestStartTimestampLastsUntilTheFirstCheckpoint(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := open(t, client)
	put(t, client, map[string]types.AttributeValue{
		"leaseKey":       &types.AttributeValueMemberS{Value: "s"},
		"leaseCounter":   &types.AttributeValueMemberN{Value: "4"},
		"checkpoint":     &types.AttributeValueMemberS{Value: "LATEST"},
		"leaseOwner":     &types.AttributeValueMemberS{Value: "me"},
		"startTimestamp": &types.AttributeValueMemberN{Value: "1700000000123"},
		"theirs":         &types.AttributeValueMemberS{Value: "kept"},
	})
	l, err := s.Get(t.Context(), "s")
	if err != nil || l.StartTime.UnixMilli() != 1700000000123 {
		t.Fatalf("the row is %+v, %v", l, err)
	}
	if l, err = s.Renew(t.Context(), l, "me", lease.Change{}); err != nil || l.StartTime.IsZero() {
		t.Fatalf("after a renewal the row is %+v, %v", l, err)
	}
	if _, err = s.Renew(t.Context(), l, "me", lease.Change{Checkpoint: record.At("9", 0)}); err != nil {
		t.Fatal(err)
	}
	want := "leaseKey S:s\nleaseOwner S:me\nleaseCounter N:6\nownerSwitchesSinceCheckpoint N:0\ncheckpoint S:9\n" +
		"checkpointSubSequenceNumber N:0\ntheirs S:kept"
	if got := show(item(t, client, "s")); got != want {
		t.Errorf("after a checkpoint:\n%s\nwant\n%s", got, want)
	}
}

// What else is in a table: items of other kinds, rows from before KCL 3.5, and damage.
func TestListSkipsOtherItemsAndReportsDamage(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := open(t, client)
	str := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
	num := func(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }
	put(t, client, map[string]types.AttributeValue{
		"leaseKey": str("old"), "leaseCounter": num("3"), "checkpoint": str("TRIM_HORIZON"),
	})
	put(t, client, map[string]types.AttributeValue{"leaseKey": str("Leader"), "entityType": str("LEADER"), "ownerName": str("w")})
	put(t, client, map[string]types.AttributeValue{"leaseKey": str("w"), "entityType": str("WORKER_METRIC_STATS"), "lut": num("1")})
	damage := map[string]map[string]types.AttributeValue{
		"leaseCounter":                {"checkpoint": str("LATEST")},
		"checkpoint":                  {"leaseCounter": num("1"), "checkpoint": str("SOMEWHERE")},
		"checkpointOwner":             {"leaseCounter": num("1"), "checkpoint": str("LATEST"), "checkpointOwner": num("5")},
		"endingHashKey":               {"leaseCounter": num("1"), "checkpoint": str("LATEST"), "startingHashKey": str("0"), "endingHashKey": str("-1")},
		"parentShardId":               {"leaseCounter": num("1"), "checkpoint": str("LATEST"), "parentShardId": str("p")},
		"throughputKBps":              {"leaseCounter": num("1"), "checkpoint": str("LATEST"), "throughputKBps": str("fast")},
		"checkpointSubSequenceNumber": {"leaseCounter": num("1"), "checkpoint": str("7"), "checkpointSubSequenceNumber": num("-2")},
	}
	for attr, it := range damage {
		it["leaseKey"] = str("damaged-" + attr)
		put(t, client, it)
	}
	rows, err := s.List(t.Context())
	if len(rows) != 1 || rows[0].Key != "old" || rows[0].Shard != "old" || rows[0].Counter != 3 {
		t.Errorf("List = %+v, want the old lease alone", rows)
	}
	if !errors.Is(err, lease.ErrDamaged) {
		t.Fatalf("List = %v, want ErrDamaged", err)
	}
	for attr := range damage {
		if !strings.Contains(err.Error(), fmt.Sprintf("%q: attribute %s", "damaged-"+attr, attr)) {
			t.Errorf("the error does not name the damaged %s:\n%v", attr, err)
		}
	}
	if _, err := s.Get(t.Context(), "Leader"); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Get of the leader's item = %v, want ErrNotFound", err)
	}
}

func TestErrorsTellThrottlingFromTheRest(t *testing.T) {
	var fault localstream.Error
	client := serve(t, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
		if fault.Type == "" {
			return localstream.Fault{}
		}
		return localstream.Fault{Reject: &fault}
	}})
	s := open(t, client)
	if err := s.Create(t.Context(), lease.Lease{Key: "a", Shard: "a", Checkpoint: record.TrimHorizon}); err != nil {
		t.Fatal(err)
	}
	l, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	known := []error{lease.ErrThrottled, lease.ErrInvalid, lease.ErrConflict, lease.ErrNotFound, lease.ErrExists}
	for _, test := range []struct {
		code   string
		status int
		want   error
	}{
		{"ProvisionedThroughputExceededException", 400, lease.ErrThrottled},
		{"ThrottlingException", 400, lease.ErrThrottled},
		{"RequestLimitExceeded", 400, lease.ErrThrottled},
		{"ValidationException", 400, lease.ErrInvalid},
		{"InternalServerError", 500, nil},
	} {
		fault = localstream.Error{Type: test.code, Status: test.status, Message: "as told"}
		_, renewed := s.Renew(t.Context(), l, "me", lease.Change{})
		_, listed := s.List(t.Context())
		for _, err := range []error{renewed, listed, s.Create(t.Context(), l), s.Delete(t.Context(), l)} {
			if err == nil {
				t.Fatalf("%s was not reported", test.code)
			}
			for _, k := range known {
				if errors.Is(err, k) != (k == test.want) {
					t.Errorf("%s gives %v; is %v: %v", test.code, err, k, errors.Is(err, k))
				}
			}
		}
	}
}

// A storm of throttled calls on the client given must not cost the store a call.
func TestTheStoreHasRetriesOfItsOwn(t *testing.T) {
	calls := make(map[string]int)
	client := serve(t, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
		calls[c.Operation]++
		if c.Operation == "UpdateItem" {
			return localstream.Fault{Reject: &localstream.Error{Type: "ThrottlingException", Status: 400}}
		}
		return localstream.Fault{}
	}})
	s := open(t, client)
	for range 300 { // more than the 500 tokens of a shared bucket would bear
		if _, err := s.Renew(t.Context(), lease.Lease{Key: "a"}, "me", lease.Change{}); !errors.Is(err, lease.ErrThrottled) {
			t.Fatal(err)
		}
	}
	if calls["UpdateItem"] != 300 {
		t.Errorf("300 renewals made %d calls, want one each", calls["UpdateItem"])
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Get after the storm = %v", err)
	}
}

func TestAMissingTableIsNamed(t *testing.T) {
	s := dynamo.New(serve(t, localstream.Options{}), "never-made")
	_, err := s.List(context.Background())
	if err == nil || !strings.Contains(err.Error(), `there is no table "never-made"`) {
		t.Errorf("List = %v, want the table named", err)
	}
}
