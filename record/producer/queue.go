package producer

import (
	"errors"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// An entryState is where a record stands.
type entryState uint8

const (
	queued       entryState = iota // it waits in its chain
	flying                         // it is in a request
	acknowledged                   // its answer is handed on, or about to be
	givenUp                        // the same
)

// An entry is one record that was put. After it is queued the producer's lock guards it, but for key, explicit and, once
// it is flying, data, which stay. Tens of thousands may wait at a time: it is kept small, and what asks little of it is
// kept out of it, because each look at one that has waited is a miss of the processor's caches.
type entry struct {
	key, explicit string // partition key, explicit hash key
	data          []byte
	hash          record.HashKey
	done          func(Ack, error)
	put           time.Duration // since the producer was made
	number        uint64        // in the order of Puts
	size          int32         // data and partition key
	attempts      int32
	state         entryState
	unknown       bool     // an attempt had no answer: the record may be in the stream
	trouble       *trouble // nil while nothing went wrong

	chain        *chain // that it is in, nil once it has left that
	behind       *entry // it in the chain
	older, newer *entry // neighbours in the backlog
}

// A trouble is what went wrong with an entry.
type trouble struct {
	last      error // of the last attempt
	cancelled error // why there is to be no further attempt
	err       error // of the record, once it is given up
}

func (e *entry) troubled() *trouble {
	if e.trouble == nil {
		e.trouble = new(trouble)
	}
	return e.trouble
}

// idle reports whether e is queued and none of its chain is in flight. Behind one in flight it may not be given up yet,
// since the answers of a chain come in its order.
func (e *entry) idle() bool { return e.state == queued && e.chain.flying == 0 }

// cost is how many bytes a record counts for in the buffer.
func (e *entry) cost() int64 { return int64(e.size) + int64(len(e.explicit)) + entryOverhead }

// record is what goes into an aggregate.
func (e *entry) record() record.Record {
	return record.Record{PartitionKey: e.key, ExplicitHashKey: e.explicit, Data: e.data}
}

// failure is the error of a record that is given up.
func (e *entry) failure(why error) error {
	err := fmt.Errorf("put record: given up after %d attempts: %w", e.attempts, why)
	if t := e.trouble; t != nil && t.last != nil && !errors.Is(why, t.last) {
		err = fmt.Errorf("%w: %w", err, t.last)
	}
	if e.unknown {
		err = fmt.Errorf("%w (%w)", err, ErrUnknown)
	}
	return err
}

// A backlog is all records that were put and whose answers were not handed on, in the order of their Puts.
type backlog struct {
	oldest, newest *entry
	unexpired      *entry // the oldest whose deadline was not looked at yet
	n              int
	numbers        uint64
	moved          chan struct{} // closed when the oldest goes, if somebody waits for it
}

func (b *backlog) add(e *entry) {
	b.n++
	b.numbers++
	e.number, e.older = b.numbers, b.newest
	if b.newest == nil {
		b.oldest = e
	} else {
		b.newest.newer = e
	}
	b.newest = e
	if b.unexpired == nil {
		b.unexpired = e
	}
}

func (b *backlog) remove(e *entry) {
	b.n--
	if b.unexpired == e {
		b.unexpired = e.newer
	}
	if e.newer == nil {
		b.newest = e.older
	} else {
		e.newer.older = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
		return
	}
	b.oldest = e.newer
	if b.moved != nil {
		close(b.moved)
		b.moved = nil
	}
}

// wait is closed once the oldest has gone.
func (b *backlog) wait() <-chan struct{} {
	if b.moved == nil {
		b.moved = make(chan struct{})
	}
	return b.moved
}

// A fifo is a queue of values.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }
func (q *fifo[T]) first() T { return q.items[q.head] }
func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }
func (q *fifo[T]) pop() T {
	var none T
	v := q.items[q.head]
	q.items[q.head] = none
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head > 64 && q.head > len(q.items)/2:
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return v
}

// A chain is records that must go one after the other: those of a key, of a shard, or a single one, by the Order. Its
// first records may be in a request; the others then wait until that has its answers.
type chain struct {
	key         string
	first, last *entry
	n           int   // how many there are
	flying      int   // how many of the first are in a request
	dead        int   // how many were given up
	bytes       int   // of all
	lane        *lane // where it waits for its turn, nil if it does not
	counted     int   // what it counts for in lane.bytes

	hash   record.HashKey // of the first, unless they differ
	differ bool
}

func (c *chain) push(e *entry) {
	if c.n == 0 {
		c.first, c.hash, c.differ = e, e.hash, false
	} else {
		c.last.behind = e
		c.differ = c.differ || e.hash != c.hash
	}
	c.last, e.behind, e.chain = e, nil, c
	c.n++
	c.bytes += int(e.size)
}

func (c *chain) pop() {
	e := c.first
	if e.state == givenUp {
		c.dead--
	}
	c.first, e.behind, e.chain = e.behind, nil, nil
	c.n--
	c.bytes -= int(e.size)
}

// trim drops the first entries that were given up. None may be flying.
func (c *chain) trim() {
	for c.dead > 0 && c.first.state == givenUp {
		c.pop()
	}
}

// front is the hash key of the first entry.
func (c *chain) front() record.HashKey {
	if c.differ {
		return c.first.hash
	}
	return c.hash
}

// hashOfKey is the hash of the chain's key, if a record in it tells that.
func (c *chain) hashOfKey() (h record.HashKey, ok bool) {
	if c.n == 0 || c.last.explicit != "" {
		return h, false
	}
	return c.last.hash, true
}
