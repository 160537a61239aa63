package assign

import (
	"cmp"
	"slices"

	"github.com/shoal-stream/shoal/lease"
)

// room is how many leases more this worker may have, counting count as what it has.
func (f *fleet) room(count int) int {
	if f.s.MaxLeases <= 0 {
		return f.n
	}
	return max(0, f.s.MaxLeases-count)
}

// takeOwn takes the rows in this worker's name that it does not hold, as far as they can be its.
func (f *fleet) takeOwn() {
	have := f.me.count - len(f.own)
	for _, l := range f.own {
		still, foreign := f.s.Still[l.Key] >= f.s.Duration, l.CheckpointOwner != "" && l.CheckpointOwner != f.s.Worker
		switch {
		case foreign && !still:
			// Asked for; the holder is not done yet.
			have++
		case (still || !foreign && (f.s.Fresh || f.s.Moved[l.Key])) && f.room(have) > 0:
			have++
			f.plan.Take = append(f.plan.Take, *l)
		case !still && f.s.Beats[l.Key] >= twinBeats:
			f.plan.Twins = append(f.plan.Twins, l.Key)
		}
	}
}

// takeFree takes free and expired rows up to the fair share, and beyond it those that nobody else has taken.
func (f *fleet) takeFree() {
	share := (f.n + len(f.live) - 1) / len(f.live)
	n := min(max(share-f.me.count, f.late), len(f.free), f.room(f.me.count))
	for _, l := range f.free[:max(n, 0)] {
		f.plan.Take = append(f.plan.Take, *l)
	}
}

// ask evens out the counts of the live workers. Every worker computes the same targets, lines up the rows that some
// have too many beside what the others lack, and asks for its own part of them.
func (f *fleet) ask() {
	members := f.members()
	var surplus []*lease.Lease
	before, lack := 0, 0 // what those lack that come before this worker, and what it lacks itself
	for i, m := range members {
		target := f.n / len(members)
		if i < f.n%len(members) {
			target++
		}
		switch {
		case m.count > target:
			surplus = append(surplus, m.first(m.count-target, 0)...)
		case m == f.me:
			lack = target - m.count
		case lack == 0:
			before += target - m.count
		}
	}
	most := members[0]
	switch gap := most.count - f.me.count; {
	case lack > 0 && f.me.count == 0:
		// Unknown to the others, who therefore count without this worker: one lease makes it known. Several workers
		// that start together had better begin with different ones.
		if len(surplus) > 0 {
			before, lack = int(mix(f.s.Seed^hash(f.s.Worker))%uint64(len(surplus))), 1
		}
	case lack == 0 && gap >= 2 && f.s.Quiet >= f.s.Duration:
		before, lack = 0, max(1, gap/4)
		surplus = most.first(lack, f.s.Seed)
	}
	before = min(before, len(surplus))
	for _, l := range surplus[before:min(len(surplus), before+min(lack, f.room(f.me.count)))] {
		f.plan.Ask = append(f.plan.Ask, *l)
	}
}

// members are the live workers, the most loaded first. The targets go by this order.
func (f *fleet) members() []*member {
	members := make([]*member, 0, len(f.live))
	for _, m := range f.live {
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b *member) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.name, b.name))
	})
	return members
}

// first are n of the rows that m can be asked for, or as many as there are, the same for everybody with that seed.
func (m *member) first(n int, seed uint64) []*lease.Lease {
	slices.SortFunc(m.rows, func(a, b *lease.Lease) int {
		return cmp.Or(cmp.Compare(mix(hash(a.Key)^seed), mix(hash(b.Key)^seed)), cmp.Compare(a.Key, b.Key))
	})
	return m.rows[:min(n, len(m.rows))]
}
