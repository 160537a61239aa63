package kinesis

import (
	"cmp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
)

// A page is the records of one answer, oldest first. It knows where they are and how much they take, and reads most of
// them only when the answer is sent, chunk by chunk.
type page struct {
	s      *Service
	shard  *shard
	limit  int
	most   int    // bytes of records, but a larger one comes alone; 0 is maxPageBytes
	next   uint64 // counter of the next record to read
	tip    uint64 // counter at which reading stops: what is on disk
	unread int64  // arrival of the next record, if there is one

	count  int // of records
	size   int // of their keys and data
	parts  []part
	bodies *storage.Bodies // of the parts
}

// A part is the records of a page that are in one chunk: the chunk without the others.
type part struct {
	chunk
	place storage.Place // of the whole chunk
	kept  *[]byte       // memory of a chunk that was read beforehand
}

// fill takes what fits of a chunk into the page and reports whether the page is full.
func (s *Service) fill(p *page, it *storage.Iter, c chunk) (full bool, err error) {
	most := cmp.Or(p.most, maxPageBytes)
	if p.count == p.limit || p.size >= most {
		p.unread = c.arrival
		return true, nil
	}
	place, err := it.Place()
	if err != nil {
		return false, err
	}
	if _, bad := s.damaged.Load(place); bad && p.count > 0 {
		p.unread = c.arrival
		return true, nil // up to here there is an answer
	}
	if c.first >= p.next && c.sizes.known() && p.count+int(c.count) <= p.limit && p.size+c.sizes.payload <= most {
		p.take(part{chunk: c, place: place})
		return false, nil
	}
	kept, _ := keptChunks.Get().(*[]byte)
	if kept == nil {
		kept = new([]byte)
	}
	if *kept, err = it.Body((*kept)[:0]); err != nil && p.count > 0 {
		s.damaged.Store(place, nil)
		return s.fill(p, it, c)
	}
	if err != nil {
		return false, err
	}
	c.records = *kept
	some, full, err := c.some(p, most)
	if err != nil {
		return false, err
	}
	p.unread = c.arrival
	p.take(part{some, place, kept})
	return full, nil
}

// some is the records of the chunk, which has been read, that come into the page, and reports whether others did not fit.
func (c chunk) some(p *page, most int) (some chunk, full bool, err error) {
	some = chunk{arrival: c.arrival, encrypted: c.encrypted}
	for c.count > 0 {
		at := c
		key, data, err := c.next()
		if err != nil {
			return some, false, err
		}
		if at.first < p.next {
			continue
		}
		count := p.count + int(some.count)
		if count == p.limit || count > 0 && p.size+some.sizes.payload+len(key)+len(data) > most {
			return some, true, nil
		}
		if some.count == 0 {
			some.first, some.records = at.first, at.records
		}
		some.count++
		some.sizes.add(key, data)
	}
	return some, false, nil
}

// take adds a part.
func (p *page) take(some part) {
	if p.parts == nil {
		if kept, _ := keptParts.Get().(*[]part); kept != nil {
			p.parts = *kept
		}
	}
	p.parts = append(p.parts, some)
	if some.count > 0 {
		p.count += int(some.count)
		p.size += some.sizes.payload
		p.next = some.end()
	}
}

// open is the i-th part's chunk with its records, until another one is opened.
func (p *page) open(i int) (chunk, error) {
	c := p.parts[i].chunk
	if p.parts[i].kept != nil {
		return c, nil
	}
	var err error
	if c.records, err = p.bodies.Read(p.parts[i].place); err != nil {
		p.spoiled(i)
	}
	return c, err
}

// spoiled notes that the i-th part cannot be read: later pages end before it, or begin with it and fail as a whole.
func (p *page) spoiled(i int) { p.s.damaged.Store(p.parts[i].place, nil) }

// last is the arrival and the counter of the last record; there is one.
func (p *page) last() (counter uint64, arrival int64) {
	for i := len(p.parts) - 1; ; i-- {
		if c := p.parts[i].chunk; c.count > 0 {
			return c.end() - 1, c.arrival
		}
	}
}

// Memory of pages for other pages: chunks of usual size, and lists of parts.
var (
	keptChunks sync.Pool // of *[]byte
	keptParts  sync.Pool // of *[]part
)

// release gives up what the page has: nobody may use it any more.
func (p *page) release() {
	if p.bodies != nil {
		_ = p.bodies.Close() // what was read is sent
	}
	for i := range p.parts {
		if kept := p.parts[i].kept; kept != nil && cap(*kept) <= 2*chunkBytes {
			keptChunks.Put(kept)
		}
	}
	if cap(p.parts) > 0 {
		parts := p.parts[:0]
		clear(p.parts)
		keptParts.Put(&parts)
	}
	p.parts, p.bodies = nil, nil
}

// records makes the SDK's records, in memory of their own: with an error, those before what cannot be read.
func (p *page) records() ([]types.Record, error) {
	records := make([]types.Record, 0, p.count)
	for i := range p.parts {
		c, err := p.open(i)
		if err != nil {
			return records, err
		}
		arrival := time.UnixMilli(c.arrival)
		c.records = append([]byte(nil), c.records...)
		for c.count > 0 {
			number := p.shard.number(c.first, c.arrival).String()
			key, data, err := c.next()
			if err != nil {
				p.spoiled(i)
				return records, err
			}
			text := string(key)
			r := types.Record{SequenceNumber: &number, PartitionKey: &text, Data: data, ApproximateArrivalTimestamp: &arrival}
			if c.encrypted {
				r.EncryptionType = types.EncryptionTypeKms
			}
			records = append(records, r)
		}
	}
	return records, nil
}
