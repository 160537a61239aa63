package invariant

import (
	"strings"
	"time"
)

// A fleet is what is known of the workers together.
type fleet struct {
	steals   bool      // workers of KCL 2.x take part
	finishes bool      // the log tells how the ends of processors went
	rough    time.Time // until when the last fault, start or end of a worker lasted
	shaped   time.Time // when the last row came, went, or was finished
	quiet    time.Time // since when there are no faults, zero before that
	crashes  []*crash  // the shards that wait for another owner
	silent   []*session
	orphaned bool // orphans were looked for
}

// A crash is one shard of a worker that died.
type crash struct {
	shard *shard
	life  *life
	at    time.Time
	told  bool
}

// disturb notes that something is done to the fleet until t.
func (c *checker) disturb(t time.Time) {
	if t.After(c.rough) {
		c.rough = t
	}
}

// troubled reports whether the table may fail at any time.
func (c *checker) troubled() bool { return c.rules.TableFaults && c.quiet.IsZero() }

// calm is since when nothing was done to the fleet, from a moment on.
func (c *checker) calm(since time.Time) time.Time {
	if c.troubled() {
		return c.now
	}
	if c.rough.After(since) {
		since = c.rough
	}
	if c.quiet.After(since) {
		since = c.quiet
	}
	return since
}

// happens takes in what is done to the fleet.
func (c *checker) happens(e *Event) {
	if e.Kind != Fault {
		c.overdue()
		c.even()
	}
	until := e.At
	switch e.Kind {
	case Start:
		l := c.life(e)
		l.java = e.Note != ""
	case Crash:
		c.crashed(c.life(e))
	case Pause:
		c.result.Pauses++
		l := c.life(e)
		l.held = e.At
		until = e.At.Add(e.For)
		if until.After(l.still) {
			l.still = until
		}
	case Stop:
		c.orphans()
		c.result.Stops++
		if l := c.life(e); l.stopped.IsZero() {
			l.stopped = e.At
		}
	case Ended:
		c.ended(c.life(e), e)
	case Fault:
		until = e.At.Add(e.For)
	case Quiet:
		c.quiet = e.At
	}
	c.disturb(until)
}

// crashed notes the shards that wait for another owner from now on (I9).
func (c *checker) crashed(l *life) {
	c.result.Crashes++
	l.gone, l.crashed = true, true
	for _, s := range c.order {
		t := s.tenure()
		if t == nil || t.life != l.id || s.row.Key == "" || s.row.Finished() || s.session == nil || s.session.tenure != t {
			continue
		}
		s.crash = &crash{shard: s, life: l, at: c.now}
		c.crashes = append(c.crashes, s.crash)
	}
}

// recovered notes that a shard has another processor.
func (c *checker) recovered(s *shard, by *life) {
	w := s.crash
	if w == nil || w.life == by {
		return
	}
	s.crash = nil
	c.result.Failovers = append(c.result.Failovers, c.now.Sub(w.at))
	if c.calm(w.at).Equal(w.at) {
		c.result.Undisputed++
	}
	c.failedOver(w)
}

// overdue looks at the shards that still wait.
func (c *checker) overdue() {
	kept := c.crashes[:0]
	for _, w := range c.crashes {
		if w.shard.crash != w || w.shard.row.Key == "" || w.shard.row.Finished() {
			continue
		}
		if c.anybody() {
			c.failedOver(w)
		}
		kept = append(kept, w)
	}
	c.crashes = kept
}

func (c *checker) failedOver(w *crash) {
	if c.rules.Failover == 0 || w.told {
		return
	}
	if took := c.now.Sub(c.calm(w.at)); took > c.rules.slow(c.rules.Failover) {
		w.told = true
		c.violate("I9", "shard %s: %s died %v ago, nothing was done to the fleet for %v, and only now, or not yet, has it another processor",
			w.shard.name, who(w.life.worker, w.life.id), c.now.Sub(w.at), took)
	}
}

// anybody reports whether a worker is at work.
func (c *checker) anybody() bool {
	for _, l := range c.roll {
		if l.works() {
			return true
		}
	}
	return false
}

// works reports whether the worker was neither stopped nor has it ended.
func (l *life) works() bool { return !l.gone && l.stopped.IsZero() }

// even checks that leases are spread evenly once nothing has happened for long enough (I11).
func (c *checker) even() {
	since := c.calm(c.shaped)
	if c.rules.Settle == 0 || c.now.Sub(since) < c.rules.slow(c.rules.Settle) {
		return
	}
	has := map[int]int{}
	for _, s := range c.order {
		if t := s.tenure(); t != nil && covers(&s.row) {
			has[t.life]++
		}
	}
	fewest, most := -1, 0
	for _, l := range c.roll {
		switch {
		case l.java && l.works():
			return
		case l.works():
			if n := has[l.id]; fewest < 0 || n < fewest {
				fewest = n
			}
			most = max(most, has[l.id])
		}
	}
	if fewest >= 0 && most-fewest > c.rules.Spread {
		c.violate("I11", "%v after the last change, workers have from %d to %d leases", c.now.Sub(since), fewest, most)
	}
}

// settled checks that a lease which changes hands had a reason to (I11).
func (c *checker) settled(s *shard, e *Event) {
	since := c.calm(c.shaped)
	if c.rules.Settle == 0 || c.now.Sub(since) < c.rules.slow(c.rules.Settle) {
		return
	}
	c.violate("I11", "shard %s: %s by %s moved the lease from %q to %q, %v after the last change", s.name, e.Op, who(e.Worker, e.Life),
		e.Before.Holder(), e.After.Owner, c.now.Sub(since))
}

// orphans checks that every unfinished lease has a live owner once all is quiet (I12).
func (c *checker) orphans() {
	if c.rules.Orphan == 0 || c.quiet.IsZero() || c.orphaned || !c.anybody() {
		return
	}
	c.orphaned = true
	for _, s := range c.order {
		if !covers(&s.row) || s.waits() {
			continue
		}
		t, n := s.tenure(), s.session
		idle := c.now.Sub(c.calm(t.at))
		for _, p := range s.ancestors { // it had to wait for them
			if p.rowed && c.now.Sub(p.raised) < idle {
				idle = c.now.Sub(p.raised)
			}
		}
		if idle <= c.rules.slow(c.rules.Orphan) {
			continue
		}
		l := c.lives[t.life]
		if t.worker == "" || l == nil || l.gone || n == nil || n.tenure != t {
			c.violate("I12", "shard %s: all was quiet for %v, and its lease, of owner %q with counter %d at %v, has no live worker",
				s.name, idle, s.row.Holder(), s.row.Counter, s.row.Checkpoint)
		}
	}
}

// waits reports whether a parent of the shard is not done.
func (s *shard) waits() bool {
	for _, p := range s.ancestors {
		if covers(&p.row) {
			return true
		}
	}
	return false
}

// ended checks the end of a worker (I13).
func (c *checker) ended(l *life, e *Event) {
	c.drained(l)
	crashed := l.crashed
	l.gone = true
	if crashed || l.java || l.stopped.IsZero() || e.Err != "" || c.troubled() || c.calm(l.stopped) != l.stopped {
		return
	}
	for _, s := range c.order {
		if t := s.tenure(); t != nil && t.life == l.id && covers(&s.row) {
			c.violate("I13", "shard %s: %s has ended without an error and has the lease still", s.name, who(l.worker, l.id))
		}
	}
}

// drained checks that a worker takes no longer to stop than it may. What it stood still does not count.
func (c *checker) drained(l *life) {
	if c.rules.Drain == 0 || l.stopped.IsZero() || l.crashed || l.java {
		return
	}
	took := c.now.Sub(l.stopped)
	if l.still.After(l.stopped) {
		took = c.now.Sub(l.still)
	}
	if took > c.rules.slow(c.rules.Drain) {
		c.violate("I13", "%s was asked to stop and has not ended after %v, pauses aside", who(l.worker, l.id), took)
	}
}

// unreported notes a failure of a processor that the worker has to tell of (I14).
func (c *checker) unreported(n *session) {
	s := n.shard
	if c.rules.Reported == 0 || n.life.java || !n.life.works() || n.tenure != s.tenure() || c.now.Sub(s.raised) > c.rules.Lease/2 {
		return // the lease was lost, or is to be given up: the error is of no matter
	}
	if c.rules.TableFaults && c.quiet.IsZero() {
		return
	}
	c.silent = append(c.silent, n)
}

// reported takes in what a worker told of.
func (c *checker) reported(e *Event) {
	for _, n := range c.sessionsOf(e) {
		n.failing = time.Time{}
	}
}

func (c *checker) sessionsOf(e *Event) (of []*session) {
	for _, n := range c.silent {
		if n.life.id == e.Life && n.shard.name == e.Shard && (e.Stream == "" || strings.HasSuffix(n.shard.stream.name, e.Stream)) {
			of = append(of, n)
		}
	}
	return of
}

// tick looks at what should have happened by now.
func (c *checker) tick() {
	for len(c.silent) > 0 {
		n := c.silent[0]
		if !n.failing.IsZero() && c.now.Sub(n.failing) <= c.rules.slow(c.rules.Reported) {
			return
		}
		c.silent = c.silent[1:]
		if !n.failing.IsZero() && !n.life.gone && n.life.still.Before(n.failing) {
			c.violate("I14", "shard %s: its processor failed, and %s has told nothing of it for %v", n.shard.name, who(n.life.worker, n.life.id), c.now.Sub(n.failing))
		}
	}
}

// end checks what must be true in the end.
func (c *checker) end() {
	c.overdue()
	c.even()
	c.orphans()
	for _, l := range c.roll {
		if !l.gone {
			c.drained(l)
		}
	}
	for _, s := range c.streams {
		c.covered(s)
	}
	for _, s := range c.order {
		c.everything(s)
	}
}
