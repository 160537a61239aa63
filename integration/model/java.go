package main

// javaSteps are those of a worker of Java KCL 3. It does not tell when it stops trusting a lease, so it may drop it at any
// time; a crash is the same, because it takes up again what the table has in its name.
func (m *model) javaSteps(s *state, visit func(step, *state, string)) {
	j := &s.j
	change := func(o op, healthy bool, f func(n *state, j *javaWorker)) {
		n := *s
		f(&n, &n.j)
		visit(step{op: o, who: java, healthy: healthy}, &n, "")
	}
	if !j.held {
		// The discoverer: it begins without a write of its own.
		if s.owner == java && s.ckOwner == nobody && s.checkpoint != end {
			change(adopts, true, func(n *state, j *javaWorker) { *j = javaWorker{held: true, pos: n.checkpoint, rightful: true} })
		}
		return
	}
	change(drops, j.lag > 0, func(n *state, j *javaWorker) { n.forgetJava() })
	if j.pos < m.records && !j.asked {
		change(gives, true, func(n *state, j *javaWorker) {
			j.pos++
			n.given = max(n.given, j.pos)
		})
	}
	if j.pend != none {
		change(timesOut, j.fate != underWay, func(n *state, j *javaWorker) { m.javaFailed(n) })
		return
	}
	send := func(r request) {
		n := *s
		n.j.pend, n.j.val, n.j.fate = r.kind, r.val, underWay
		if j.lag > 0 {
			n.j.fate = refused
		} else if !n.send(r, m.requests) {
			return
		}
		visit(step{op: sends, who: java, req: r, healthy: true}, &n, "")
	}
	r := request{kind: jRenew, by: java, waited: true, rightful: j.rightful}
	if j.asked {
		r.ckOwner = java
	}
	send(r)
	at := j.pos
	if at == m.records {
		at = end
	}
	if at > s.checkpoint {
		send(request{kind: jSave, by: java, val: at, waited: true, rightful: j.rightful})
	}
	if j.asked && s.ckOwner == java { // shutdownRequested has returned: assign, then the consumer is gone
		n := *s
		n.forgetJava()
		if n.send(request{kind: assign, by: java, val: s.owner, owner: s.owner, ckOwner: java, rightful: true}, m.requests) {
			visit(step{op: asksToRelease, who: java, healthy: true}, &n, "")
		}
	}
}

func (s *state) forgetJava() {
	s.j = javaWorker{}
	s.forsake(java)
}

func (m *model) javaAnswered(s *state, r *request) bool {
	j := &s.j
	if !j.held {
		return false
	}
	j.pend, j.val, j.fate, j.lag = none, 0, underWay, 0
	if s.checkpoint == end {
		s.forgetJava()
	}
	return true
}

// javaFailed is a write that was refused or not answered. A checkpoint is not read back: the lease is dropped if it was
// refused, as the SDK's second attempt after a lost answer is; else the next renewal finds out.
func (m *model) javaFailed(s *state) {
	j := &s.j
	kind := j.pend
	s.forsake(java)
	j.pend, j.val = none, 0
	f := j.fate
	j.fate = underWay
	switch {
	case kind == jSave && f != underWay:
		s.forgetJava()
	case kind == jRenew && j.lag == 0 && s.ckOwner == java && s.owner != java && !j.asked:
		j.asked = true // the row that refused it tells of the hand-over
	case kind == jRenew && j.lag == 1 && s.ckOwner == nobody && s.owner == java:
		j.lag, j.rightful = 0, true // taken for its own renewal
	case kind == jRenew && j.lag > 0:
		s.forgetJava()
	}
}
