package sim

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// A dice is the random source of one actor; all of a run come from its seed. Several goroutines may use it.
type dice struct {
	mu sync.Mutex
	r  rand.PCG
}

// newDice makes the source of the actor with this number.
func newDice(seed, actor uint64) *dice {
	d := &dice{}
	d.r.Seed(seed, actor)
	return d
}

// restart makes the source go on as another actor's.
func (d *dice) restart(seed, actor uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.r.Seed(seed, actor)
}

func (d *dice) uint64() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Uint64()
}

// n is a number from 0 to n-1, or 0 if n is not positive.
func (d *dice) n(n int) int {
	if n <= 0 {
		return 0
	}
	return int(d.uint64() >> 1 % uint64(n))
}

// float is a number in [0, 1).
func (d *dice) float() float64 { return float64(d.uint64()>>11) / (1 << 53) }

// chance is true with probability p.
func (d *dice) chance(p float64) bool { return p > 0 && d.float() < p }

// upTo is a duration in [0, most).
func (d *dice) upTo(most time.Duration) time.Duration {
	return time.Duration(d.float() * float64(most))
}

// between is a duration in [least, most).
func (d *dice) between(least, most time.Duration) time.Duration { return least + d.upTo(most-least) }

// shuffle gives s a random order.
func shuffle[T any](d *dice, s []T) {
	for i := len(s) - 1; i > 0; i-- {
		j := d.n(i + 1)
		s[i], s[j] = s[j], s[i]
	}
}

// exponential is the time to the next of events that come at random with this mean time between them.
func (d *dice) exponential(mean time.Duration) time.Duration {
	return time.Duration(-math.Log(1-d.float()) * float64(mean))
}
