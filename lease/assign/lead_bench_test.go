package assign

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkRound is a leader's round over 20 workers: the census, and what Lead finds to do when all is even, and when
// a worker has just come.
func BenchmarkRound(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		for _, joined := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d leases, joined %v", n, joined), func(b *testing.B) {
				s := newSimFleet(1, Config{})
				for i := range 20 {
					s.join(fmt.Sprintf("w%02d", i), float64(n)*8)
				}
				s.add(n, 1.2, 50, .5/20)
				for range 40 {
					s.step()
				}
				if joined {
					s.join("new", float64(n)*8)
					s.now = s.now.Add(simRound)
					s.live()
					s.now = s.now.Add(simRound)
					s.live()
				}
				v := s.view()
				var moves Moves
				for b.Loop() {
					s.now = s.now.Add(time.Microsecond)
					moves = Lead(s.leaders[0].Observe(v.leases, v.members, s.now, s.now), s.cfg, s.seed)
				}
				if (len(moves.Ask) > 0) != joined {
					b.Fatalf("asks for %d", len(moves.Ask))
				}
			})
		}
	}
}
