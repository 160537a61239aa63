package assign

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// BenchmarkDecide plans for a fleet of 20 workers, one of which has just died.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n, " leases"), func(b *testing.B) {
			var w Watch
			s := Snapshot{Worker: "w00", Held: make(map[string]bool), Duration: 10 * time.Second}
			for i := range n {
				key := fmt.Sprintf("shardId-%012d", i)
				s.Leases = append(s.Leases, lease.Lease{
					Key: key, Shard: key, Owner: fmt.Sprintf("w%02d", i%20), Checkpoint: record.TrimHorizon,
				})
				s.Held[key] = i%20 == 0
			}
			w.Observe(&s, time.Unix(0, 0))
			for i := range s.Leases {
				if i%20 != 1 {
					s.Leases[i].Counter++
				}
			}
			for b.Loop() {
				w.Observe(&s, time.Unix(10, 0))
				if p := Decide(s); len(p.Take) == 0 {
					b.Fatal("nothing to take from the dead worker")
				}
			}
		})
	}
}
