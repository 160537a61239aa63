package tables

import (
	"bytes"
	"strconv"
	"sync"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// itemJSON is an item as an output of its own.
type itemJSON attr.Item

// AppendJSON appends the item.
func (it itemJSON) AppendJSON(b []byte) ([]byte, error) { return attr.Item(it).AppendJSON(b), nil }

// itemReply answers the operations on one item.
type itemReply struct {
	member string // Item or Attributes
	item   attr.Item
	stored []byte // in place of item: its JSON
	units  consumed
}

// AppendJSON appends the reply.
func (r *itemReply) AppendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	if r.item != nil || r.stored != nil {
		b = append(append(append(b, '"'), r.member...), '"', ':')
		if r.stored != nil {
			b = append(b, r.stored...)
		} else {
			b = r.item.AppendJSON(b)
		}
		b = append(b, ',')
	}
	return closeObject(r.units.appendTo(b)), nil
}

// closeObject ends an object whose members each end in a comma.
func closeObject(b []byte) []byte {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, '}')
}

// closeList ends a list whose elements each end in a comma.
func closeList(b []byte) []byte { return append(bytes.TrimSuffix(b, []byte{','}), ']') }

// pageReply answers Query and Scan.
type pageReply struct {
	countOnly bool
	items     []byte // JSON, each with a comma behind
	count     int
	scanned   int
	last      attr.Item // LastEvaluatedKey, nil at the end
	units     consumed
}

// pageItems keeps the memory of pages, of *[]byte: a fleet reads its whole table several times a second.
var pageItems sync.Pool

// newPage is an empty page.
func newPage(countOnly bool) *pageReply {
	r := &pageReply{countOnly: countOnly}
	if kept, ok := pageItems.Get().(*[]byte); ok && !countOnly {
		r.items = (*kept)[:0]
	}
	return r
}

// Release gives the page's memory back once the reply has been encoded.
func (r *pageReply) Release() {
	if items := r.items; cap(items) > 0 {
		r.items = nil
		pageItems.Put(&items)
	}
}

// ReplySize is what the items need, and some for the rest.
func (r *pageReply) ReplySize() int { return len(r.items) + 1<<10 }

// AppendJSON appends the reply.
func (r *pageReply) AppendJSON(b []byte) ([]byte, error) {
	b = strconv.AppendInt(append(b, `{"Count":`...), int64(r.count), 10)
	b = strconv.AppendInt(append(b, `,"ScannedCount":`...), int64(r.scanned), 10)
	b = append(b, ',')
	if !r.countOnly {
		b = append(b, `"Items":[`...)
		b = append(b, bytes.TrimSuffix(r.items, []byte{','})...)
		b = append(b, ']', ',')
	}
	if r.last != nil {
		b = append(r.last.AppendJSON(append(b, `"LastEvaluatedKey":`...)), ',')
	}
	return closeObject(r.units.appendTo(b)), nil
}
