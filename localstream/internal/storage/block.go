package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
)

// A segment is a file of bodies, which the database's index entries point into. Numbers are big-endian, checksums
// CRC-32C.
//
//	header   magic 8, number 8, end of the segment before 8, checksum of these 4, zero 4
//	frames   one behind the other, each at a multiple of 8: what one update appended
//
// A frame:
//
//	head     magic 4, flags 4, length of the frame 4, where its table begins 4, length of the table 4,
//	         checksum 4 of the rest of the head and the table, offset of the frame 8,
//	         synced 8: up to where the file was on disk when the frame was written
//	bodies
//	table    for each body its length 4, checksum 4, length of its key 2 and of its note 2, key, note
//	zeros    up to a multiple of 8
const (
	segmentMagic  = "SHOALSEG"
	segmentHeader = 32

	frameMagic = 0x53464d31 // SFM1
	frameHead  = 40
	frameAlign = 8
	tableFixed = 12

	// flagBound marks the frame of a group that wrote to the database as well: it counts only if the database has it.
	flagBound = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// A Block is the bodies that one update appends, made before the update runs: they are written to disk from where they
// are. Fill the bodies, Seal, Append within the update, and Free when that has returned without an error.
type Block struct {
	buf   []byte // a frame: its head, the bodies, and from Append on the table
	ends  []int  // of the bodies in buf
	sums  []uint32
	table int // where the table begins, 0 without one
}

// An Entry is what the database keeps of a body: the key, under which nothing was ever appended, and a note of a few
// bytes that readers get without reading the body.
type Entry struct{ Key, Note []byte }

var blocks sync.Pool // of *Block

// maxKeptBlock is the largest memory that is kept for later blocks.
const maxKeptBlock = 12 << 20

// NewBlock makes a block of bodies with these sizes. What they hold at first is undefined.
func NewBlock(sizes ...int) *Block {
	b, _ := blocks.Get().(*Block)
	if b == nil {
		b = new(Block)
	}
	end := frameHead
	b.ends, b.sums, b.table = b.ends[:0], b.sums[:0], 0
	for _, n := range sizes {
		end += n
		b.ends = append(b.ends, end)
	}
	if room := end + 64*len(sizes) + frameAlign; cap(b.buf) < room {
		b.buf = make([]byte, room)
	}
	b.buf = b.buf[:end]
	return b
}

// Body is the memory of the i-th body.
func (b *Block) Body(i int) []byte {
	start := frameHead
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.buf[start:b.ends[i]:b.ends[i]]
}

// Seal takes the bodies' checksums, after which they must not change.
func (b *Block) Seal() {
	b.sums = b.sums[:0]
	for i := range b.ends {
		b.sums = append(b.sums, checksum(b.Body(i)))
	}
}

// Free gives the block's memory to later blocks. It must not be called after an update that ended with its context: the
// writer may still use the block.
func (b *Block) Free() {
	if cap(b.buf) <= maxKeptBlock {
		blocks.Put(b)
	}
}

// index adds the table to the frame.
func (b *Block) index(entries []Entry) {
	if len(entries) != len(b.ends) || len(b.sums) != len(b.ends) || b.table != 0 {
		panic(fmt.Sprintf("storage: a block of %d bodies, %d of them sealed, appended with %d entries", len(b.ends), len(b.sums), len(entries)))
	}
	b.table = len(b.buf)
	for i, e := range entries {
		b.buf = binary.BigEndian.AppendUint32(b.buf, uint32(len(b.Body(i))))
		b.buf = binary.BigEndian.AppendUint32(b.buf, b.sums[i])
		b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(len(e.Key)))
		b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(len(e.Note)))
		b.buf = append(append(b.buf, e.Key...), e.Note...)
	}
	size := len(b.buf) - b.table
	for len(b.buf)%frameAlign != 0 {
		b.buf = append(b.buf, 0)
	}
	head := b.buf[:frameHead]
	clear(head)
	binary.BigEndian.PutUint32(head, frameMagic)
	binary.BigEndian.PutUint32(head[8:], uint32(len(b.buf)))
	binary.BigEndian.PutUint32(head[12:], uint32(b.table))
	binary.BigEndian.PutUint32(head[16:], uint32(size))
}

func (b *Block) tableSize() int { return int(binary.BigEndian.Uint32(b.buf[16:])) }

// finish completes the head with what is known when the frame is written.
func (b *Block) finish(offset, synced int64, flags uint32) {
	head := b.buf[:frameHead]
	binary.BigEndian.PutUint32(head[4:], flags)
	binary.BigEndian.PutUint64(head[24:], uint64(offset))
	binary.BigEndian.PutUint64(head[32:], uint64(synced))
	binary.BigEndian.PutUint32(head[20:], headSum(head, b.buf[b.table:b.table+b.tableSize()]))
}

func headSum(head, table []byte) uint32 {
	sum := crc32.Update(checksum(head[:20]), castagnoli, head[24:frameHead])
	return crc32.Update(sum, castagnoli, table)
}

// A place is where a body is: the value of an index entry, with the note behind it.
type place struct {
	segment uint64
	offset  int64
	length  uint32
	sum     uint32
}

const placeSize = 24

func (p place) append(b, note []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, p.segment)
	b = binary.BigEndian.AppendUint64(b, uint64(p.offset))
	b = binary.BigEndian.AppendUint32(b, p.length)
	b = binary.BigEndian.AppendUint32(b, p.sum)
	return append(b, note...)
}

func parsePlace(value []byte) (place, bool) {
	if len(value) < placeSize {
		return place{}, false
	}
	return place{
		segment: binary.BigEndian.Uint64(value),
		offset:  int64(binary.BigEndian.Uint64(value[8:])),
		length:  binary.BigEndian.Uint32(value[16:]),
		sum:     binary.BigEndian.Uint32(value[20:]),
	}, true
}
