package dynamo_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/localstream"
)

func describe(t *testing.T, client *dynamodb.Client) *types.TableDescription {
	t.Helper()
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("quake-alerts")})
	if err != nil {
		t.Fatal(err)
	}
	return out.Table
}

func hasIndex(d *types.TableDescription) bool {
	for _, index := range d.GlobalSecondaryIndexes {
		if aws.ToString(index.IndexName) == "LeaseOwnerToLeaseKeyIndex" {
			return index.Projection.ProjectionType == types.ProjectionTypeKeysOnly && len(index.KeySchema) == 2 &&
				aws.ToString(index.KeySchema[0].AttributeName) == "leaseOwner" &&
				aws.ToString(index.KeySchema[1].AttributeName) == "leaseKey"
		}
	}
	return false
}

func TestOpenMakesTheTable(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := dynamo.NewWith(client, dynamo.Config{
		Table: "quake-alerts", DeletionProtection: true, PointInTimeRecovery: true, Tags: map[string]string{"team": "shore"},
	})
	for range 2 {
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d := describe(t, client)
	if d.BillingModeSummary == nil || d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest ||
		!aws.ToBool(d.DeletionProtectionEnabled) || !hasIndex(d) || len(d.KeySchema) != 1 {
		t.Errorf("the table is %+v", d)
	}
	backups, err := client.DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: d.TableName})
	if err != nil || backups.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
		t.Errorf("continuous backups are %+v, %v", backups, err)
	}
	tags, err := client.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: d.TableArn})
	if err != nil || len(tags.Tags) != 1 || aws.ToString(tags.Tags[0].Value) != "shore" {
		t.Errorf("tags %+v, %v", tags, err)
	}
}

func TestOpenMakesATableOfProvisionedThroughput(t *testing.T) {
	client := serve(t, localstream.Options{})
	s := dynamo.NewWith(client, dynamo.Config{Table: "quake-alerts", ReadCapacity: 10, WriteCapacity: 20})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := describe(t, client).ProvisionedThroughput
	if p == nil || aws.ToInt64(p.ReadCapacityUnits) != 10 || aws.ToInt64(p.WriteCapacityUnits) != 20 {
		t.Errorf("throughput %+v", p)
	}
}

func TestOpenWaitsForTheTableAndManyMayOpenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, localstream.Options{Transition: 5 * time.Second})
		start := time.Now()
		errs := make([]error, 4)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = dynamo.New(client, "quake-alerts").Open(t.Context()) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 5*time.Second || took > 9*time.Second {
			t.Errorf("Open took %v, want little more than 5 s", took)
		}
		if !hasIndex(describe(t, client)) {
			t.Error("the table has no index")
		}
	})
}

func plainTable(t *testing.T, client *dynamodb.Client, key string, kind types.ScalarAttributeType, sort string) {
	t.Helper()
	in := &dynamodb.CreateTableInput{
		TableName: aws.String("quake-alerts"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: kind}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
	}
	if sort != "" {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &sort, AttributeType: types.ScalarAttributeTypeS})
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &sort, KeyType: types.KeyTypeRange})
	}
	if _, err := client.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func TestOpenAddsTheIndexToATableOfKCL2AndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, localstream.Options{Transition: 5 * time.Minute})
		plainTable(t, client, "leaseKey", types.ScalarAttributeTypeS, "")
		time.Sleep(10 * time.Minute)
		var told []string
		start := time.Now()
		errs := make([]error, 3)
		var wg sync.WaitGroup
		for i := range errs {
			cfg := dynamo.Config{Table: "quake-alerts"}
			if i == 0 {
				cfg.Progress = func(waiting string) { told = append(told, waiting) }
			}
			wg.Go(func() { errs[i] = dynamo.NewWith(client, cfg).Open(t.Context()) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 5*time.Minute || took > 5*time.Minute+11*time.Second {
			t.Errorf("Open took %v, want 5 min and at most a poll", took)
		}
		if !hasIndex(describe(t, client)) {
			t.Error("the index was not added")
		}
		if len(told) < 7 || len(told) > 10 || !strings.Contains(told[0], "index LeaseOwnerToLeaseKeyIndex of table quake-alerts to become ACTIVE: it is CREATING") {
			t.Errorf("Progress heard %q, want a report each 30 s", told)
		}
		brought := dynamo.NewWith(client, dynamo.Config{Table: "quake-alerts", NoCreate: true})
		if err := brought.Open(t.Context()); err != nil {
			t.Errorf("Open with NoCreate of a table that has the index = %v", err)
		}
	})
}

// KCL's tool deletes the index when it rolls a fleet back to 2.x. A worker that starts then leaves it so; one that opens the
// table once the fleet goes forward again makes it, whatever becomes of the first attempt, and need not stay for it.
func TestOpenMakesTheIndexOfAFleetThatWasRolledBackWhenItGoesForwardAgain(t *testing.T) {
	for name, fault := range map[string]localstream.Fault{"refused": {CutBefore: true}, "answer lost": {CutAfter: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cuts := 0
				client := serve(t, localstream.Options{Transition: 5 * time.Minute, Fault: func(c localstream.Call) localstream.Fault {
					if c.Operation == "UpdateTable" && cuts == 0 {
						cuts++
						return fault
					}
					return localstream.Fault{}
				}})
				plainTable(t, client, "leaseKey", types.ScalarAttributeTypeS, "")
				time.Sleep(10 * time.Minute)
				s := dynamo.New(client, "quake-alerts")
				back := lease.Migration{Key: lease.ClientVersion, State: lease.Client2X, By: "tool", At: noon}
				must(t, s.PutMigration(t.Context(), lease.Migration{}, back))
				for _, noCreate := range []bool{false, true} {
					must(t, dynamo.NewWith(client, dynamo.Config{Table: "quake-alerts", NoCreate: noCreate}).Open(t.Context()))
				}
				if hasIndex(describe(t, client)) || cuts > 0 {
					t.Error("the index was made in a fleet that was rolled back")
				}
				forward := back
				forward.State = lease.ClientUpgradeFrom2X
				must(t, s.PutMigration(t.Context(), back, forward))
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				if err := s.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Open = %v, want that its time was over", err)
				}
				if !hasIndex(describe(t, client)) || cuts != 1 {
					t.Errorf("there is no index, after %d cuts", cuts)
				}
				must(t, s.Open(t.Context()))
				if _, err := s.Owned(t.Context(), "w1"); err != nil {
					t.Errorf("Owned = %v", err)
				}
			})
		})
	}
}

func TestOpenGivesUpOnAnIndexAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, localstream.Options{Transition: 2 * time.Hour})
		plainTable(t, client, "leaseKey", types.ScalarAttributeTypeS, "")
		time.Sleep(3 * time.Hour)
		start := time.Now()
		err := dynamo.New(client, "quake-alerts").Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), "it is CREATING after 1h0m0s; want ACTIVE") {
			t.Errorf("Open = %v, want that it gives up", err)
		}
		if took := time.Since(start); took < time.Hour || took > time.Hour+11*time.Second {
			t.Errorf("Open took %v, want an hour", took)
		}
	})
}

func TestOpenRefusesATableWithoutIndexThatItMustNotTouch(t *testing.T) {
	client := serve(t, localstream.Options{})
	plainTable(t, client, "leaseKey", types.ScalarAttributeTypeS, "")
	brought := dynamo.NewWith(client, dynamo.Config{Table: "quake-alerts", NoCreate: true})
	err := brought.Open(t.Context())
	if !errors.Is(err, lease.ErrSchema) || !strings.Contains(err.Error(), "index LeaseOwnerToLeaseKeyIndex") {
		t.Errorf("Open = %v, want ErrSchema and the index named", err)
	}
	if hasIndex(describe(t, client)) {
		t.Error("NoCreate added the index")
	}
}

func TestOpenRefusesTablesOfAnotherSchema(t *testing.T) {
	for name, test := range map[string]struct {
		key, sort string
		kind      types.ScalarAttributeType
		want      string
	}{
		"another key":      {"ShardID", "", types.ScalarAttributeTypeS, `partition key is "ShardID"; want "leaseKey"`},
		"another key type": {"leaseKey", "", types.ScalarAttributeTypeN, `"leaseKey" is of type N; want S`},
		"a sort key":       {"leaseKey", "shard_id", types.ScalarAttributeTypeS, `sort key "shard_id"; want none`},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, localstream.Options{})
			plainTable(t, client, test.key, test.kind, test.sort)
			err := dynamo.New(client, "quake-alerts").Open(t.Context())
			if !errors.Is(err, lease.ErrSchema) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open = %v, want ErrSchema and %s", err, test.want)
			}
		})
	}
}

func TestOpenNamesWhatIsWrongWithItsConfig(t *testing.T) {
	client := serve(t, localstream.Options{})
	for name, test := range map[string]struct {
		cfg  dynamo.Config
		want string
	}{
		"no table":            {dynamo.Config{}, `Table "": want 3 to 255`},
		"a bad table":         {dynamo.Config{Table: "a b c"}, `Table "a b c": want 3 to 255`},
		"half a capacity":     {dynamo.Config{Table: "leases", ReadCapacity: 5}, "want both from 1"},
		"a negative capacity": {dynamo.Config{Table: "leases", ReadCapacity: -5, WriteCapacity: -5}, "want both from 1"},
		"brought, but absent": {dynamo.Config{Table: "leases", NoCreate: true}, "there is none, and NoCreate is set"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := dynamo.NewWith(client, test.cfg).Open(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open = %v, want %s", err, test.want)
			}
		})
	}
}

func TestOpenBearsTroubleForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 3
		client := serve(t, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
			if left--; left >= 0 {
				return localstream.Fault{Reject: &localstream.Error{Type: "InternalServerError", Status: 500}}
			}
			return localstream.Fault{}
		}})
		open(t, client)
		left = 100
		if err := dynamo.New(client, "quake-alerts").Open(t.Context()); err == nil || !strings.Contains(err.Error(), "InternalServerError") {
			t.Errorf("Open = %v, want the trouble", err)
		}
		if left != 95 {
			t.Errorf("Open tried %d times, want 5", 100-left)
		}
	})
}
