// Package check judges whether an application got what a stream holds. It knows nothing of how workers work: it takes
// the stream as a plain SDK client reads it back (Read) and a log of what was handed to processors (Batch), and counts
// what is lost, repeated and out of order.
//
//	stream, err := check.Read(ctx, client, "earthquakes")
//	verdict := check.Check(stream, check.Merge(logs...))
//	if !verdict.OK() { ... }
package check

import (
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A Stream is what a stream holds: every shard within retention, open or closed.
type Stream struct {
	Shards []Shard
}

// A Shard is one shard of a Stream with its records in their order, aggregates opened.
type Shard struct {
	ID      string
	Parents []string
	Records []record.Record
}

// Len counts the records of all shards.
func (s Stream) Len() int {
	n := 0
	for i := range s.Shards {
		n += len(s.Shards[i].Records)
	}
	return n
}

// A Batch is one hand-over of records to a processor. A log of them is in the order in which they happened.
type Batch struct {
	// At is when the processor got the batch, by the clock of its machine.
	At time.Time
	// Worker is the worker, and Session its processor's unbroken run over the shard: another one begins with each
	// tenure, and after each error of ProcessRecords, because then the same records are due again.
	Worker, Session string
	// Shard is the shard's ID.
	Shard string
	// Records are the positions of the records, as they came.
	Records []record.Position
}

// A Verdict counts what became of a stream's records in one application.
type Verdict struct {
	// Expected is how many records the stream holds, Processed how many of them were delivered at least once, and Lost
	// the rest.
	Expected  int `json:"expected"`
	Processed int `json:"processed"`
	Lost      int `json:"lost"`
	// Repeated counts the deliveries of a record beyond its first.
	Repeated int `json:"repeated"`
	// OutOfOrder counts deliveries that break the order of a shard. Within a session positions must strictly ascend,
	// and no delivery may leave out a record that nobody has had before: a record that is skipped and never comes is
	// both lost and, at the record behind it, out of order.
	OutOfOrder int `json:"out_of_order"`
	// ChildrenBeforeParents counts the shards of which a record was delivered before the last record of each of its
	// parents, and of theirs.
	ChildrenBeforeParents int `json:"children_before_parents"`
	// Unknown counts deliveries of records that the stream does not hold.
	Unknown int `json:"unknown,omitempty"`
}

// OK reports whether the verdict keeps the promise of at-least-once in order. Repeats are allowed.
func (v Verdict) OK() bool {
	return v.Lost == 0 && v.OutOfOrder == 0 && v.ChildrenBeforeParents == 0 && v.Unknown == 0
}

// Check judges a log against the stream.
func Check(stream Stream, log []Batch) Verdict {
	j := newJudge(stream)
	for i := range log {
		j.batch(i, &log[i])
	}
	j.family(stream)
	return j.verdict
}

// A judge goes once through a log.
type judge struct {
	shards  map[string]*course
	verdict Verdict
}

// A course is what has happened to one shard so far.
type course struct {
	index    map[record.Position]int // where a record stands in the shard
	seen     []bool
	reached  int            // the furthest record delivered, -1 if none
	sessions map[string]int // by session: the last record delivered in it
	first    int            // the batch with the shard's first delivery, never if there was none
	last     int            // the batch with the first delivery of the shard's last record, never if there was none
}

const never = int(^uint(0) >> 1)

func newJudge(stream Stream) *judge {
	j := &judge{shards: map[string]*course{}}
	for i := range stream.Shards {
		s := &stream.Shards[i]
		c := &course{
			index: make(map[record.Position]int, len(s.Records)), seen: make([]bool, len(s.Records)), reached: -1,
			sessions: map[string]int{}, first: never, last: never,
		}
		for n := range s.Records {
			c.index[s.Records[n].Position()] = n
		}
		j.shards[s.ID] = c
		j.verdict.Expected += len(s.Records)
	}
	j.verdict.Lost = j.verdict.Expected
	return j
}

// batch takes in the batch that is at place in the log.
func (j *judge) batch(place int, b *Batch) {
	c := j.shards[b.Shard]
	if c == nil {
		j.verdict.Unknown += len(b.Records)
		return
	}
	session := b.Worker + "\x00" + b.Session
	for _, p := range b.Records {
		n, ok := c.index[p]
		if !ok {
			j.verdict.Unknown++
			continue
		}
		before, again := c.sessions[session]
		if again && n <= before || n > c.reached+1 {
			j.verdict.OutOfOrder++
		}
		c.sessions[session] = n
		c.reached = max(c.reached, n)
		if c.seen[n] {
			j.verdict.Repeated++
			continue
		}
		c.seen[n] = true
		j.verdict.Processed++
		j.verdict.Lost--
		c.first = min(c.first, place)
		if n == len(c.seen)-1 {
			c.last = place
		}
	}
}

// family compares each shard's first delivery with the last ones of its ancestors.
func (j *judge) family(stream Stream) {
	parents := map[string][]string{}
	for i := range stream.Shards {
		parents[stream.Shards[i].ID] = stream.Shards[i].Parents
	}
	for id, c := range j.shards {
		if c.first == never {
			continue
		}
		seen := map[string]bool{}
		for todo := parents[id]; len(todo) > 0; todo = todo[1:] {
			ancestor := j.shards[todo[0]]
			if ancestor == nil || seen[todo[0]] { // expired, or met on another way
				continue
			}
			if len(ancestor.seen) > 0 && ancestor.last >= c.first {
				j.verdict.ChildrenBeforeParents++
				break
			}
			seen[todo[0]] = true
			todo = append(todo[:len(todo):len(todo)], parents[todo[0]]...)
		}
	}
}
