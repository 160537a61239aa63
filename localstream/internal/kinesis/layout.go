package kinesis

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// Keys in the store, all below "k"; numbers are big-endian, so keys sort as their numbers do.
//
//	kh                           the key that iterators and tokens are sealed with, 32 random bytes
//	kn                           the next stream id, 8 bytes
//	ka                           the account: JSON of account
//	km <name>                    a stream: JSON of stream
//	kf <stream 8> <shard 4>      where the shard's stored records begin: next counter 8, last arrival 8
//	kr <stream 8> <shard 4> <counter 8>   a chunk, appended: records from that counter on
//
// A chunk is what one request put into one shard, cut at chunkBytes. Its note:
//
//	arrival 8    milliseconds since the epoch, of all its records
//	count 4      how many records it has; the highest bit says that they are of an encrypted stream
//	sizes 12     of its records, 4 each: their keys and data, these in JSON, and in CBOR; the first stores have none.
//	             Answers announce their length by them: an encoding that changes would need notes of another size
//
// Its body has for each record the uvarint length of the partition key, the key, the uvarint length of the data, the data.
const (
	keySecret   = "kh"
	keyNext     = "kn"
	keyAccount  = "ka"
	prefixMeta  = "km"
	prefixFloor = "kf"
	prefixChunk = "kr"

	shortNote  = 12
	chunkNote  = 24
	chunkBytes = 512 << 10

	chunkEncrypted = 1 << 31
)

func metaKey(name string) []byte { return append([]byte(prefixMeta), name...) }

func shardKey(prefix string, stream uint64, shard uint32) []byte {
	key := append(make([]byte, 0, 22), prefix...)
	key = binary.BigEndian.AppendUint64(key, stream)
	return binary.BigEndian.AppendUint32(key, shard)
}

func floorKey(stream uint64, shard uint32) []byte { return shardKey(prefixFloor, stream, shard) }

func chunkKey(stream uint64, shard uint32, counter uint64) []byte {
	return binary.BigEndian.AppendUint64(shardKey(prefixChunk, stream, shard), counter)
}

// shardBounds are the keys of a shard's chunks.
func shardBounds(stream uint64, shard uint32) (lower, upper []byte) {
	return chunkKey(stream, shard, 0), chunkKey(stream, shard, ^uint64(0))
}

// streamBounds are all keys of a stream below prefix.
func streamBounds(prefix string, stream uint64) (lower, upper []byte) {
	return shardKey(prefix, stream, 0), shardKey(prefix, stream+1, 0)
}

// A floor is what is known of a shard without its chunks: the counter from which records may be stored, and the
// arrival below which none comes.
type floor struct {
	next    uint64
	arrival int64
}

func (f floor) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, f.next), uint64(f.arrival))
}

func decodeFloor(b []byte) (floor, error) {
	if len(b) != 16 {
		return floor{}, fmt.Errorf("a shard's floor of %d bytes; want 16", len(b))
	}
	return floor{binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:]))}, nil
}

// A chunk is a stored chunk opened for reading.
type chunk struct {
	first     uint64 // counter of its first record
	arrival   int64
	count     uint64
	encrypted bool
	sizes     sizes
	records   []byte // the body, once it has been read
}

// sizes are how much the records of a chunk take: their keys and data as they are, and in the answers' encodings.
type sizes struct{ payload, json, cbor int }

// known reports whether the sizes are there: no record takes nothing.
func (z *sizes) known() bool { return z.json > 0 }

// add counts a record.
func (z *sizes) add(key, data []byte) {
	z.payload += len(key) + len(data)
	z.json += wire.TextSize(key) + wire.BlobSize(data)
	z.cbor += wire.CBORTextSize(key) + wire.CBORBlobSize(data)
}

// note is what the chunk's entry in the store has beside its key.
func (c *chunk) note() []byte {
	count := uint32(c.count)
	if c.encrypted {
		count |= chunkEncrypted
	}
	note := binary.BigEndian.AppendUint64(make([]byte, 0, chunkNote), uint64(c.arrival))
	note = binary.BigEndian.AppendUint32(note, count)
	for _, size := range []int{c.sizes.payload, c.sizes.json, c.sizes.cbor} {
		note = binary.BigEndian.AppendUint32(note, uint32(size))
	}
	return note
}

func openChunk(key, note []byte) (chunk, error) {
	if len(key) < 8 || len(note) != chunkNote && len(note) != shortNote {
		return chunk{}, fmt.Errorf("chunk with a note of %d bytes; want %d or %d", len(note), chunkNote, shortNote)
	}
	count := binary.BigEndian.Uint32(note[8:])
	c := chunk{
		first:     binary.BigEndian.Uint64(key[len(key)-8:]),
		arrival:   int64(binary.BigEndian.Uint64(note)),
		count:     uint64(count &^ chunkEncrypted),
		encrypted: count&chunkEncrypted != 0,
	}
	if len(note) == chunkNote {
		c.sizes.payload = int(binary.BigEndian.Uint32(note[12:]))
		c.sizes.json = int(binary.BigEndian.Uint32(note[16:]))
		c.sizes.cbor = int(binary.BigEndian.Uint32(note[20:]))
	}
	return c, nil
}

// recordSize is how much of a chunk's body a record takes.
func recordSize(key, data int) int { return uvarintSize(key) + key + uvarintSize(data) + data }

func uvarintSize(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// putRecord writes a record into b, which has room for it, and returns what is behind it.
func putRecord(b, key, data []byte) []byte {
	b = b[binary.PutUvarint(b, uint64(len(key))):]
	b = b[copy(b, key):]
	b = b[binary.PutUvarint(b, uint64(len(data))):]
	return b[copy(b, data):]
}

// end is the counter behind the chunk's last record.
func (c *chunk) end() uint64 { return c.first + c.count }

// next cuts the next record off c.
func (c *chunk) next() (key, data []byte, err error) {
	if key, c.records, err = cut(c.records); err == nil {
		data, c.records, err = cut(c.records)
	}
	c.first++
	c.count--
	return key, data, err
}

// cut cuts a length and that many bytes off b.
func cut(b []byte) (part, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, fmt.Errorf("damaged chunk: a length that does not fit")
	}
	b = b[size:]
	return b[:n:n], b[n:], nil
}

func encodeMeta(st *stream) []byte {
	text, err := json.Marshal(st)
	if err != nil {
		panic(fmt.Sprintf("kinesis: encoding a stream: %v", err)) // plain fields only
	}
	return text
}
