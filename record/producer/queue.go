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
	queued   entryState = iota // it waits in its chain
	flying                     // it is in a request
	finished                   // acknowledged or given up; its answer is handed on, or about to be
)

// An entry is one record that was put. After it is queued the producer's lock guards it, but for r, which stays.
type entry struct {
	r      record.Record // PartitionKey, ExplicitHashKey and Data
	hash   record.HashKey
	size   int   // data and partition key
	cost   int64 // bytes that it counts for in the buffer
	put    time.Time
	number uint64 // in the order of Puts
	done   func(Ack, error)

	state     entryState
	attempts  int
	last      error // of the last attempt
	unknown   bool  // an attempt had no answer: the record may be in the stream
	cancelled error // why there is to be no further attempt
	ack       Ack
	err       error

	older, newer *entry // neighbours in the backlog
}

// failure is the error of a record that is given up.
func (e *entry) failure(why error) error {
	err := fmt.Errorf("put record: given up after %d attempts: %w", e.attempts, why)
	if e.last != nil && !errors.Is(why, e.last) {
		err = fmt.Errorf("%w: %w", err, e.last)
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

func (q *fifo[T]) len() int   { return len(q.items) - q.head }
func (q *fifo[T]) first() T   { return q.items[q.head] }
func (q *fifo[T]) at(i int) T { return q.items[q.head+i] }
func (q *fifo[T]) push(v T)   { q.items = append(q.items, v) }
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
	key     string
	entries fifo[*entry]
	flying  int   // how many of the first are in a request
	bytes   int   // of all entries
	lane    *lane // where it waits for its turn, nil if it does not
	counted int   // what it counts for in lane.bytes

	one [1]*entry // the memory of entries as long as that is enough
}

func newChain(key string) *chain {
	c := &chain{key: key}
	c.entries.items = c.one[:0]
	return c
}

func (c *chain) push(e *entry) {
	c.entries.push(e)
	c.bytes += e.size
}

func (c *chain) pop() { c.bytes -= c.entries.pop().size }

// trim drops the first entries that were given up. None may be flying.
func (c *chain) trim() {
	for c.entries.len() > 0 && c.entries.first().state == finished {
		c.pop()
	}
}
