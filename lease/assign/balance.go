package assign

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Lead decides what a leader should do now. It is a pure function: leaders with the same round, configuration and seed
// decide the same; the seed only chooses among equals, so those of one fleet had better have the same.
//
//   - Leases that nobody owns, and those whose counter stood still for the whole duration, are taken for a worker that
//     lives: the one to which they were being handed over, the one that has restarted since, the one that had their
//     parent; else the one with most room.
//   - A hand-over that has been going on for HandoverTimeout and one Duration is forced.
//   - When a worker's utilisation is further than Threshold from the fleet's, leases are asked for until it is even:
//     those that bring it there with the fewest moves, and only if they make the two workers more alike by a good part,
//     so that leases settle and stay.
//
// A worker's utilisation is what it reports of its fullest metric, corrected by what it has been given or has lost since.
// Without a metric that two workers share, and in a fleet that is hardly busy, it is the throughput of its leases, and
// without any throughput their number. Leases that are finished are left alone.
func Lead(r Round, cfg Config, seed uint64) Moves {
	f := newField(&r, cfg, seed)
	f.moves.Stale = r.Stale
	f.place()
	if len(f.hosts) > 1 {
		f.balance()
	}
	return f.moves
}

// asksAtOnce bounds the hand-overs that one round begins, so that workers and table are not swamped.
const asksAtOnce = 1000

// gain is the part of the difference between two workers that a move may at most raise the one by, and on average
// change both: a lease whose throughput wavers does not go back and forth.
const gain = 0.75

// rest is for how long a lease is not asked back by the worker that had it before.
const rest = time.Minute

// place gives away what can be had, the heaviest first, so that the light ones even out.
func (f *field) place() {
	slices.SortFunc(f.free, func(a, b int) int {
		if c := cmp.Compare(f.loads[b], f.loads[a]); c != 0 {
			return c
		}
		return cmp.Compare(f.lease(a).Key, f.lease(b).Key)
	})
	holders := f.parents()
	for _, i := range f.free {
		l := f.lease(i)
		to := f.preferred(i, holders)
		if to == nil {
			to = f.roomiest(i)
		}
		if to == nil {
			f.moves.Unplaced++
			continue
		}
		f.give(i, to)
		if f.expired(i) {
			f.moves.Take = append(f.moves.Take, Move{*l, to.name})
		} else {
			f.moves.Force = append(f.moves.Force, Move{*l, to.name})
		}
	}
}

// parents tells for each shard that a free lease follows who has it, or had it to its end.
func (f *field) parents() map[shardOf]string {
	holders := make(map[shardOf]string)
	for _, i := range f.free {
		for _, parent := range f.lease(i).Parents {
			holders[shardOf{f.lease(i).Stream, parent}] = ""
		}
	}
	if len(holders) == 0 {
		return nil
	}
	for i := range f.r.Leases {
		l := f.lease(i)
		if _, wanted := holders[shardOf{l.Stream, l.Shard}]; wanted {
			holders[shardOf{l.Stream, l.Shard}] = l.Holder()
		}
	}
	return holders
}

type shardOf struct{ stream, shard string }

// preferred is the worker for which a free lease is meant, nil if there is none or others have clearly more room.
func (f *field) preferred(i int, holders map[shardOf]string) *host {
	l := f.lease(i)
	if to := f.byName[l.Owner]; to != nil && f.mayHave(to, i) {
		handed := l.CheckpointOwner != "" && l.CheckpointOwner != l.Owner
		if handed || f.r.alive[to.name] < f.r.Still[l.Key] {
			return to
		}
	}
	for _, parent := range l.Parents {
		to := f.byName[holders[shardOf{l.Stream, parent}]]
		if to != nil && f.mayHave(to, i) && to.fits(f.loads[i]) && to.level(f.loads[i]) <= f.roomiest(i).level(f.loads[i])+f.threshold() {
			return to
		}
	}
	return nil
}

// roomiest is the worker that is least busy with the lease at place i. One that has let the lease expire comes last.
func (f *field) roomiest(i int) *host {
	var best *host
	better := func(h *host) bool {
		late, bestLate := h.name == f.lease(i).Owner, best.name == f.lease(i).Owner
		if late != bestLate {
			return bestLate
		}
		if fits, bestFits := h.fits(f.loads[i]), best.fits(f.loads[i]); fits != bestFits {
			return fits
		}
		if level, bestLevel := coarse(h.level(f.loads[i])), coarse(best.level(f.loads[i])); level != bestLevel {
			return level < bestLevel
		}
		return f.draw(i, h.name) < f.draw(i, best.name)
	}
	for _, h := range f.hosts {
		if f.mayHave(h, i) && (best == nil || better(h)) {
			best = h
		}
	}
	return best
}

// tiny is what sums of floating-point numbers may be off.
const tiny = 1e-9

// coarse makes levels that differ by no more than sums may be off equal, nearly always.
func coarse(level float64) float64 { return math.Round(level / tiny) }

// margin keeps the fleet within the threshold in truth, and not only as far as it can be told.
const margin = 0.9

// threshold is how far a level may be from the mean before leases move. What is merely counted is spread to within one.
func (f *field) threshold() float64 {
	if f.even {
		return tiny
	}
	return margin * float64(f.cfg.Threshold) / 100
}

// balance asks for leases until every worker is within the threshold, or cannot be brought there.
func (f *field) balance() {
	for sorted := false; len(f.moves.Ask) < asksAtOnce; sorted = true {
		h, above := f.outlier()
		if h == nil {
			return
		}
		if !sorted {
			f.sortMine()
		}
		h.done = true
		if above {
			f.unload(h)
		} else {
			f.fill(h)
		}
	}
}

// outlier is the worker furthest from the mean of those too far from it that were not looked at yet.
func (f *field) outlier() (worst *host, above bool) {
	mean := 0.0
	for _, h := range f.hosts {
		mean += h.level(0) / float64(len(f.hosts))
	}
	far := 0.0
	for _, h := range f.hosts {
		off := (h.level(0) - mean) / mean
		over := !h.fits(0)
		if h.done || !over && math.Abs(off) <= f.threshold() {
			continue
		}
		if d := math.Abs(off); worst == nil || d > far+tiny {
			worst, above, far = h, over || off > 0, d
		}
	}
	return worst, above
}

// aim is the level to which a worker is brought in this round.
func (f *field) aim(h *host) float64 {
	if f.exact {
		return 1
	}
	return h.level(0) + (1-h.level(0))*float64(f.cfg.Dampening)/100
}

// unload moves leases of h to those with most room.
func (f *field) unload(h *host) {
	aim, moved := f.aim(h), 0
	for len(f.moves.Ask) < asksAtOnce && f.giveOne(h, func(to *host) float64 { return min(h.surplus(aim), to.room(1)) }) {
		moved++
	}
	if moved > 0 || (f.even || !f.cfg.NoOvershoot) && f.overshoot(h, f.emptiest(h)) {
		return
	}
	for _, to := range f.emptiest(h) {
		if f.exchange(h, to) {
			return
		}
	}
}

// giveOne moves the heaviest lease of h that is within bound to the emptiest worker for which there is one.
func (f *field) giveOne(h *host, bound func(to *host) float64) bool {
	for _, to := range f.emptiest(h) {
		if most := bound(to); most > 0 && f.move(h, to, most) {
			return true
		}
	}
	return false
}

// fill moves leases to h from those that have most.
func (f *field) fill(h *host) {
	aim, moved := f.aim(h), 0
	// First what the others have too much, then what keeps them within the threshold.
	for _, least := range []float64{1, 1 - f.threshold()} {
		for len(f.moves.Ask) < asksAtOnce && f.takeOne(h, func(from *host) float64 { return min(from.surplus(least), h.room(aim)) }) {
			moved++
		}
	}
	if moved > 0 {
		return
	}
	for _, from := range f.fullest(h) {
		if (f.even || !f.cfg.NoOvershoot) && f.overshoot(from, []*host{h}) || f.exchange(from, h) {
			return
		}
	}
}

func (f *field) takeOne(h *host, bound func(from *host) float64) bool {
	for _, from := range f.fullest(h) {
		if most := bound(from); most > 0 && f.move(from, h, most) {
			return true
		}
	}
	return false
}

// overshoot moves the lightest lease of h that may be moved, though it is more than h has too much or the other too
// little.
func (f *field) overshoot(h *host, others []*host) bool {
	for _, to := range others {
		for k := len(h.mine) - 1; k >= 0; k-- {
			if f.may(h.mine[k], h, to) {
				f.ask(h, k, to)
				return true
			}
		}
	}
	return false
}

// move asks h for its heaviest lease up to most that may go to the other.
func (f *field) move(h, to *host, most float64) bool {
	first, _ := slices.BinarySearchFunc(h.mine, most+tiny, func(i int, most float64) int { return cmp.Compare(most, f.loads[i]) })
	for k := first; k < len(h.mine); k++ {
		if f.may(h.mine[k], h, to) {
			f.ask(h, k, to)
			return true
		}
	}
	return false
}

// may says whether a lease may move: the limits allow it, and the two workers become more alike by a good part.
func (f *field) may(i int, from, to *host) bool {
	load, gap := f.loads[i], from.level(0)-to.level(0)
	over := !from.fits(0) && to.level(load) <= 1+f.threshold()
	rise, fall := to.level(load)-to.level(0), from.level(0)-from.level(-load)
	alike := rise <= gain*gap && rise+fall <= 2*gain*gap
	return (over || alike) && to.fits(load) && f.mayHave(to, i) && !f.wasAt(i, to)
}

func (f *field) ask(h *host, k int, to *host) {
	i := h.mine[k]
	h.mine = slices.Delete(h.mine, k, k+1)
	f.withdraw(i, h)
	f.give(i, to)
	f.moves.Ask = append(f.moves.Ask, Move{*f.lease(i), to.name})
}

// emptiest are the workers but h, those with most room first.
func (f *field) emptiest(h *host) []*host { return f.others(h, +1) }

// fullest are the workers but h, the busiest first.
func (f *field) fullest(h *host) []*host { return f.others(h, -1) }

func (f *field) others(h *host, sign float64) []*host {
	others := make([]*host, 0, len(f.hosts)-1)
	for _, o := range f.hosts {
		if o != h {
			others = append(others, o)
		}
	}
	slices.SortFunc(others, func(a, b *host) int {
		return cmp.Or(cmp.Compare(sign*coarse(a.level(0)), sign*coarse(b.level(0))), cmp.Compare(mix(hash(a.name)^f.seed), mix(hash(b.name)^f.seed)), cmp.Compare(a.name, b.name))
	})
	return others
}
