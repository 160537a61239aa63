package tables_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream/internal/tables"
)

func (s *server) setTimeToLive(table, attribute string, enabled bool) error {
	_, err := s.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{TableName: &table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &enabled}})
	return err
}

func TestExpiredItemsGoWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, vfs.NewMem(), tables.Options{})
		defer s.close(t)
		s.create(t, simple("t-1", "p"))
		in := func(d time.Duration) value { return num(fmt.Sprint(time.Now().Add(d).Unix())) }
		put := func(key string, expires value) { s.put(t, "t-1", item{"p": str(key), "x": expires}) }
		put("before it was enabled", in(time.Minute))
		if err := s.setTimeToLive("t-1", "x", true); err != nil {
			t.Fatal(err)
		}
		put("an hour", in(time.Hour))
		put("extended", in(2*time.Hour))
		put("text", str("1"))
		put("six years ago", in(-6*365*24*time.Hour))
		count := func() int32 {
			out, err := s.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("t-1"), Select: "COUNT"})
			if err != nil {
				t.Fatal(err)
			}
			return out.Count
		}
		for _, want := range []struct {
			after time.Duration
			items int32
		}{{59 * time.Second, 5}, {2*time.Minute + 2*time.Second, 4}, {56 * time.Minute, 4}, {3 * time.Minute, 3}} {
			time.Sleep(want.after)
			synctest.Wait()
			if got := count(); got != want.items {
				t.Errorf("%d items are left %v later, want %d", got, want.after, want.items)
			}
		}
		put("extended", in(5*time.Hour))
		time.Sleep(3 * time.Hour)
		if got := s.get(t, "t-1", item{"p": str("extended")}); got == nil {
			t.Error("an item went that had been given more time")
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := count(); got != 2 {
			t.Errorf("%d items are left, want the 2 that do not expire", got)
		}
	})
}

func TestTimeToLiveSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		s := open(t, fs, tables.Options{})
		s.create(t, simple("t-1", "p"))
		if err := s.setTimeToLive("t-1", "x", true); err != nil {
			t.Fatal(err)
		}
		s.put(t, "t-1", item{"p": str("a"), "x": num(fmt.Sprint(time.Now().Unix()))})
		s.close(t)
		s = open(t, fs, tables.Options{})
		defer s.close(t)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := s.get(t, "t-1", item{"p": str("a")}); got != nil {
			t.Errorf("an expired item is left: %s", show(got))
		}
	})
}

func TestTimeToLiveSettings(t *testing.T) {
	s := start(t)
	s.create(t, simple("t-1", "p"))
	status := func() types.TimeToLiveStatus {
		out, err := s.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("t-1")})
		if err != nil {
			t.Fatal(err)
		}
		return out.TimeToLiveDescription.TimeToLiveStatus
	}
	wantError(t, s.setTimeToLive("t-1", "x", false), validation, "TimeToLive is already disabled")
	if err := s.setTimeToLive("t-1", "x", true); err != nil || status() != types.TimeToLiveStatusEnabled {
		t.Fatalf("enabling: %v, then %s", err, status())
	}
	wantError(t, s.setTimeToLive("t-1", "x", true), validation, "TimeToLive is already enabled")
	wantError(t, s.setTimeToLive("t-1", "y", true), validation, "TimeToLive is active on a different AttributeName: current AttributeName is x")
	if err := s.setTimeToLive("t-1", "x", false); err != nil || status() != types.TimeToLiveStatusDisabled {
		t.Fatalf("disabling: %v, then %s", err, status())
	}
	wantError(t, s.setTimeToLive("t-2", "x", true), "ResourceNotFoundException", "Requested resource not found: Table: t-2 not found")
}
