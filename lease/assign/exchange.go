package assign

import (
	"cmp"
	"math"
	"slices"
)

// How much exchange tries.
const (
	exchangeLeases = 32 // for which of the fuller worker's leases
	exchangeReturn = 8  // how many it gets back
)

// exchange moves one lease of high to low, and lighter ones back, where the one is more than low has room for. It does so
// only if both are within the threshold then.
func (f *field) exchange(high, low *host) bool {
	if f.even || f.cfg.MaxLeases > 0 {
		return false
	}
	need := (high.level(0) - low.level(0)) / (high.slope() + low.slope()) // makes them alike
	end, _ := slices.BinarySearchFunc(high.mine, need, func(i int, need float64) int { return cmp.Compare(need, f.loads[i]) })
	for k := end - 1; k >= max(0, end-exchangeLeases); k-- {
		i := high.mine[k]
		if f.wasAt(i, low) {
			continue
		}
		back, sum := f.pick(low, high, f.loads[i]-need)
		if len(back) == 0 || !f.settles(high, low, f.loads[i]-sum) {
			continue
		}
		f.ask(high, k, low)
		for _, j := range back {
			f.ask(low, slices.Index(low.mine, j), high)
		}
		return true
	}
	return false
}

// pick chooses leases of from that weigh about most together, and not more.
func (f *field) pick(from, to *host, most float64) (picked []int, sum float64) {
	first, _ := slices.BinarySearchFunc(from.mine, most, func(i int, most float64) int { return cmp.Compare(most, f.loads[i]) })
	for _, i := range from.mine[first:] {
		if f.loads[i] <= most-sum && !f.wasAt(i, to) {
			picked, sum = append(picked, i), sum+f.loads[i]
		}
		if len(picked) == exchangeReturn {
			break
		}
	}
	return picked, sum
}

// settles says whether both are within the threshold when load has gone from high to low.
func (f *field) settles(high, low *host, load float64) bool {
	near := func(level float64) bool { return math.Abs(level-1) <= f.threshold() }
	return load > 0 && near(high.level(-load)) && near(low.level(load)) && high.fits(-load) && low.fits(load) &&
		(f.cfg.MaxThroughputKBps <= 0 || low.kbps+load <= f.cfg.MaxThroughputKBps)
}

// wasAt says whether to has had the lease at place i until a short while ago.
func (f *field) wasAt(i int, to *host) bool {
	p := f.past(i)
	return p.from == to.name && p.ago < rest
}
