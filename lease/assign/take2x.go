package assign

import (
	"cmp"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/lease"
)

// A View2X is what one worker of a fleet without a leader knows at one moment: one of KCL 2.x, or of 3.x as long as it is
// compatible with that.
type View2X struct {
	// Worker is the worker that decides.
	Worker string
	// Leases are the rows of the table.
	Leases []lease.Lease
	// Still is as in a Round.
	Still map[string]time.Duration
	// Held are the keys of the leases that the worker keeps: they are its own whatever the listing says.
	Held map[string]bool
	// Duration is the lease duration of the fleet; 10 s if zero.
	Duration time.Duration
	// MaxLeases is the most leases of one worker; 0 is no limit.
	MaxLeases int
	// MaxSteal is how many leases are taken from a live worker at a time; 1 if zero.
	MaxSteal int
	// Seed chooses: workers of a fleet had better have different ones, and a new one each time.
	Seed uint64
}

// A Taken is a lease for Store.Take.
type Taken struct {
	Lease lease.Lease
	// Stolen is true where a live worker has it. It is not asked: it learns of its loss when its next write fails.
	Stolen bool
}

// Take2X decides what a worker takes as the LeaseTaker of KCL does (DynamoDBLeaseTaker.java): its fair share of the leases
// that are to be had, without regard to the share those that have been for three durations, and if there is none to be
// had, one of the worker with most. Finished leases count, as there, but are not taken.
func Take2X(v View2X) []Taken {
	v.Duration, v.MaxSteal = cmp.Or(v.Duration, defaultDuration), cmp.Or(v.MaxSteal, 1)
	counts := map[string]int{v.Worker: 0}
	var free, late []int
	owned := make(map[string][]int)
	for i := range v.Leases {
		l := &v.Leases[i]
		owner := l.Holder()
		if v.Held[l.Key] {
			owner = v.Worker
		}
		switch still := v.Still[l.Key]; {
		case v.Held[l.Key] || owner != "" && still <= v.Duration:
			counts[owner]++
			if !l.Finished() {
				owned[owner] = append(owned[owner], i)
			}
		case l.Finished():
		case still > 3*v.Duration:
			late, free = append(late, i), append(free, i)
		default:
			free = append(free, i)
		}
	}
	most := len(v.Leases)
	if v.MaxLeases > 0 {
		most = v.MaxLeases
	}
	mine := counts[v.Worker]
	target := min((len(v.Leases)+len(counts)-1)/len(counts), most)
	if len(counts) >= len(v.Leases) {
		target = min(1, most)
	}
	switch {
	case len(late) > 0:
		return v.taken(late, most-mine, false)
	case len(free) > 0:
		return v.taken(free, target-mine, false)
	}
	victim := v.fullest(counts)
	if victim == "" || counts[victim] < target {
		return nil
	}
	need := target - mine
	n := min(need, counts[victim]-target)
	if n == 0 && need > 1 {
		n = 1
	}
	return v.taken(owned[victim], min(n, v.MaxSteal), true)
}

// fullest is the other worker with most leases.
func (v *View2X) fullest(counts map[string]int) string {
	fullest := ""
	for name, n := range counts {
		if name == v.Worker {
			continue
		}
		if fullest == "" || n > counts[fullest] || n == counts[fullest] && name < fullest {
			fullest = name
		}
	}
	return fullest
}

// taken is a random choice of n of the leases at these places.
func (v *View2X) taken(places []int, n int, stolen bool) []Taken {
	slices.SortFunc(places, func(a, b int) int {
		return cmp.Or(cmp.Compare(mix(hash(v.Leases[a].Key)^v.Seed), mix(hash(v.Leases[b].Key)^v.Seed)), cmp.Compare(v.Leases[a].Key, v.Leases[b].Key))
	})
	var taken []Taken
	for _, i := range places[:max(0, min(n, len(places)))] {
		taken = append(taken, Taken{v.Leases[i], stolen})
	}
	return taken
}
