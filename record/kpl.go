package record

import (
	"bytes"
	"crypto/md5"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// An aggregated record of the Kinesis Producer Library (its aggregation-format.md):
//
//	offset  length  what
//	0       4       magic F3 89 9A C2
//	4       n       protobuf message AggregatedRecord (proto2)
//	4+n     16      MD5 of those n bytes
//
//	AggregatedRecord: 1 repeated string partition_key_table
//	                  2 repeated string explicit_hash_key_table
//	                  3 repeated Record records
//	Record:           1 required uint64 partition_key_index
//	                  2 optional uint64 explicit_hash_key_index
//	                  3 required bytes data
//	                  4 repeated Tag tags (not read)
const (
	kplMagic = "\xf3\x89\x9a\xc2"

	kplPartitionKey = 1
	kplExplicitHash = 2
	kplRecord       = 3

	kplKeyIndex  = 1
	kplHashIndex = 2
	kplData      = 3
)

// IsAggregate reports whether data begins as a KPL aggregate does and is long enough to be one. Only Deaggregate tells
// whether it is whole: a record for which IsAggregate says yes and Deaggregate no is damaged.
func IsAggregate(data []byte) bool {
	return len(data) > len(kplMagic)+md5.Size && string(data[:len(kplMagic)]) == kplMagic
}

// Deaggregate opens a KPL aggregate. The sub-records come in their order, numbered from 0, with the sequence number,
// arrival time and encryption type of r; their Data aliases r's. It is all or nothing: ok is false, and r is to be
// taken as the ordinary record that it is, if r is no aggregate, or one whose checksum or message is wrong or that
// names a key which is not in its tables.
//
// An aggregate may hold no records; then subs is empty and ok true. It has nothing to deliver and no position that
// could be checkpointed; the reader goes on behind it, and a restart merely meets it again.
func Deaggregate(r Record) (subs []Record, ok bool) {
	if !IsAggregate(r.Data) {
		return nil, false
	}
	end := len(r.Data) - md5.Size
	message := r.Data[len(kplMagic):end:end]
	if sum := md5.Sum(message); !bytes.Equal(sum[:], r.Data[end:]) {
		return nil, false
	}
	tables, n, ok := readTables(message)
	if !ok {
		return nil, false
	}
	subs = make([]Record, 0, n)
	for rest := message; len(rest) > 0; {
		f, size := nextField(rest)
		rest = rest[size:]
		if f.num != kplRecord || f.typ != protowire.BytesType {
			continue
		}
		sub := r
		if !tables.read(&sub, f.bytes) {
			return nil, false
		}
		sub.SubSequenceNumber, sub.Aggregated = uint64(len(subs)), true
		subs = append(subs, sub)
	}
	return subs, true
}

// HashKey is where r lies in the hash key space: at its explicit hash key if it carries a valid one, else at the MD5
// of its partition key. The service does not tell the explicit hash key of an ordinary record.
func (r *Record) HashKey() HashKey {
	if r.ExplicitHashKey != "" {
		if h, err := ParseHashKey(r.ExplicitHashKey); err == nil {
			return h
		}
	}
	return HashOf(r.PartitionKey)
}

// A field is one field of a protobuf message; number or bytes is set by its type.
type field struct {
	num    protowire.Number
	typ    protowire.Type
	number uint64
	bytes  []byte
}

// nextField reads the first field of b and how long it is; the length is negative if b is malformed.
func nextField(b []byte) (f field, size int) {
	num, typ, tag := protowire.ConsumeTag(b)
	if tag < 0 || num > protowire.MaxValidNumber {
		return f, -1
	}
	f.num, f.typ = num, typ
	var value int
	switch typ {
	case protowire.VarintType:
		f.number, value = protowire.ConsumeVarint(b[tag:])
	case protowire.BytesType:
		f.bytes, value = protowire.ConsumeBytes(b[tag:])
	default:
		value = protowire.ConsumeFieldValue(num, typ, b[tag:])
	}
	if value < 0 {
		return f, value
	}
	return f, tag + value
}

// keyTables are the key tables of one aggregate. All strings are parts of one.
type keyTables struct{ keys, hashes []string }

// readTables reads the tables of message and counts its records. It looks at every field, so that behind it the
// message is known to be well formed.
func readTables(message []byte) (t keyTables, records int, ok bool) {
	var keys, hashes, text int
	for rest := message; len(rest) > 0; {
		f, size := nextField(rest)
		if size < 0 {
			return t, 0, false
		}
		rest = rest[size:]
		switch {
		case f.typ != protowire.BytesType: // of another version of the format: passed over, as protobuf does
		case f.num == kplPartitionKey:
			keys, text = keys+1, text+len(f.bytes)
		case f.num == kplExplicitHash:
			hashes, text = hashes+1, text+len(f.bytes)
		case f.num == kplRecord:
			records++
		}
	}
	t.fill(message, keys, hashes, text)
	return t, records, true
}

// fill takes the tables out of a well-formed message, given their lengths and that of all their text.
func (t *keyTables) fill(message []byte, keys, hashes, text int) {
	var all strings.Builder
	all.Grow(text)
	table := make([]string, keys+hashes)
	t.keys, t.hashes = table[:0:keys], table[keys:keys]
	for rest := message; len(rest) > 0; {
		f, size := nextField(rest)
		rest = rest[size:]
		if f.typ != protowire.BytesType || f.num != kplPartitionKey && f.num != kplExplicitHash {
			continue
		}
		from := all.Len()
		all.Write(f.bytes)
		key := all.String()[from:]
		if f.num == kplPartitionKey {
			t.keys = append(t.keys, key)
		} else {
			t.hashes = append(t.hashes, key)
		}
	}
}

// read sets sub's keys and data from the message of one record, and reports whether that is whole. Of a field given
// twice the last counts, as protobuf has it.
func (t *keyTables) read(sub *Record, message []byte) bool {
	key, hash := ^uint64(0), ^uint64(0)
	var hasHash, hasData bool
	for rest := message; len(rest) > 0; {
		f, size := nextField(rest)
		if size < 0 {
			return false
		}
		rest = rest[size:]
		switch {
		case f.num == kplKeyIndex && f.typ == protowire.VarintType:
			key = f.number
		case f.num == kplHashIndex && f.typ == protowire.VarintType:
			hash, hasHash = f.number, true
		case f.num == kplData && f.typ == protowire.BytesType:
			sub.Data, hasData = f.bytes[:len(f.bytes):len(f.bytes)], true
		}
	}
	if !hasData || key >= uint64(len(t.keys)) || hasHash && hash >= uint64(len(t.hashes)) {
		return false
	}
	sub.PartitionKey, sub.ExplicitHashKey = t.keys[key], ""
	if hasHash {
		sub.ExplicitHashKey = t.hashes[hash]
	}
	return true
}
