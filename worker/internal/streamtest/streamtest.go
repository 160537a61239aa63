// Package streamtest is what every worker.Stream must do, as tests.
package streamtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// PageRecords is the most records that a page of a Backend's stream may hold.
const PageRecords = 10

// A Backend is a stream under test with the means to change it. Its functions return when the change is in force.
type Backend struct {
	Stream worker.Stream
	// Put stores a record under a hash key and tells its shard and sequence number.
	Put func(t *testing.T, h record.HashKey, data string) (shardID string, seq record.SequenceNumber)
	// Split and Merge reshard.
	Split func(t *testing.T, shardID string, at record.HashKey)
	Merge func(t *testing.T, a, b string)
}

// Run tests the streams that open makes: named "s", with so many shards, 24 hours of retention, records that may stay
// unread for ever and pages of up to PageRecords. open runs in the synctest bubble of one test.
func Run(t *testing.T, open func(t *testing.T, shards int) Backend) {
	for _, c := range []struct {
		name   string
		shards int
		test   func(t *testing.T, b Backend)
	}{
		{"names itself", 1, namesItself},
		{"pages come in order and end at the tip", 1, pagesInOrder},
		{"a reader begins at its position", 1, positions},
		{"LATEST is fixed by the first read", 1, latest},
		{"expired records are passed over", 1, expiry},
		{"a split shard ends with its children", 1, split},
		{"a merged shard ends with its child", 2, merge},
		{"listings follow the position", 2, listings},
		{"listings are whole", 2300, longListing},
		{"an unknown or expired shard is gone", 1, gone},
		{"a cancelled read moves nothing", 1, cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.test(t, open(t, c.shards)) })
		})
	}
}

// half is the middle of the hash key space.
var half = record.HashKey{Hi: 1 << 63}

func (b Backend) list(t *testing.T, at record.Position) []record.Shard {
	t.Helper()
	shards, now, err := b.Stream.Shards(t.Context(), at)
	if err != nil {
		t.Fatalf("Shards(%v): %v", at, err)
	}
	if late := now.Sub(time.Now()); late > 0 || late <= -2*time.Second {
		t.Errorf("Shards(%v) tells a time %v off", at, late)
	}
	slices.SortFunc(shards, func(a, b record.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	return shards
}

func (b Backend) put(t *testing.T, h record.HashKey, first, n int) (shardID string, seqs []record.SequenceNumber) {
	t.Helper()
	for i := range n {
		id, seq := b.Put(t, h, fmt.Sprintf("r%d", first+i))
		shardID, seqs = id, append(seqs, seq)
		time.Sleep(10 * time.Millisecond)
	}
	return shardID, seqs
}

// read reads until the tip or the end of the shard, at a pace that Kinesis allows, and checks each page.
func read(t *testing.T, r worker.Reader) (data []string, last record.Page) {
	t.Helper()
	var seq record.SequenceNumber
	for {
		time.Sleep(250 * time.Millisecond)
		page, err := r.Read(t.Context())
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if len(page.Records) > PageRecords {
			t.Errorf("a page of %d records", len(page.Records))
		}
		for _, rec := range page.Records {
			if rec.SequenceNumber.Compare(seq) <= 0 || rec.SequenceNumber.Validate() != nil {
				t.Errorf("%s after %s", rec.SequenceNumber, seq)
			}
			if rec.PartitionKey == "" || rec.Aggregated || time.Since(rec.ArrivalTime) < 0 {
				t.Errorf("record %+v", rec)
			}
			seq, data = rec.SequenceNumber, append(data, string(rec.Data))
		}
		if page.Behind < 0 || page.End != (page.Children != nil) {
			t.Errorf("page behind %v, end %v, children %v", page.Behind, page.End, page.Children)
		}
		if page.End || page.Behind == 0 {
			return data, page
		}
	}
}

func wantData(t *testing.T, what string, got []string, first, n int) {
	t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("r%d", first+i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: read %v, want %v", what, got, want)
	}
}

func namesItself(t *testing.T, b Backend) {
	id, err := b.Stream.Identify(t.Context())
	if err != nil || b.Stream.Name() != "s" || id.Name != "s" || len(id.Account) != 12 || id.Retention != 24*time.Hour {
		t.Errorf("Name %q, identity %+v, %v", b.Stream.Name(), id, err)
	}
	if age := time.Since(time.Unix(id.Epoch, 0)); age < 0 || age > time.Hour {
		t.Errorf("created %v ago", age)
	}
}

func pagesInOrder(t *testing.T, b Backend) {
	id, seqs := b.put(t, half, 0, 25)
	time.Sleep(time.Second)
	r := b.Stream.Open(id, record.TrimHorizon)
	defer r.Close()
	page, err := r.Read(t.Context())
	if err != nil || len(page.Records) == 0 || page.Behind < time.Second || page.End {
		t.Fatalf("first page: %d records, behind %v, %v", len(page.Records), page.Behind, err)
	}
	if page.Records[0].SequenceNumber != seqs[0] {
		t.Errorf("first sequence number %s, want %s", page.Records[0].SequenceNumber, seqs[0])
	}
	n := len(page.Records)
	data, last := read(t, r)
	wantData(t, "the rest", data, n, 25-n)
	if last.Behind != 0 || last.End {
		t.Errorf("at the tip: behind %v, end %v", last.Behind, last.End)
	}
	b.put(t, half, 25, 2)
	data, _ = read(t, r)
	wantData(t, "put meanwhile", data, 25, 2)
}

func positions(t *testing.T, b Backend) {
	id, seqs := b.put(t, half, 0, 12)
	time.Sleep(2 * time.Second)
	later := time.Now()
	b.put(t, half, 12, 3)
	for _, c := range []struct {
		at    record.Position
		first int
	}{
		{record.TrimHorizon, 0},
		{record.At(seqs[0], 0), 0},
		{record.At(seqs[7], 0), 7},
		{record.At(seqs[7], 3), 7},
		{record.AtTimestamp(later), 12},
		{record.AtTimestamp(later.Add(-time.Hour)), 0},
		{record.AtTimestamp(time.Now()), 15},
		{record.Latest, 15},
	} {
		r := b.Stream.Open(id, c.at)
		data, _ := read(t, r)
		wantData(t, c.at.String(), data, c.first, 15-c.first)
		r.Close()
	}
}

func latest(t *testing.T, b Backend) {
	id, _ := b.put(t, half, 0, 3)
	r := b.Stream.Open(id, record.Latest)
	defer r.Close()
	b.put(t, half, 3, 1)
	data, _ := read(t, r)
	wantData(t, "before the first read", data, 0, 0)
	b.put(t, half, 4, 2)
	data, _ = read(t, r)
	wantData(t, "after the first read", data, 4, 2)
}

func expiry(t *testing.T, b Backend) {
	id, seqs := b.put(t, half, 0, 3)
	slow := b.Stream.Open(id, record.TrimHorizon)
	defer slow.Close()
	data, _ := read(t, slow)
	wantData(t, "fresh", data, 0, 3)
	b.put(t, half, 3, 3)
	time.Sleep(25 * time.Hour)
	b.put(t, half, 6, 2)
	data, _ = read(t, slow)
	wantData(t, "a reader that slept", data, 6, 2)
	for _, at := range []record.Position{record.TrimHorizon, record.At(seqs[1], 0), record.AtTimestamp(time.Now().Add(-25 * time.Hour))} {
		r := b.Stream.Open(id, at)
		data, _ := read(t, r)
		wantData(t, at.String(), data, 6, 2)
		r.Close()
	}
}

func split(t *testing.T, b Backend) {
	id, seqs := b.put(t, half, 0, 12)
	r := b.Stream.Open(id, record.TrimHorizon)
	defer r.Close()
	b.Split(t, id, half)
	low, childSeqs := b.put(t, half.Prev(), 12, 1)
	high, _ := b.put(t, half, 13, 1)
	if childSeqs[0].Compare(seqs[11]) <= 0 {
		t.Errorf("the child's number %s is not above its parent's %s", childSeqs[0], seqs[11])
	}
	for _, at := range []record.Position{record.TrimHorizon, record.At(seqs[11], 0), record.Latest, record.AtTimestamp(time.Now())} {
		r := b.Stream.Open(id, at)
		data, page := read(t, r)
		first := map[record.Kind]int{record.KindTrimHorizon: 0, record.KindSequence: 11}
		if n, ok := first[at.Kind()]; ok {
			wantData(t, at.String(), data, n, 12-n)
		} else {
			wantData(t, at.String(), data, 12, 0)
		}
		if !page.End || len(page.Children) != 2 {
			t.Fatalf("%v: end %v, children %+v", at, page.End, page.Children)
		}
		slices.SortFunc(page.Children, func(a, b record.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
		for i, want := range []record.Shard{
			{ID: low, Range: record.HashKeyRange{End: half.Prev()}},
			{ID: high, Range: record.HashKeyRange{Start: half, End: record.MaxHashKey}},
		} {
			got := page.Children[i]
			if got.ID != want.ID || got.Range != want.Range || !slices.Equal(got.Parents, []string{id}) {
				t.Errorf("%v: child %+v, want %+v of %s", at, got, want, id)
			}
		}
		r.Close()
	}
}

func merge(t *testing.T, b Backend) {
	low, _ := b.put(t, record.HashKey{}, 0, 2)
	high, _ := b.put(t, record.MaxHashKey, 2, 2)
	b.Merge(t, low, high)
	child, _ := b.put(t, half, 4, 1)
	for i, parent := range []string{low, high} {
		r := b.Stream.Open(parent, record.TrimHorizon)
		data, page := read(t, r)
		wantData(t, parent, data, 2*i, 2)
		if !page.End || len(page.Children) != 1 || page.Children[0].ID != child || page.Children[0].Range != record.FullRange ||
			!slices.Equal(page.Children[0].Parents, []string{low, high}) {
			t.Errorf("%s: end %v, children %+v", parent, page.End, page.Children)
		}
		r.Close()
	}
	for _, s := range b.list(t, record.Position{}) {
		if s.ID == child && !slices.Equal(s.Parents, []string{low, high}) {
			t.Errorf("listed child %+v", s)
		}
	}
}

func listings(t *testing.T, b Backend) {
	old := b.list(t, record.Position{})
	if len(old) != 2 || old[0].Range.Start != (record.HashKey{}) || old[1].Range.End != record.MaxHashKey {
		t.Fatalf("shards %+v", old)
	}
	time.Sleep(time.Minute)
	before := time.Now()
	time.Sleep(time.Minute)
	b.Split(t, old[1].ID, half.Next().Next().Next())
	time.Sleep(time.Minute)
	count := func(at record.Position) (n, open int) {
		shards := b.list(t, at)
		for _, s := range shards {
			if s.Open() {
				open++
			}
			if s.First.Validate() != nil || (s.ID == old[1].ID) == s.Open() || (len(s.Parents) == 0) != (s.ID == old[0].ID || s.ID == old[1].ID) {
				t.Errorf("%v: shard %+v", at, s)
			}
		}
		return len(shards), open
	}
	want := func(what string, at record.Position, n, open int) {
		t.Helper()
		if gotN, gotOpen := count(at); gotN != n || gotOpen != open {
			t.Errorf("%s: %d shards at %v, %d of them open; want %d, %d", what, gotN, at, gotOpen, n, open)
		}
	}
	want("after the split", record.Position{}, 4, 3)
	want("after the split", record.TrimHorizon, 2, 1)
	want("after the split", record.Latest, 3, 3)
	want("before the split", record.AtTimestamp(before), 2, 1)
	want("after the split", record.AtTimestamp(time.Now()), 3, 3)
	for _, at := range []record.Position{record.ShardEnd, record.At("1", 0)} {
		if _, _, err := b.Stream.Shards(t.Context(), at); err == nil {
			t.Errorf("Shards(%v) has no error", at)
		}
	}
	time.Sleep(25 * time.Hour)
	want("a day later", record.Position{}, 3, 3)
	want("a day later", record.TrimHorizon, 3, 3)
}

func longListing(t *testing.T, b Backend) {
	for _, at := range []record.Position{{}, record.Latest, record.TrimHorizon} {
		var next record.HashKey
		shards := b.list(t, at)
		for _, s := range shards {
			if s.Range.Start != next {
				t.Fatalf("%v: shard %s begins at %v, want %v", at, s.ID, s.Range.Start, next)
			}
			next = s.Range.End.Next()
		}
		if len(shards) != 2300 || next != (record.HashKey{}) {
			t.Errorf("%v: %d shards up to %v", at, len(shards), next.Prev())
		}
	}
}

func gone(t *testing.T, b Backend) {
	id, seqs := b.put(t, half, 0, 2)
	reading := b.Stream.Open(id, record.TrimHorizon)
	defer reading.Close()
	if _, err := reading.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Split(t, id, half)
	time.Sleep(25 * time.Hour)
	for what, r := range map[string]worker.Reader{
		"unknown": b.Stream.Open("shardId-000000000099", record.Latest),
		"expired": b.Stream.Open(id, record.At(seqs[0], 0)),
		"reading": reading,
	} {
		if _, err := r.Read(t.Context()); !errors.Is(err, worker.ErrShardGone) {
			t.Errorf("%s: %v, want ErrShardGone", what, err)
		}
	}
}

func cancelled(t *testing.T, b Backend) {
	id, _ := b.put(t, half, 0, 25)
	r := b.Stream.Open(id, record.TrimHorizon)
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var data []string
	for len(data) < 25 {
		if _, err := r.Read(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("Read under a cancelled context: %v", err)
		}
		time.Sleep(250 * time.Millisecond)
		page, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range page.Records {
			data = append(data, string(rec.Data))
		}
	}
	wantData(t, "between cancelled reads", data, 0, 25)
}
