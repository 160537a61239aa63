package kinesis

import (
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// A recordsReply is the answer of GetRecords, encoded from the chunks' bytes while it is sent. Its JSON is what the
// SDK's type would give; for CBOR it becomes that type.
type recordsReply struct {
	out  *kinesis.GetRecordsOutput // without its records
	page *page
	head []byte // the JSON before the records
	size int
	sent int // items that have been encoded
	run  run
}

const (
	jsonRecords   = `,"Records":[`
	jsonArrival   = `{"ApproximateArrivalTimestamp":`
	jsonData      = `,"Data":`
	jsonEncrypted = `,"EncryptionType":"KMS"`
	jsonKey       = `,"PartitionKey":`
	jsonNumber    = `,"SequenceNumber":"`
	jsonNext      = `"}`
	jsonEnd       = `]}`

	jsonFixed = len(jsonArrival) + len(jsonData) + len(jsonKey) + len(jsonNumber) + sequenceDigits + len(jsonNext)
)

func newRecordsReply(out *kinesis.GetRecordsOutput, p *page) (*recordsReply, error) {
	head, err := wire.AppendJSON(nil, out)
	if err != nil {
		return nil, err
	}
	r := &recordsReply{out: out, page: p, head: append(head[:len(head)-1], jsonRecords...)}
	r.size = len(r.head) + max(0, len(p.items)-1) + len(jsonEnd)
	var digits [32]byte
	arrival, width := int64(0), 0
	for i := range p.items {
		it := &p.items[i]
		if width == 0 || it.arrival != arrival {
			arrival, width = it.arrival, len(wire.AppendMillis(digits[:0], it.arrival))
		}
		r.size += jsonFixed + width + wire.BlobSize(it.data) + wire.TextSize(it.key)
		if it.encrypted {
			r.size += len(jsonEncrypted)
		}
	}
	return r, nil
}

// JSONSize is the length of the JSON.
func (r *recordsReply) JSONSize() int { return r.size }

// AppendPiece appends the next records.
func (r *recordsReply) AppendPiece(b []byte, size int) ([]byte, bool) {
	if r.sent == 0 {
		b = append(b, r.head...)
	}
	for ; r.sent < len(r.page.items); r.sent++ {
		if len(b) >= size {
			return b, true
		}
		if r.sent > 0 {
			b = append(b, ',')
		}
		b = r.appendRecord(b, &r.page.items[r.sent])
	}
	return append(b, jsonEnd...), false
}

func (r *recordsReply) appendRecord(b []byte, it *item) []byte {
	b = wire.AppendMillis(append(b, jsonArrival...), it.arrival)
	b = wire.AppendBlob(append(b, jsonData...), it.data)
	if it.encrypted {
		b = append(b, jsonEncrypted...)
	}
	b = wire.AppendText(append(b, jsonKey...), it.key)
	b = r.run.appendTo(append(b, jsonNumber...), r.page.shard, it.counter, it.arrival)
	return append(b, jsonNext...)
}

// Serialize writes the SDK's output.
func (r *recordsReply) Serialize(s smithy.ShapeSerializer) {
	r.out.Records = r.page.records()
	r.out.Serialize(s)
}

// ReplySize allows for what stands around a record's key and data.
func (r *recordsReply) ReplySize() int { return r.page.size + 200*len(r.page.items) + 1024 }

// Release hands the page's memory to other pages.
func (r *recordsReply) Release() { r.page.release() }

// Memory of pages for other pages: chunks of usual size, and lists of items.
var (
	keptChunks sync.Pool // of *[]byte
	keptItems  sync.Pool // of *[]item
)

// release gives up the page's chunks: nobody may use its items any more.
func (p *page) release() {
	for _, kept := range p.kept {
		if cap(*kept) <= 2*chunkBytes {
			keptChunks.Put(kept)
		}
	}
	if cap(p.items) > 0 {
		items := p.items[:0]
		clear(p.items)
		keptItems.Put(&items)
	}
	p.kept, p.items = nil, nil
}

// add takes a record into the page.
func (p *page) add(it item) {
	if p.items == nil {
		if kept, _ := keptItems.Get().(*[]item); kept != nil {
			p.items = *kept
		}
	}
	p.items = append(p.items, it)
	p.size += len(it.key) + len(it.data)
	p.next = it.counter + 1
}
