package record

import (
	"crypto/md5"

	"google.golang.org/protobuf/encoding/protowire"
)

// An Aggregate gathers records into one KPL aggregate, which Deaggregate and Amazon's libraries open again. Its zero
// value is empty and ready. It knows no limit: the Kinesis Producer Library keeps to 51,200 bytes, the service to the
// size that a record of the stream may have. All records of an aggregate must lie in the shard that it is put into:
// give it the hash key of one of them as its explicit hash key.
type Aggregate struct {
	keys, hashes table
	records      []byte // the encoded Record fields
	n            int
}

// A table is one of the two key tables of an aggregate, encoded and indexed.
type table struct {
	index   map[string]uint64
	encoded []byte
}

// sizeWith is how many bytes key would add, and the index that it has or would have.
func (t *table) sizeWith(num protowire.Number, key string) (size int, index uint64) {
	if i, ok := t.index[key]; ok {
		return 0, i
	}
	return sizeOfBytes(num, len(key)), uint64(len(t.index))
}

// put is the index of key, which it adds if it is new.
func (t *table) put(num protowire.Number, key string) uint64 {
	if i, ok := t.index[key]; ok {
		return i
	}
	if t.index == nil {
		t.index = map[string]uint64{}
	}
	i := uint64(len(t.index))
	t.index[key] = i
	t.encoded = protowire.AppendString(protowire.AppendTag(t.encoded, num, protowire.BytesType), key)
	return i
}

// Len is how many records the aggregate holds.
func (a *Aggregate) Len() int { return a.n }

// Size is how long the encoded aggregate is.
func (a *Aggregate) Size() int {
	return len(kplMagic) + len(a.keys.encoded) + len(a.hashes.encoded) + len(a.records) + md5.Size
}

// SizeWith is how long the encoded aggregate would be with r added.
func (a *Aggregate) SizeWith(r *Record) int {
	size, key := a.keys.sizeWith(kplPartitionKey, r.PartitionKey)
	body := sizeOfNumber(kplKeyIndex, key) + sizeOfBytes(kplData, len(r.Data))
	if r.ExplicitHashKey != "" {
		more, hash := a.hashes.sizeWith(kplExplicitHash, r.ExplicitHashKey)
		size += more
		body += sizeOfNumber(kplHashIndex, hash)
	}
	return a.Size() + size + sizeOfBytes(kplRecord, body)
}

// Add puts r's partition key, explicit hash key (if it has one) and data behind those added before; the data is copied.
func (a *Aggregate) Add(r *Record) {
	key, hash := a.keys.put(kplPartitionKey, r.PartitionKey), uint64(0)
	body := sizeOfNumber(kplKeyIndex, key) + sizeOfBytes(kplData, len(r.Data))
	if r.ExplicitHashKey != "" {
		hash = a.hashes.put(kplExplicitHash, r.ExplicitHashKey)
		body += sizeOfNumber(kplHashIndex, hash)
	}
	b := protowire.AppendVarint(protowire.AppendTag(a.records, kplRecord, protowire.BytesType), uint64(body))
	b = protowire.AppendVarint(protowire.AppendTag(b, kplKeyIndex, protowire.VarintType), key)
	if r.ExplicitHashKey != "" {
		b = protowire.AppendVarint(protowire.AppendTag(b, kplHashIndex, protowire.VarintType), hash)
	}
	a.records = protowire.AppendBytes(protowire.AppendTag(b, kplData, protowire.BytesType), r.Data)
	a.n++
}

// Encode is the aggregate as the data of one record. Without records it is none: what it gives is then read as an
// ordinary record.
func (a *Aggregate) Encode() []byte {
	b := make([]byte, 0, a.Size())
	b = append(b, kplMagic...)
	b = append(b, a.keys.encoded...)
	b = append(b, a.hashes.encoded...)
	b = append(b, a.records...)
	sum := md5.Sum(b[len(kplMagic):])
	return append(b, sum[:]...)
}

func sizeOfNumber(num protowire.Number, v uint64) int {
	return protowire.SizeTag(num) + protowire.SizeVarint(v)
}

func sizeOfBytes(num protowire.Number, n int) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(n)
}
