package invariant

import (
	"slices"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// A tenure is a row's time in one hand, as the table shows it: from the write that gave it to that hand.
type tenure struct {
	place    int // in the shard's tenures
	op       string
	at       time.Time
	worker   string // "" is nobody
	life     int    // 0 while it is not known
	counter  int64
	from     record.Position // the checkpoint then
	robbed   bool            // the hand before was alive, and was not asked
	furthest record.Position // of what its processors were handed
	said     []saying        // not stored yet
	closed   bool            // Finish for the shard's end has returned nil
	finished bool            // any Finish has
	byKey    bool            // one of its processors is a worker.ByKey, which says by itself what is done
}

// A saying is a processor's word that all up to a position is done.
type saying struct {
	pos   record.Position
	mark  bool
	taken time.Time // when a failure took it back, zero if none did
}

func (s *shard) tenure() *tenure {
	if len(s.tenures) == 0 {
		return nil
	}
	return s.tenures[len(s.tenures)-1]
}

// write checks one write of the table (I2, I4, I5, I8, I10).
func (c *checker) write(e *Event) {
	row := &e.After
	if row.Key == "" {
		row = &e.Before
	}
	name := e.Shard
	if name == "" {
		name = row.Shard
	}
	s := c.shard(e.Stream, name)
	by := who(e.Worker, e.Life)
	if e.Op == ByHand {
		c.touched(s, e)
		return
	}
	c.ownership(s, e, by)
	switch e.Op {
	case memory.OpCreate:
		c.created(s, e)
	case memory.OpDelete:
		c.removed(s, e, by)
	case memory.OpRelease:
		c.released(s, e, by)
	}
	if e.Before.Key != "" && e.After.Key != "" {
		c.advanced(s, e, by)
	}
	holder := e.After.Holder()
	if t := s.tenure(); t == nil || e.After.Key == "" || e.Op == memory.OpTake || e.Op == memory.OpAssign || t.worker != holder {
		c.hand(s, e, holder)
	}
	if e.After.Counter != e.Before.Counter || e.Before.Key == "" {
		s.raised = c.now
	}
	s.row = e.After
	if covers(&e.Before) != covers(&e.After) {
		c.coverageChanged(s.stream)
	}
}

func covers(l *lease.Lease) bool { return l.Key != "" && !l.Finished() }

// touched takes in what somebody did to a row by hand: it is as it is from now on.
func (c *checker) touched(s *shard, e *Event) {
	s.touched, s.high, s.raised = true, e.After.Checkpoint, c.now
	s.covered = 0
	if i, ok := s.behind(e.After.Checkpoint); ok {
		s.covered = i
	}
	c.hand(s, e, e.After.Holder())
	s.tenure().robbed = true
	s.reopen()
	s.row = e.After
	c.disturb(c.now)
	c.coverageChanged(s.stream)
}

// undermined reports whether the row was changed by hand since a tenure began: until its owner's next renewal fails, all
// that it knows of the row is of before.
func (s *shard) undermined(t *tenure) bool {
	return slices.ContainsFunc(s.tenures[t.place+1:], func(later *tenure) bool { return later.op == ByHand })
}

// reopen takes in that the shard looks as if it had been overlooked once its row is gone, and with it those that came
// before: their rows may be made again.
func (s *shard) reopen() {
	for _, p := range s.ancestors {
		p.touched, p.high = true, record.Position{}
		p.reopen()
	}
}

// hand begins another tenure.
func (c *checker) hand(s *shard, e *Event, holder string) {
	t := &tenure{place: len(s.tenures), op: e.Op, at: c.now, worker: holder, counter: e.After.Counter, from: e.After.Checkpoint}
	if e.Worker == holder && e.Op != memory.OpAssign {
		t.life = e.Life
	}
	if holder != "" {
		c.result.Tenures++
	}
	if before := s.tenure(); before != nil && before.worker != "" {
		switch e.Op {
		case memory.OpTake, memory.OpAssign:
			t.robbed = c.alive(before) && c.now.Sub(s.raised) < c.rules.fast(c.rules.Lease)
		}
	}
	s.tenures = append(s.tenures, t)
}

// alive reports whether the holder of a tenure may still work.
func (c *checker) alive(t *tenure) bool {
	l := c.lives[t.life]
	return l == nil || !l.gone
}

// ownership checks who may write what (I5).
func (c *checker) ownership(s *shard, e *Event, by string) {
	b, a := &e.Before, &e.After
	raise, owners, checkpoint := int64(1), false, false // what the operation may change
	switch e.Op {
	case memory.OpRenew:
		checkpoint = true
		c.renewed(s, e, by)
	case memory.OpTake:
		owners = true
		c.taken(s, e, by)
	case memory.OpAssign:
		owners = true
		c.assigned(s, e, by)
	case memory.OpAsk:
		raise, owners = 0, true
		s.asked = c.now
		c.settled(s, e)
		if b.Owner == "" || b.CheckpointOwner != "" || a.CheckpointOwner != b.Owner {
			c.violate("I5", "shard %s: %s asked for a lease of owner %q and checkpoint owner %q, which became %q and %q",
				s.name, by, b.Owner, b.CheckpointOwner, a.Owner, a.CheckpointOwner)
		}
	case memory.OpRelease:
		owners = true
		c.holds(s, e, by)
	case memory.OpDescribe:
		raise = 0
	default: // Create, Delete, and what the log does not name
		return
	}
	if a.Counter != b.Counter+raise {
		c.violate("I5", "shard %s: %s of %s took the counter from %d to %d", s.name, e.Op, by, b.Counter, a.Counter)
	}
	if !owners && (a.Owner != b.Owner || a.CheckpointOwner != b.CheckpointOwner) {
		c.violate("I5", "shard %s: %s of %s changed the owner %q to %q", s.name, e.Op, by, b.Holder(), a.Holder())
	}
	if !checkpoint && a.Checkpoint != b.Checkpoint {
		c.violate("I5", "shard %s: %s of %s moved the checkpoint from %v to %v", s.name, e.Op, by, b.Checkpoint, a.Checkpoint)
	}
}

// holds checks that the writer is the row's holder, and the life that took it.
func (c *checker) holds(s *shard, e *Event, by string) {
	if e.Worker == "" {
		return
	}
	if holder := e.Before.Holder(); e.Worker != holder {
		if e.Before.Finished() && e.Worker == e.Before.Owner { // the next owner may keep what was done before it was handed over
			return
		}
		c.violate("I5", "shard %s: %s of %s was accepted while %q held the lease", s.name, e.Op, by, holder)
		return
	}
	t := s.tenure()
	if t == nil || t.life == e.Life || e.Life == 0 || s.row.Finished() {
		return
	}
	if t.life == 0 {
		t.life = e.Life
		c.notices(s, t)
		return
	}
	if c.isJava(e.Life) { // it keeps what has its name at its start
		c.resumed(s, e)
		return
	}
	if c.rules.Twins {
		c.swap(s, e)
		return
	}
	c.violate("I5", "shard %s: %s of %s was accepted while life %d held the lease", s.name, e.Op, by, t.life)
}

// notices lets a worker of Java go on in a tenure that somebody gave it while it had the lease: a counter that is higher by
// one, beside its own name, is to it a renewal of its own whose answer was lost.
func (c *checker) notices(s *shard, t *tenure) {
	n := s.session
	if n == nil || n.life.id != t.life || !n.life.java || n.tenure == nil || n.tenure == t {
		return
	}
	t.furthest, t.said, t.closed = n.tenure.furthest, n.tenure.said, n.tenure.closed
	n.tenure = t
}

// swap begins another tenure for the other of two processes with one ID, which goes on with what it had.
func (c *checker) swap(s *shard, e *Event) {
	c.hand(s, e, e.Worker)
	t := s.tenure()
	t.life = e.Life
	for i := t.place - 1; i >= 0; i-- {
		if was := s.tenures[i]; was.worker == e.Worker && was.life == e.Life {
			t.furthest, t.said, t.closed, t.finished, t.byKey = was.furthest, was.said, was.closed, was.finished, was.byKey
			break
		}
	}
	t.robbed = true
}

func (c *checker) renewed(s *shard, e *Event, by string) {
	c.holds(s, e, by)
	if p := e.After.Pending; p != e.Before.Pending && !p.IsZero() && e.After.Checkpoint == e.Before.Checkpoint {
		c.justified(s, e, by, p)
	}
}

// taken checks that nobody takes a lease from a live owner who was not asked.
func (c *checker) taken(s *shard, e *Event, by string) {
	before, t := e.Before.Holder(), s.tenure()
	if before == "" || t == nil {
		c.result.Takes++
		return
	}
	still := c.now.Sub(s.raised)
	switch {
	case !c.alive(t) || still >= c.rules.fast(c.rules.Lease):
		c.result.Takes++
	case before == e.After.Owner && (t.life == 0 || t.life == e.Life):
		if t.life != 0 {
			c.result.Retaken++
		}
	default: // another's, or that of the other of two processes with one ID
		c.robbery(s, e, by, still)
	}
}

func (c *checker) assigned(s *shard, e *Event, by string) {
	before, t := e.Before.Holder(), s.tenure()
	if before == "" || t == nil {
		return
	}
	still := c.now.Sub(s.raised)
	switch {
	case !c.alive(t) || still >= c.rules.fast(c.rules.Lease):
	case e.Before.CheckpointOwner != "" && c.now.Sub(s.asked) >= c.rules.fast(forceAfter):
		c.result.Forced++
	default:
		c.robbery(s, e, by, still)
	}
}

// forceAfter is for how long a holder may leave the wish for its lease unanswered: what KCL's leader gives it, without
// the lease duration that it adds.
const forceAfter = 30 * time.Second

// robbery notes that a live owner has lost its lease to a write of another, which is forbidden among workers of Shoal
// alone.
func (c *checker) robbery(s *shard, e *Event, by string, still time.Duration) {
	c.result.Robberies++
	if l := c.lives[e.Life]; c.rules.Robbing || c.steals || l != nil && l.java {
		return
	}
	c.violate("I5", "shard %s: %s of %s took the lease from %q, who had raised its counter %v before", s.name, e.Op, by, e.Before.Holder(), still)
}

// removed checks that a row was not needed any more: its shard is done, and its children are under way (I8).
func (c *checker) removed(s *shard, e *Event, by string) {
	if c.rules.StreamsLeave {
		return
	}
	if !e.Before.Finished() {
		c.violate("I8", "shard %s: %s deleted the row of an unfinished shard at %v", s.name, by, e.Before.Checkpoint)
	}
	if s.touched || c.isJava(e.Life) || c.rules.Slack > 0 { // with slack, what came first cannot be told
		return
	}
	for _, child := range s.stream.shards {
		if kind := child.high.Kind(); !child.touched && slices.Contains(child.ancestors, s) && kind != record.KindSequence && kind != record.KindShardEnd {
			c.violate("I8", "shard %s: %s deleted its row before its child %s was under way", s.name, by, child.name)
		}
	}
}

// released checks that nothing comes again that was said to be done (I10).
func (c *checker) released(s *shard, e *Event, by string) {
	if e.Before.CheckpointOwner != "" {
		c.result.HandOvers++
	} else {
		c.result.Releases++
	}
	t := s.tenure()
	if t == nil || c.isJava(t.life) {
		return
	}
	if c.unheard(s, t, e) {
		c.violate("I10", "shard %s: %s released the lease at %v, and its processor was not told that the shard moves", s.name, by, e.Before.Checkpoint)
	}
	if !t.finished {
		return
	}
	for _, w := range t.said {
		if w.mark && w.taken.IsZero() && w.pos.Compare(e.Before.Checkpoint) > 0 && w.pos.Compare(e.Before.Pending) >= 0 {
			c.violate("I10", "shard %s: %s released the lease at %v, and its processor had marked %v", s.name, by, e.Before.Checkpoint, w.pos)
			return
		}
	}
}

// unheard reports whether a lease is released without a word to its processor, which had nothing to do when the lease was
// asked for, or its worker was stopped, and since.
func (c *checker) unheard(s *shard, t *tenure, e *Event) bool {
	n := s.session
	if !c.finishes || c.rules.Slack > 0 || n == nil || n.tenure != t || n.told || n.running || n.broken || n.byKey {
		return false
	}
	wish := n.life.stopped
	if e.Before.CheckpointOwner != "" && (wish.IsZero() || s.asked.Before(wish)) {
		wish = s.asked
	}
	return !wish.IsZero() && !n.free.After(wish)
}

// created takes in a new row.
func (c *checker) created(s *shard, e *Event) {
	a := &e.After
	if s.high == record.ShardEnd {
		c.violate("I4", "shard %s: %s made the row of a finished shard again, at %v", s.name, who(e.Worker, e.Life), a.Checkpoint)
	}
	if s.row.Key != "" {
		c.violate("I5", "shard %s: %s created the row over the one with counter %d", s.name, who(e.Worker, e.Life), s.row.Counter)
	}
	for _, p := range s.ancestors { // what came into the child before a moment came after all of its parent
		if p.rowed && !p.touched && a.StartTime.After(p.pin) {
			c.violate("I1", "shard %s: %s made the row to begin at %v, which leaves out what came after its parent %s", s.name, who(e.Worker, e.Life), a.StartTime, p.name)
		}
	}
	s.rowed, s.high = true, a.Checkpoint
	if s.stream.since.IsZero() {
		s.stream.since = c.now
	}
	s.pin, s.pinless = time.Time{}, false
	switch a.Checkpoint.Kind() {
	case record.KindLatest:
		if s.hasParents() {
			break // LATEST means TRIM_HORIZON there
		}
		s.pin = a.StartTime
		s.pinless = s.pin.IsZero()
	case record.KindAtTimestamp:
		if s.pin = a.StartTime; s.pin.IsZero() {
			s.pin = c.rules.Start.Time()
		}
	}
	s.covered = 0
}

func (s *shard) hasParents() bool {
	return slices.ContainsFunc(s.ancestors, func(p *shard) bool { return p.row.Key != "" })
}

// advanced checks a change of the checkpoint (I1, I2, I4).
func (c *checker) advanced(s *shard, e *Event, by string) {
	to := e.After.Checkpoint
	if to == e.Before.Checkpoint {
		return
	}
	if from := e.Before.Checkpoint; to.Compare(from) < 0 || to.Compare(s.high) < 0 {
		c.violate("I4", "shard %s: %s of %s took the checkpoint from %v (%v before) back to %v", s.name, e.Op, by, from, s.high, to)
		return
	}
	s.high = to
	switch to.Kind() {
	case record.KindShardEnd:
		c.closed(s, e, by)
	case record.KindSequence:
		i, found := s.find(to)
		if found {
			i++
		} else if !c.rules.Unacknowledged {
			c.violate("I2", "shard %s: %s stored the checkpoint %v, which nobody had put", s.name, by, to)
		}
		c.justified(s, e, by, to)
		want, how := given, "handed over"
		if n := s.session; n != nil && n.byKey && n.tenure == s.tenure() { // calls overlap: only what has returned is done
			want, how = done, "processed"
		}
		if m := c.missing(s, s.covered, i, want); m >= 0 {
			c.violate("I1", "shard %s: %s stored the checkpoint %v, and %v was never %s", s.name, by, to, s.records[m].pos, how)
		}
		s.covered = max(s.covered, i)
	default:
		c.violate("I4", "shard %s: %s stored %v as checkpoint", s.name, by, to)
	}
	if t := s.tenure(); t != nil {
		t.said = slices.DeleteFunc(t.said, func(w saying) bool { return w.pos.Compare(to) <= 0 })
	}
}

// justified checks that a position may be stored: its tenure was handed it, and its processor said so and did not fail
// since (I2).
func (c *checker) justified(s *shard, e *Event, by string, p record.Position) {
	t := s.tenure()
	if t == nil || p == e.Before.Pending || p == e.Before.Checkpoint {
		return
	}
	if p.Compare(t.furthest) > 0 {
		if c.rules.Twins { // by the other's tenure, perhaps
			return
		}
		c.violate("I2", "shard %s: %s stored %v, and in this tenure was handed no more than %v", s.name, by, p, t.furthest)
		return
	}
	if n := s.session; !c.said || n == nil || t.byKey || t.closed || n.tenure != t {
		return
	}
	took := false
	for _, w := range t.said {
		if w.pos != p {
			continue
		}
		if w.taken.IsZero() || !e.Sent.After(w.taken) && !e.Sent.IsZero() || e.Sent.IsZero() && c.now.Sub(w.taken) <= underWay*c.rules.Lease {
			return
		}
		took = true
	}
	if took {
		c.violate("I2", "shard %s: %s stored %v after the batch with it had failed", s.name, by, p)
		return
	}
	c.violate("I2", "shard %s: %s stored %v, of which no processor had said that it is done", s.name, by, p)
}

// underWay is how many lease durations a write may be under way of which the log does not say when it was sent.
const underWay = 4

// closed checks that a shard is marked as done only when it is, and its children have rows (I1, I2, I8).
func (c *checker) closed(s *shard, e *Event, by string) {
	c.result.Finished++
	if t := s.tenure(); t != nil && !t.closed && c.finishes && !c.rules.Twins {
		c.violate("I2", "shard %s: %s stored SHARD_END, and no Finish for the shard's end had returned nil in this tenure", s.name, by)
	}
	if m := c.missing(s, s.covered, len(s.records), done); m >= 0 {
		c.violate("I1", "shard %s: %s stored SHARD_END, and %v was not processed", s.name, by, s.records[m].pos)
	}
	s.covered = len(s.records)
	for _, child := range s.stream.shards {
		if !child.rowed && !child.touched && slices.Contains(child.ancestors, s) {
			c.violate("I8", "shard %s: %s stored SHARD_END before there was a row for its child %s", s.name, by, child.name)
		}
	}
}

func (c *checker) isJava(life int) bool {
	l := c.lives[life]
	return l != nil && l.java
}
