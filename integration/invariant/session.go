package invariant

import (
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A session is the lifetime of one processor.
type session struct {
	life   *life
	shard  *shard
	tenure *tenure
	byKey  bool
	start  record.Position
	cause  string // of what it repeats
	next   int    // the record that is to come next; -1 while that cannot be told
	fresh  bool   // nothing was delivered yet

	running  bool // a call is under way
	finish   bool // it is that of Finish
	told     bool // Finish was called
	broken   bool // the last call failed
	reason   string
	from, to int // the records of the call
	given    record.Position
	done     record.Position // the last record of the calls that succeeded
	again    int             // below, records come again because a call failed
	failing  time.Time       // since when its failure is not reported; zero if it is, or did not fail
	free     time.Time       // since when no call is under way
}

// begin checks where a processor starts (I3), and that it has a lease to start with (I5).
func (c *checker) begin(e *Event) {
	c.result.Sessions++
	s, l := c.shard(e.Stream, e.Shard), c.life(e)
	n := &session{life: l, shard: s, next: -1, fresh: true, free: e.At, byKey: e.Note == ByKey}
	c.sessions[e.Tenure] = n
	if l.gone {
		if !l.crashed {
			c.violate("I13", "shard %s: %s made a processor after it had ended", s.name, who(e.Worker, e.Life))
		}
		return
	}
	start := record.TrimHorizon
	if len(e.Records) > 0 {
		start = e.Records[0]
	}
	n.start, n.tenure = start, c.tenureOf(s, e)
	n.tenure.byKey = n.tenure.byKey || n.byKey
	n.cause = c.causeOf(s, n)
	if i, ok := s.behind(start); ok {
		n.next = i
	}
	if start.Kind() == record.KindSequence {
		n.given, n.done = start, start
	}
	if n.tenure.furthest.Compare(n.given) < 0 {
		n.tenure.furthest = n.given
	}
	if c.table {
		c.startsWell(s, n, start)
	}
	c.recovered(s, l)
	s.session = n
}

// tenureOf is the tenure to which a new processor belongs.
func (c *checker) tenureOf(s *shard, e *Event) *tenure {
	if t := s.tenure(); t != nil && t.worker == e.Worker && t.life != 0 && t.life != e.Life && c.isJava(e.Life) {
		return c.resumed(s, e)
	}
	for i := len(s.tenures) - 1; i >= 0; i-- {
		t := s.tenures[i]
		if t.worker == e.Worker && t.counter <= e.Counter && (t.life == 0 || t.life == e.Life) {
			t.life = e.Life
			return t
		}
	}
	if t := c.stale(s, e); t != nil {
		return t
	}
	if c.table {
		c.violate("I5", "shard %s: %s made a processor for counter %d, with which it never had the lease", s.name, who(e.Worker, e.Life), e.Counter)
	}
	if n := s.session; n != nil && n.life.id == e.Life && n.tenure.counter == e.Counter {
		return n.tenure
	}
	return &tenure{place: -1, at: c.now, worker: e.Worker, life: e.Life, counter: e.Counter}
}

// stale is the tenure of a worker of Java that takes up a lease in its name as the index showed it, which may be of before
// it started: the tenure was that of an earlier process of this name, and has ended. Java finds out when it renews.
func (c *checker) stale(s *shard, e *Event) *tenure {
	if !c.isJava(e.Life) {
		return nil
	}
	for i := len(s.tenures) - 1; i >= 0; i-- {
		if t := s.tenures[i]; t.worker == e.Worker && t.counter <= e.Counter {
			was := *t
			was.life = e.Life
			return &was
		}
	}
	return nil
}

// resumed begins another tenure for a worker of Java that goes on, after a restart, with a lease in its name.
func (c *checker) resumed(s *shard, e *Event) *tenure {
	t := &tenure{place: len(s.tenures), op: "resume", at: c.now, worker: e.Worker, life: e.Life, counter: s.row.Counter, from: s.row.Checkpoint}
	s.tenures = append(s.tenures, t)
	return t
}

// causeOf says why a new processor repeats what it repeats.
func (c *checker) causeOf(s *shard, n *session) string {
	before := s.session
	switch {
	case before == nil:
		return AfterExpiry
	case before.tenure == n.tenure:
		return AfterRestart
	case before.tenure.place < 0 || before.tenure.place+1 >= len(s.tenures):
		if before.life.crashed {
			return AfterCrash
		}
		return AfterExpiry
	}
	return c.howLost(before, s.tenures[before.tenure.place+1])
}

// howLost says how a session's tenure ended, by the one that came after.
func (c *checker) howLost(n *session, next *tenure) string {
	switch {
	case n.life.gone:
		return AfterCrash
	case next.robbed:
		return AfterRobbery
	case next.worker == "" || next.op == "Release":
		return AfterRelease
	default:
		return AfterExpiry
	}
}

// startsWell compares where a processor starts with the checkpoint.
func (c *checker) startsWell(s *shard, n *session, start record.Position) {
	by, now := who(n.life.worker, n.life.id), s.row.Checkpoint
	if s.row.Key == "" || n.tenure.place < 0 || s.undermined(n.tenure) {
		return
	}
	current := n.tenure == s.tenure()
	switch now.Kind() {
	case record.KindShardEnd:
		if current {
			c.violate("I3", "shard %s: %s made a processor for a finished shard", s.name, by)
		}
		return
	case record.KindSequence:
		if start.Compare(now) > 0 {
			c.violate("I3", "shard %s: %s starts at %v, beyond the checkpoint %v", s.name, by, start, now)
		}
	default:
		at := start.Time()
		switch {
		case start.Kind() == record.KindSequence, start == record.ShardEnd:
			c.violate("I3", "shard %s: %s starts at %v, beyond the checkpoint %v", s.name, by, start, now)
		case n.life.java || now == record.TrimHorizon && start == record.TrimHorizon:
		case now == record.TrimHorizon && start.Kind() != record.KindTrimHorizon:
			c.violate("I3", "shard %s: %s starts at %v, beyond the checkpoint %v", s.name, by, start, now)
		case !s.row.StartTime.IsZero() && (start == record.Latest || at.After(s.row.StartTime)):
			c.violate("I3", "shard %s: %s starts at %v, beyond the start %v", s.name, by, start, record.AtTimestamp(s.row.StartTime))
		}
	}
	if !n.life.java && start.Compare(n.tenure.from) < 0 && n.tenure.from.Kind() == record.KindSequence {
		c.violate("I3", "shard %s: %s starts at %v, before the checkpoint %v with which it took the lease", s.name, by, start, n.tenure.from)
	}
}

// deliver checks the order of what a processor is handed (I3), that it is the lease's owner (I6), and that the shard's
// turn has come (I7).
func (c *checker) deliver(e *Event) {
	n := c.sessions[e.Tenure]
	if n == nil {
		c.violate("I3", "shard %s: records were handed to a processor that was never made, of %s", e.Shard, who(e.Worker, e.Life))
		return
	}
	if n.life.crashed || n.tenure == nil {
		return
	}
	if n.life.gone {
		c.violate("I13", "shard %s: %s handed records over after it had ended", e.Shard, who(e.Worker, e.Life))
	}
	if e.Note == DeadLetter {
		c.buried(n, e)
		return
	}
	c.result.Calls++
	s := n.shard
	if !n.byKey {
		n.running, n.finish, n.from, n.to = true, false, 0, 0
	}
	if len(e.Records) == 0 {
		return
	}
	late := c.lateness(s, n, len(e.Records))
	if !s.delivered {
		c.inTurn(s, n)
	}
	if n.byKey { // in order only by key, and so behind what was done for good
		n.next, _ = s.find(e.Records[0])
		if at, ok := s.behind(n.start); ok && n.next < at {
			c.violate("I3", "shard %s: %s was handed %v, and had begun at %v", s.name, who(e.Worker, e.Life), e.Records[0], n.start)
		}
	}
	c.sequence(s, n, e, late)
	s.delivered, n.fresh = true, false
	if last := e.Records[len(e.Records)-1]; !n.byKey || last.Compare(n.given) > 0 {
		n.given = last
	}
	if n.tenure.furthest.Compare(n.given) < 0 {
		n.tenure.furthest = n.given
	}
}

// sequence goes through the records of a call.
func (c *checker) sequence(s *shard, n *session, e *Event, late bool) {
	by := who(e.Worker, e.Life)
	next := n.next
	for k, p := range e.Records {
		c.result.Records++
		i := next
		if i < 0 || i >= len(s.records) || s.records[i].pos != p {
			var found bool
			if i, found = s.find(p); !found {
				c.result.Unknown++
				if !c.rules.Unacknowledged {
					c.violate("I3", "shard %s: %s was handed %v, which nobody had put", s.name, by, p)
				}
				continue
			}
			c.jump(s, n, by, next, i)
		}
		if k == 0 || n.to == 0 {
			n.from = i
		}
		n.to, next = i+1, i+1
		r := &s.records[i]
		if r.state == waiting {
			r.state = given
			c.result.Distinct++
			c.prompt(s, n, r)
			continue
		}
		switch {
		case late:
			c.result.Repeated[ByLateOwner]++
		case i < n.again:
			c.result.Repeated[AfterError]++
		default:
			c.result.Repeated[n.cause]++
		}
	}
	n.next = next
}

// jump checks a delivery of the record at i where that at next was due.
func (c *checker) jump(s *shard, n *session, by string, next, i int) {
	switch {
	case n.byKey:
	case next < 0: // the start does not tell
		if m := c.skipped(s, 0, i); m >= 0 && !n.life.java && s.records[m].state == waiting {
			c.violate("I3", "shard %s: %s begins with %v and leaves out %v", s.name, by, s.records[i].pos, s.records[m].pos)
		}
	case i < next:
		c.violate("I3", "shard %s: %s was handed %v, and had been handed all before %d records further", s.name, by, s.records[i].pos, next-i)
	default:
		if n.fresh { // a checkpoint that was prepared before may have been completed since
			if at, ok := s.behind(s.row.Checkpoint); ok && c.table && i <= at {
				return
			}
		}
		if m := c.skipped(s, next, i); m >= 0 {
			c.violate("I3", "shard %s: %s was handed %v, which leaves out %v", s.name, by, s.records[i].pos, s.records[m].pos)
		}
	}
}

// prompt checks that a record, on its first delivery, did not have to wait (I14, I15).
func (c *checker) prompt(s *shard, n *session, r *stored) {
	if c.rules.Fresh == 0 || n.life.java {
		return
	}
	since := r.at
	if n.free.After(since) {
		since = n.free
	}
	if waited := c.now.Sub(c.calm(since)); waited > c.rules.slow(c.rules.Fresh) {
		c.violate("I14", "shard %s: %s was handed %v only %v after it could have been", s.name, who(n.life.worker, n.life.id), r.pos, waited)
	}
}

// inTurn checks the first delivery of a shard (I7).
func (c *checker) inTurn(s *shard, n *session) {
	by := who(n.life.worker, n.life.id)
	for _, p := range s.ancestors {
		switch {
		case s.touched || p.touched:
		case p.row.Key != "":
			if !p.row.Finished() {
				c.violate("I7", "shard %s: %s began with it while its parent %s was at %v", s.name, by, p.name, p.row.Checkpoint)
			}
		case !c.table:
			if m := c.missing(p, 0, len(p.records), done); m >= 0 {
				c.violate("I7", "shard %s: %s began with it before %v of its parent %s was processed", s.name, by, p.records[m].pos, p.name)
			}
		}
	}
}

// lateness checks that a delivery's lease has not gone (I6).
func (c *checker) lateness(s *shard, n *session, records int) bool {
	t := n.tenure
	if t.place < 0 || t.place == len(s.tenures)-1 {
		return false
	}
	lost := s.tenures[t.place+1]
	how, by := c.howLost(n, lost), c.now.Sub(lost.at)
	if n.life.java {
		c.result.Late[OfJava] += records
		return true
	}
	c.result.Late[how] += records
	c.result.LateMost = max(c.result.LateMost, by)
	bound := time.Duration(0)
	if how == AfterRobbery {
		bound = c.rules.slow(c.rules.Lease/3) + c.rules.Lease/20
		if c.rules.TableFaults {
			bound = c.rules.slow(c.rules.Lease)
		}
	}
	if c.rules.MidCall && n.life.still.After(lost.at) && c.now.Sub(n.life.still) <= time.Second+c.rules.Slack {
		return true
	}
	if c.rules.Twins && lost.worker == n.life.worker {
		return true
	}
	if by > bound || how != AfterRobbery {
		c.violate("I6", "shard %s: %s was handed records %v after %q had the lease (its own ended by %s; at most %v late allowed)",
			s.name, who(n.life.worker, n.life.id), by, lost.worker, how, bound)
	}
	return true
}

// returned takes in the end of a call.
func (c *checker) returned(e *Event) {
	n := c.sessions[e.Tenure]
	if n == nil || n.life.crashed || n.tenure == nil || e.Note == DeadLetter {
		return
	}
	n.free = c.now
	if e.Note == ByKey {
		c.returnedOne(n, e)
		return
	}
	if !n.running {
		return
	}
	n.running, n.broken = false, e.Err != ""
	if n.broken {
		c.result.Failed++
		c.failed(n)
		return
	}
	if n.finish {
		n.tenure.finished = true
		n.tenure.closed = n.tenure.closed || n.reason == ShardEnd
		return
	}
	for i := n.from; i < n.to; i++ {
		if r := &n.shard.records[i]; r.state == given {
			r.state = done
		}
	}
	n.done = n.given
}

// failed takes in that the last call of a processor failed: its batch comes again, and what was marked of it is not.
func (c *checker) failed(n *session) {
	if n.failing.IsZero() {
		n.failing = c.now
		c.unreported(n)
	}
	if n.finish {
		return
	}
	if n.to > 0 {
		n.next, n.again = n.from, max(n.again, n.to)
	}
	n.given = n.done
	for k := range n.tenure.said {
		if w := &n.tenure.said[k]; w.mark && w.taken.IsZero() && w.pos.Compare(n.done) > 0 {
			w.taken = c.now
		}
	}
}

func (c *checker) finishing(e *Event) {
	if n := c.sessions[e.Tenure]; n != nil {
		n.running, n.finish, n.told, n.reason = true, true, true, e.Note
	}
}

// saidSo notes a processor's word, if it may be stored.
func (c *checker) saidSo(e *Event) {
	n := c.sessions[e.Tenure]
	if n == nil || n.tenure == nil || len(e.Records) == 0 {
		return
	}
	p, stored := e.Records[0], n.shard.row
	if p.Compare(n.given) > 0 && p != stored.Pending || p.Compare(stored.Checkpoint) <= 0 && c.table {
		return
	}
	n.tenure.said = append(n.tenure.said, saying{pos: p, mark: e.Note == SaidMark})
}

// buried notes that a record which failed is taken as a dead letter: it counts as done.
func (c *checker) buried(n *session, e *Event) {
	p := e.Records[0]
	if i, ok := n.shard.find(p); ok {
		n.shard.records[i].state = dead
		if !n.byKey {
			n.next = i + 1
		}
	}
	if !n.byKey {
		n.given, n.done = p, p
	}
	n.tenure.said = append(n.tenure.said, saying{pos: p})
}

// returnedOne takes in the end of one of the calls of a ByKey processor.
func (c *checker) returnedOne(n *session, e *Event) {
	if e.Err != "" {
		c.result.Failed++
		return
	}
	if i, ok := n.shard.find(e.Records[0]); ok && n.shard.records[i].state == given {
		n.shard.records[i].state = done
	}
}
