package kinesiscbor

import (
	"context"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A Page has the records of an answer of GetRecords; see ReadInto.
type Page struct {
	// Records are nil if the answer has its records itself.
	Records []record.Record
	// Plain tells that none of Records is a KPL aggregate.
	Plain bool
}

// ReadInto returns a context for one call of GetRecords, which puts the records of its answer into page and leaves Records
// of the answer empty: it spares a quarter of the decoding, and more of the memory, to who wants them as record.Record. If
// the client is not Enabled, or the answer is not in CBOR, page stays empty and the answer is as it always is.
func ReadInto(ctx context.Context, page *Page) context.Context {
	return context.WithValue(ctx, pageKey{}, page)
}

type pageKey struct{}

// pageFor is the page that the records of a call are to be read into, empty, or nil.
func pageFor(ctx context.Context) *Page {
	page, _ := ctx.Value(pageKey{}).(*Page)
	if page != nil {
		*page = Page{} // of an attempt that failed
	}
	return page
}

// pageRecords reads a list of records into page.
func (d *decoder) pageRecords(page *Page) error {
	var p pool
	page.Plain = true
	return readList(d, &page.Records, func(r *record.Record) error {
		err := d.s.pageRecord(r, &p)
		if record.IsAggregate(r.Data) { // now, while it is in the processor's cache
			page.Plain = false
		}
		return err
	})
}

// pageRecord reads one record into r, which is empty; see scanner.record.
func (s *scanner) pageRecord(r *record.Record, p *pool) error {
	if s.peek()&majorMask != majorMap {
		return s.unexpected("a record")
	}
	left, err := s.count()
	if err != nil {
		return err
	}
	for s.more(&left) {
		name, ok := s.short()
		if !ok {
			if name, err = s.text(); err != nil {
				return err
			}
		}
		if s.none() {
			continue
		}
		if err := s.pageRecordMember(name, r, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) pageRecordMember(name []byte, r *record.Record, p *pool) (err error) {
	switch string(name) {
	case "Data":
		var plain bool
		if r.Data, plain = s.plain(majorBytes); !plain {
			r.Data, err = s.bytes()
		}
	case "PartitionKey":
		r.PartitionKey, err = s.pooled(p)
	case "SequenceNumber":
		var number string
		number, err = s.pooled(p)
		r.SequenceNumber = record.SequenceNumber(number)
	case "ApproximateArrivalTimestamp":
		var ms int64
		ms, err = s.millis()
		r.ArrivalTime = time.UnixMilli(ms)
	case "EncryptionType":
		var b []byte
		b, err = s.text()
		r.EncryptionType = string(encryption(b))
	default:
		err = s.skip(recordDepth)
	}
	return err
}
