package format

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
)

var columns = []string{
	"delay:int64", "distance:double", "origin:string!", "late:boolean", "at:timestamp=when", "city:string=place.city",
	"seq:string=$sequence", "key:string=$partition-key", "arrived:timestamp=$arrival",
}

func rec(n int, data string) *record.Record {
	return &record.Record{
		SequenceNumber: record.SequenceNumber(fmt.Sprint(49590000 + n)), SubSequenceNumber: uint64(n % 3), PartitionKey: "ключ",
		Data: []byte(data), ArrivalTime: time.UnixMilli(1_600_000_000_000 + int64(n)),
	}
}

func samples() []*record.Record {
	var all []*record.Record
	for i := range 1000 {
		all = append(all, rec(i, fmt.Sprintf(`{"delay":%d,"distance":%d.25,"origin":"A%d","late":%v,"when":"2001-02-03T04:05:%02dZ","place":{"city":"Köln"}}`,
			i-500, i, i%7, i%2 == 0, i%60)))
	}
	return append(all, rec(1000, `{"origin":"null is left out"}`), rec(1001, `{"origin":"big","delay":9223372036854775807,"late":null}`))
}

func contents(t *testing.T, f Format, records []*record.Record) ([][]byte, iter.Seq2[[]byte, error]) {
	t.Helper()
	var all [][]byte
	for _, r := range records {
		c, err := f.Content(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all, func(yield func([]byte, error) bool) {
		for _, c := range all {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	for _, name := range []string{"jsonl", "frames", "parquet"} {
		for _, c := range []Compression{None, Gzip, Zstd} {
			t.Run(name+"/"+string(c), func(t *testing.T) {
				var declared []string
				if name == "parquet" {
					declared = columns
				}
				f, err := New(name, declared, c)
				if err != nil {
					t.Fatal(err)
				}
				want, all := contents(t, f, samples())
				var body bytes.Buffer
				if err := f.Encode(&body, all); err != nil {
					t.Fatal(err)
				}
				n := 0
				for got, err := range f.Decode(bytes.NewReader(body.Bytes()), int64(body.Len())) {
					if err != nil {
						t.Fatal(err)
					}
					if n < len(want) && !bytes.Equal(got, want[n]) {
						t.Fatalf("record %d: %q, want %q", n, got, want[n])
					}
					n++
				}
				if n != len(want) {
					t.Errorf("%d records, want %d", n, len(want))
				}
				for _, cut := range []int{1, body.Len() / 2} { // a body that is cut short is an error, not fewer records
					n, failed := 0, false
					for _, err := range f.Decode(bytes.NewReader(body.Bytes()[:cut]), int64(cut)) {
						failed = failed || err != nil
						n++
					}
					if !failed {
						t.Errorf("%d of %d bytes: %d records and no error", cut, body.Len(), n)
					}
				}
			})
		}
	}
}

func TestAFrameGivesItsRecordBack(t *testing.T) {
	want := rec(7, "\x00\xffanything\n")
	content, err := frames{None}.Content(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseFrame(content)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(*want) {
		t.Errorf("%+v, %v; want %+v", got, err, *want)
	}
	for n := range len(content) - len(want.Data) {
		if _, err := ParseFrame(content[:n]); err == nil {
			t.Errorf("no error for %d of %d bytes", n, len(content))
		}
	}
}

func TestALineHasNoLineBreak(t *testing.T) {
	for _, c := range []struct{ data, want, fails string }{
		{"{\"a\":1}\n", `{"a":1}`, ""},
		{"{\n\"a\": \"x\\n\"}\n", `{"a":"x\n"}`, ""},
		{"two\nlines", "", "not JSON"},
		{"plain text", "plain text", ""},
	} {
		got, err := lines{None}.Content(rec(1, c.data))
		if string(got) != c.want || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%q: %q, %v", c.data, got, err)
		}
	}
}

func TestRecordsThatDoNotFitTheColumnsAreRefused(t *testing.T) {
	f, err := New("parquet", columns, Zstd)
	if err != nil {
		t.Fatal(err)
	}
	for data, text := range map[string]string{
		`{}`:                           "column origin: origin is missing",
		`{"origin":"A","delay":1.5}`:   "column delay: 1.5 is no int64",
		`{"origin":"A","delay":"x"}`:   "column delay: x is no int64",
		`{"origin":"A","late":1}`:      "column late: 1 is no boolean",
		`{"origin":"A","when":"soon"}`: `column at: "soon" is no time`,
		`[1]`:                          "no JSON object",
		`{"origin":"A"} {}`:            "not one JSON object",
		`nonsense`:                     "no JSON object",
	} {
		if _, err := f.Content(rec(1, data)); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v; want %q", data, err, text)
		}
	}
}

func TestBadColumnsAreNamed(t *testing.T) {
	for declared, text := range map[string]string{
		"delay":             "want name:type",
		"delay:integer":     `type "integer": want string, int64`,
		"a:string=$offset":  "want a field, $sequence",
		"a:int64=$sequence": "$sequence is a string",
		"a:string, a:int64": "declared twice",
		"":                  "wants columns",
	} {
		var list []string
		if declared != "" {
			list = strings.Split(declared, ",")
		}
		if _, err := New("parquet", list, None); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v; want %q", declared, err, text)
		}
	}
	if _, err := New("orc", nil, None); err == nil {
		t.Error("no error for a format that there is not")
	}
}
