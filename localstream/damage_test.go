package localstream_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream"
)

// damaged runs f with a stream of one shard that holds count records of each of the letters A to C, where a byte of a B
// is broken on the disk.
func damaged(t *testing.T, count int, f func(t *testing.T, c *client)) {
	disk := vfs.NewMem()
	bubble(t, localstream.Options{FS: disk}, func(t *testing.T, c *client) {
		c.create(1)
		key := "k"
		for _, letter := range "ABC" {
			in := &kinesis.PutRecordsInput{StreamName: quakes}
			for range count {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: &key, Data: bytes.Repeat([]byte(string(letter)), 1000)})
			}
			if _, err := c.PutRecords(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
		spoil(t, disk, "data/records/000001.log", "BBBBBBBB")
		f(t, c)
	})
}

// letters are the first bytes of the records' data.
func letters(records []types.Record) string {
	var all strings.Builder
	for _, r := range records {
		all.WriteByte(r.Data[0])
	}
	return all.String()
}

// TestRecordsBeforeDamagedOnesCanBeRead has the answer cut off that was to have damaged records; from then on answers end
// before them, and only the one that would begin with them fails.
func TestRecordsBeforeDamagedOnesCanBeRead(t *testing.T) {
	for name, count := range map[string]int{"answers of one piece": 3, "answers of many pieces": 300} {
		t.Run(name, func(t *testing.T) {
			damaged(t, count, func(t *testing.T, c *client) {
				get := func(it *string) (*kinesis.GetRecordsOutput, error) {
					return c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
				}
				start := c.horizon(0)
				if out, err := get(start); err == nil {
					t.Fatalf("the first answer has %d records", len(out.Records))
				}
				out, err := get(start)
				if err != nil || letters(out.Records) != strings.Repeat("A", count) {
					t.Fatalf("then %+v, %v; want the %d records before the damage", out, err, count)
				}
				for range 2 {
					if _, err := get(out.NextShardIterator); err == nil || !strings.Contains(err.Error(), "is damaged") {
						t.Fatalf("at the damage: %v, want an error that says so", err)
					}
				}
			})
		})
	}
}

func TestRecordsBeforeDamagedOnesArePushed(t *testing.T) {
	damaged(t, 300, func(t *testing.T, c *client) {
		consumer := c.register("alerts")
		s := c.subscribe(consumer, 0, trimHorizon)
		defer s.Close()
		e := s.next()
		if e == nil || letters(e.Records) != strings.Repeat("A", 300) {
			t.Fatalf("the first event is %+v, want the 300 records before the damage", e)
		}
		if e := s.next(); e != nil || s.Err() == nil {
			t.Fatalf("at the damage: %+v, %v; want an error", e, s.Err())
		}
	})
}

// spoil changes the first byte of a text in a file.
func spoil(t *testing.T, fs vfs.FS, name, text string) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	at := bytes.Index(b, []byte(text))
	if err != nil || at < 0 {
		t.Fatal(fmt.Errorf("%q is not in %s: %w", text, name, os.ErrNotExist), err)
	}
	if _, err := f.WriteAt([]byte{text[0] ^ 1}, int64(at)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
