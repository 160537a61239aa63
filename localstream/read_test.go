package localstream_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
)

func TestSDKClientPutsAndReadsBackInOrder(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		put := c.put(0, 500)
		for _, limit := range []int32{0, 1, 7, 499, 500, 10_000} {
			got, last := c.all(0, limit)
			if len(got) != 500 || *last.MillisBehindLatest != 0 || last.NextShardIterator == nil || last.ChildShards != nil {
				t.Fatalf("with limit %d: %d records, then %+v", limit, len(got), last)
			}
			for i, r := range got {
				if string(r.Data) != fmt.Sprint("record ", i) || *r.PartitionKey != fmt.Sprint("key-", i) || *r.SequenceNumber != *put.Records[i].SequenceNumber ||
					!r.ApproximateArrivalTimestamp.Equal(time.Now()) || r.EncryptionType != "" {
					t.Fatalf("record %d came back as %+v", i, r)
				}
			}
		}
	})
}

func TestIteratorsStartWhereTheySay(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		time.Sleep(time.Minute)
		start := time.Now()
		var numbers []string
		for i := range 20 { // two records each second, in one request
			for _, r := range c.put(2*i, 2).Records {
				numbers = append(numbers, *r.SequenceNumber)
			}
			time.Sleep(time.Second)
		}
		number := func(kind types.ShardIteratorType, n int) kinesis.GetShardIteratorInput {
			return kinesis.GetShardIteratorInput{ShardIteratorType: kind, StartingSequenceNumber: &numbers[n]}
		}
		at := func(d time.Duration) kinesis.GetShardIteratorInput {
			return kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(start.Add(d))}
		}
		first := *c.shards()[0].SequenceNumberRange.StartingSequenceNumber
		for name, test := range map[string]struct {
			in   kinesis.GetShardIteratorInput
			want int // the first record, 40 for none
		}{
			"TRIM_HORIZON":            {kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, 0},
			"LATEST":                  {kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest}, 40},
			"AT first":                {number(types.ShardIteratorTypeAtSequenceNumber, 0), 0},
			"AT middle":               {number(types.ShardIteratorTypeAtSequenceNumber, 13), 13},
			"AFTER middle":            {number(types.ShardIteratorTypeAfterSequenceNumber, 13), 14},
			"AFTER last":              {number(types.ShardIteratorTypeAfterSequenceNumber, 39), 40},
			"AT the shard's start":    {kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &first}, 0},
			"AFTER the shard's start": {kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &first}, 0},
			"before all":              {at(-time.Hour), 0},
			"at the first":            {at(0), 0},
			"behind the first":        {at(time.Millisecond), 2},
			"between":                 {at(6500 * time.Millisecond), 14},
			"at a record":             {at(7 * time.Second), 14},
			"at the last":             {at(19 * time.Second), 38},
			"behind the last":         {at(19*time.Second + time.Millisecond), 40},
			"now":                     {at(20 * time.Second), 40},
		} {
			test.in.ShardId = aws.String("shardId-0")
			got := texts(c.get(c.iterator(test.in), 0).Records)
			if len(got) != 40-test.want || len(got) > 0 && got[0] != fmt.Sprint("record ", test.want) {
				t.Errorf("%s: %d records from %v; want %d from record %d", name, len(got), got[:min(1, len(got))], 40-test.want, test.want)
			}
		}
	})
}

func TestMillisBehindLatestIsTheAgeOfTheNextRecord(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		for i := range 3 {
			c.put(i, 1)
			time.Sleep(10 * time.Second)
		}
		it := c.horizon(0)
		for _, want := range []int64{20_000, 10_000, 0, 0} {
			out := c.get(it, 1)
			if *out.MillisBehindLatest != want {
				t.Errorf("%d ms behind, want %d", *out.MillisBehindLatest, want)
			}
			it = out.NextShardIterator
		}
	})
}

func TestIteratorsAreOpaqueReusableAndExpire(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		c.put(0, 10)
		it := c.horizon(0)
		seen := map[string]bool{*it: true}
		for next := it; len(seen) < 20; { // at the tip too, and at one moment
			next = c.get(next, 5).NextShardIterator
			if seen[*next] {
				t.Fatal("an iterator came twice")
			}
			seen[*next] = true
		}
		for range 2 {
			if got := texts(c.get(aws.String(`"`+*it+`"`), 3).Records); fmt.Sprint(got) != "[record 0 record 1 record 2]" {
				t.Errorf("the same iterator again gives %v", got)
			}
		}
		for i := range len(*it) {
			forged := []byte(*it)
			forged[i] ^= 1
			_, err := c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String(string(forged))})
			if err == nil {
				t.Fatalf("an iterator changed at byte %d was taken", i)
			}
			wantError(t, err, "InvalidArgumentException", "Invalid ShardIterator.")
		}
		time.Sleep(5 * time.Minute)
		c.get(it, 1)
		time.Sleep(time.Second)
		_, err := c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		wantError(t, err, "ExpiredIteratorException", "Iterator expired. The iterator was created at time Sat Jan  1 00:00:00 UTC 2000 while right now it is Sat Jan  1 00:05:01 UTC 2000 which is further in the future than the tolerated delay of 300000 milliseconds.")
		_, err = c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: quakes})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestGetShardIteratorRefusesWhatTheServiceRefuses(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(2)
		ordinary := c.put(0, 20)
		var ofShard1 string
		for _, r := range ordinary.Records {
			if *r.ShardId == *shardID(1) {
				ofShard1 = *r.SequenceNumber
			}
		}
		seq := func(n string) kinesis.GetShardIteratorInput {
			return kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &n}
		}
		const either = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified "
		for name, test := range map[string]struct {
			in            kinesis.GetShardIteratorInput
			code, message string
		}{
			"unknown shard":  {kinesis.GetShardIteratorInput{ShardId: shardID(7), ShardIteratorType: types.ShardIteratorTypeLatest}, "ResourceNotFoundException", "Shard shardId-000000000007 in stream quakes under account 000000000000 does not exist"},
			"no shard id":    {kinesis.GetShardIteratorInput{ShardId: aws.String("seven"), ShardIteratorType: types.ShardIteratorTypeLatest}, "ResourceNotFoundException", "Could not find shard seven in stream quakes under account 000000000000."},
			"number given":   {kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest, StartingSequenceNumber: aws.String("1")}, "InvalidArgumentException", either + "LATEST and also a StartingSequenceNumber."},
			"number missing": {kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber}, "InvalidArgumentException", either + "AT_SEQUENCE_NUMBER and no StartingSequenceNumber."},
			"no timestamp":   {kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp}, "InvalidArgumentException", "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter."},
			"future":         {kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(time.Second))}, "InvalidArgumentException", "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: 946684801000, currentTimestampInMillis: 946684800000"},
			"old layout":     {seq("12345"), "InvalidArgumentException", "Invalid StartingSequenceNumber. It encodes shardId-000000012345, while it was used in a call to a shard with shardId-000000000000"},
			"no layout":      {seq("1" + strings.Repeat("0", 60)), "InvalidArgumentException", "StartingSequenceNumber 1" + strings.Repeat("0", 60) + " used in GetShardIterator on shard shardId-000000000000 in stream quakes under account 000000000000 is invalid."},
			"other shard's":  {seq(ofShard1), "InvalidArgumentException", "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with shardId-000000000000"},
			"no type":        {kinesis.GetShardIteratorInput{ShardIteratorType: "SOMEWHERE"}, "ValidationException", "1 validation error detected: Value 'SOMEWHERE' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]"},
		} {
			test.in.StreamName = quakes
			if test.in.ShardId == nil {
				test.in.ShardId = shardID(0)
			}
			_, err := c.GetShardIterator(t.Context(), &test.in)
			t.Log(name)
			wantError(t, err, test.code, test.message)
		}
	})
}

func TestPutRefusesWhatTheServiceRefuses(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		putOne := func(key string, data int, more func(in *kinesis.PutRecordInput)) error {
			in := &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: &key, Data: make([]byte, data)}
			if more != nil {
				more(in)
			}
			_, err := c.PutRecord(ctx, in)
			return err
		}
		for name, err := range map[string]error{
			"empty data":                       putOne("k", 0, nil),
			"the largest":                      putOne("k", 1<<20-1, nil),
			"a key of 256 characters":          putOne(strings.Repeat("ä", 256), 1, nil),
			"the smallest and the largest key": putOne("\x00", 1, nil),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantError(t, putOne("kk", 1<<20-1, nil), "InvalidArgumentException", "Record size of 1048577 bytes exceeds the maximum of 1048576 bytes.")
		long := strings.Repeat("k", 257)
		wantError(t, putOne(long, 1, nil), "ValidationException", "1 validation error detected: Value '"+long+"' at 'partitionKey' failed to satisfy constraint: Member must have length less than or equal to 256")
		wantError(t, putOne("", 1, nil), "ValidationException", "1 validation error detected: Value '' at 'partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1")
		const future = "49680482876686116220504408313011260335386709021041885186" // of the year 2026
		wantError(t, putOne("k", 1, func(in *kinesis.PutRecordInput) { in.SequenceNumberForOrdering = aws.String(future) }), "InvalidArgumentException", "ExclusiveMinimumSequenceNumber "+future+" used in PutRecord on stream quakes under account 000000000000 is invalid.")
		wantError(t, putOne("k", 1, func(in *kinesis.PutRecordInput) { in.DryRun = aws.Bool(true) }), "DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")
		_, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(0, 501)})
		if err == nil || !strings.Contains(err.Error(), "at 'records' failed to satisfy constraint: Member must have length less than or equal to 500") {
			t.Errorf("501 records: %v", err)
		}
		big := entries(0, 11)
		for i := range big {
			big[i].Data = make([]byte, 1000<<10)
		}
		_, err = c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: big})
		wantError(t, err, "InvalidArgumentException", "Records size exceeds 10 MB limit")
		bad := entries(0, 3)
		bad[1].ExplicitHashKey = aws.String("-1")
		if _, err = c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: bad}); err == nil {
			t.Error("a bad hash key was taken")
		}
		if records, _ := c.all(0, 0); len(records) != 4 {
			t.Errorf("%d records are there; want the 4 good ones", len(records))
		}
	})
}

func TestPagesEndAtTenMebibytes(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		var want []string
		for i := range 25 {
			data := make([]byte, 1_000_000)
			copy(data, fmt.Sprint(i))
			want = append(want, string(data))
			if _, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("k"), Data: data}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		var got []string
		var sizes []int
		for it := c.horizon(0); len(got) < 25; {
			out := c.get(it, 0)
			got = append(got, texts(out.Records)...)
			sizes = append(sizes, len(out.Records))
			it = out.NextShardIterator
		}
		if fmt.Sprint(sizes) != "[10 10 5]" || !slices.Equal(got, want) {
			t.Errorf("pages of %v records", sizes)
		}
	})
}
