package workertest

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A book is what happened in a history: records, their effects, checkpoints, and the events for people.
type book struct {
	o     Options
	seed  uint64
	began time.Time

	mu       sync.Mutex // guards what follows
	problems []Problem  // at most one of a kind
	records  []*entry
	byID     map[string]*entry
	shards   map[string]*shardBook
	events   []event
	calls    int // of the outside that were applied
	sessions int
}

// An entry is one record.
type entry struct {
	Record
	number  int // counts the records of the history from 0
	shard   string
	at      record.Position
	put     time.Duration
	effects []effect
	covered *cover // the first checkpoint that covers it
}

// An effect is one time that a record took effect.
type effect struct {
	at      time.Duration
	call    int
	process *Process
	session *session // the newest of the process in the record's shard then; nil if it had none
	late    bool     // the request arrived after its caller had given up, or crashed
	event   int      // what follows it in book.events
}

// A cover is a checkpoint that came to cover a record.
type cover struct {
	at      time.Duration
	worker  string
	end     bool // SHARD_END
	effects int  // that the record had then
	event   int  // what follows it in book.events
}

// A shardBook is one shard.
type shardBook struct {
	records    []*entry        // ascending
	checkpoint record.Position // as the table has it
	holder     string          // the worker that may write the row
	since      time.Time       // when it got it
	lastErr    string          // of its processor, and when
	lastErrAt  time.Duration
}

// An about says whom an event concerns, besides the records that it covers.
type about int

const (
	aboutRecords about = iota
	aboutShard         // all records of the shard
	aboutProcess       // the records that the process has had in hand
	aboutAll
)

// An event is one line of what led to a problem.
type event struct {
	at     time.Duration
	p      *Process
	shard  string
	begin  bool // a processor's beginning
	about  about
	lo, hi int // the records concerned, as numbers of the shard's records: lo up to hi, which is not included
	text   string
}

func newBook(o Options, seed uint64) *book {
	return &book{o: o, seed: seed, byID: map[string]*entry{}, shards: map[string]*shardBook{}}
}

func (b *book) now() time.Duration { return time.Since(b.began) }

// shard is the book of a shard. b.mu is held.
func (b *book) shard(id string) *shardBook {
	s := b.shards[id]
	if s == nil {
		s = &shardBook{checkpoint: record.TrimHorizon}
		b.shards[id] = s
	}
	return s
}

// event notes e. b.mu is held.
func (b *book) event(e event) {
	e.at = b.now()
	b.events = append(b.events, e)
}

// note, noteShard and happens note what happens to a process, to its part of a shard, and to shards, or to all.
func (b *book) note(p *Process, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.event(event{p: p, about: aboutProcess, text: p.name + " " + text})
}

func (b *book) noteShard(p *Process, shard, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.event(event{p: p, shard: shard, about: aboutShard, text: "the shard " + text})
}

func (b *book) happens(text string, shards ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(shards) == 0 {
		b.event(event{about: aboutAll, text: text})
	}
	for _, s := range shards {
		b.event(event{shard: s, about: aboutShard, text: text})
	}
}

// put notes a record.
func (b *book) put(r Record, shard string, at record.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &entry{Record: r, number: len(b.records), shard: shard, at: at, put: b.now()}
	if other := b.byID[r.ID]; other != nil {
		b.add(Problem{Kind: "records", Record: r.ID, Count: 1, Text: fmt.Sprintf("  Options.Record gave records %d and %d the same ID %.80q; each wants one of its own", other.number, e.number, r.ID)})
	}
	b.records = append(b.records, e)
	b.byID[r.ID] = e
	s := b.shard(shard)
	s.records = append(s.records, e)
}

// upTo is how many of the shard's records lie at or before p.
func (s *shardBook) upTo(p record.Position) int {
	return sort.Search(len(s.records), func(i int) bool { return s.records[i].at.Compare(p) > 0 })
}

// behind says where p lies. b.mu is held.
func (b *book) behind(shard string, p record.Position) string {
	s := b.shard(shard)
	if n := s.upTo(p); n > 0 {
		return "behind " + s.records[n-1].name()
	}
	return "at its beginning"
}

// name is the record for people.
func (e *entry) name() string {
	if string(e.Data) == e.ID && len(e.ID) <= 40 {
		return fmt.Sprintf("%q", e.ID)
	}
	return fmt.Sprintf("record %d, %.60q", e.number, e.ID)
}

// span names records of a shard. b.mu is held.
func (s *shardBook) span(lo, hi int) string {
	switch hi - lo {
	case 0:
		return "no record"
	case 1:
		return s.records[lo].name()
	default:
		return fmt.Sprintf("%d records, %s to %s", hi-lo, s.records[lo].name(), s.records[hi-1].name())
	}
}

// handed notes a batch.
func (b *book) handed(session *session, batch *worker.Batch) {
	if len(batch.Records) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.shard(session.shard)
	lo, hi := s.upTo(batch.Records[0].Position())-1, s.upTo(batch.Last())
	again := ""
	if batch.Attempt > 1 {
		again = fmt.Sprintf(" again (attempt %d)", batch.Attempt)
	}
	b.event(event{p: session.p, shard: session.shard, lo: max(0, lo), hi: hi, text: fmt.Sprintf("%s is handed %s%s", session.p, s.span(max(0, lo), hi), again)})
}

// returned notes an error of ProcessRecords.
func (b *book) returned(session *session, batch *worker.Batch, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.shard(session.shard)
	hi := s.upTo(batch.Last())
	lo := hi - len(batch.Records)
	s.lastErr, s.lastErrAt = err.Error(), b.now()
	b.event(event{p: session.p, shard: session.shard, lo: max(0, lo), hi: hi, text: fmt.Sprintf("ProcessRecords of %s returns: %.120v", session.p, err)})
}

// finished notes a Finish.
func (b *book) finished(session *session, reason worker.FinishReason, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.event(event{p: session.p, shard: session.shard, about: aboutShard, text: fmt.Sprintf("Finish(%v) of %s returns: %.120s", reason, session.p, said(err))})
}

// said is an error for people.
func said(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}

// survived notes an error that a worker lived through.
func (b *book) survived(p *Process, shard string, err error) {
	text := err.Error()
	b.mu.Lock()
	defer b.mu.Unlock()
	if shard != "" && !strings.Contains(text, "keep lease") {
		s := b.shard(shard)
		s.lastErr, s.lastErrAt = text, b.now()
	}
	if _, panicked, ok := strings.Cut(text, "Shard.Go: panic: "); ok {
		value, stack, _ := strings.Cut(panicked, "\n")
		b.add(Problem{Kind: "panic", Count: 1, Text: fmt.Sprintf("  A function of Shard.Go of %s in %s panicked: %s\n%s", shard, p, value, tidy(stack))})
	}
}

// written sees every write of the table, in order.
func (b *book) written(_ string, before, after lease.Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if after.Key == "" || after.Shard == "" {
		return
	}
	s := b.shard(after.Shard)
	if holder := cmp.Or(after.CheckpointOwner, after.Owner); holder != s.holder {
		s.holder, s.since = holder, time.Now()
	}
	if after.Checkpoint.Compare(s.checkpoint) <= 0 {
		return
	}
	writer := cmp.Or(before.CheckpointOwner, before.Owner, after.Owner)
	lo, hi := s.upTo(s.checkpoint), s.upTo(after.Checkpoint)
	end := after.Checkpoint == record.ShardEnd
	s.checkpoint = after.Checkpoint
	for _, e := range s.records[lo:hi] {
		e.covered = &cover{at: b.now(), worker: writer, end: end, effects: len(e.effects), event: len(b.events) + 1}
	}
	text := fmt.Sprintf("%s checkpoints %s", writer, s.span(lo, hi))
	if end {
		text = fmt.Sprintf("Finish(%v) has returned nil to %s: the whole shard is done", worker.ShardEnd, writer)
	}
	b.event(event{shard: after.Shard, about: map[bool]about{true: aboutShard}[end], lo: lo, hi: hi, text: text})
}

// effects notes what a call to the outside did.
func (b *book) effects(p *Process, begun time.Time, late bool, ids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	var spans []*entry
	for _, id := range ids {
		e := b.byID[id]
		if e == nil {
			b.add(Problem{Kind: "unexpected effect", Record: id, Count: 1, Text: fmt.Sprintf("  %s told of an effect of %.80q. That is the ID of no record: IDs are Record.ID, or the data where that is empty.", p, id)})
			continue
		}
		s := b.shard(e.shard)
		f := effect{at: b.now(), call: b.calls, process: p, late: late}
		p.mu.Lock()
		f.session = p.sessions[e.shard]
		p.mu.Unlock()
		other := s.holder != p.id && s.since.Before(begun)
		tooLate := !late && f.session != nil && f.session.endedBefore(begun, other)
		spans = append(spans, e)
		f.event = len(b.events) + len(spans)
		e.effects = append(e.effects, f)
		if tooLate {
			defer b.tooLate(e, f, s, other, begun)
		}
	}
	verb := "takes effect"
	if late {
		verb = "takes effect by a request that had been under way"
	}
	for _, e := range spans {
		i := b.shard(e.shard).upTo(e.at)
		b.event(event{p: p, shard: e.shard, lo: i - 1, hi: i, text: fmt.Sprintf("%s %s, by %s", e.name(), verb, p)})
	}
}

// allEnded reports whether every shard with records is done.
func (b *book) allEnded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.shards {
		if len(s.records) > 0 && s.checkpoint != record.ShardEnd {
			return false
		}
	}
	return true
}

// problem notes a problem; add does with b.mu held. The first of a kind stays.
func (b *book) problem(p Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(p)
}

func (b *book) add(p Problem) {
	p.Seed = b.seed
	for i := range b.problems {
		if b.problems[i].Kind == p.Kind {
			b.problems[i].Count += p.Count
			return
		}
	}
	b.problems = append(b.problems, p)
}

// repeats counts the effects beyond a record's first by what had come before.
func (b *book) repeats() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := map[string]int{}
	for _, e := range b.records {
		for i := 1; i < len(e.effects); i++ {
			counts[cause(e.effects[i-1], e.effects[i])]++
		}
	}
	return counts
}

// cause is why an effect came again.
func cause(before, again effect) string {
	switch {
	case again.late || before.late:
		return "late request"
	case before.session == nil || before.session == again.session || before.session.why() == "":
		return "retry"
	default:
		return before.session.why()
	}
}

// timeline is what concerns a record, at most so many lines, up to the event with this index.
func (b *book) timeline(e *entry, until int) string {
	s := b.shard(e.shard)
	i := slices.Index(s.records, e)
	had := map[*Process]bool{}
	var lines []string
	line := func(at time.Duration, text string) {
		lines = append(lines, fmt.Sprintf("    %8.3fs  %s", at.Seconds(), text))
	}
	line(e.put, fmt.Sprintf("%s is put into %s", e.name(), e.shard))
	for _, ev := range b.events[:min(until, len(b.events))] {
		if ev.at < e.put {
			continue
		}
		in := ev.shard == e.shard && (ev.about == aboutShard || ev.about == aboutRecords && ev.lo <= i && i < ev.hi)
		if in && ev.p != nil {
			had[ev.p] = true
		}
		if in || ev.about == aboutAll || ev.about == aboutProcess && had[ev.p] {
			line(ev.at, ev.text)
		}
	}
	if most := 22; len(lines) > most {
		gap := fmt.Sprintf("               … %d more events", len(lines)-most)
		lines = slices.Concat(lines[:8], []string{gap}, lines[len(lines)-most+8:])
	}
	return strings.Join(lines, "\n")
}
