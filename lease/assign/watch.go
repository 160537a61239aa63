package assign

import (
	"time"

	"github.com/shoal-stream/shoal/lease"
)

// A Watch remembers from listing to listing what only time can tell: which counters stand still, and what has changed
// hands. Its zero value is ready; it belongs to one goroutine. It knows no clock but the one that now comes from.
type Watch struct {
	rows    map[string]watched
	round   int       // counts the observations
	changed time.Time // when last a row came, went or changed hands
}

// watched is a row as last seen.
type watched struct {
	counter                int64
	owner, checkpointOwner string
	since                  time.Time // when counter was first seen
	moved                  bool      // came to its holder under watch, and counter is still that of then
	held                   bool      // by the watching worker
	beats                  int       // see Snapshot.Beats
	round                  int       // in which it was seen
}

// Observe fills Still, Moved, Beats and Quiet of s from its Leases, Held and Worker. now is when the listing had come,
// so that no row is thought older than it is. Rows that are not listed are forgotten.
//
// That a row stood still is evidence only, because reads may be stale. What makes acting on it safe is that Take fails
// if the counter has moved since.
func (w *Watch) Observe(s *Snapshot, now time.Time) {
	first := w.rows == nil
	if first {
		w.rows, w.changed = make(map[string]watched, len(s.Leases)), now
	}
	w.round++
	s.Still = make(map[string]time.Duration, len(s.Leases))
	s.Moved, s.Beats = make(map[string]bool), make(map[string]int)
	for i := range s.Leases {
		l := &s.Leases[i]
		was, known := w.rows[l.Key]
		is := was.next(l, s.Held[l.Key], now)
		if !known {
			is = watched{counter: l.Counter, owner: l.Owner, checkpointOwner: l.CheckpointOwner, since: now}
			is.held, is.moved = s.Held[l.Key], !first
		}
		if !known || is.owner != was.owner || is.checkpointOwner != was.checkpointOwner {
			w.changed = now
		}
		is.round = w.round
		w.rows[l.Key] = is

		s.Still[l.Key] = now.Sub(is.since)
		if is.moved {
			s.Moved[l.Key] = true
		}
		if is.beats > 0 && l.Holder() == s.Worker {
			s.Beats[l.Key] = is.beats
		}
	}
	if len(w.rows) > len(s.Leases) {
		w.forget(now)
	}
	s.Quiet = now.Sub(w.changed)
}

// next is the row as it is after was, now that it shows l.
func (was watched) next(l *lease.Lease, held bool, now time.Time) watched {
	is := was
	is.counter, is.owner, is.checkpointOwner, is.held = l.Counter, l.Owner, l.CheckpointOwner, held
	before := lease.Lease{Owner: was.owner, CheckpointOwner: was.checkpointOwner}
	switch {
	case before.Holder() != l.Holder():
		is.moved, is.beats = true, 0
	case held || was.held:
		is.beats = 0
	case l.Counter > was.counter:
		is.beats++
	}
	if l.Counter != was.counter {
		// Also a lower one: the table may have been made anew.
		is.since = now
		is.moved = is.moved && before.Holder() != l.Holder()
	}
	return is
}

func (w *Watch) forget(now time.Time) {
	for key, row := range w.rows {
		if row.round != w.round {
			delete(w.rows, key)
			w.changed = now
		}
	}
}
