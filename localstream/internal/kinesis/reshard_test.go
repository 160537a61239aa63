package kinesis

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
)

func TestRescaleEndsInEvenRanges(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	st := &stream{}
	st.add(now, record.FullRange)
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []uint32{1, 2, 3, 2, 7, 5, 64, 63, 10_000, 10_240, 9_999, 1, uint32(random.IntN(500)) + 1, uint32(random.IntN(500)) + 1} {
		st = st.clone()
		before := len(st.Shards)
		st.rescale(now, n)
		want := divide(n)
		open := st.open()
		if len(open) != len(want) {
			t.Fatalf("%d open shards, want %d", len(open), n)
		}
		for i, sh := range open {
			if sh.Range != want[i] {
				t.Fatalf("of %d shards, %d has %v, want %v", n, i, sh.Range, want[i])
			}
		}
		for i := range st.Shards[before:] {
			sh := &st.Shards[before+i]
			for _, parent := range []*uint32{sh.Parent, sh.Adjacent} {
				if parent == nil {
					continue
				}
				if p, ok := st.shard(*parent); !ok || p.Closed == 0 || p.Creation >= sh.Creation {
					t.Fatalf("shard %d: parent %+v", sh.Index, p)
				}
			}
		}
	}
}

func BenchmarkRescale(b *testing.B) {
	for _, n := range []uint32{100, 5_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				st := &stream{}
				for _, r := range divide(n) {
					st.add(time.Unix(1_700_000_000, 0), r)
				}
				st.rescale(time.Unix(1_700_000_000, 0), 2*n)
			}
		})
	}
}
