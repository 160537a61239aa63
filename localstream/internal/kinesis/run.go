package kinesis

import "math/bits"

// A run writes the numbers of consecutive records of one arrival in one shard, each made from the one before: an
// addition in place of divisions.
type run struct {
	counter, arrival uint64
	limbs            [4]uint64 // the number in base 10^18, lowest first
	started          bool

	digits [sequenceDigits]byte // the text; it has the upper limbs as they are in upper
	upper  [2]uint64
}

// Between two numbers of a run lies 2^80: the counter's lowest bit.
const (
	runStepLow  = 819614629174706176
	runStepHigh = 1208925
)

// appendTo appends the text of the number of the record with that counter and arrival in sh.
func (r *run) appendTo(b []byte, sh *shard, counter uint64, arrival int64) []byte {
	if r.started && counter == r.counter+1 && uint64(arrival) == r.arrival {
		r.step()
	} else {
		r.start(sh.number(counter, arrival))
	}
	r.counter, r.arrival, r.started = counter, uint64(arrival), true
	return r.text(b)
}

func (r *run) start(q sequence) {
	w := q.words()
	for i := range r.limbs {
		var rest uint64
		for j := 2; j >= 0; j-- {
			w[j], rest = bits.Div64(rest, w[j], chunkOfDigits)
		}
		r.limbs[i] = rest
	}
}

func (r *run) step() {
	r.limbs[0] += runStepLow
	r.limbs[1] += runStepHigh
	for i := range 3 {
		if r.limbs[i] >= chunkOfDigits {
			r.limbs[i] -= chunkOfDigits
			r.limbs[i+1]++
		}
	}
}

// text appends the 56 digits. The upper ones seldom change from one number to the next.
func (r *run) text(b []byte) []byte {
	if upper := [2]uint64(r.limbs[2:]); upper != r.upper {
		r.upper = upper
		decimals(r.digits[2:20], r.digits[2:20], upper[0], upper[0])
		r.digits[0], r.digits[1] = pairs[upper[1]*2], pairs[upper[1]*2+1]
	}
	decimals(r.digits[20:38], r.digits[38:56], r.limbs[1], r.limbs[0])
	return append(b, r.digits[:]...)
}

// decimals writes two numbers of 18 digits: side by side, as neither has to wait for the other's divisions.
func decimals(a, b []byte, m, n uint64) {
	_, _ = a[17], b[17]
	for i := 16; i >= 0; i -= 2 {
		p, q := m%100*2, n%100*2
		m /= 100
		n /= 100
		a[i], a[i+1] = pairs[p], pairs[p+1]
		b[i], b[i+1] = pairs[q], pairs[q+1]
	}
}

// pairs are the numbers below 100 in two digits each.
var pairs = func() (p [200]byte) {
	for i := range 100 {
		p[2*i], p[2*i+1] = byte('0'+i/10), byte('0'+i%10)
	}
	return p
}()
