package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
)

var noon = time.Date(2018, 2, 7, 12, 0, 0, 0, time.UTC)

// at is the position that "12" or "12/3" stands for.
func at(text string) record.Position {
	var seq string
	var sub uint64
	if n, _ := fmt.Sscanf(strings.Replace(text, "/", " ", 1), "%s %d", &seq, &sub); n == 0 {
		panic("no position: " + text)
	}
	return record.At(record.SequenceNumber(seq), sub)
}

// shard makes a shard that holds the records given as "9 10 11/0 11/1".
func shard(id, records string, parents ...string) Shard {
	s := Shard{ID: id, Parents: parents}
	for _, f := range strings.Fields(records) {
		p := at(f)
		s.Records = append(s.Records, record.Record{SequenceNumber: p.Sequence(), SubSequenceNumber: p.Sub(), ArrivalTime: noon})
	}
	return s
}

// batches makes a log of lines "worker/session shard: records", a second apart from noon on.
func batches(text string) []Batch {
	var log []Batch
	for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
		head, records, _ := strings.Cut(l, ":")
		who := strings.Fields(head)
		worker, session, _ := strings.Cut(who[0], "/")
		b := Batch{At: noon.Add(time.Duration(len(log)) * time.Second), Worker: worker, Session: session, Shard: who[1]}
		for _, r := range strings.Fields(records) {
			b.Records = append(b.Records, at(r))
		}
		log = append(log, b)
	}
	return log
}

func TestCheckFindsEachPlantedFault(t *testing.T) {
	// Two shards are merged into c, which is split into d and e; d is empty and followed by f.
	stream := Stream{Shards: []Shard{
		shard("a", "8 9 10"), shard("b", "5"), shard("c", "21 22", "a", "b"),
		shard("d", "", "c"), shard("e", "31", "c"), shard("f", "41/0 41/1 41/2", "d"),
	}}
	good := `
		w1/1 a: 8 9
		w1/1 a: 10
		w2/1 b: 5
		w1/1 c: 21 22
		w1/1 e: 31
		w2/1 f: 41/0 41/1
		w2/1 f: 41/2`
	cases := []struct {
		name     string
		from, to string // what is changed in good
		want     Verdict
		bad      bool
	}{
		{name: "nothing"},
		{"the last record of a shard is lost", "w1/1 e: 31", "w1/1 e:", Verdict{Processed: 9, Lost: 1}, true},
		{"a record in the middle is lost", "a: 8 9", "a: 8", Verdict{Processed: 9, Lost: 1, OutOfOrder: 1}, true},
		{"a sub-record is lost", "41/0 41/1", "41/1", Verdict{Processed: 9, Lost: 1, OutOfOrder: 1}, true},
		{"everything is lost", good, "w9/1 a:", Verdict{Lost: 10}, true},
		{"a new session repeats", "w1/1 a: 10", "w3/1 a: 9 10", Verdict{Processed: 10, Repeated: 1}, false},
		{"the same worker's next session repeats", "w1/1 a: 10", "w1/2 a: 8 9 10", Verdict{Processed: 10, Repeated: 2}, false},
		{"a session repeats", "w1/1 a: 10", "w1/1 a: 9 10", Verdict{Processed: 10, Repeated: 1, OutOfOrder: 1}, true},
		{"a session turns back within a batch", "a: 8 9", "a: 8 9 8", Verdict{Processed: 10, Repeated: 1, OutOfOrder: 1}, true},
		{"two records change places", "a: 8 9", "a: 9 8", Verdict{Processed: 10, OutOfOrder: 2}, true},
		{"a new session starts too far ahead", "w1/1 a: 8 9\n\t\tw1/1 a: 10", "w1/1 a: 8\n\t\tw3/1 a: 10\n\t\tw1/1 a: 9", Verdict{Processed: 10, OutOfOrder: 1}, true},
		{"two owners at a time", "w1/1 a: 10", "w3/1 a: 9\n\t\tw1/1 a: 10\n\t\tw3/1 a: 10", Verdict{Processed: 10, Repeated: 2}, false},
		{"a child before its second parent", "w2/1 b: 5\n\t\tw1/1 c: 21 22", "w1/1 c: 21 22\n\t\tw2/1 b: 5", Verdict{Processed: 10, ChildrenBeforeParents: 1}, true},
		{"a child before its parent's last record", "w1/1 c: 21 22\n\t\tw1/1 e: 31", "w1/1 c: 21\n\t\tw1/1 e: 31\n\t\tw1/1 c: 22", Verdict{Processed: 10, ChildrenBeforeParents: 1}, true},
		{"a grandchild past an empty parent", "w1/1 c: 21 22\n\t\tw1/1 e: 31\n\t\tw2/1 f: 41/0 41/1", "w2/1 f: 41/0 41/1\n\t\tw1/1 c: 21 22\n\t\tw1/1 e: 31", Verdict{Processed: 10, ChildrenBeforeParents: 1}, true},
		{"a child of a parent that never ended", "w1/1 c: 21 22", "w1/1 c: 21", Verdict{Processed: 9, Lost: 1, ChildrenBeforeParents: 2}, true},
		{"a record that is not stored", "w1/1 a: 10", "w1/1 a: 10 11", Verdict{Processed: 10, Unknown: 1}, true},
		{"a shard that is not there", "w1/1 e: 31", "w1/1 e: 31\n\t\tw1/1 x: 1 2", Verdict{Processed: 10, Unknown: 2}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.from != "" && !strings.Contains(good, c.from) {
				t.Fatalf("the log does not hold %q", c.from)
			}
			want := c.want
			if c.name == "nothing" {
				want.Processed = 10
			}
			want.Expected = 10
			got := Check(stream, batches(strings.Replace(good, c.from, c.to, 1)))
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if got.OK() == c.bad {
				t.Errorf("OK() = %v", got.OK())
			}
		})
	}
}

func TestAnEmptyLogLosesEverything(t *testing.T) {
	got := Check(Stream{Shards: []Shard{shard("a", "1 2 3")}}, nil)
	if want := (Verdict{Expected: 3, Lost: 3}); got != want || got.OK() {
		t.Errorf("got %+v, OK %v", got, got.OK())
	}
}

func TestAChildOfExpiredParentsIsFree(t *testing.T) {
	got := Check(Stream{Shards: []Shard{shard("b", "7", "a")}}, batches("w/1 b: 7"))
	if want := (Verdict{Expected: 1, Processed: 1}); got != want {
		t.Errorf("got %+v", got)
	}
}

func TestSequenceNumbersOfDifferentLengthKeepTheStreamsOrder(t *testing.T) {
	got := Check(Stream{Shards: []Shard{shard("a", "9 10 100")}}, batches("w/1 a: 9 10 100"))
	if !got.OK() || got.Processed != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestFailoverIsTheWorstShardsStandstill(t *testing.T) {
	stream := Stream{Shards: []Shard{shard("a", "1 2 3 4"), shard("b", "1 2 3"), shard("c", "1 2"), shard("d", "1")}}
	stream.Shards[1].Records[2].ArrivalTime = noon.Add(5 * time.Second)
	log := batches(`
		w1/1 a: 1
		w1/1 b: 1 2
		w1/1 a: 2
		w2/1 c: 1 2
		w2/1 a: 2 3
		w1/1 a: 4
		w1/2 a: 4
		w2/1 b: 3`)
	crash := noon.Add(500 * time.Millisecond)
	for _, c := range []struct {
		name   string
		shards []string
		want   time.Duration
	}{
		{"no shard", nil, 0},
		{"a shard that another worker goes on with", []string{"a"}, 3500 * time.Millisecond},
		{"a shard whose next record came later", []string{"b"}, 2 * time.Second},
		{"the worst of two", []string{"a", "b"}, 3500 * time.Millisecond},
		{"a shard that nobody had afterwards", []string{"d"}, 0},
	} {
		if got := Failover(stream, log, "w1", c.shards, crash); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
