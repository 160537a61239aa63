package main

// The actors: two workers of this library and one Java worker. 0 stands for nobody.
const (
	nobody = 0
	java   = 3
)

// Bounds of what one state can hold; a Bounds chooses within them.
const (
	mostTries    = 3
	mostRequests = 4
	mostRecords  = 2
)

// forever is where times stop being counted: the lease duration in ticks. An owner trusts its lease while its last
// renewal was sent less than that long ago; a counter that stood still for that long has expired.
const forever = 2

// end is the checkpoint SHARD_END; 1 to mostRecords are records, and 0 is before the first.
const end = mostRecords + 1

// A mode is what a worker does about the lease.
type mode uint8

const (
	down   mode = iota // the process does not run
	idle               // it runs, without the lease
	taking             // it waits for the answer to a Take for itself
	held               // a tenure
	doomed             // a tenure whose writes can only be refused from here on; it has yet to learn that
)

// An attempt is a write of a tenure as its sender remembers it.
type attempt struct {
	kind kind  // none, renew, save or release
	val  uint8 // the checkpoint that the row then has; of a release, the next owner
	age  uint8 // since it was sent
}

// A fate is what became of the attempt whose answer is waited for.
type fate uint8

const (
	underWay fate = iota
	applied       // its answer is lost
	refused       // or lost on its way
)

// What a caller has asked of the keeper.
type wish uint8

const (
	noWish      wish = iota
	wishSave         // the checkpoint at pos
	wishEnd          // SHARD_END
	wishRelease      // give the lease up
)

// A worker is a worker of this library: lease.Keeper with the tenure around it.
type worker struct {
	mode   mode
	age    uint8 // since the last write that succeeded was sent (Keeper.sent)
	lag    uint8 // 0: it knows the row's counter; 1: one of its own writes may have raised it
	known  uint8 // the checkpoint as it knows it (Keeper.row)
	pos    uint8 // the last record handed to the processor
	mark   uint8 // Keeper.mark
	wish   wish
	asked  bool // it knows of a hand-over (the row as known has its name in checkpointOwner)
	unsure bool // keeping.unsure: read the row before the next write
	pend   attempt
	fate   fate
	tries  [mostTries]attempt // keeping.tries, the oldest first

	switched bool // the row's OwnerSwitches have changed since it knew the row

	// For the invariants only.
	rightful bool // nobody has been made owner since this tenure was
	robbed   bool // somebody was, by an action that robs
}

// A javaWorker is a worker of Java KCL 3 (DynamoDBLeaseRenewer.java).
type javaWorker struct {
	held     bool
	lag      uint8 // 0, 1, or 2 for more
	asked    bool
	pos      uint8
	pend     kind // none, jRenew or jSave
	val      uint8
	fate     fate
	rightful bool
}

// A kind is one of the conditional writes.
type kind uint8

const (
	none    kind = iota
	renew        // Store.Renew, without a checkpoint
	save         // Store.Renew with one
	release      // Store.Release
	take         // Store.Take
	ask          // Store.Ask
	assign       // Fleet.Assign: the counter is not compared
	jRenew       // of Java: renewLease
	jSave        // of Java: updateLease, which compares the counter alone
)

// A request is a write on its way to the table. What compares the counter is taken away as soon as the counter moves:
// it could only be refused.
type request struct {
	kind     kind
	by       uint8 // who sent it, for what a holder writes and a Take for oneself; else nobody
	val      uint8 // the checkpoint, or the owner to be
	owner    uint8 // as seen by the sender
	ckOwner  uint8 // likewise
	waited   bool  // the sender waits for the answer
	rightful bool  // of a holder's write: it was when it was sent; of an assign: the hand-over is the one that was seen
	robs     bool  // of a take: from a live owner, as workers of 2.x do; of an assign: always
}

// A state is everything at one moment.
type state struct {
	owner, ckOwner uint8
	checkpoint     uint8
	still          uint8 // since the counter rose, at most forever
	handing        uint8 // since the hand-over began
	given          uint8 // the last record that any processor was given
	w              [2]worker
	j              javaWorker
	net            [mostRequests]request // in order, empty ones last
}

func (s *state) holder() uint8 {
	if s.ckOwner != nobody {
		return s.ckOwner
	}
	return s.owner
}

// A key is a state in 192 bits.
type key [3]uint64

// word packs small numbers into a word.
type word struct {
	bits uint64
	n    uint
}

func (b *word) put(v uint8, width uint) {
	b.bits |= uint64(v) << b.n
	b.n += width
}

func (b *word) flag(v bool) {
	if v {
		b.bits |= 1 << b.n
	}
	b.n++
}

func (b *word) get(width uint) uint8 {
	v := uint8(b.bits & (1<<width - 1))
	b.bits >>= width
	return v
}

func (b *word) is() bool { return b.get(1) == 1 }

func (w *worker) pack(b *word) {
	b.put(uint8(w.mode), 3)
	b.put(w.age, 2)
	b.put(w.lag, 1)
	b.put(w.known, 2)
	b.put(w.pos, 2)
	b.put(w.mark, 2)
	b.put(uint8(w.wish), 2)
	b.flag(w.asked)
	b.flag(w.unsure)
	b.put(uint8(w.fate), 2)
	b.flag(w.rightful)
	b.flag(w.robbed)
	b.flag(w.switched)
	w.pend.pack(b)
	for i := range w.tries {
		w.tries[i].pack(b)
	}
}

func (w *worker) unpack(b *word) {
	w.mode = mode(b.get(3))
	w.age, w.lag, w.known, w.pos, w.mark = b.get(2), b.get(1), b.get(2), b.get(2), b.get(2)
	w.wish = wish(b.get(2))
	w.asked, w.unsure = b.is(), b.is()
	w.fate = fate(b.get(2))
	w.rightful, w.robbed, w.switched = b.is(), b.is(), b.is()
	w.pend.unpack(b)
	for i := range w.tries {
		w.tries[i].unpack(b)
	}
}

func (a *attempt) pack(b *word) {
	b.put(uint8(a.kind), 2)
	b.put(a.val, 2)
	b.put(a.age, 2)
}

func (a *attempt) unpack(b *word) {
	a.kind, a.val, a.age = kind(b.get(2)), b.get(2), b.get(2)
}

func (j *javaWorker) pack(b *word) {
	b.flag(j.held)
	b.put(j.lag, 2)
	b.flag(j.asked)
	b.put(j.pos, 2)
	b.put(uint8(j.pend), 4)
	b.put(j.val, 2)
	b.put(uint8(j.fate), 2)
	b.flag(j.rightful)
}

func (j *javaWorker) unpack(b *word) {
	j.held, j.lag, j.asked, j.pos = b.is(), b.get(2), b.is(), b.get(2)
	j.pend, j.val, j.fate, j.rightful = kind(b.get(4)), b.get(2), fate(b.get(2)), b.is()
}

func (r *request) pack(b *word) {
	b.flag(r.waited)
	b.flag(r.rightful)
	b.flag(r.robs)
	b.put(r.ckOwner, 2)
	b.put(r.owner, 2)
	b.put(r.val, 2)
	b.put(r.by, 2)
	b.put(uint8(r.kind), 4)
}

func (r *request) unpack(b *word) {
	r.waited, r.rightful, r.robs = b.is(), b.is(), b.is()
	r.ckOwner, r.owner, r.val, r.by, r.kind = b.get(2), b.get(2), b.get(2), b.get(2), kind(b.get(4))
}

// rank is what requests are ordered by.
func (r *request) rank() uint64 {
	var b word
	r.pack(&b)
	return b.bits
}

// pack gives the key of s as it is.
func (s *state) pack() key {
	var b [3]word
	s.w[0].pack(&b[0])
	s.w[1].pack(&b[1])
	for _, v := range [...]uint8{s.owner, s.ckOwner, s.checkpoint, s.still, s.handing, s.given} {
		b[2].put(v, 2)
	}
	s.j.pack(&b[2])
	for i, place := range [mostRequests]int{0, 1, 2, 2} {
		s.net[i].pack(&b[place])
	}
	return key{b[0].bits, b[1].bits, b[2].bits}
}

func (k key) unpack() (s state) {
	b := [3]word{{bits: k[0]}, {bits: k[1]}, {bits: k[2]}}
	s.w[0].unpack(&b[0])
	s.w[1].unpack(&b[1])
	for _, v := range [...]*uint8{&s.owner, &s.ckOwner, &s.checkpoint, &s.still, &s.handing, &s.given} {
		*v = b[2].get(2)
	}
	s.j.unpack(&b[2])
	for i, place := range [mostRequests]int{0, 1, 2, 2} {
		s.net[i].unpack(&b[place])
	}
	return s
}

// sort puts the requests in order: which came first does not matter.
func (s *state) sort() {
	for i := 1; i < mostRequests; i++ {
		for k := i; k > 0 && s.net[k].rank() > s.net[k-1].rank(); k-- {
			s.net[k], s.net[k-1] = s.net[k-1], s.net[k]
		}
	}
}

// other is the name that an actor has where the workers of this library swap theirs.
func other(name uint8) uint8 {
	if name == 1 || name == 2 {
		return 3 - name
	}
	return name
}

// mirrored is s with the two workers of this library swapped.
func (s *state) mirrored() state {
	m := *s
	m.owner, m.ckOwner = other(s.owner), other(s.ckOwner)
	m.w[0], m.w[1] = s.w[1], s.w[0]
	for i := range m.w {
		m.w[i].pend.mirror()
		for k := range m.w[i].tries {
			m.w[i].tries[k].mirror()
		}
	}
	for i := range m.net {
		r := &m.net[i]
		r.by, r.owner, r.ckOwner = other(r.by), other(r.owner), other(r.ckOwner)
		if r.kind == release || r.kind == take || r.kind == ask || r.kind == assign {
			r.val = other(r.val)
		}
	}
	m.sort()
	return m
}

func (a *attempt) mirror() {
	if a.kind == release {
		a.val = other(a.val)
	}
}

// canonical is the key that s and its mirror image share: the workers of this library are alike.
func (s *state) canonical() key {
	s.sort()
	m := s.mirrored()
	a, b := s.pack(), m.pack()
	for i := range a {
		if a[i] != b[i] {
			if a[i] < b[i] {
				return a
			}
			return b
		}
	}
	return a
}
