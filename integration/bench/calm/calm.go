// Package calm repeats measurements that other machines on the same hardware disturbed: where the processors were away
// for a part of the time, figures say little.
package calm

import (
	"cmp"
	"slices"
)

// A Round was done.
type Round struct {
	Number int     // from 0
	Stolen float64 // the share of the processors' time that was with other machines
}

// Rounds does n rounds, and more, up to most in all, for each from which more than the share limit was stolen. It returns
// the n rounds that count, those from which least was stolen, in their order, and how many were done. Before each it calls
// wait, which may be nil. It stops at the first error of do.
func Rounds(n, most int, limit float64, wait func(), do func(round int) error) (counted []Round, done int, err error) {
	var all []Round
	for quiet := 0; quiet < n && len(all) < max(n, most); {
		if wait != nil {
			wait()
		}
		before := Read()
		if err := do(len(all)); err != nil {
			return nil, len(all), err
		}
		round := Round{Number: len(all), Stolen: Read().Since(before).Stolen}
		all = append(all, round)
		if round.Stolen <= limit {
			quiet++
		}
	}
	return least(all, n), len(all), nil
}

// least are the n rounds of which the least was stolen, in their order.
func least(rounds []Round, n int) []Round {
	rounds = slices.Clone(rounds)
	slices.SortStableFunc(rounds, func(a, b Round) int { return cmp.Compare(a.Stolen, b.Stolen) })
	rounds = rounds[:min(n, len(rounds))]
	slices.SortFunc(rounds, func(a, b Round) int { return cmp.Compare(a.Number, b.Number) })
	return rounds
}

// Only are the values of the rounds that count, of the values of all.
func Only[T any](values []T, counted []Round) []T {
	some := make([]T, 0, len(counted))
	for _, round := range counted {
		some = append(some, values[round.Number])
	}
	return some
}
