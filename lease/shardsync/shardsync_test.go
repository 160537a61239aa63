package shardsync

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// generations are the shards of the example in Java KCL's HierarchicalShardSyncer: 0 and 1 merged into 6, 2 and 3 into
// 7, those into 8; 4 and 5 went on, and 5 was split into 9 and 10.
func generations() []record.Shard {
	shard := func(id string, open bool, parents ...string) record.Shard {
		s := record.Shard{ID: id, Parents: parents, First: "1"}
		if !open {
			s.Last = "2"
		}
		return s
	}
	return []record.Shard{
		shard("0", false), shard("1", false), shard("2", false), shard("3", false), shard("4", true), shard("5", false),
		shard("6", false, "0", "1"), shard("7", false, "2", "3"), shard("8", true, "6", "7"),
		shard("9", true, "5"), shard("10", true, "5"),
	}
}

func row(id string, checkpoint record.Position, parents ...string) lease.Lease {
	return lease.Lease{Key: id, Shard: id, Checkpoint: checkpoint, Parents: parents}
}

func TestMissing(t *testing.T) {
	moment := time.UnixMilli(1_000_000)
	early := func(l lease.Lease) lease.Lease { l.StartTime = moment; return l }
	at := record.AtTimestamp(moment)
	seq := record.At("17", 0)
	for _, test := range []struct {
		name  string
		start record.Position
		rows  []lease.Lease
		want  []lease.Lease // with key, checkpoint and start
	}{
		{"one side of a merge has rows, from the oldest", record.TrimHorizon,
			[]lease.Lease{row("4", seq), row("5", seq), row("7", seq)},
			[]lease.Lease{row("0", record.TrimHorizon), row("1", record.TrimHorizon)}},
		{"one side of a merge has rows, and nobody knows when LATEST was", record.Latest,
			[]lease.Lease{row("4", seq), row("5", seq), row("7", seq)},
			[]lease.Lease{row("0", record.TrimHorizon), row("1", record.TrimHorizon)}},
		{"one side of a merge has rows, and one knows when LATEST was", record.Latest,
			[]lease.Lease{early(row("4", record.Latest)), row("5", seq), row("7", seq)},
			[]lease.Lease{early(row("0", at)), early(row("1", at)), early(row("6", at))}},
		{"one side of a merge has rows, from a moment", at,
			[]lease.Lease{row("4", seq), row("5", seq), row("7", seq)},
			[]lease.Lease{row("0", at), row("1", at), row("6", at)}},
		{"the first creation at LATEST broke off", record.Latest,
			[]lease.Lease{early(row("8", record.Latest, "6", "7")), early(row("9", record.Latest, "5"))},
			[]lease.Lease{early(row("4", record.Latest)), early(row("10", record.Latest, "5"))}},
		{"descendants of unfinished rows wait for them", record.TrimHorizon,
			[]lease.Lease{row("0", seq), row("1", seq), row("2", seq), row("3", seq), row("4", seq), row("5", seq)},
			nil},
		{"a child that its finished parents did not create", record.TrimHorizon,
			[]lease.Lease{row("8", seq), row("4", seq), row("5", record.ShardEnd), row("9", seq)},
			[]lease.Lease{row("10", record.TrimHorizon)}},
		{"the front is complete, and its past is gone", record.TrimHorizon,
			[]lease.Lease{row("8", seq), row("4", seq), row("9", seq), row("10", seq)},
			nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Missing(Input{Shards: generations(), Leases: test.rows, Start: test.start, Now: moment.Add(time.Hour)})
			if !slices.EqualFunc(got, test.want, func(a, b lease.Lease) bool {
				return a.Key == b.Key && a.Checkpoint == b.Checkpoint && a.StartTime.Equal(b.StartTime)
			}) {
				t.Errorf("missing:")
				for _, l := range got {
					t.Errorf("  %s %v %v", l.Key, l.Checkpoint, l.StartTime)
				}
			}
		})
	}
}

func TestTheFirstListingGivesEachShardARowAtTheStart(t *testing.T) {
	now := time.UnixMilli(5_000)
	shards := []record.Shard{
		{ID: "b", Parents: []string{"a"}, Range: record.HashKeyRange{End: record.MaxHashKey}}, {ID: "a", Last: "9"},
	}
	rows := Missing(Input{Stream: "1:s:2", Shards: shards, Start: record.Latest, Now: now})
	if len(rows) != 2 || rows[0].Key != "1:s:2:a" || rows[1].Key != "1:s:2:b" {
		t.Fatalf("rows %+v, want those of a and b", rows)
	}
	for _, l := range rows {
		if l.Checkpoint != record.Latest || !l.StartTime.Equal(now) || l.Stream != "1:s:2" || l.Range == nil || l.Owner != "" {
			t.Errorf("row %+v, want LATEST at %v, free", l, now)
		}
	}
	if !slices.Equal(rows[1].Parents, []string{"a"}) || *rows[1].Range != record.FullRange {
		t.Errorf("row %+v, want parent a and the full range", rows[1])
	}
	if rows := Missing(Input{Shards: shards, Start: record.TrimHorizon, Now: now}); !rows[0].StartTime.IsZero() {
		t.Errorf("a row at TRIM_HORIZON starts at %v", rows[0].StartTime)
	}
}

func TestChildren(t *testing.T) {
	merged := record.Shard{ID: "c", Parents: []string{"a", "b"}, Range: record.FullRange}
	listed := []record.Shard{{ID: "a"}, {ID: "b"}, merged}
	for _, test := range []struct {
		name   string
		rows   []lease.Lease
		listed []record.Shard
		ready  bool
		want   int
	}{
		{"both parents have rows", []lease.Lease{row("a", record.At("1", 0)), row("b", record.TrimHorizon)}, listed, true, 1},
		{"the other parent is to get its row yet", []lease.Lease{row("a", record.At("1", 0))}, listed, false, 0},
		{"the other parent was trimmed", []lease.Lease{row("a", record.At("1", 0))}, []record.Shard{{ID: "a"}, merged}, true, 1},
		{"the child is there already", []lease.Lease{row("a", record.At("1", 0)), row("c", record.TrimHorizon)}, listed, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, ready := Children(row("a", record.At("1", 0)), []record.Shard{merged}, test.rows, test.listed)
			if ready != test.ready || len(rows) != test.want {
				t.Fatalf("Children = %+v, %v", rows, ready)
			}
			for _, l := range rows {
				if l.Checkpoint != record.TrimHorizon || len(l.Parents) != 2 || *l.Range != record.FullRange {
					t.Errorf("row %+v", l)
				}
			}
		})
	}
}

func TestStartPosition(t *testing.T) {
	moment := time.UnixMilli(7_000)
	parent := []lease.Lease{row("p", record.ShardEnd)}
	pinned := row("s", record.Latest)
	pinned.StartTime = moment
	pinnedAt := row("s", record.AtTimestamp(moment))
	pinnedAt.StartTime = moment
	bare, err := record.ParsePosition("AT_TIMESTAMP", 0) // as it comes from a table
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		row     lease.Lease
		parents []lease.Lease
		start   record.Position
		want    record.Position
	}{
		{"LATEST decided before", pinned, nil, record.Latest, record.AtTimestamp(moment)},
		{"LATEST of a child", pinned, parent, record.Latest, record.TrimHorizon},
		{"LATEST by a Java worker", row("s", record.Latest), nil, record.Latest, record.Latest},
		{"LATEST of a child by a Java worker", row("s", record.Latest), parent, record.Latest, record.TrimHorizon},
		{"a moment", row("s", bare), nil, record.AtTimestamp(moment), record.AtTimestamp(moment)},
		{"a moment of a child", row("s", bare), parent, record.AtTimestamp(moment), record.AtTimestamp(moment)},
		{"a moment of its own", pinnedAt, parent, record.Latest, record.AtTimestamp(moment)},
		{"a moment that is not configured any more", row("s", bare), nil, record.Latest, record.TrimHorizon},
		{"the beginning", row("s", record.TrimHorizon), nil, record.Latest, record.TrimHorizon},
		{"a checkpoint", row("s", record.At("5", 3)), parent, record.Latest, record.At("5", 3)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := StartPosition(test.row, test.parents, test.start); got != test.want {
				t.Errorf("StartPosition = %v, want %v", got, test.want)
			}
		})
	}
}

func TestDeletable(t *testing.T) {
	done := func(id string, children []string, parents ...string) lease.Lease {
		l := row(id, record.ShardEnd, parents...)
		l.Children = children
		return l
	}
	seq := record.At("5", 0)
	shards := func(ids ...string) (all []record.Shard) {
		for _, id := range ids {
			all = append(all, record.Shard{ID: id})
		}
		return all
	}
	for _, test := range []struct {
		name   string
		rows   []lease.Lease
		want   bool // of the row a
		listed []record.Shard
	}{
		{"its children are under way", []lease.Lease{done("a", []string{"b", "c"}), row("b", seq), row("c", record.ShardEnd)}, true, nil},
		{"a child has not begun", []lease.Lease{done("a", []string{"b", "c"}), row("b", seq), row("c", record.TrimHorizon)}, false, nil},
		{"a child has no row", []lease.Lease{done("a", []string{"b", "c"}), row("b", seq)}, false, nil},
		{"its children are not known", []lease.Lease{done("a", nil), row("b", seq, "a")}, false, nil},
		{"its own parent is there yet", []lease.Lease{done("a", []string{"b"}, "p"), row("b", seq), done("p", []string{"a", "z"})}, false, nil},
		{"it is not done", []lease.Lease{row("a", seq), row("b", seq)}, false, nil},
		{"the child with that name is of another stream", []lease.Lease{
			done("a", []string{"b"}), {Key: "s:b", Stream: "s", Shard: "b", Checkpoint: seq},
		}, false, nil},
		{"its shard is gone and its children are not known", []lease.Lease{done("a", nil)}, true, shards("x")},
		{"its shard is gone and it is not done", []lease.Lease{row("a", seq)}, false, shards("x")},
		{"its shard is listed and its children are not known", []lease.Lease{done("a", nil)}, false, shards("a", "x")},
		{"its shard is gone and a listed child has no row", []lease.Lease{done("a", nil)}, false, append(shards("x"), record.Shard{ID: "b", Parents: []string{"a"}})},
		{"its shard is gone and its listed child is under way", []lease.Lease{done("a", nil), row("b", seq)}, true, append(shards("x"), record.Shard{ID: "b", Parents: []string{"a"}})},
		{"its shard is gone and its child has not begun", []lease.Lease{done("a", []string{"b"}), row("b", record.TrimHorizon)}, false, shards("x")},
		{"its shard and its children are gone", []lease.Lease{done("a", []string{"b"})}, true, shards("x")},
		{"its shard is gone and its parent's row is there", []lease.Lease{done("a", nil, "p"), done("p", nil)}, false, shards("x")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := slices.ContainsFunc(Deletable(test.rows, test.listed), func(l lease.Lease) bool { return l.Key == "a" })
			if got != test.want {
				t.Errorf("deletable: %v, want %v", got, test.want)
			}
		})
	}
}

func TestUncovered(t *testing.T) {
	part := func(from, to uint64, checkpoint record.Position) lease.Lease {
		l := row("s", checkpoint)
		l.Range = &record.HashKeyRange{Start: record.HashKey{Lo: from}, End: record.HashKey{Lo: to}}
		if to == ^uint64(0) {
			l.Range.End = record.MaxHashKey
		}
		return l
	}
	const last = ^uint64(0)
	seq := record.At("5", 0)
	for _, test := range []struct {
		name string
		rows []lease.Lease
		want []string
	}{
		{"nothing at all", nil, []string{record.FullRange.String()}},
		{"all of it, overlapping", []lease.Lease{part(10, last, seq), part(0, 50, seq), part(20, 30, seq)}, nil},
		{"a hole", []lease.Lease{part(0, 10, seq), part(20, last, seq)}, []string{"11-19"}},
		{"a finished row covers nothing", []lease.Lease{part(0, 10, seq), part(11, 19, record.ShardEnd), part(20, last, seq)}, []string{"11-19"}},
		{"ends", []lease.Lease{part(5, 10, seq)}, []string{"0-4", "11-" + record.MaxHashKey.String()}},
		{"a row without a range", []lease.Lease{part(0, 10, seq), row("x", seq)}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, gap := range Uncovered(test.rows) {
				got = append(got, gap.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("Uncovered = %v, want %v", got, test.want)
			}
		})
	}
}
