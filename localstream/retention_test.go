package localstream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
)

func (c *client) retain(hours int32) error {
	ctx := c.t.Context()
	if hours >= *c.describe().RetentionPeriodHours {
		_, err := c.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: quakes, RetentionPeriodHours: &hours})
		return err
	}
	_, err := c.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: quakes, RetentionPeriodHours: &hours})
	return err
}

func TestRecordsExpireToTheMillisecond(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		for i := range 10 { // one record an hour
			c.put(i, 1)
			time.Sleep(time.Hour)
		}
		time.Sleep(14 * time.Hour) // the first is 24 h old
		for i := range 10 {
			if got, _ := c.all(0, 0); len(got) != 10-i || string(got[0].Data) != fmt.Sprint("record ", i) {
				t.Fatalf("at hour %d: %v", 24+i, texts(got))
			}
			time.Sleep(time.Millisecond)
			if got, _ := c.all(0, 0); len(got) != 9-i {
				t.Fatalf("a millisecond past hour %d: %v", 24+i, texts(got))
			}
			time.Sleep(time.Hour - time.Millisecond)
		}
		next := c.put(10, 1).Records[0]
		if got, _ := c.all(0, 0); len(got) != 1 || *got[0].SequenceNumber != *next.SequenceNumber {
			t.Errorf("after all expired: %v", texts(got))
		}
	})
}

func TestRetentionMovesTheHorizonForGood(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		if err := c.retain(100); err != nil {
			t.Fatal(err)
		}
		for i := range 8 { // one record each 10 h
			c.put(i, 1)
			time.Sleep(10 * time.Hour)
		}
		old := c.horizon(0)
		if got, _ := c.all(0, 0); len(got) != 8 {
			t.Fatalf("with 100 h: %v", texts(got))
		}
		if err := c.retain(30); err != nil {
			t.Fatal(err)
		}
		if got := texts(c.get(old, 0).Records); fmt.Sprint(got) != "[record 5 record 6 record 7]" {
			t.Errorf("with 30 h, an iterator from before reads %v", got)
		}
		if err := c.retain(200); err != nil {
			t.Fatal(err)
		}
		if got, _ := c.all(0, 0); len(got) != 3 {
			t.Errorf("after raising it again: %v", texts(got))
		}
		for hours, message := range map[int32]string{
			23:   "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
			8761: "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
		} {
			wantError(t, c.retain(hours), "InvalidArgumentException", message)
		}
		_, err := c.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: quakes, RetentionPeriodHours: aws.Int32(100)})
		wantError(t, err, "InvalidArgumentException", "Requested retention period (100 hours) for stream quakes can not be shorter than existing retention period (200 hours). Use DecreaseRetentionPeriod API.")
		if err := c.retain(200); err != nil {
			t.Errorf("an equal retention: %v", err)
		}
	})
}

func TestClosedShardsVanishWhenTheirRecordsHaveExpired(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		c.put(0, 10)
		it := c.horizon(0)
		c.split(0, middle)
		time.Sleep(24 * time.Hour)
		if got := fmt.Sprint(ids(c.shards())); got != "[0 1 2]" {
			t.Errorf("24 h after the split: shards %s", got)
		}
		time.Sleep(time.Millisecond)
		if got := fmt.Sprint(ids(c.shards())); got != "[1 2]" {
			t.Errorf("a millisecond later: shards %s", got)
		}
		if got := fmt.Sprint(ids(c.list(&types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}))); got != "[1 2]" {
			t.Errorf("AT_TRIM_HORIZON: shards %s", got)
		}
		time.Sleep(time.Hour)
		_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
		if err == nil {
			t.Error("a vanished shard can be read")
		}
		c.put(10, 10)
		c.split(1, "1000")
		if got := fmt.Sprint(ids(c.shards())); got != "[1 2 3 4]" {
			t.Errorf("after another split: shards %s; want numbers that were never used", got)
		}
	})
}
