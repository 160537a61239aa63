package kinesis

import (
	"sync"
	"time"
)

// A rate is what a bucket refills with in a second: its count (records or calls) and bytes.
type rate struct{ count, bytes float64 }

// A bucket is an allowance that holds one second's worth and refills evenly. The zero bucket is full.
type bucket struct {
	mu    sync.Mutex
	last  time.Time
	spent rate
	debt  bool // more was spent than the bucket holds: nothing goes until all of it is paid back
}

// take spends count and size and reports true, or reports false and spends nothing. What is larger than the whole
// allowance, such as a record of up to 10 MiB, may overdraw a full one; later takes wait until that has refilled.
func (b *bucket) take(now time.Time, count, size int, r rate) bool {
	if r == (rate{}) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now, r)
	over := func(spent, amount, most float64) bool { return most > 0 && spent > 0 && spent+amount > most+slack }
	if b.debt || over(b.spent.count, float64(count), r.count) || over(b.spent.bytes, float64(size), r.bytes) {
		return false
	}
	b.spent.count += float64(count)
	b.spend(size, r)
	return true
}

// slack takes up what rounding leaves of an allowance that has refilled.
const slack = 1e-6

// add spends size that is only known afterwards, such as that of an answer.
func (b *bucket) add(size int, r rate) {
	if r.bytes == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spend(size, r)
}

func (b *bucket) spend(size int, r rate) {
	b.spent.bytes += float64(size)
	b.debt = r.bytes > 0 && b.spent.bytes > r.bytes
}

func (b *bucket) refill(now time.Time, r rate) {
	passed := now.Sub(b.last).Seconds()
	if passed <= 0 && !b.last.IsZero() {
		return
	}
	b.last = now
	b.spent.count = max(0, b.spent.count-passed*r.count)
	b.spent.bytes = max(0, b.spent.bytes-passed*r.bytes)
	b.debt = b.debt && b.spent.bytes > slack
}
