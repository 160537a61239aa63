package localstream_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream"
)

// TestRecordsBeforeDamagedOnesCanBeRead breaks a byte of one of the requests that the disk keeps. The answer that was to
// have its records is cut off; from then on answers end before them, and only the one that would begin with them fails.
func TestRecordsBeforeDamagedOnesCanBeRead(t *testing.T) {
	for name, count := range map[string]int{"answers of one piece": 3, "answers of many pieces": 300} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { readAroundDamage(t, count) })
		})
	}
}

func readAroundDamage(t *testing.T, count int) {
	disk := vfs.NewMem()
	srv, err := localstream.Open("data", localstream.Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, srv)
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

	get := func(it *string) (string, *string, error) {
		out, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return "", nil, err
		}
		letters := ""
		for _, r := range out.Records {
			letters += string(r.Data[:1])
		}
		return letters, out.NextShardIterator, nil
	}
	start := c.horizon(0)
	if letters, _, err := get(start); err == nil {
		t.Fatalf("the first answer is %d records", len(letters))
	}
	letters, next, err := get(start)
	if err != nil || letters != strings.Repeat("A", count) {
		t.Fatalf("then %d records, %v; want the %d before the damage", len(letters), err, count)
	}
	for range 2 {
		if _, _, err := get(next); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Fatalf("at the damage: %v, want an error that says so", err)
		}
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
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
