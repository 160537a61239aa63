package main

import "fmt"

// comparesCounter reports whether a write has the counter in its condition.
func (m *model) comparesCounter(r *request) bool {
	switch {
	case m.fault == saveUnchecked && r.kind == save, m.fault == takeUnchecked && r.kind == take, m.fault == releaseUnchecked && r.kind == release:
		return false
	}
	return r.kind != ask && r.kind != assign
}

// holds reports whether the condition of r is met, but for the counter: a request that compares it is taken away when
// it moves. (lease/memory and lease/dynamo, Renew to Assign; of Java, DynamoDBLeaseSerializer.java.)
func (m *model) holds(s *state, r *request) bool {
	if m.fault == takeUnchecked && r.kind == take || m.fault == saveUnchecked && r.kind == save {
		return true
	}
	switch r.kind {
	case renew, save:
		return s.owner == r.by || s.ckOwner == r.by
	case release:
		if r.ckOwner != nobody { // the sender knew of the hand-over
			return s.ckOwner == r.by
		}
		return s.owner == r.by && s.ckOwner == nobody
	case take:
		return s.owner == r.owner
	case ask:
		return s.owner == r.owner && s.ckOwner == nobody
	case assign:
		return s.owner == r.owner && s.ckOwner == r.ckOwner
	case jRenew:
		return r.ckOwner != nobody || s.ckOwner == nobody
	default: // jSave
		return true
	}
}

// apply carries out r, whose condition is met, and returns what is wrong with that, "" if nothing.
func (m *model) apply(s *state, r *request) string {
	wrong := m.judge(s, r)
	switch r.kind {
	case save, jSave:
		s.checkpoint = r.val
	case release:
		next := r.val
		if r.ckOwner != nobody {
			next = s.owner
		}
		m.own(s, next)
	case take, assign:
		if r.robs {
			s.rob()
		}
		m.own(s, r.val)
	case ask:
		s.owner, s.ckOwner, s.handing = r.val, s.owner, 0
		s.doom()
		return wrong
	}
	s.still = 0
	m.overtake(s)
	return wrong
}

// judge is what must not happen.
func (m *model) judge(s *state, r *request) string {
	switch r.kind {
	case save, jSave:
		switch {
		case s.checkpoint == end:
			return "a finished shard has a new checkpoint"
		case r.val < s.checkpoint:
			return fmt.Sprintf("the checkpoint went back from %s to %s", position(s.checkpoint), position(r.val))
		case r.val == end && s.given < m.records || r.val != end && r.val > s.given:
			return fmt.Sprintf("the checkpoint %s covers a record that no processor was given", position(r.val))
		}
	case take:
		if h := s.tenure(s.holder()); h != nil && h.trusts() && h.rightful && !r.robs {
			return fmt.Sprintf("the lease was taken from %s, which lives and trusts it", name(s.holder()))
		}
	case assign:
		if h := s.tenure(s.holder()); h != nil && h.trusts() && r.by != s.holder() && r.rightful && s.ckOwner != nobody && s.handing < forever {
			return fmt.Sprintf("%s was not given its time to hand the lease over", name(s.holder()))
		}
	case release:
		if h := s.tenure(r.by); h != nil && h.mark > s.checkpoint {
			return fmt.Sprintf("%s gave the lease away with a mark that was not stored", name(r.by))
		}
	}
	switch r.kind {
	case renew, save, release, jSave, jRenew:
		if !r.rightful {
			return fmt.Sprintf("a write of a former tenure of %s was applied", name(r.by))
		}
	}
	return ""
}

// own makes next the owner: all tenures until now are former ones.
func (m *model) own(s *state, next uint8) {
	switched := s.owner != nobody && s.owner != next || s.ckOwner == next && next != nobody
	s.owner, s.ckOwner, s.handing = next, nobody, 0
	for i := range s.w {
		w := &s.w[i]
		w.rightful = false
		w.switched = w.mode == held && (w.switched || switched && m.fault != switchUnseen)
	}
	s.j.rightful = false
	for i := range s.net {
		s.net[i].rightful = false
	}
}

// rob marks the present holder's tenure as robbed.
func (s *state) rob() {
	if h := s.tenure(s.holder()); h != nil {
		h.robbed = true
	}
}

// overtake has the counter rise: what compares the old one is refused, and tenures do not know it until they learn of it.
func (m *model) overtake(s *state) {
	n := 0
	for i := range s.net {
		r := s.net[i]
		if r.kind == none || !m.comparesCounter(&r) {
			if r.kind != none {
				s.net[n] = r
				n++
			}
			continue
		}
		if r.waited {
			s.fail(r.by, refused)
		}
	}
	clear(s.net[n:])
	for i := range s.w {
		w := &s.w[i]
		if w.mode != held {
			continue
		}
		if w.lag++; w.lag > 1 {
			w.doom()
		}
	}
	s.doom()
	s.j.lag = min(s.j.lag+1, 2)
}

// doom finds the tenures that cannot take the row for their own any more: they are over, whenever they learn of it.
func (s *state) doom() {
	for i := range s.w {
		if w := &s.w[i]; w.mode == held && w.lag > 0 && !s.hopes(uint8(i+1)) {
			w.doom()
		}
	}
}

// hopes reports whether a tenure that is one behind the counter may find that the row is what an attempt of its own has
// made of it: one that it remembers or waits for, or one that it has yet to send, which will be refused.
func (s *state) hopes(me uint8) bool {
	w := &s.w[me-1]
	if w.pend.kind != none && s.wrote(me, w.pend) || w.wish != wishRelease && s.wrote(me, attempt{kind: renew, val: w.known}) {
		return true
	}
	for _, t := range w.tries {
		if t.kind != none && s.wrote(me, t) {
			return true
		}
	}
	return false
}

// doom keeps of a tenure what still matters: whether it might give a record to its processor that is another's now.
func (w *worker) doom() {
	late := w.trusts() && !w.robbed && !w.rightful
	*w = worker{mode: doomed, age: forever}
	if late {
		w.age = 0
	}
}

// wrote is try.wrote of lease/keeping.go, for a row whose counter is one ahead: the row is what t would have made of it.
func (s *state) wrote(me uint8, t attempt) bool {
	if t.kind == release {
		return s.owner == t.val && s.ckOwner == nobody
	}
	return s.holder() == me && s.checkpoint == t.val && !s.w[me-1].switched
}

// tenure is the tenure that a worker of this library has, nil if none.
func (s *state) tenure(name uint8) *worker {
	if name != 1 && name != 2 || s.w[name-1].mode != held {
		return nil
	}
	return &s.w[name-1]
}

// trusts reports whether the worker would hand records to its processor.
func (w *worker) trusts() bool { return w.age < forever && w.wish != wishRelease }

// send puts r on its way, and reports whether there is room.
func (s *state) send(r request, room int) bool {
	for i := range room {
		switch {
		case s.net[i].kind == none:
			s.net[i] = r
			return true
		case s.net[i] == r && !r.waited:
			return false // the same again changes nothing
		}
	}
	return false
}

// drop takes the request at place i away.
func (s *state) drop(i int) {
	copy(s.net[i:], s.net[i+1:])
	s.net[mostRequests-1] = request{}
}

func name(n uint8) string {
	return [...]string{"nobody", "worker 1", "worker 2", "the Java worker"}[n]
}

func position(p uint8) string {
	switch p {
	case 0:
		return "TRIM_HORIZON"
	case end:
		return "SHARD_END"
	}
	return fmt.Sprint(p)
}
