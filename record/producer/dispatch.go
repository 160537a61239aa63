package producer

import (
	"time"

	"github.com/shoal-stream/shoal/record"
)

// dispatch makes requests of what waits, whenever there is enough of it, it has waited long enough, or a Flush asks. So
// does settle, for the goroutine of a request that was answered.
func (p *Producer) dispatch() {
	for {
		f, now, until := p.plan()
		if f != nil {
			p.running.Go(func() { p.fly(f) })
		} else if !p.pause(now, until) {
			return
		}
	}
}

// plan gives up what has expired, and makes the next request if it is time for one; else it returns until when dispatch
// may sleep.
func (p *Producer) plan() (f *flight, now, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now = p.clock.Now()
	expiry := p.expire(now)
	f, wake := p.compose(now)
	p.alarm = earlier(expiry, wake)
	return f, now, p.alarm
}

// rouse wakes dispatch for a lane in which something waits now, unless it will look in time: in a stream of many shards
// nearly every record is the only one of its lane.
func (p *Producer) rouse(l *lane) {
	if p.alarm.IsZero() || l.due.Before(p.alarm) || p.pressed() {
		poke(p.wake)
	}
}

// pressed reports whether somebody waits for all that waits.
func (p *Producer) pressed() bool { return p.hurry > 0 || len(p.room.waiters) > 0 }

// pause waits until something has changed, or the time has come; a zero time never comes. It returns false once the
// producer is over.
func (p *Producer) pause(now, until time.Time) bool {
	if until.IsZero() {
		select {
		case <-p.wake:
			return true
		case <-p.over.Done():
			return false
		}
	}
	timer := p.clock.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.wake:
		return true
	case <-p.over.Done():
		return false
	}
}

// earlier is the earlier of two times; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// enqueue puts a new record at the end of its chain.
func (p *Producer) enqueue(e *entry, c *chain) {
	if c.flying == 0 {
		c.trim()
	}
	c.push(e)
	if l := c.lane; l != nil {
		l.bytes += c.bytes - c.counted
		c.counted = c.bytes
		p.freshen(0, int(e.size))
	} else if c.flying == 0 {
		p.makeReady(c, false)
	}
}

// chainOf is the chain that e belongs to by the order that is promised.
func (p *Producer) chainOf(e *entry) *chain {
	switch p.cfg.Order {
	case OrderPerKey:
		c := p.chains[e.key]
		if c == nil {
			c = &chain{key: e.key}
			p.chains[c.key] = c
		}
		return c
	case OrderStrict:
		l := p.laneOf(e.hash)
		if l.chain == nil {
			l.chain = new(chain)
		}
		return l.chain
	default:
		return new(chain)
	}
}

// laneOf is the lane of the shard that h lies in.
func (p *Producer) laneOf(h record.HashKey) *lane {
	if p.shards == nil {
		return p.limbo
	}
	i := p.shards.find(h)
	if p.lanes[i] == nil {
		p.lanes[i] = &lane{
			shard: p.shards.open[i].ID, keys: p.shards.open[i].Range, pace: newBucket(p.cfg.RateLimit, p.clock.Now()),
		}
	}
	return p.lanes[i]
}

// makeReady gives a chain with nothing in flight its place in a lane, if it has anything left.
func (p *Producer) makeReady(c *chain, again bool) {
	c.trim()
	if c.n == 0 {
		if p.cfg.Order == OrderPerKey {
			delete(p.chains, c.key)
		}
		return
	}
	l := p.laneOf(c.front())
	p.tidy(l)
	idle := l.waiting() == 0
	if idle || !l.late {
		l.hasten(p.due(c.first))
	}
	l.push(c, again)
	switch {
	case l == p.limbo:
		poke(p.look)
	case !l.turn:
		l.turn = true
		p.turns.push(l)
	}
	if idle {
		p.rouse(l)
	}
	p.freshen(1, c.bytes)
}

// due is when a record that nothing under way is in front of has to be sent.
func (p *Producer) due(e *entry) time.Time {
	if p.cfg.Order == OrderStrict && !p.cfg.Aggregate {
		return p.born.Add(e.put) // nothing can join it
	}
	return p.born.Add(e.put + max(0, p.cfg.Linger))
}

// tidy drops the chains in front that were given up, so that a lane that cannot send does not gather them.
func (p *Producer) tidy(l *lane) {
	for l.waiting() > 0 {
		c := l.first()
		if c.trim(); c.n > 0 {
			return
		}
		p.makeReady(l.pop(), false)
	}
}

// freshen wakes dispatch once there may be a full request. In between it need not look.
func (p *Producer) freshen(chains, bytes int) {
	p.fresh += chains
	p.freshLen += bytes
	if p.stats.InFlight < p.cfg.MaxInFlight && p.full(p.fresh, p.freshLen) {
		poke(p.wake)
	}
}

// full reports whether so many chains with so many bytes make a request that need not wait for more.
func (p *Producer) full(chains, bytes int) bool {
	return chains >= p.cfg.MaxBatchRecords && !p.cfg.Aggregate || bytes >= p.fullBytes()
}

// fullBytes is how many bytes make a request that need not wait for more.
func (p *Producer) fullBytes() int {
	if p.cfg.Order == OrderStrict {
		return p.cfg.AggregateBytes // a request has one
	}
	return p.cfg.MaxBatchBytes
}

// compose makes the next request if it is time for one; else it returns when to look again, zero if not before something
// has changed.
func (p *Producer) compose(now time.Time) (f *flight, wake time.Time) {
	if p.next != nil && p.stats.InFlight == 0 {
		p.adopt(p.next)
	}
	if p.stats.InFlight >= p.cfg.MaxInFlight || p.next != nil || p.given != nil {
		return nil, time.Time{}
	}
	waiting, bytes, ready := 0, 0, false
	for range p.turns.len() {
		l := p.turns.pop()
		if l.turn = l.waiting() > 0; !l.turn {
			continue
		}
		p.turns.push(l)
		if at := l.opens(now); at.After(now) {
			wake = earlier(wake, at)
			continue
		}
		waiting, bytes = waiting+l.waiting(), bytes+l.bytes
		if p.ripe(l, now) {
			ready = true
		} else { // also if another one is ready: all that is in that may have been given up
			wake = earlier(wake, l.due)
		}
	}
	p.fresh, p.freshLen = waiting, bytes
	if waiting == 0 || !ready && (p.cfg.Order == OrderStrict || !p.full(waiting, bytes)) {
		return nil, wake
	}
	return p.fill(now), wake
}

// ripe reports whether what waits in a lane has to wait no longer for others.
func (p *Producer) ripe(l *lane, now time.Time) bool {
	return p.pressed() || p.cfg.Linger < 0 || !l.due.After(now) ||
		p.cfg.Order == OrderStrict && l.bytes >= p.fullBytes()
}

// fill makes a request of what may be sent now, the lanes by turns; nil if all of it was given up meanwhile.
func (p *Producer) fill(now time.Time) *flight {
	units := min(p.fresh, p.cfg.MaxBatchRecords)
	if p.cfg.Order == OrderStrict || p.cfg.Aggregate {
		units = 1 // or more, we shall see
	}
	f := newFlight(now, units)
	for range p.turns.len() {
		if f.full(&p.cfg) {
			break
		}
		l, before := p.turns.first(), len(f.units)
		if p.cfg.Order != OrderStrict || p.ripe(l, now) {
			p.take(l, f, now)
		}
		if f.stuffed && len(f.units) == before {
			break // it is first in the next request, where there is room for any record
		}
		p.turns.push(p.turns.pop())
	}
	if len(f.units) == 0 {
		return nil
	}
	p.stats.InFlight++
	p.send(f.units)
	return f
}

// send notes that a request with some units is sent now.
func (p *Producer) send(units []*unit) {
	p.stats.Requests++
	for _, u := range units {
		for _, e := range u.entries {
			e.state = flying
			if e.attempts++; e.attempts > 1 {
				p.stats.Retried++
			}
		}
	}
}

// take moves what a lane may send now into a request, as far as there is room.
func (p *Producer) take(l *lane, f *flight, now time.Time) {
	for !f.full(&p.cfg) && l.waiting() > 0 && !l.opens(now).After(now) {
		room := p.cfg.MaxBatchBytes - f.bytes
		if len(f.units) == 0 {
			room = maxRecordBytes
		}
		u := p.cut(f.unit(l), room)
		if u == nil {
			f.stuffed = l.waiting() > 0
			return
		}
		f.memory = f.memory[1:]
		l.pace.spend(u.size)
		f.units = append(f.units, u)
		f.bytes += u.size
		if l.waiting() > 0 {
			l.due, l.late = now, true // what is left has waited long enough
		}
	}
}

// cut takes the next of u's lane into u: a record, or an aggregate. It returns nil if the next does not fit into room
// bytes, or there is none.
func (p *Producer) cut(u *unit, room int) *unit {
	l := u.lane
	for l.waiting() > 0 {
		c := l.first()
		c.trim()
		if c.n == 0 || p.laneOf(c.front()) != l { // it was given up, or the next goes elsewhere
			p.makeReady(l.pop(), false)
			continue
		}
		if !p.load(u, c, room) {
			break
		}
		l.pop()
		if !p.cfg.Aggregate {
			break
		}
	}
	if len(u.entries) == 0 {
		return nil
	}
	return u
}

// load puts the first records of a chain into a unit, one or, in an aggregate, as many as fit, and reports whether it was
// any.
func (p *Producer) load(u *unit, c *chain, room int) bool {
	n := 0
	at := 0
	for e := c.first; e != nil; e = e.behind {
		if at++; e.state == givenUp { // while it waited behind others
			continue
		}
		if n > 0 && p.laneOf(e.hash) != u.lane || !u.add(e, room, &p.cfg) {
			break
		}
		if n = at; !p.cfg.Aggregate {
			break
		}
	}
	if n == 0 {
		return false
	}
	c.flying = n
	return true
}
