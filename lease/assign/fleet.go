package assign

import (
	"cmp"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/lease"
)

// A fleet is the snapshot sorted by what can be done with each unfinished row.
type fleet struct {
	s    *Snapshot
	plan Plan
	live map[string]*member // the workers that are alive, this one included
	me   *member
	own  []*lease.Lease // in this worker's name, held by nobody
	free []*lease.Lease // to be had: free or expired
	late int            // how many of free, its first, nobody has taken in time
	n    int            // rows in all, with those of dead workers
}

// A member is one live worker.
type member struct {
	name  string
	count int            // rows that it has or is to get
	rows  []*lease.Lease // those of count that it can be asked for
}

// patience divides the lease duration: for that long a free row is left to the workers that are short of one. A worker
// that is stopping, or that has as many as it may, counts as live but takes none.
const patience = 5

func survey(s *Snapshot) *fleet {
	f := &fleet{s: s, live: make(map[string]*member)}
	f.me = f.member(s.Worker)
	var late []*lease.Lease
	for i := range s.Leases {
		l := &s.Leases[i]
		if l.Finished() {
			continue
		}
		f.n++
		switch still := s.Still[l.Key]; {
		case s.Held[l.Key]:
			f.held(l)
		case l.Owner == s.Worker:
			f.me.count++
			f.own = append(f.own, l)
			if l.CheckpointOwner != "" && still < s.Duration {
				f.member(l.CheckpointOwner)
			}
		case l.Holder() != "" && still < s.Duration:
			f.alive(l)
		case l.Holder() == "" && still < s.Duration/patience, l.Holder() != "" && still < s.Duration+s.Duration/patience:
			f.free = append(f.free, l)
		default:
			late = append(late, l)
		}
	}
	f.leaveToNext(s.Duration)
	f.sortFree(f.free)
	f.sortFree(late)
	f.late, f.free = len(late), append(late, f.free...)
	return f
}

// held counts a row that this worker runs.
func (f *fleet) held(l *lease.Lease) {
	switch {
	case l.CheckpointOwner == f.s.Worker && l.Owner != f.s.Worker:
		f.plan.Wanted = append(f.plan.Wanted, *l)
		f.member(l.Owner).count++
	case l.Owner == f.s.Worker || l.Owner == "":
		f.me.count++
	default: // lost, and its keeper will notice; or the listing is old
		f.member(l.Owner).count++
	}
}

// alive counts a row whose counter moves.
func (f *fleet) alive(l *lease.Lease) {
	owner := f.member(cmp.Or(l.Owner, l.CheckpointOwner))
	owner.count++
	if l.CheckpointOwner == "" {
		owner.rows = append(owner.rows, l)
	} else {
		f.member(l.CheckpointOwner)
	}
}

// leaveToNext takes out of free the expired rows that were to go to another live worker: it takes them itself, and has
// a whole duration for that.
func (f *fleet) leaveToNext(d time.Duration) {
	f.free = slices.DeleteFunc(f.free, func(l *lease.Lease) bool {
		if l.CheckpointOwner == "" || f.live[l.Owner] == nil {
			return false
		}
		f.live[l.Owner].count++
		return true
	})
}

func (f *fleet) member(name string) *member {
	m := f.live[name]
	if m == nil {
		m = &member{name: name}
		f.live[name] = m
	}
	return m
}

// sortFree brings forward the rows that follow shards of this worker, then those for which this worker comes before the
// other live ones in an order that is different for each row: workers that see the same free rows begin with
// different ones.
func (f *fleet) sortFree(free []*lease.Lease) {
	if len(free) < 2 {
		return
	}
	others := make([]uint64, 0, len(f.live)-1)
	for name := range f.live {
		if name != f.s.Worker {
			others = append(others, hash(name))
		}
	}
	type place struct {
		follows bool
		rank    int
		draw    uint64
	}
	mine, me := f.shards(), hash(f.s.Worker)
	places := make(map[*lease.Lease]place, len(free))
	for _, l := range free {
		key := hash(l.Key)
		p := place{draw: mix(key ^ f.s.Seed)}
		for _, parent := range l.Parents {
			p.follows = p.follows || mine[shardOf{l.Stream, parent}]
		}
		for _, other := range others {
			if mix(key^other) < mix(key^me) {
				p.rank++
			}
		}
		places[l] = p
	}
	slices.SortFunc(free, func(a, b *lease.Lease) int {
		p, q := places[a], places[b]
		if p.follows != q.follows {
			if p.follows {
				return -1
			}
			return +1
		}
		return cmp.Or(cmp.Compare(p.rank, q.rank), cmp.Compare(p.draw, q.draw), cmp.Compare(a.Key, b.Key))
	})
}

type shardOf struct{ stream, shard string }

// shards are those that this worker has or had, finished ones included.
func (f *fleet) shards() map[shardOf]bool {
	mine := make(map[shardOf]bool)
	for i := range f.s.Leases {
		if l := &f.s.Leases[i]; l.Holder() == f.s.Worker || f.s.Held[l.Key] {
			mine[shardOf{l.Stream, l.Shard}] = true
		}
	}
	return mine
}

// hash is FNV-1a, 64 bits.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// mix spreads x over all bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
