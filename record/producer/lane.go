package producer

import (
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
)

// How long a shard rests after it refused records, doubling in between.
const (
	minRest = 50 * time.Millisecond
	maxRest = 5 * time.Second
)

// A lane is what waits for one open shard.
type lane struct {
	shard string
	keys  record.HashKeyRange
	again fifo[*chain] // chains whose first records failed: before all others
	ready fifo[*chain] // chains with nothing under way
	bytes int          // of both
	due   time.Time    // when something has to be sent; meaningless while nothing waits
	late  bool         // due has passed
	turn  bool         // it is in the producer's list of lanes that wait

	chain  *chain // strict order: the only one
	newest string // strict order: the newest sequence number in the shard that is known

	pace     bucket
	rest     time.Time // nothing is sent before
	failures int       // in a row
	failed   time.Time // when the last was noted
}

func (l *lane) waiting() int { return l.again.len() + l.ready.len() }

// hasten notes that what is about to wait has to be sent at due.
func (l *lane) hasten(due time.Time) {
	if l.waiting() == 0 {
		l.due, l.late = due, false
	} else if due.Before(l.due) {
		l.due = due
	}
}

func (l *lane) push(c *chain, again bool) {
	if again {
		l.again.push(c)
	} else {
		l.ready.push(c)
	}
	c.lane, c.counted = l, c.bytes
	l.bytes += c.bytes
}

// first is the chain whose turn it is.
func (l *lane) first() *chain {
	if l.again.len() > 0 {
		return l.again.first()
	}
	return l.ready.first()
}

func (l *lane) pop() *chain {
	q := &l.ready
	if l.again.len() > 0 {
		q = &l.again
	}
	c := q.pop()
	l.bytes -= c.counted
	c.lane, c.counted = nil, 0
	return c
}

// opens is when the lane may send next.
func (l *lane) opens(now time.Time) time.Time {
	at := l.pace.opens(now)
	if l.rest.After(at) {
		return l.rest
	}
	return at
}

// refuse notes that records of a request that began then failed.
func (l *lane) refuse(c clock.Clock, began time.Time, throttled, partly bool) {
	if began.Before(l.failed) {
		return // of the same trouble
	}
	now := c.Now()
	if l.failures++; partly {
		l.failures = 1
	}
	l.failed, l.rest = now, now.Add(c.Backoff(l.failures, minRest, maxRest))
	if throttled {
		l.pace.slow(now)
	}
}

// accept notes that records of a request were taken, and none refused for the lane's sake.
func (l *lane) accept() { l.failures = 0 }

// What a shard takes a second (Kinesis quotas).
const (
	shardRecords = 1000
	shardBytes   = 1 << 20
)

// A bucket paces what is sent to a shard. It gives half a second's worth at once, and may be overdrawn by one record. Once
// empty it gathers a tenth of a second's worth first, so that requests do not become small.
type bucket struct {
	limit          float64 // share of what a shard takes; negative does not pace
	share          float64 // of limit, lower while the shard throttles
	records, bytes float64 // that may be sent now
	at             time.Time
	empty          bool
	slowed         time.Time
}

const (
	burst        = 0.5  // seconds
	refill       = 0.1  // seconds
	slowing      = 0.7  // of the rate remains when the shard throttles
	slowest      = 0.05 // share
	recovery     = 0.1  // of the limit comes back a second
	slowInterval = 100 * time.Millisecond
)

func newBucket(limit float64, now time.Time) bucket {
	return bucket{limit: limit, share: 1, at: now, records: limit * shardRecords * burst, bytes: limit * shardBytes * burst}
}

func (b *bucket) fill(now time.Time) {
	passed := now.Sub(b.at).Seconds()
	if passed <= 0 {
		return
	}
	b.at = now
	b.share = min(1, b.share+recovery*passed)
	rate := b.limit * b.share
	b.records = min(max(1, rate*shardRecords*burst), b.records+passed*rate*shardRecords)
	b.bytes = min(max(1, rate*shardBytes*burst), b.bytes+passed*rate*shardBytes)
}

// opens is when the next record may be sent.
func (b *bucket) opens(now time.Time) time.Time {
	if b.limit < 0 {
		return now
	}
	b.fill(now)
	rate := b.limit * b.share
	records, bytes := 1.0, 1.0
	if b.empty {
		records, bytes = max(1, rate*shardRecords*refill), max(1, rate*shardBytes*refill)
	}
	wait := max((records-b.records)/(rate*shardRecords), (bytes-b.bytes)/(rate*shardBytes))
	if wait <= 0 {
		b.empty = false
		return now
	}
	return now.Add(time.Duration(wait*float64(time.Second)) + time.Microsecond)
}

// spend takes what is sent.
func (b *bucket) spend(bytes int) {
	b.records--
	b.bytes -= float64(bytes)
	b.empty = b.records < 1 || b.bytes < 1
}

// slow lowers the rate.
func (b *bucket) slow(now time.Time) {
	if b.limit < 0 || now.Sub(b.slowed) < slowInterval {
		return
	}
	b.fill(now)
	b.slowed, b.share = now, max(slowest, b.share*slowing)
}
