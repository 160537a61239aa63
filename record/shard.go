package record

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// A Shard describes one shard of a stream and where it comes from.
type Shard struct {
	// ID is the shard's name, such as "shardId-000000000000".
	ID string
	// Parents are the shards that it was split or merged from: none, one, or two after a merge.
	Parents []string
	// Range is the part of the hash key space that lands in the shard.
	Range HashKeyRange
	// First and Last are the shard's first and last possible sequence numbers; Last is "" while the shard is open, and
	// both are "" where only the child's name is known (GetRecords' ChildShards).
	First, Last SequenceNumber
}

// Open reports whether the shard still takes records.
func (s *Shard) Open() bool { return s.Last == "" }

// A HashKey is a point in the hash key space, 0 to 2^128-1. Its order is that of Compare.
type HashKey struct{ Hi, Lo uint64 }

// MaxHashKey is the last point of the space: 2^128-1.
var MaxHashKey = HashKey{^uint64(0), ^uint64(0)}

// HashOf is the hash key of a partition key: its MD5 as a big-endian number (Kinesis developer guide, "Partition Key").
func HashOf(partitionKey string) HashKey {
	sum := md5.Sum([]byte(partitionKey))
	return HashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// ParseHashKey reads a decimal hash key: 0 to 2^128-1, without leading zeros.
func ParseHashKey(text string) (HashKey, error) {
	if text == "" || len(text) > 39 || (text[0] == '0' && text != "0") {
		return HashKey{}, badHashKey(text)
	}
	var h HashKey
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return HashKey{}, badHashKey(text)
		}
		hi10, lo := bits.Mul64(h.Lo, 10)
		over, hi := bits.Mul64(h.Hi, 10)
		lo, carry := bits.Add64(lo, uint64(text[i]-'0'), 0)
		hi, carry = bits.Add64(hi, hi10, carry)
		if over != 0 || carry != 0 {
			return HashKey{}, badHashKey(text)
		}
		h = HashKey{hi, lo}
	}
	return h, nil
}

func badHashKey(text string) error {
	return fmt.Errorf("hash key %.50q: want a decimal number from 0 to 2^128-1 without leading zeros", text)
}

// Compare is -1, 0 or +1 as h lies below, at or above k.
func (h HashKey) Compare(k HashKey) int {
	switch {
	case h == k:
		return 0
	case h.Hi < k.Hi || h.Hi == k.Hi && h.Lo < k.Lo:
		return -1
	default:
		return +1
	}
}

// Next is h+1; the successor of MaxHashKey is 0.
func (h HashKey) Next() HashKey {
	lo, carry := bits.Add64(h.Lo, 1, 0)
	return HashKey{h.Hi + carry, lo}
}

// Prev is h-1; the predecessor of 0 is MaxHashKey.
func (h HashKey) Prev() HashKey {
	lo, borrow := bits.Sub64(h.Lo, 1, 0)
	return HashKey{h.Hi - borrow, lo}
}

// String is h in decimal.
func (h HashKey) String() string {
	if h == (HashKey{}) {
		return "0"
	}
	var text [39]byte
	i := len(text)
	for h != (HashKey{}) {
		hi, rem := bits.Div64(0, h.Hi, 10)
		lo, digit := bits.Div64(rem, h.Lo, 10)
		i--
		text[i] = byte('0' + digit)
		h = HashKey{hi, lo}
	}
	return string(text[i:])
}

// A HashKeyRange is a part of the hash key space, both ends included. The zero value is the single point 0; a lease
// that does not know its range says so with a nil pointer.
type HashKeyRange struct{ Start, End HashKey }

// FullRange is the whole hash key space.
var FullRange = HashKeyRange{End: MaxHashKey}

// Contains reports whether h lies in r.
func (r HashKeyRange) Contains(h HashKey) bool {
	return r.Start.Compare(h) <= 0 && h.Compare(r.End) <= 0
}

// Overlaps reports whether r and s share a point.
func (r HashKeyRange) Overlaps(s HashKeyRange) bool {
	return r.Start.Compare(s.End) <= 0 && s.Start.Compare(r.End) <= 0
}

// String is "start-end" in decimal.
func (r HashKeyRange) String() string { return r.Start.String() + "-" + r.End.String() }
