package invariant

import (
	"cmp"
	"fmt"
	"time"
)

// Check holds a log against the invariants I1 to I16, as far as a log can tell. It reads the log twice: for what was put
// and which shards there are, and then in order. The events must be in the order in which they happened; what was put
// may come late.
func Check(events []Event, rules Rules) Result {
	c := &checker{rules: rules.withDefaults(), events: events}
	c.shards, c.rows = map[shardID]*shard{}, map[string]*shard{}
	c.sessions, c.lives = map[int]*session{}, map[int]*life{}
	c.result.Repeated, c.result.Late, c.result.Reached = map[string]int{}, map[string]int{}, map[string]int{}
	c.survey()
	for c.at = range events {
		c.event(&events[c.at])
	}
	c.at = len(events)
	c.end()
	return c.result
}

// A checker goes once through a log.
type checker struct {
	rules  Rules
	events []Event
	at     int       // the index of the present event
	now    time.Time // and its time
	result Result

	shards   map[shardID]*shard
	order    []*shard // in the order in which the log has them
	rows     map[string]*shard
	streams  []*stream
	last     *shard // the one that was looked up last
	sessions map[int]*session
	lives    map[int]*life
	roll     []*life // in the order of their starts

	table bool // the log has writes of the table
	said  bool // and what processors said

	fleet
}

type shardID struct{ stream, shard string }

func (c *checker) violate(invariant, format string, args ...any) {
	if len(c.result.Violations) >= maxViolations {
		c.result.More++
		return
	}
	c.result.Violations = append(c.result.Violations, Violation{invariant, c.at, fmt.Sprintf(format, args...)})
}

// survey takes in what must be known before the log is read in order.
func (c *checker) survey() {
	finishing := map[int]bool{}
	for i := range c.events {
		switch e := &c.events[i]; e.Kind {
		case Put:
			s := c.shard(e.Stream, e.Shard)
			for _, p := range e.Records {
				s.records = append(s.records, stored{at: e.At, pos: p})
			}
		case Shard:
			s := c.shard(e.Stream, e.Shard)
			s.parents, s.keys, s.listed = e.Parents, e.Range, true
		case Stored:
			s := c.shard(e.Stream, e.Shard)
			s.kept = append(s.kept, e.Records...)
		case Write:
			c.table = true
		case Said:
			c.said = true
		case Start:
			c.steals = c.steals || e.Note == ActorJava2
		case Finish:
			finishing[e.Tenure] = true
		case Return:
			c.finishes = c.finishes || len(finishing) > 0 && finishing[e.Tenure] && e.Note == ""
		}
	}
	for _, s := range c.order {
		for _, parent := range s.parents {
			if p := c.shards[shardID{s.stream.name, parent}]; p != nil {
				s.ancestors = append(s.ancestors, p)
			}
		}
		c.result.Puts += len(s.records)
		c.sortRecords(s)
	}
}

func (c *checker) event(e *Event) {
	if e.At.After(c.now) {
		c.now = e.At
	}
	c.tick()
	switch e.Kind {
	case Write:
		c.write(e)
	case Begin:
		c.begin(e)
	case Deliver:
		c.deliver(e)
	case Return:
		c.returned(e)
	case Finish:
		c.finishing(e)
	case Said:
		c.saidSo(e)
	case Trimmed:
		c.trimmed(e)
	case Report:
		c.reported(e)
	case Reached:
		c.result.Reached[e.Note]++
	case Shard:
		c.disturb(e.At) // leases come and go for a while
	case Start, Crash, Pause, Stop, Ended, Fault, Quiet:
		c.happens(e)
	}
}

// shard finds or makes a shard.
func (c *checker) shard(streamName, name string) *shard {
	if c.last != nil && c.last.name == name && c.last.stream.name == streamName {
		return c.last
	}
	s := c.shards[shardID{streamName, name}]
	if s == nil {
		s = &shard{name: name, stream: c.stream(streamName)}
		c.shards[shardID{streamName, name}] = s
		c.order = append(c.order, s)
		s.stream.shards = append(s.stream.shards, s)
	}
	c.last = s
	return s
}

// A stream is what is known of one.
type stream struct {
	name    string
	shards  []*shard
	horizon time.Time // what arrived before is gone
	since   time.Time // the moment of the first row, zero if there is none yet
	covers  coverage
}

func (c *checker) stream(name string) *stream {
	for _, s := range c.streams {
		if s.name == name {
			return s
		}
	}
	s := &stream{name: name}
	c.streams = append(c.streams, s)
	return s
}

// expired is the moment before which what had arrived may be gone.
func (c *checker) expired(s *stream) time.Time {
	if c.rules.Retention == 0 {
		return s.horizon
	}
	if t := c.now.Add(c.rules.Slack - c.rules.Retention); t.After(s.horizon) {
		return t
	}
	return s.horizon
}

func (c *checker) trimmed(e *Event) {
	s := c.stream(e.Stream)
	if t := e.At.Add(-e.For); t.After(s.horizon) {
		s.horizon = t
	}
}

// A life is one start of a worker.
type life struct {
	id      int
	worker  string
	java    bool
	begun   time.Time // of its first event
	gone    bool      // it crashed or ended
	crashed bool
	stopped time.Time // when it was asked to stop, zero if it was not
	still   time.Time // until when it stands still
	held    time.Time // since when it did so last
}

func (c *checker) life(e *Event) *life {
	l := c.lives[e.Life]
	if l == nil {
		l = &life{id: e.Life, worker: e.Worker, begun: e.At}
		c.lives[e.Life] = l
		c.roll = append(c.roll, l)
	}
	return l
}

// who names a worker in a violation.
func who(worker string, life int) string {
	return fmt.Sprintf("worker %s (life %d)", cmp.Or(worker, "?"), life)
}
