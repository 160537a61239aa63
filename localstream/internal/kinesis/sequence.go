package kinesis

import "math/bits"

// A sequence is a sequence number taken apart. Its text is a 186-bit number in decimal, in hexadecimal digits:
//
//	1  "2"
//	9  creation: the shard's creation time, epoch seconds
//	1  the lowest digit of the shard's index
//	16 counter: 0 for the shard's first possible number, 7fff… for its last, records from 1
//	2  "00"
//	9  second: when the record came, epoch seconds
//	8  shard: the shard's index
//	1  the version, "2"
//
// So numbers of one shard rise by counter, and those of a child lie above its parents'.
type sequence struct {
	creation int64
	counter  uint64
	second   int64
	shard    uint32
}

// lastCounter is that of the number with which a closed shard ends.
const lastCounter = 0x7fffffffffffffff

const (
	sequenceDigits = 56
	chunkOfDigits  = 1e18 // the largest convenient power of ten below 2^64
)

// words is the number, least significant word first.
func (q sequence) words() [3]uint64 {
	return [3]uint64{
		2 | uint64(q.shard)<<4 | uint64(q.second)<<36,
		uint64(q.second)>>28&0xff | q.counter<<16,
		q.counter>>48 | uint64(q.shard&0xf)<<16 | uint64(q.creation)&0xfffffffff<<20 | 2<<56,
	}
}

// appendTo appends the number's decimal text.
func (q sequence) appendTo(b []byte) []byte {
	w := q.words()
	var text [sequenceDigits]byte
	for end := len(text); end > 0; {
		var rest uint64
		for i := 2; i >= 0; i-- {
			w[i], rest = bits.Div64(rest, w[i], chunkOfDigits)
		}
		for n := 0; n < 18 && end > 0; n++ {
			end--
			text[end] = byte('0' + rest%10)
			rest /= 10
		}
	}
	return append(b, text[:]...)
}

// String is the number in decimal.
func (q sequence) String() string { return string(q.appendTo(nil)) }

// parseSequence takes a number apart; ok is false unless it has the layout above. Older layouts that the service once
// used are foreign here.
func parseSequence(text string) (q sequence, ok bool) {
	if len(text) != sequenceDigits {
		return q, false
	}
	var w [3]uint64
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return q, false
		}
		carry := uint64(text[i] - '0')
		for j := range w {
			high, low := bits.Mul64(w[j], 10)
			var c uint64
			w[j], c = bits.Add64(low, carry, 0)
			carry = high + c
		}
		if carry != 0 {
			return q, false
		}
	}
	q = sequence{
		shard:    uint32(w[0] >> 4),
		second:   int64(w[0]>>36 | w[1]&0xff<<28),
		counter:  w[1]>>16 | w[2]<<48,
		creation: int64(w[2] >> 20 & 0xfffffffff),
	}
	// What is not part of the layout, or contradicts itself, does not come out the same.
	return q, q.words() == w && q.counter <= lastCounter
}
