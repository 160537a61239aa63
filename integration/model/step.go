package main

import "fmt"

// An op is a kind of step.
type op uint8

const (
	tick op = iota
	start
	crash
	sends
	answers
	applies
	loses
	refuses
	timesOut
	hearsNo
	reads
	gives
	marks
	asksToSave
	asksToEnd
	asksToRelease
	givesUpSaving
	expires
	learns
	discovers
	assignsExpired
	forces
	asksFor
	notices
	adopts
	drops
)

// A step leads from one state to another.
type step struct {
	op      op
	who     uint8
	req     request // with sends, answers, applies and loses
	healthy bool    // nothing went wrong in it
}

// String is the step in words.
func (p step) String() string {
	who := name(p.who)
	if p.who == nobody {
		who = "a leader"
	}
	switch p.op {
	case tick:
		return "time passes: half a lease duration"
	case sends:
		return fmt.Sprintf("%s sends: %v", who, p.req)
	case answers:
		return fmt.Sprintf("applied and answered: %v", p.req)
	case applies:
		return fmt.Sprintf("applied, without an answer: %v", p.req)
	case refuses:
		return fmt.Sprintf("refused: %v", p.req)
	case loses:
		return fmt.Sprintf("lost on its way: %v", p.req)
	}
	return who + " " + [...]string{
		start: "starts", crash: "dies", timesOut: "hears no answer in time", hearsNo: "hears that the row has changed",
		reads: "reads the row", gives: "gives the next record to its processor", marks: "is told that all it gave is done (Mark)",
		asksToSave: "is asked for a checkpoint", asksToEnd: "has done all records: SHARD_END", asksToRelease: "wants to give the lease away",
		givesUpSaving: "is not waited for any more by its processor", expires: "gives up: no renewal in time",
		learns: "learns that the lease is lost", discovers: "finds a lease in its name", assignsExpired: "assigns the lease, which is free or has expired",
		forces: "moves the lease by force", asksFor: "asks for a hand-over", notices: "sees the hand-over in the table",
		adopts: "finds a lease in its name and goes on with it", drops: "drops the lease",
	}[p.op]
}

// String is the request in words.
func (r request) String() string {
	late := ""
	if !r.waited && r.by != nobody {
		late = " (nobody waits for it)"
	}
	switch r.kind {
	case renew, jRenew:
		return fmt.Sprintf("renewal of %s%s", name(r.by), late)
	case save, jSave:
		return fmt.Sprintf("checkpoint %s of %s%s", position(r.val), name(r.by), late)
	case release:
		if r.ckOwner != nobody {
			return fmt.Sprintf("release of %s to whoever asked%s", name(r.by), late)
		}
		return fmt.Sprintf("release of %s to %s%s", name(r.by), name(r.val), late)
	case take:
		return fmt.Sprintf("Take for %s from %s%s", name(r.val), name(r.owner), late)
	case ask:
		return fmt.Sprintf("Ask of %s for %s", name(r.owner), name(r.val))
	default:
		return fmt.Sprintf("Assign from (owner %s, checkpointOwner %s) to %s", name(r.owner), name(r.ckOwner), name(r.val))
	}
}

// A model is the protocol within bounds, perhaps with a fault.
type model struct {
	records  uint8 // of the shard
	requests int   // on their way at a time
	tries    int   // of unknown outcome over one counter
	javaPart bool  // a Java worker takes part, as a worker and as a leader
	steals   bool  // workers of KCL 2.x take from live owners
	fault    fault
}

// next calls visit for each step that s allows. wrong is what is wrong with it, "" if nothing.
func (m *model) next(s *state, visit func(p step, n *state, wrong string)) {
	m.passTime(s, visit)
	m.deliverRequests(s, visit)
	for i := range s.w {
		m.workerSteps(s, i, visit)
	}
	m.leaderSteps(s, visit)
	if m.javaPart {
		m.javaSteps(s, visit)
	}
}

// check is what must hold in every state, "" if it does.
func (m *model) check(s *state) string {
	for i := range s.w {
		w := &s.w[i]
		if w.mode == doomed && w.age < forever || w.mode == held && w.trusts() && !w.rightful && !w.robbed {
			return fmt.Sprintf("%s trusts a lease that is another's, and would go on with it", name(uint8(i+1)))
		}
	}
	return ""
}

// passTime has everybody's clock go on by half a lease duration. Clocks run alike; a worker that stands still meanwhile
// is one that does nothing.
func (m *model) passTime(s *state, visit func(step, *state, string)) {
	n := *s
	older := func(age *uint8) { *age = min(*age+1, forever) }
	older(&n.still)
	if n.ckOwner != nobody {
		older(&n.handing)
	}
	for i := range n.w {
		w := &n.w[i]
		if (w.mode == held || w.mode == doomed) && m.fault != noDeadline {
			older(&w.age)
		}
		if w.pend.kind != none || w.mode == taking {
			older(&w.pend.age)
		}
		for k := range w.tries {
			if w.tries[k].kind != none {
				older(&w.tries[k].age)
			}
		}
	}
	visit(step{op: tick, healthy: true}, &n, "")
}

// deliverRequests has the table apply a request, with or without an answer, or the network lose it. A request whose
// sender has given up, or died, can be applied like any other.
func (m *model) deliverRequests(s *state, visit func(step, *state, string)) {
	for i := range m.requests {
		r := s.net[i]
		if r.kind == none {
			break
		}
		n := *s
		n.drop(i)
		lost := n
		if r.waited {
			lost.fail(r.by, refused)
		}
		if !m.holds(&n, &r) {
			visit(step{op: refuses, req: r, healthy: true}, &lost, "")
			continue
		}
		visit(step{op: loses, req: r}, &lost, "")
		if r.waited {
			n.fail(r.by, applied)
		}
		wrong := m.apply(&n, &r)
		visit(step{op: applies, req: r, healthy: !r.waited}, &n, wrong)
		if r.waited {
			n = *s
			n.drop(i)
			n.fail(r.by, applied)
			wrong = m.apply(&n, &r)
			if m.answer(&n, &r) {
				visit(step{op: answers, req: r, healthy: true}, &n, wrong)
			}
		}
	}
}

// fail notes what became of the request that by waits for.
func (s *state) fail(by uint8, f fate) {
	if by == java {
		s.j.fate = f
	} else {
		s.w[by-1].fate = f
	}
}

// answer has the sender of r, which was just applied, hear of it.
func (m *model) answer(s *state, r *request) bool {
	if r.by == java {
		return m.javaAnswered(s, r)
	}
	w := &s.w[r.by-1]
	switch w.mode {
	case taking: // worker.take: the tenure begins
		*w = worker{mode: held, age: w.pend.age, known: s.checkpoint, pos: s.checkpoint, rightful: true}
		return true
	case held:
		m.applied(s, r.by, w.pend)
		return true
	}
	return false // doomed meanwhile, by its own write
}
