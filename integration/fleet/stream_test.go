package fleet

import (
	"maps"
	"os"
	"testing"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/record"
)

const one, two = "000000000000:one:1700000000", "000000000000:two:1700000001"

func TestWorkersAreToldOfStreams(t *testing.T) {
	f := &Fleet{folder: t.TempDir(), producers: []*producer{{id: one}}}
	for _, want := range []map[string]string{{"one": one}, {"one": one, "two": two}} {
		if err := f.list(); err != nil {
			t.Fatal(err)
		}
		if got, err := Listed(f.listPath()); err != nil || !maps.Equal(got, want) {
			t.Errorf("listed %v, %v; want %v", got, err, want)
		}
		f.producers = append(f.producers, &producer{id: two})
	}
	if err := os.WriteFile(f.listPath(), []byte("000000000000:one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Listed(f.listPath()); err == nil {
		t.Errorf("listed %v of a stream without its epoch, want an error", got)
	}
}

func TestMisnamedLeasesAreThoseThatKCLWouldNameOtherwise(t *testing.T) {
	f := &Fleet{producers: []*producer{{id: one}, {id: two}}}
	for _, c := range []struct {
		name string
		row  Row
		bad  bool
	}{
		{"as KCL does", Row{Key: two + ":" + ShardID(0), Stream: two, Shard: ShardID(0)}, false},
		{"another stream's key", Row{Key: one + ":" + ShardID(0), Stream: two, Shard: ShardID(0)}, true},
		{"another shard's key", Row{Key: two + ":" + ShardID(0), Stream: two, Shard: ShardID(1)}, true},
		{"the stream's name alone", Row{Key: "two:" + ShardID(0), Stream: "two", Shard: ShardID(0)}, true},
		{"one stream's key", Row{Key: ShardID(0), Stream: two, Shard: ShardID(0)}, true},
		{"as one stream's", Row{Key: ShardID(0)}, true},
		{"no shard", Row{Key: two + ":", Stream: two}, true},
	} {
		if bad := f.Misnamed([]Row{c.row}); (len(bad) > 0) != c.bad {
			t.Errorf("%s: misnamed %q, want %t", c.name, bad, c.bad)
		}
	}
}

func TestMissingCountsByStream(t *testing.T) {
	shard := func(stream string) check.Shard {
		return check.Shard{ID: (&producer{id: stream}).lease(ShardID(0)), Records: []record.Record{{SequenceNumber: "1"}, {SequenceNumber: "2"}}}
	}
	holds := check.Stream{Shards: []check.Shard{shard(one), shard(two)}}
	acknowledged := map[string]bool{}
	for _, stream := range []string{one, two} {
		acknowledged[stream+":"+ShardID(0)+"/1"] = true
	}
	if n := missing(acknowledged, holds); n != 0 {
		t.Errorf("%d missing, want none", n)
	}
	holds.Shards = holds.Shards[:1]
	if n := missing(acknowledged, holds); n != 1 {
		t.Errorf("%d missing, want that of the second stream", n)
	}
}
