package assign

import (
	"fmt"
	"math"
	"testing"
)

// sizes are the three kinds of machine, in KiB per second at 100% CPU.
var sizes = []float64{2000, 4000, 8000}

// twenty is a fleet of 20 workers and 1,000 leases with heavy tails, no lease above half of what the smallest worker
// should have, and random owners.
func twenty(seed uint64, measured bool) *simFleet {
	s := newSimFleet(seed, Config{})
	largest := 0.5 / 20
	for i := range 20 {
		size := 0.0
		if measured {
			size, largest = sizes[i%3], 0.5*sizes[0]/91_000
		}
		s.join(fmt.Sprintf("w%02d", i), size)
	}
	s.add(1000, 1.2, 50, largest)
	for i := range s.leases {
		s.leases[i].Owner = fmt.Sprintf("w%02d", s.rng.IntN(20))
	}
	return s
}

func (s *simFleet) steps(n int) {
	for range n {
		s.step()
	}
}

func both(t *testing.T, seeds uint64, test func(t *testing.T, seed uint64, measured bool)) {
	for _, measured := range []bool{true, false} {
		t.Run(map[bool]string{true: "CPU", false: "throughput"}[measured], func(t *testing.T) {
			for seed := range seeds {
				test(t, seed, measured)
			}
		})
	}
}

func TestAFleetIsEvenInFiveRoundsAndThenStaysPut(t *testing.T) {
	both(t, 5, func(t *testing.T, seed uint64, measured bool) {
		s := twenty(seed, measured)
		s.steps(6) // what is asked for in the fifth moves before the sixth
		if off := s.worst(); off > 0.1+tiny {
			t.Errorf("seed %d: after 5 rounds a worker is %.1f%% off the mean", seed, off*100)
		}
		s.forget()
		if s.steps(100); s.moves > 0 {
			t.Errorf("seed %d: %d moves in the 100 rounds after that", seed, s.moves)
		}
	})
}

func TestAWorkerThatJoinsOrLeavesMovesWhatItMust(t *testing.T) {
	both(t, 3, func(t *testing.T, seed uint64, measured bool) {
		s := twenty(seed, measured)
		s.steps(60)
		largest := 0.0
		for _, kbps := range s.kbps {
			largest = max(largest, kbps)
		}

		s.forget()
		size := 0.0
		if measured {
			size = sizes[seed%3]
		}
		s.join("new", size)
		s.steps(100)
		must := s.loads()["new"]
		if s.moved > 1.2*must || s.worst() > 0.12 {
			t.Errorf("seed %d: joining moved %.0f KB/s where the new worker has %.0f; a worker is %.1f%% off", seed, s.moved, must, s.worst()*100)
		}

		s.forget()
		must = s.loads()["w01"]
		s.leave("w01")
		s.steps(100)
		// What is as heavy as half a worker must go to somebody who then has to give as much.
		if math.Abs(s.took-must) > 1e-3 || s.moved > max(0.2*must, largest) || s.worst() > 0.12 {
			t.Errorf("seed %d: leaving with %.0f KB/s, %.0f were taken and %.0f moved; a worker is %.1f%% off", seed, must, s.took, s.moved, s.worst()*100)
		}
	})
}

func TestNoiseMovesLittle(t *testing.T) {
	both(t, 2, func(t *testing.T, seed uint64, measured bool) {
		s := twenty(seed, measured)
		s.noise = 0.2
		s.steps(100)
		s.forget()
		s.steps(300) // ten minutes
		total := 50.0 * 1000
		if s.moved > 0.03*total {
			t.Errorf("seed %d: ten minutes of noise moved %.1f%% of the throughput in %d moves", seed, s.moved/total*100, s.moves)
		}
		if s.worst() > 0.2 {
			t.Errorf("seed %d: a worker is %.1f%% off", seed, s.worst()*100)
		}
	})
}

func TestWorkersThatAreBusyWithoutLeasesSettle(t *testing.T) {
	for seed := range uint64(4) {
		s := twenty(seed, true)
		for i, name := range s.names() {
			s.workers[name].idle = float64(5 + i%4*3)
		}
		s.steps(150)
		s.forget()
		if s.steps(100); s.moves > 0 || s.worst() > 0.13 {
			t.Errorf("seed %d: %d moves after 5 minutes, a worker is %.1f%% off", seed, s.moves, s.worst()*100)
		}
	}
}

func TestTwoLeadersAtOnceSettleToo(t *testing.T) {
	both(t, 2, func(t *testing.T, seed uint64, measured bool) {
		s := twenty(seed, measured)
		s.leaders, s.lag = append(s.leaders, new(Census)), 1
		s.steps(40)
		moves := s.moves
		if s.moved > 0.6*50_000 {
			t.Errorf("seed %d: two leaders moved %.0f KB/s of 50000", seed, s.moved)
		}
		s.forget()
		if s.steps(100); s.moves > 0 || s.worst() > 0.12 {
			t.Errorf("seed %d: after %d moves, %d more in 100 rounds; a worker is %.1f%% off", seed, moves, s.moves, s.worst()*100)
		}
	})
}

func TestAStandbyThatWatchedMovesNothingTwice(t *testing.T) {
	both(t, 3, func(t *testing.T, seed uint64, measured bool) {
		s := twenty(seed, measured)
		standby := new(Census)
		s.standbys = []*Census{standby}
		s.steps(6)
		s.forget()
		s.leaders, s.standbys = []*Census{standby}, nil
		s.steps(150)
		if s.moves > 0 || s.worst() > 0.1+tiny {
			t.Errorf("seed %d: %d moves; a worker is %.1f%% off", seed, s.moves, s.worst()*100)
		}
	})
}

func TestLeasesOfADeadWorkerAreTakenAfterOneDuration(t *testing.T) {
	for seed := range uint64(4) {
		s := twenty(seed, seed%2 == 0)
		s.steps(40)
		s.workers["w03"].dead = true
		s.steps(4)
		if s.took > 0 {
			t.Fatalf("seed %d: %.0f KB/s taken after 8 s of silence", seed, s.took)
		}
		s.steps(2)
		if left := s.loads()["w03"]; left > 0 {
			t.Errorf("seed %d: %.0f KB/s are still with the dead worker after 12 s", seed, left)
		}
		s.forget()
		s.steps(15)
		if back := s.loads()["w03"]; back > 0 {
			t.Errorf("seed %d: the dead worker, whose item is not yet a minute old, was given %.0f KB/s", seed, back)
		}
	}
}

func TestCountsEvenOutToWithinOne(t *testing.T) {
	for _, idle := range []bool{true, false} {
		for n := 1; n <= 41; n += 4 {
			for workers := 1; workers <= 7; workers++ {
				s := newSimFleet(uint64(n), Config{ByCount: !idle})
				s.add(n, 1.5, 50, 1)
				if idle {
					for i := range s.leases {
						s.kbps[i], s.leases[i].ThroughputKBps = 0, nil
					}
				}
				for w := range workers {
					s.join(fmt.Sprintf("w%d", w), 0)
					s.steps(6)
				}
				s.steps(4)
				if least, most := s.counts(); most-least > 1 {
					t.Errorf("%d leases, %d workers, idle %v: from %d to %d", n, workers, idle, least, most)
				}
				s.forget()
				if s.steps(20); s.moves > 0 {
					t.Errorf("%d leases, %d workers, idle %v: %d moves at rest", n, workers, idle, s.moves)
				}
			}
		}
	}
}

func (s *simFleet) counts() (least, most int) {
	counts := make(map[string]int)
	for i := range s.leases {
		counts[s.leases[i].Holder()]++
	}
	least = len(s.leases)
	for name := range s.workers {
		least, most = min(least, counts[name]), max(most, counts[name])
	}
	return least, most
}
