package assign

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
)

// How a Census judges workers and what they report. The first two are KCL's (WorkerMetricStats.java).
const (
	memberLife  = 60 * time.Second // two reports of KCL
	memberStale = 24 * time.Hour
	memberSkew  = 30 * time.Second
	smoothing   = 30 * time.Second // the time in which the average of a lease's throughput goes most of the way to a new value
	memory      = 5 * time.Minute  // for which it is remembered who had a lease before
	reportsKept = 10               // as many as a Member has averages
)

// A Census remembers from survey to survey what only time can tell: which counters stand still, who lives, and what has
// changed hands. Its zero value is ready, for leases of 10 s; it belongs to one goroutine. A worker that may come to
// lead keeps one before, so that it knows when it does.
//
// Nobody's clock is believed but one's own: a worker lives because its item changes, and a lease is kept because its
// counter does.
type Census struct {
	// Duration is the lease duration of the fleet; 10 s if zero.
	Duration time.Duration

	rows    map[string]*row
	workers map[string]*sighting
	shifts  []shift
	last    time.Time // of the last survey
	count   int       // of surveys
}

// A Round is what a leader knows at one moment.
type Round struct {
	// Leases and Members are those of the survey.
	Leases  []lease.Lease
	Members []lease.Member
	// Alive are the members to which leases can be assigned, by name. A worker that holds leases may live and not be
	// among them: one that is stopping, one of KCL 2.x, one whose metric fails.
	Alive []lease.Member
	// Stale are members that have not written for a day, or are dead by what their leases show.
	Stale []lease.Member
	// Skewed are members that have just written a time more than 30 s off this worker's own.
	Skewed []lease.Member
	// Still tells for each key how long the row's counter has stood still. A row seen for the first time has stood still
	// for 0, but for ever if nobody owns it.
	Still map[string]time.Duration
	// Handing tells for each key of a lease in hand-over for how long it has been between the same two workers.
	Handing map[string]time.Duration

	past    []past                     // of each of Leases, by its place
	shifts  []shift                    // the changes of holder in the last minutes
	reports map[string][]time.Duration // how long ago each live member wrote its last items, the oldest first
	alive   map[string]time.Duration   // for how long each of Alive has been so without a break
	now     time.Time
}

// past is what time tells of a lease beside Still and Handing.
type past struct {
	fresh bool          // came to its holder under watch, which has not renewed it yet
	quiet bool          // its holder was not seen to renew it: perhaps it has not found the lease yet
	from  string        // who had it before, if it moved in the last minutes
	ago   time.Duration // when it did
	kbps  float64       // the throughput, averaged
	known bool          // there was a throughput
}

// row is a lease as last seen.
type row struct {
	past
	counter                int64
	owner, checkpointOwner string
	since                  time.Time // when counter was first seen; zero if nobody has ever owned the lease under watch
	paired                 time.Time // when the present owners were first seen
	moved                  time.Time // when the holder changed
	count                  int       // the survey that saw it last
}

// A sighting is a member as last seen.
type sighting struct {
	updated time.Time // of its item
	changed time.Time // when that was new, by the census's clock
	first   time.Time // when it was first seen
	old     bool      // it was a day old at first sight
	ignored bool      // at first sight it was too old to be believed, and has not changed yet
	born    time.Time // since when it lives
	living  bool
	away    int         // how often its item has to change before it counts as living again: all its leases had expired
	strikes int         // how often that has happened since it last renewed a lease
	struck  bool        // it has happened since the item last changed
	reports []time.Time // when its item changed
	count   int
}

// A shift is one change of holder.
type shift struct {
	from, to string
	kbps     float64
	at       time.Time
}

// Observe takes in what a survey of the table has returned. now is the worker's monotonic time when the survey had come,
// so that no row is thought older than it is, and wall its time of day. Rows and members that are not listed are
// forgotten.
//
// That a row stood still is evidence only, because reads may be stale. What makes acting on it safe is that Take fails
// if the counter has moved since.
func (c *Census) Observe(leases []lease.Lease, members []lease.Member, now, wall time.Time) Round {
	if c.rows == nil {
		c.rows, c.workers = make(map[string]*row, len(leases)), make(map[string]*sighting)
		c.last = now
	}
	c.count++
	r := Round{
		Leases: leases, Members: members, now: now,
		Still:   make(map[string]time.Duration, len(leases)),
		Handing: make(map[string]time.Duration),
		past:    make([]past, len(leases)),
		reports: make(map[string][]time.Duration),
		alive:   make(map[string]time.Duration),
	}
	tallies := c.readLeases(&r)
	c.readMembers(&r, tallies, wall)
	c.shifts = slices.DeleteFunc(c.shifts, func(s shift) bool { return now.Sub(s.at) > memory })
	r.shifts = slices.Clone(c.shifts)
	c.forget()
	c.last = now
	return r
}

// A tally is what the leases say of a worker.
type tally struct {
	has     int           // unfinished leases
	expired int           // of them
	overdue time.Duration // for how long all of them have been expired
	silent  float64       // the part of its endurance for which even the liveliest of them has stood still
	renewed bool          // one of them, since the last survey
}

func (c *Census) readLeases(r *Round) map[string]*tally {
	tallies := make(map[string]*tally)
	d := cmp.Or(c.Duration, defaultDuration)
	for i := range r.Leases {
		l := &r.Leases[i]
		was, known := c.rows[l.Key]
		if !known {
			was = c.newRow(l, r.now)
			c.rows[l.Key] = was
		}
		// What wakes an expired lease may be a leader's writing.
		renewed := was.counter != l.Counter && was.holder() == l.Holder() && c.last.Sub(was.since) < endurance(d, was.fresh)
		c.update(was, l, r.now)
		was.count = c.count

		still := r.now.Sub(was.since)
		r.Still[l.Key] = still
		if l.CheckpointOwner != "" {
			r.Handing[l.Key] = r.now.Sub(was.paired)
		}
		r.past[i] = was.past
		r.past[i].ago = r.now.Sub(was.moved)
		if l.Finished() || l.Holder() == "" {
			continue
		}
		t := tallies[l.Holder()]
		if t == nil {
			t = new(tally)
			tallies[l.Holder()] = t
		}
		part := float64(still) / float64(endurance(d, was.fresh))
		if t.has++; t.has == 1 || part < t.silent {
			t.silent = part
		}
		t.renewed = t.renewed || renewed
		if overdue := still - endurance(d, was.fresh); overdue >= 0 {
			if t.expired++; t.expired == 1 || overdue < t.overdue {
				t.overdue = overdue
			}
		}
	}
	return tallies
}

// endurance is how long a counter must stand still before the lease has expired. A worker that was just given a
// lease has more time for its first renewal: Java KCL looks for its leases only once in a lease duration.
func endurance(d time.Duration, fresh bool) time.Duration {
	switch {
	case mutant.Planted(mutant.ExpiresTooEarly):
		return d / 4
	case mutant.Planted(mutant.NeverExpires):
		return math.MaxInt64
	}
	if fresh {
		return d + d/2
	}
	return d
}

func (c *Census) newRow(l *lease.Lease, now time.Time) *row {
	is := &row{counter: l.Counter, owner: l.Owner, checkpointOwner: l.CheckpointOwner, paired: now, moved: now}
	if l.Holder() != "" {
		is.since, is.quiet = now, true
	}
	return is
}

func (was *row) holder() string {
	l := lease.Lease{Owner: was.owner, CheckpointOwner: was.checkpointOwner}
	return l.Holder()
}

// update brings was up to what l shows.
func (c *Census) update(was *row, l *lease.Lease, now time.Time) {
	if l.ThroughputKBps != nil {
		if was.known {
			was.kbps += (*l.ThroughputKBps - was.kbps) * (1 - math.Exp(-float64(now.Sub(c.last))/float64(smoothing)))
		} else {
			was.kbps, was.known = *l.ThroughputKBps, true
		}
	}
	if was.counter != l.Counter {
		// Also a lower one: the table may have been made anew.
		was.since, was.fresh, was.quiet = now, false, false
	}
	if was.owner != l.Owner || was.checkpointOwner != l.CheckpointOwner {
		was.paired = now
	}
	switch holder := was.holder(); {
	case holder != l.Holder():
		was.from, was.moved, was.fresh, was.quiet = holder, now, true, true
		if was.since.IsZero() {
			was.since = now
		}
		c.shifts = append(c.shifts, shift{from: holder, to: l.Holder(), kbps: was.kbps, at: now})
	case now.Sub(was.moved) > memory:
		was.from = ""
	}
	was.counter, was.owner, was.checkpointOwner = l.Counter, l.Owner, l.CheckpointOwner
}

func (c *Census) readMembers(r *Round, tallies map[string]*tally, wall time.Time) {
	for _, m := range r.Members {
		is := c.workers[m.Worker]
		changed := is != nil && !is.updated.Equal(m.Updated)
		switch {
		case is == nil:
			is = newSighting(m.Updated, r.now, wall)
			c.workers[m.Worker] = is
		case changed:
			is.write(m.Updated, r.now)
		}
		is.count = c.count
		if off := wall.Sub(m.Updated); changed && (off > memberSkew+r.now.Sub(c.last) || off < -memberSkew) {
			r.Skewed = append(r.Skewed, m)
		}
		quiet := r.now.Sub(is.changed)
		is.judge(tallies[m.Worker], changed, quiet)
		switch {
		case quiet >= memberStale, is.old && r.now.Sub(is.first) >= memberLife:
			r.Stale = append(r.Stale, m)
			is.living = false
		case is.struck: // the others, who may not have seen it, learn it from the item's absence
			r.Stale = append(r.Stale, m)
			is.living = false
		case is.ignored, quiet > memberLife, is.away > 0, failing(m):
			is.living = false
		case is.living && silent(tallies[m.Worker], quiet): // lives as far as is known, and is given nothing
		default:
			if !is.living {
				is.living, is.born = true, r.now
			}
			r.Alive = append(r.Alive, m)
			r.alive[m.Worker] = r.now.Sub(is.born)
			for _, at := range is.reports {
				r.reports[m.Worker] = append(r.reports[m.Worker], r.now.Sub(at))
			}
		}
	}
	slices.SortFunc(r.Alive, func(a, b lease.Member) int { return cmp.Compare(a.Worker, b.Worker) })
}

// newSighting believes an item seen for the first time if it is young by the time of day, for as long as it then has.
func newSighting(updated, now, wall time.Time) *sighting {
	age := wall.Sub(updated)
	is := &sighting{updated: updated, first: now, changed: now.Add(-min(max(age, 0), memberLife))}
	is.ignored = age > memberLife || age < -memberLife
	is.old = age > memberStale
	is.reports = []time.Time{is.changed}
	return is
}

// write notes that the item has changed.
func (is *sighting) write(updated, now time.Time) {
	is.updated, is.changed, is.ignored, is.old = updated, now, false, false
	if len(is.reports) == reportsKept {
		is.reports = slices.Delete(is.reports, 0, 1)
	}
	is.reports = append(is.reports, now)
}

// judge compares the worker's word with its leases. One that has let all of them expire since it last wrote is dead
// until it writes again; one that writes, is given leases and lets them expire has to write twice, then four times, and
// so on.
func (is *sighting) judge(t *tally, changed bool, quiet time.Duration) {
	if changed && is.away > 0 {
		is.away--
	}
	is.struck = is.struck && !changed
	switch {
	case t == nil:
	case t.renewed:
		is.strikes, is.away, is.struck = 0, 0, false
	case t.expired == t.has && quiet > t.overdue && is.away == 0:
		is.strikes++
		is.away, is.struck = 1<<min(is.strikes-1, 6), true
	}
}

// silent says that a worker with leases has renewed none of them for longer than a live one would take: it is given
// nothing more until it does, or writes after all of them have expired.
func silent(t *tally, quiet time.Duration) bool {
	reborn := t != nil && t.expired == t.has && quiet <= t.overdue
	return t != nil && t.silent >= 0.6 && !reborn
}

// failing says, as KCL does, that a worker whose last capture of a metric failed is given nothing.
func failing(m lease.Member) bool {
	for _, values := range m.Metrics {
		if n := len(values); n > 0 && values[n-1] < 0 {
			return true
		}
	}
	return false
}

// forget drops what the survey did not show, but not the strikes of a worker whose item was deleted for them.
func (c *Census) forget() {
	for key, is := range c.rows {
		if is.count != c.count {
			delete(c.rows, key)
		}
	}
	for name, is := range c.workers {
		if is.count != c.count && (is.strikes == 0 || c.last.Sub(is.changed) > memberStale) {
			delete(c.workers, name)
		}
	}
}
