package kinesis

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

func TestRunsGiveTheNumbersOfTheirRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sh := &shard{Index: 77, Creation: 1_700_000_000}
	var r run
	counter, arrival := uint64(1), int64(1_700_000_000_000)
	for range 20_000 {
		if got, want := string(r.appendTo(nil, sh, counter, arrival)), sh.number(counter, arrival).String(); got != want {
			t.Fatalf("counter %d, arrival %d: %s, want %s", counter, arrival, got, want)
		}
		switch rng.IntN(50) {
		case 0:
			counter = rng.Uint64N(lastCounter)
		case 1:
			arrival += rng.Int64N(3000)
		}
		counter++
	}
}

// pageOf is a page of records whose keys and data have everything that needs care.
func pageOf(encrypted bool) *page {
	p := &page{shard: &shard{Index: 3, Creation: 1_700_000_000}}
	for i, key := range []string{"plain", `"quoted" \ and <tags>`, "tab\tand\x01", "Zürich", "日本語", "\xff\xfe", "a", strings.Repeat("k", 256)} {
		c := chunk{first: uint64(100 * i), arrival: 1_700_000_000_000 + int64(i*250), encrypted: encrypted}
		for _, size := range []int{0, 1, 2, 3, 4, 22, 23, 24, 100, 255, 256, 300} {
			key, data := []byte(key), bytes.Repeat([]byte{byte(size), 0xfb, 0}, size)[:size]
			record := make([]byte, recordSize(len(key), len(data)))
			putRecord(record, key, data)
			c.records = append(c.records, record...)
			c.sizes.add(key, data)
			c.count++
		}
		p.take(part{chunk: c, kept: new([]byte)})
	}
	return p
}

func TestRecordsAreEncodedAsTheSDKsTypesAre(t *testing.T) {
	next, behind := "an iterator", int64(42)
	for name, test := range map[string]struct {
		out  *kinesis.GetRecordsOutput
		page *page
	}{
		"records":   {&kinesis.GetRecordsOutput{NextShardIterator: &next, MillisBehindLatest: &behind}, pageOf(false)},
		"encrypted": {&kinesis.GetRecordsOutput{NextShardIterator: &next, MillisBehindLatest: new(int64)}, pageOf(true)},
		"none":      {&kinesis.GetRecordsOutput{NextShardIterator: &next, MillisBehindLatest: new(int64)}, &page{shard: &shard{}}},
		"the end":   {&kinesis.GetRecordsOutput{MillisBehindLatest: new(int64), ChildShards: []types.ChildShard{}}, &page{shard: &shard{}}},
	} {
		for encoding, appendOutput := range map[string]func([]byte, any) ([]byte, error){"JSON": wire.AppendJSON, "CBOR": wire.AppendCBOR} {
			t.Run(name+" "+encoding, func(t *testing.T) {
				r := &recordsReply{out: test.out, page: test.page}
				size, err := r.Start(encoding == "CBOR")
				if err != nil {
					t.Fatal(err)
				}
				var got []byte
				for more := true; more; {
					var piece []byte
					piece, more, err = r.AppendPiece(nil, 1000)
					if err != nil || len(piece) == 0 || len(piece) > 2000 {
						t.Fatalf("a piece of %d bytes, want about 1000: %v", len(piece), err)
					}
					got = append(got, piece...)
				}
				if len(got) != size {
					t.Errorf("%d bytes, announced as %d", len(got), size)
				}
				full := *test.out
				if full.Records, err = test.page.records(); err != nil {
					t.Fatal(err)
				}
				want, err := appendOutput(nil, &full)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("got  %q\nwant %q, %v", got, want, err)
				}
			})
		}
	}
}

func TestPutsAreAnsweredAsTheSDKsTypeIs(t *testing.T) {
	for name, encrypted := range map[string]bool{"plain": false, "encrypted": true} {
		t.Run(name, func(t *testing.T) {
			w := &write{s: &Service{o: Options{Account: "000000000000"}}, name: "quakes", encrypted: encrypted}
			for i := range 6 {
				sh := &shard{Index: uint32(i % 2), Creation: 1_700_000_000}
				d := &draft{shard: sh, first: uint64(100 * i), arrival: 1_700_000_000_000}
				w.placed = append(w.placed, place{chunk: d, shard: sh}, place{chunk: d, shard: sh, nth: 1}, place{shard: sh})
			}
			w.entries = make([]putEntry, len(w.placed))
			got, err := putReply{w}.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			want, err := wire.AppendJSON(nil, w.results())
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("got  %s\nwant %s, %v", got, want, err)
			}
		})
	}
}

func TestValidEntriesSatisfyTheModel(t *testing.T) {
	number := "1"
	for name, test := range map[string]struct {
		e    putEntry
		want bool
	}{
		"usual":       {putEntry{Data: []byte("x"), PartitionKey: wire.Text("k")}, true},
		"empty data":  {putEntry{Data: []byte{}, PartitionKey: wire.Text("k")}, true},
		"no data":     {putEntry{PartitionKey: wire.Text("k")}, false},
		"no key":      {putEntry{Data: []byte("x")}, false},
		"empty key":   {putEntry{Data: []byte("x"), PartitionKey: wire.Text{}}, false},
		"longest key": {putEntry{Data: []byte("x"), PartitionKey: make(wire.Text, 256)}, true},
		"longer key":  {putEntry{Data: []byte("x"), PartitionKey: make(wire.Text, 257)}, false},
		"hash key":    {putEntry{Data: []byte("x"), PartitionKey: wire.Text("k"), ExplicitHashKey: &number}, false},
		"large":       {putEntry{Data: make([]byte, maxRequest), PartitionKey: wire.Text("k")}, true},
		"too large":   {putEntry{Data: make([]byte, maxRequest+1), PartitionKey: wire.Text("k")}, false},
	} {
		if got := test.e.Valid(); got != test.want {
			t.Errorf("%s: Valid() = %t; want %t: false leaves it to the checks one by one", name, got, test.want)
		}
	}
}

// TestSizesInNotesStayWhatTheyAre: the notes that are on disks say how long today's encodings are.
func TestSizesInNotesStayWhatTheyAre(t *testing.T) {
	var z sizes
	for _, key := range []string{"plain", `"quoted" \ and <tags>`, "tab\tand\x01", "Zürich", "\xff\xfe", "\u2028"} {
		for _, size := range []int{0, 1, 2, 3, 23, 24, 255, 256, 70_000} {
			z.add([]byte(key), make([]byte, size))
		}
	}
	if want := (sizes{423_798, 565_323, 423_963}); z != want {
		t.Errorf("%+v, want %+v: stored chunks have the old sizes", z, want)
	}
}
