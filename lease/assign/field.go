package assign

import (
	"cmp"
	"math"
	"slices"

	"github.com/shoal-stream/shoal/lease"
)

// A field is a round sorted by what can be done with each lease. Loads are in KiB per second, or in leases where only
// they count.
type field struct {
	r     *Round
	cfg   Config
	seed  uint64
	moves Moves

	hosts  []*host // the workers that can be given leases, by name
	byName map[string]*host
	loads  []float64 // of each lease, by its place in the round
	kbps   []float64 // likewise, without perLease
	free   []int     // the places of leases that can be had
	even   bool      // all leases count the same: to be spread to within one
	exact  bool      // no worker measures: loads say all
}

// A host is a worker that can be given leases, as it is once everything under way has come about.
type host struct {
	name   string
	count  int
	load   float64
	kbps   float64
	mine   []int // the places of leases that can be asked for, after sortMine the heaviest first
	gauges []gauge
	done   bool // has been looked at in this round
}

// perLease is what a lease costs beside the data that it delivers: so a fleet without traffic is spread by count, and a
// trickle in one shard does not chase the others away.
const perLease = 0.25

// soon is the part of the lease duration after which a silent lease is suspect. Who renews thrice in a duration is
// never seen silent for so long, unless late.
const soon = 0.45

func newField(r *Round, cfg Config, seed uint64) *field {
	f := &field{r: r, cfg: cfg.withDefaults(), seed: seed, byName: make(map[string]*host, len(r.Alive))}
	for _, m := range r.Alive {
		h := &host{name: m.Worker}
		f.hosts, f.byName[m.Worker] = append(f.hosts, h), h
	}
	f.weigh()
	for i := range r.Leases {
		f.sort(i)
	}
	f.measure()
	return f
}

// sortMine puts every host's leases in order, equal ones in one that is the same for all leaders with one seed.
func (f *field) sortMine() {
	draws := make([]uint64, len(f.r.Leases))
	for _, h := range f.hosts {
		for _, i := range h.mine {
			draws[i] = f.draw(i, "")
		}
		slices.SortFunc(h.mine, func(a, b int) int {
			if c := cmp.Compare(f.loads[b], f.loads[a]); c != 0 {
				return c
			}
			return cmp.Or(cmp.Compare(draws[a], draws[b]), cmp.Compare(f.lease(a).Key, f.lease(b).Key))
		})
	}
}

// past is what time tells of a lease; nothing, if the round was not made by a Census.
func (f *field) past(i int) past {
	if i < len(f.r.past) {
		return f.r.past[i]
	}
	l := &f.r.Leases[i]
	if l.ThroughputKBps == nil {
		return past{}
	}
	return past{kbps: *l.ThroughputKBps, known: true}
}

// weigh gives each unfinished lease its load: its throughput, or the average where none is known.
func (f *field) weigh() {
	f.loads, f.kbps = make([]float64, len(f.r.Leases)), make([]float64, len(f.r.Leases))
	sum, known := 0.0, 0
	for i := range f.r.Leases {
		if p := f.past(i); p.known && !f.r.Leases[i].Finished() {
			f.kbps[i] = max(p.kbps, 0)
			sum, known = sum+f.kbps[i], known+1
		}
	}
	f.even = f.cfg.ByCount || sum == 0
	for i := range f.r.Leases {
		if f.r.Leases[i].Finished() {
			continue
		}
		if known > 0 && !f.past(i).known {
			f.kbps[i] = sum / float64(known)
		}
		f.loads[i] = perLease
		if !f.even {
			f.loads[i] += f.kbps[i]
		}
	}
}

// sort puts a lease with the worker that has it or is to get it, or among those to be had.
func (f *field) sort(i int) {
	l := &f.r.Leases[i]
	if l.Finished() {
		return
	}
	still := f.r.Still[l.Key]
	switch owner := f.byName[cmp.Or(l.Owner, l.CheckpointOwner)]; {
	case f.expired(i):
		f.free = append(f.free, i)
		return
	case l.CheckpointOwner != "" && f.r.Handing[l.Key] >= f.cfg.HandoverTimeout+f.cfg.Duration:
		f.free = append(f.free, i)
	case owner != nil:
		f.give(i, owner)
		// Who has not found its lease yet would never find it by the owner index once another is named there, and so
		// not let go either: a lease is asked for when its holder has renewed it.
		if l.CheckpointOwner == "" && !f.past(i).quiet {
			owner.mine = append(owner.mine, i)
		}
	}
	if float64(still) > soon*float64(f.cfg.Duration) {
		f.moves.Suspect = true
	}
}

// expired says whether nobody keeps the lease.
func (f *field) expired(i int) bool {
	l := &f.r.Leases[i]
	return l.Holder() == "" || f.r.Still[l.Key] >= endurance(f.cfg.Duration, f.past(i).fresh)
}

func (f *field) give(i int, to *host) {
	to.count++
	to.load += f.loads[i]
	to.kbps += f.kbps[i]
	for g := range to.gauges {
		to.gauges[g].at += to.gauges[g].per * f.loads[i]
	}
}

func (f *field) withdraw(i int, from *host) {
	from.count--
	from.load -= f.loads[i]
	from.kbps -= f.kbps[i]
	for g := range from.gauges {
		from.gauges[g].at -= from.gauges[g].per * f.loads[i]
	}
}

// mayHave says whether the limits allow h one lease more.
func (f *field) mayHave(h *host, i int) bool {
	if f.cfg.MaxLeases > 0 && h.count >= f.cfg.MaxLeases {
		return false
	}
	return f.cfg.MaxThroughputKBps <= 0 || h.count == 0 || h.kbps+f.kbps[i] <= f.cfg.MaxThroughputKBps
}

// draw is a number that is the same for all leaders with one seed: it decides among equals.
func (f *field) draw(i int, name string) uint64 {
	return mix(hash(f.r.Leases[i].Key) ^ mix(hash(name)^f.seed))
}

// A gauge is one measure of a host's utilisation, relative to the fleet's: 1 is what each would have if all were even.
type gauge struct {
	at    float64
	per   float64 // what a unit of load adds
	limit float64 // the greatest wanted
}

// level is how busy h is by its fullest gauge, with load more.
func (h *host) level(more float64) float64 {
	level := math.Inf(-1)
	for _, g := range h.gauges {
		level = max(level, g.at+g.per*more)
	}
	return level
}

// slope is what a unit of load adds to the level.
func (h *host) slope() float64 {
	fullest := slices.MaxFunc(h.gauges, func(a, b gauge) int { return cmp.Compare(a.at, b.at) })
	return fullest.per
}

// fits says whether h stays within its limits with load more.
func (h *host) fits(more float64) bool {
	return !slices.ContainsFunc(h.gauges, func(g gauge) bool { return g.at+g.per*more > g.limit })
}

// room is the most load by which no gauge of h rises above level.
func (h *host) room(level float64) float64 {
	room := math.Inf(+1)
	for _, g := range h.gauges {
		room = min(room, (min(level, g.limit)-g.at)/g.per)
	}
	return room
}

// surplus is the most load that h can give and stay at level, by its fullest gauge.
func (h *host) surplus(level float64) float64 {
	surplus := math.Inf(-1)
	for _, g := range h.gauges {
		surplus = max(surplus, (g.at-min(level, g.limit))/g.per)
	}
	return surplus
}

// lease is the lease at place i.
func (f *field) lease(i int) *lease.Lease { return &f.r.Leases[i] }
