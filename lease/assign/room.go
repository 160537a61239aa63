package assign

import (
	"slices"

	"github.com/shoal-stream/shoal/lease"
)

// A Room knows how much each of the other workers has to do, to name the next one for a lease that its holder gives away.
// It belongs to one goroutine at a time.
type Room struct {
	members []string
	load    map[string]float64
	count   map[string]int
	most    int     // leases of one worker, 0 is no limit
	one     float64 // what one lease counts whose throughput is not known
}

// NewRoom counts what the leases weigh for each of alive but for me. Finished leases weigh nothing. maxLeases is the most of
// one worker, 0 for no limit.
func NewRoom(leases []lease.Lease, alive []lease.Member, me string, maxLeases int) *Room {
	r := &Room{load: make(map[string]float64), count: make(map[string]int), most: maxLeases, one: 1}
	known, sum := 0, 0.0
	for i := range leases {
		if t := leases[i].ThroughputKBps; t != nil && !leases[i].Finished() {
			known++
			sum += *t
		}
	}
	if sum > 0 {
		r.one = sum / float64(known)
	}
	for _, m := range alive {
		if m.Worker != me {
			r.members = append(r.members, m.Worker)
		}
	}
	slices.Sort(r.members)
	for i := range leases {
		if l := &leases[i]; !l.Finished() && l.Owner != "" {
			r.load[l.Owner] += r.weight(l)
			r.count[l.Owner]++
		}
	}
	return r
}

// weight is a lease's throughput and a small part for its being there, so that idle leases are spread, too.
func (r *Room) weight(l *lease.Lease) float64 {
	if l.ThroughputKBps == nil {
		return r.one
	}
	return *l.ThroughputKBps + r.one/100
}

// Next is the worker with the least to do, "" if no other may have one more. It is counted one lease more.
func (r *Room) Next() string {
	best := ""
	for _, m := range r.members {
		if full := r.most > 0 && r.count[m] >= r.most; !full && (best == "" || r.load[m] < r.load[best]) {
			best = m
		}
	}
	r.load[best] += r.one
	r.count[best]++
	return best
}
