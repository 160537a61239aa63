package tables

import (
	"crypto/md5"
	"encoding/binary"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// All keys of this package begin with 'd'. Numbers are big endian.
//
//	'd' 'm' name                                         metadata of a table (JSON)
//	'd' 'n'                                              number of the next table (8 bytes)
//	'd' 's' table (8) index (4)                          items (8), their bytes (8)
//	'd' 'i' table (8) 0 (4) hash (8) keys                item
//	'd' 'i' table (8) index (4) hash (8) keys tablekeys  entry of an index: the projected item
//	'd' 't' name                                         token of a transaction (JSON)
//	'd' 'x' milliseconds (8) name                        when a token expires: nothing
//
// table and index are numbers that are never used again. hash is the beginning of the MD5 of the partition key, so that
// scans go in an order without meaning and segments are ranges of it. keys are the ordered forms of the partition key
// and the sort key, tablekeys those of the table when an index has others.
const (
	keySpace    = 'd'
	spaceMeta   = 'm'
	spaceNumber = 'n'
	spaceStats  = 's'
	spaceItems  = 'i'
	spaceTokens = 't'
	spaceExpiry = 'x'

	// baseIndex is the index number of the table's own items.
	baseIndex = 0

	hashSize = 8
)

func metaKey(name string) []byte { return append([]byte{keySpace, spaceMeta}, name...) }

func numberKey() []byte { return []byte{keySpace, spaceNumber} }

func statsKey(table uint64, index uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64([]byte{keySpace, spaceStats}, table), index)
}

func tokenKey(name string) []byte { return append([]byte{keySpace, spaceTokens}, name...) }

func tokenExpiryKey(milliseconds int64, name string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{keySpace, spaceExpiry}, uint64(milliseconds)), name...)
}

// itemsPrefix begins all keys of one index of a table.
func itemsPrefix(dst []byte, table uint64, index uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(append(dst, keySpace, spaceItems), table), index)
}

// tableRange are the bounds of one table's keys in a space.
func tableRange(space byte, table uint64) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint64([]byte{keySpace, space}, table)
	return lower, after(lower)
}

// after is the first key that does not begin with prefix.
func after(prefix []byte) []byte {
	upper := append([]byte(nil), prefix...)
	for i := len(upper) - 1; i >= 0; i-- {
		if upper[i]++; upper[i] != 0 {
			return upper[:i+1]
		}
	}
	return nil
}

// partitionHash places a partition key among the segments of a scan.
func partitionHash(key []byte) uint64 {
	sum := md5.Sum(key)
	return binary.BigEndian.Uint64(sum[:])
}

// partitionKey begins the keys of all items with that partition key.
func partitionKey(table uint64, index uint32, partition attr.Value) []byte {
	var room [64]byte
	encoded := attr.AppendKey(room[:0], partition)
	key := itemsPrefix(make([]byte, 0, 64), table, index)
	return append(binary.BigEndian.AppendUint64(key, partitionHash(encoded)), encoded...)
}

// storageKey is the key of the item with these key attributes; ok is false if it lacks one of the index's or has it
// with another type, and so is not in the index.
func (x *index) storageKey(t *table, it attr.Item) (key []byte, ok bool) {
	for _, k := range x.Key {
		if it[k.Name].Kind != k.Kind {
			return nil, false
		}
	}
	key = partitionKey(t.Number, x.Number, it[x.Key[0].Name])
	if len(x.Key) > 1 {
		key = attr.AppendKey(key, it[x.Key[1].Name])
	}
	if x.Number == baseIndex {
		return key, true
	}
	for _, k := range t.base.Key {
		key = attr.AppendKey(key, it[k.Name])
	}
	return key, true
}
