package main

import "fmt"

// applied is Keeper.applied: t made the row what it is.
func (m *model) applied(s *state, me uint8, t attempt) {
	w := &s.w[me-1]
	if t.kind == release || s.checkpoint == end {
		*w = worker{mode: idle}
		return
	}
	w.age, w.lag, w.unsure, w.known = t.age, 0, false, s.checkpoint
	if m.fault == sentAtAnswer {
		w.age = 0
	}
	w.pend, w.fate, w.tries = attempt{}, underWay, [mostTries]attempt{}
	w.rightful, w.robbed, w.switched = true, false, false
	w.read(s, me)
	if w.wish == wishSave && w.known >= w.pos {
		w.wish = noWish
	}
	if w.mark <= w.known {
		w.mark = 0
	}
}

// read is what a keeper notes of the row beside the counter.
func (w *worker) read(s *state, me uint8) {
	w.known = s.checkpoint
	w.asked = w.asked || s.ckOwner == me && s.owner != me
}

// workerSteps are those of one worker of this library.
func (m *model) workerSteps(s *state, i int, visit func(step, *state, string)) {
	me := uint8(i + 1)
	w := &s.w[i]
	change := func(o op, healthy bool, f func(n *state, w *worker)) {
		n := *s
		f(&n, &n.w[i])
		visit(step{op: o, who: me, healthy: healthy}, &n, "")
	}
	if w.mode == down {
		change(start, true, func(_ *state, w *worker) { w.mode = idle })
		return
	}
	change(crash, false, func(n *state, w *worker) {
		*w = worker{}
		n.forsake(me)
	})
	switch w.mode {
	case idle: // discovery.claim
		if s.owner == me && (s.ckOwner == nobody || s.ckOwner == me) && s.checkpoint != end {
			m.takeForSelf(s, me, discovers, false, visit)
		}
	case taking:
		change(timesOut, w.fate != underWay, func(n *state, w *worker) {
			*w = worker{mode: idle}
			n.forsake(me)
		})
	case doomed:
		change(learns, true, func(_ *state, w *worker) { *w = worker{mode: idle} })
	case held:
		m.keeperSteps(s, me, visit)
		m.processorSteps(s, me, visit)
	}
}

// forsake tells that by waits for no answer any more.
func (s *state) forsake(by uint8) {
	for i := range s.net {
		if s.net[i].by == by {
			s.net[i].waited = false
		}
	}
}

// takeForSelf is worker.take.
func (m *model) takeForSelf(s *state, me uint8, why op, robs bool, visit func(step, *state, string)) {
	n := *s
	w := &n.w[me-1]
	*w = worker{mode: taking}
	r := request{kind: take, by: me, val: me, owner: s.owner, waited: true, robs: robs}
	if n.send(r, m.requests) {
		visit(step{op: why, who: me, healthy: !robs}, &n, "")
	}
}

// keeperSteps are Keeper.Run.
func (m *model) keeperSteps(s *state, me uint8, visit func(step, *state, string)) {
	w := &s.w[me-1]
	change := func(o op, healthy bool, f func(n *state, w *worker)) {
		n := *s
		f(&n, &n.w[me-1])
		visit(step{op: o, who: me, healthy: healthy}, &n, "")
	}
	gone := func(n *state, w *worker) {
		*w = worker{mode: idle}
		n.forsake(me)
	}
	if w.age >= forever { // Keeper.step: no renewal in time
		change(expires, true, gone)
		return
	}
	if s.ckOwner == me && s.owner != me && !w.asked { // Keeper.Notice
		change(notices, true, func(_ *state, w *worker) { w.asked = true })
	}
	switch {
	case w.pend.kind != none:
		if w.fate == refused { // keeping.write, ErrConflict
			change(hearsNo, true, func(_ *state, w *worker) { w.pend, w.fate, w.unsure = attempt{}, underWay, true })
		}
		if at := w.room(m.tries); at >= 0 { // and every other error
			change(timesOut, w.fate != underWay, func(n *state, w *worker) {
				if m.fault == lostIsDone && w.pend.kind != release {
					n.forsake(me)
					m.applied(n, me, w.pend)
					return
				}
				w.tries[at], w.unsure = w.pend, true
				w.pend, w.fate = attempt{}, underWay
				n.forsake(me)
				n.doom()
			})
		}
	case w.unsure: // Keeper.settle
		change(reads, true, func(n *state, w *worker) { m.settle(n, me) })
	case w.room(m.tries) >= 0:
		m.write(s, me, visit)
	}
}

// room is the place for one more attempt of unknown outcome, -1 if there is none.
func (w *worker) room(most int) int {
	for i := range most {
		if w.tries[i].kind == none {
			return i
		}
	}
	return -1
}

// settle is Keeper.settle.
func (m *model) settle(n *state, me uint8) {
	w := &n.w[me-1]
	gaveUp := false
	for _, t := range w.tries {
		if t.kind == none {
			continue
		}
		if w.lag == 1 && n.wrote(me, t) {
			m.applied(n, me, t)
			return
		}
		gaveUp = gaveUp || t.kind == release
	}
	if n.holder() == me && w.lag == 0 {
		w.read(n, me)
		w.unsure = false
		return
	}
	*w = worker{mode: idle} // given up if gaveUp, else lost
}

// write is Keeper.next and the sending of what it makes up.
func (m *model) write(s *state, me uint8, visit func(step, *state, string)) {
	w := &s.w[me-1]
	r := request{kind: renew, by: me, waited: true, rightful: w.rightful}
	t := attempt{kind: renew, val: w.known}
	target := w.mark
	switch w.wish {
	case wishSave:
		target = max(w.mark, w.pos)
	case wishEnd:
		target = end
	}
	if target > w.known {
		r.kind, r.val = save, target
		t = attempt{kind: save, val: target}
	}
	if w.wish != wishRelease || r.kind == save { // a mark goes first
		m.dispatch(s, me, r, t, visit)
		return
	}
	r.kind = release
	if w.asked {
		r.ckOwner = me
		m.dispatch(s, me, r, attempt{kind: release, val: s.owner}, visit)
		return
	}
	for next := uint8(nobody); next <= java; next++ {
		if next == me || next == java && !m.javaPart {
			continue
		}
		r.val = next
		m.dispatch(s, me, r, attempt{kind: release, val: next}, visit)
	}
}

func (m *model) dispatch(s *state, me uint8, r request, t attempt, visit func(step, *state, string)) {
	n := *s
	w := &n.w[me-1]
	w.pend, w.fate = t, underWay
	if w.lag > 0 {
		w.fate = refused // one of its own has come before
	} else if !n.send(r, m.requests) {
		return
	}
	wrong := ""
	if r.kind == save && r.val != end && r.val > w.pos {
		wrong = fmt.Sprintf("%s stores the checkpoint %s, beyond what this tenure has given to its processor", name(me), position(r.val))
	}
	visit(step{op: sends, who: me, req: r, healthy: true}, &n, wrong)
}

// processorSteps are those of worker.session and of the processor in it.
func (m *model) processorSteps(s *state, me uint8, visit func(step, *state, string)) {
	w := &s.w[me-1]
	change := func(o op, healthy bool, f func(n *state, w *worker)) {
		n := *s
		f(&n, &n.w[me-1])
		visit(step{op: o, who: me, healthy: healthy}, &n, "")
	}
	if w.wish == wishRelease { // tenure.release has a bound
		change(drops, false, func(n *state, w *worker) {
			*w = worker{mode: idle}
			n.forsake(me)
		})
	}
	if w.wish == wishSave {
		change(givesUpSaving, false, func(_ *state, w *worker) { w.wish = noWish })
	}
	if w.wish != noWish || w.age >= forever { // tenure.trusted, Keeper.request
		return
	}
	if w.pos < m.records {
		change(gives, true, func(n *state, w *worker) {
			w.pos++
			n.given = max(n.given, w.pos)
		})
	} else {
		change(asksToEnd, true, func(_ *state, w *worker) { w.wish = wishEnd })
	}
	if w.pos > max(w.known, w.mark) {
		change(marks, true, func(_ *state, w *worker) { w.mark = w.pos })
	}
	if m.fault == markTooEarly && w.pos < m.records && w.mark <= w.pos {
		change(marks, true, func(_ *state, w *worker) { w.mark = w.pos + 1 })
	}
	if w.pos > w.known {
		change(asksToSave, true, func(_ *state, w *worker) { w.wish = wishSave })
	}
	change(asksToRelease, true, func(_ *state, w *worker) { w.wish = wishRelease })
}

// leaderSteps are what whoever leads may do, by any survey of the table. Who leads is no matter: the lock is no fence,
// and every worker may believe that it does.
func (m *model) leaderSteps(s *state, visit func(step, *state, string)) {
	if s.checkpoint == end {
		return
	}
	send := func(o op, r request, healthy bool) {
		n := *s
		if n.send(r, m.requests) {
			visit(step{op: o, req: r, healthy: healthy}, &n, "")
		}
	}
	last := uint8(2)
	if m.javaPart {
		last = java
	}
	expired := s.holder() == nobody || s.still >= forever || m.fault == takenAtSight
	for to := uint8(1); to <= last; to++ {
		if expired {
			send(assignsExpired, request{kind: take, val: to, owner: s.owner}, true)
			if to != java && s.w[to-1].mode == idle {
				m.takeForSelf(s, to, assignsExpired, false, visit)
			}
			if m.javaPart { // of Java: the pair is compared, not the counter
				send(forces, request{kind: assign, val: to, owner: s.owner, ckOwner: s.ckOwner, robs: true}, false)
			}
		} else if m.steals && s.ckOwner == nobody && s.owner != to && to != java && s.w[to-1].mode == idle {
			m.takeForSelf(s, to, assignsExpired, true, visit)
		}
		if s.owner != nobody && s.ckOwner == nobody && to != s.owner {
			send(asksFor, request{kind: ask, val: to, owner: s.owner}, true)
		}
		if s.ckOwner != nobody && (s.handing >= forever || m.fault == forcedTooEarly) {
			send(forces, request{kind: assign, val: to, owner: s.owner, ckOwner: s.ckOwner, rightful: true, robs: true}, false)
		}
	}
}
