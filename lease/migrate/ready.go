package migrate

import (
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
)

// stable is for how long a fleet must be ready before it leaves 2.x behind.
const stable = 10 * time.Minute

// Readiness watches whether every worker of a fleet in lease.ClientUpgradeFrom2X can be led. Its zero value is ready; it
// belongs to one goroutine.
type Readiness struct {
	since time.Time // when it was first so, zero if it is not
}

// Observe says whether the fleet has been ready for 10 minutes, and is to be brought to lease.Client3XWithRollback: the
// owner index can be used, and every owner of a lease lives and reports. It is called each minute or more often; now is
// the worker's monotonic time, duration the lease duration.
//
// Leases that nobody owns say nothing (in Java KCL 3.5.1 a single one stops the migration), nor do finished ones whose
// owner is gone: those nobody takes over any more. An application without any lease yet is not ready.
func (w *Readiness) Observe(index bool, r assign.Round, duration time.Duration, now time.Time) bool {
	owners := ownersOf(r, duration)
	if !index || len(owners) == 0 || !all(owners, r.Alive, func(lease.Member) bool { return true }) {
		w.since = time.Time{}
		return false
	}
	if w.since.IsZero() {
		w.since = now
	}
	return now.Sub(w.since) >= stable
}

// ownersOf are the workers that own leases, now or when a hand-over is done.
func ownersOf(r assign.Round, duration time.Duration) map[string]bool {
	owners := make(map[string]bool)
	for i := range r.Leases {
		l := &r.Leases[i]
		if l.Finished() && r.Still[l.Key] >= duration {
			continue
		}
		for _, owner := range []string{l.Owner, l.CheckpointOwner} {
			if owner != "" {
				owners[owner] = true
			}
		}
	}
	return owners
}

// all says whether each of the owners is a member that passes the test.
func all(owners map[string]bool, members []lease.Member, test func(lease.Member) bool) bool {
	n := 0
	for _, m := range members {
		if owners[m.Worker] && test(m) {
			n++
		}
	}
	return n == len(owners)
}
