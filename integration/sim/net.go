package sim

import (
	"context"
	"errors"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/lease/memory"
)

// The network between workers and what they share: it carries every request, and the faults that requests meet.

var (
	errNetwork  = errors.New("connection refused")
	errNoAnswer = errors.New("no answer")
	errReset    = errors.New("connection reset while the answer was awaited")
)

// quick is how long a request may be under way without being in anybody's way.
const quick = 500 * time.Millisecond

// patience is after what time a client's own transport gives a request up whose context has no end.
const patience = 20 * time.Second

// A fate is what becomes of one request.
type fate int

const (
	served fate = iota
	throttled
	refusedFate   // not sent: no connection
	lostFate      // vanished on its way
	answerLost    // carried out
	duplicated    // carried out twice
	carriedLate   // given up by its sender, then carried out
	expiredIterat // a read with an iterator that has expired
)

// A storm throttles requests.
type storm struct {
	to    dest
	op    string // "" for all
	share float64
	until time.Time
}

// A request is one on its way.
type request struct {
	life  *life
	to    dest
	op    string
	key   string
	owner string // of a take: whose the row is to be
	write bool
	sent  time.Time
}

// fateOf draws what becomes of a request, and how long it is under way.
func (w *world) fateOf(r request) (f fate, delay time.Duration) {
	d := r.life.dice
	delay = d.between(time.Millisecond, 8*time.Millisecond)
	if !r.write && !d.chance(w.plan.latency) {
		delay = 0
	}
	now := time.Now()
	w.mu.Lock()
	calm, race, share := w.calm, w.race, 0.0
	for _, s := range w.storms {
		if s.to == r.to && (s.op == "" || s.op == r.op) && now.Before(s.until) {
			share = s.share
		}
	}
	w.mu.Unlock()
	switch r.life.cutFrom(r.to) {
	case refused:
		return refusedFate, delay
	case silent:
		return lostFate, delay
	case oneWay:
		return answerLost, delay
	}
	if calm {
		return served, delay
	}
	if r.to == toTable && r.write && now.Before(race) {
		delay = race.Sub(now)
	}
	if d.chance(share) {
		return throttled, delay
	}
	p, on, noise := d.float(), w.plan.on, w.plan.noise
	switch r.op {
	case memory.OpTake, memory.OpRelease, memory.OpAsk, memory.OpAssign: // one to a hundred renewals
		noise *= 2
	}
	for _, c := range []struct {
		name string
		fate fate
		fits bool
	}{
		{Slow, served, true}, {Slow, served, r.write}, {Lost, lostFate, true}, {Lost, refusedFate, true}, {LostAnswer, answerLost, true},
		{Duplicate, duplicated, r.write}, {Late, carriedLate, r.write}, {Iterator, expiredIterat, r.op == "Read"},
	} {
		if !on[c.name] || !c.fits {
			continue
		}
		if p < noise {
			if c.name == Slow {
				w.faulty(Slow)
				delay = slowness(d)
			}
			return c.fate, delay
		}
		p -= noise
	}
	return served, delay
}

// slowness is 0.1 to 30 s, mostly short.
func slowness(d *dice) time.Duration {
	most := []time.Duration{time.Second, 3 * time.Second, 30 * time.Second}[d.n(3)]
	return d.between(100*time.Millisecond, most)
}

// faulty counts a request that met a fault.
func (w *world) faulty(name string) {
	w.count(func(t *Totals) { t.FaultyRequests++ })
	w.mu.Lock()
	w.met[name]++
	w.mu.Unlock()
}

// travel waits until a request has arrived, or an answer. It returns an error when its sender has given up before.
func (l *life) travel(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-l.died:
		}
	}
	return l.gone(ctx)
}

// gone is why the sender of a request is not there any more, nil if it is.
func (l *life) gone(ctx context.Context) error {
	if l.isDead() {
		return errDead
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// silence is a request without an answer: it ends when its sender gives up.
func (l *life) silence(ctx context.Context) error {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-ctx.Done():
		l.gate.pass()
		return context.Cause(ctx)
	case <-t.C:
	case <-l.died:
		outlast(ctx)
		return errDead
	}
	l.gate.pass()
	return errNoAnswer
}

// outlast ends with ctx, at the latest when a transport loses its patience.
func outlast(ctx context.Context) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// send carries a request: do is what it does where it arrives, refuse what the service says that has no capacity.
func send[T any](ctx context.Context, r request, refuse error, do func() (T, error)) (T, error) {
	l, w := r.life, r.life.world
	r.sent = time.Now()
	var none T
	l.enter(r.op)
	if l.isDead() {
		outlast(ctx)
		return none, errDead
	}
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	f, delay := w.fateOf(r)
	if f != served {
		w.faulty(fateNames[f])
	}
	if r.to == toTable && (f != served || delay > quick) {
		l.troubled(r.key)
	}
	switch f {
	case refusedFate:
		_ = l.travel(ctx, delay)
		l.gate.pass()
		return none, errNetwork
	case lostFate:
		return none, l.silence(ctx)
	case carriedLate:
		w.later(l, l.dice.upTo(3*w.plan.lease), r, func() { _, _ = w.carryOut(r, true, anyOf(do)) })
		return none, l.silence(ctx)
	}
	if err := l.travel(ctx, delay); err != nil {
		if r.write && f != throttled && l.dice.chance(0.5) { // it was on its way
			if errors.Is(err, errDead) || l.dice.chance(0.5) {
				_, _ = w.carryOut(r, false, anyOf(do))
			} else {
				w.later(l, l.dice.upTo(w.plan.lease), r, func() { _, _ = w.carryOut(r, true, anyOf(do)) })
			}
		}
		l.gate.pass()
		return none, err
	}
	switch f {
	case throttled:
		l.gate.pass()
		return none, refuse
	case expiredIterat:
		if w.isClosed(r.key) {
			w.reach(SawExpiredDraining, l)
		}
		l.gate.pass()
		return none, errExpired
	case answerLost:
		if r.write {
			_, err := w.carryOut(r, false, anyOf(do))
			w.noteLost(r, err)
		}
		if l.dice.chance(0.5) {
			_ = l.travel(ctx, l.dice.upTo(3*time.Second))
			l.gate.pass()
			return none, errReset
		}
		return none, l.silence(ctx)
	}
	out, err := w.carryOut(r, false, anyOf(do))
	if f == duplicated {
		_, _ = w.carryOut(r, false, anyOf(do))
	}
	if r.write && l.dice.chance(0.2) { // time for the answer
		if gone := l.travel(ctx, l.dice.between(time.Millisecond, 5*time.Millisecond)); gone != nil {
			l.gate.pass()
			return none, gone
		}
	}
	l.gate.pass() // a process that stands still gets its answer when it goes on
	if l.isDead() {
		return none, errDead
	}
	if err == nil && r.write {
		l.answered(r)
	}
	if out == nil {
		return none, err
	}
	return out.(T), err
}

var errExpired = errors.New("iterator expired")

var fateNames = map[fate]string{throttled: Throttle, refusedFate: Lost, lostFate: Lost, answerLost: LostAnswer, duplicated: Duplicate,
	carriedLate: Late, expiredIterat: Iterator}

func anyOf[T any](do func() (T, error)) func() (any, error) {
	return func() (any, error) { return do() }
}

// later does something after d, also if the run is over then: nobody hears of it.
func (w *world) later(l *life, d time.Duration, r request, do func()) {
	w.under.Add(1)
	time.AfterFunc(d, func() {
		defer w.under.Done()
		do()
	})
}

// carryOut does what a request asks at the service. late tells that its sender has given it up.
func (w *world) carryOut(r request, late bool, do func() (any, error)) (any, error) {
	if r.to != toTable || !r.write {
		return do()
	}
	w.tableMu <- struct{}{}
	w.writer, w.writerLate = r, late
	out, err := do()
	w.writer, w.writerLate = request{}, false
	<-w.tableMu
	if late && refusedWrite(err) {
		w.reach(SawLateRefused, r.life)
		w.add(invariant.Event{Kind: invariant.Fault, Note: "late " + r.op + " of " + r.key + " refused", Worker: r.life.name, Life: r.life.id})
	}
	return out, err
}
