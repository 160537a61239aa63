package kinesis

import "math/bits"

// A run writes the numbers of consecutive records of one arrival in one shard, each made from the one before: an
// addition in place of divisions.
type run struct {
	counter, arrival uint64
	limbs            [4]uint64 // the number in base 10^18, lowest first
	started          bool
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

// text appends the 56 digits.
func (r *run) text(b []byte) []byte {
	n := len(b)
	b = append(b, zeros...)
	end := len(b)
	for _, limb := range r.limbs {
		for range 9 {
			pair := limb % 100 * 2
			limb /= 100
			end -= 2
			b[end], b[end+1] = pairs[pair], pairs[pair+1]
			if end == n {
				return b
			}
		}
	}
	return b
}

const zeros = "00000000000000000000000000000000000000000000000000000000" // sequenceDigits of them

// pairs are the numbers below 100 in two digits each.
var pairs = func() (p [200]byte) {
	for i := range 100 {
		p[2*i], p[2*i+1] = byte('0'+i/10), byte('0'+i%10)
	}
	return p
}()
