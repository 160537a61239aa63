package kinesis

import (
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// A recordsReply is the answer of GetRecords, encoded from the chunks' bytes while it is sent. It is what the SDK's type
// would give.
type recordsReply struct {
	out  *kinesis.GetRecordsOutput // without its records
	page *page

	form *form
	head []byte // what comes before the records
	part int    // the next one to be opened
	open chunk  // what is left of the open one
	sent int    // records
	run  run    // writes their numbers
}

// A form is an encoding of the answer, in its fixed parts. All of a record is there but its values.
type form struct {
	records, comma, end                         string // of the list, and of all
	arrival, data, encrypted, key, number, next string // what comes before a member, and at a record's end
	millis                                      func(b []byte, ms int64) []byte
	blob, text                                  func(b, value []byte) []byte
	size                                        func(sizes) int // of data and keys
}

var jsonForm = form{
	records: `,"Records":[`, comma: `,`, end: `]}`,
	arrival: `{"ApproximateArrivalTimestamp":`, data: `,"Data":`, encrypted: `,"EncryptionType":"KMS"`, key: `,"PartitionKey":`,
	number: `,"SequenceNumber":"`, next: `"}`,
	millis: wire.AppendMillis, blob: wire.AppendBlob, text: wire.AppendText,
	size: func(z sizes) int { return z.json },
}

// Names have one byte for their length if they are shorter than 24, else two.
var cborForm = form{
	records: "\x67Records\x9f", end: "\xff\xff",
	arrival: "\xbf\x78\x1bApproximateArrivalTimestamp", data: "\x64Data", encrypted: "\x6eEncryptionType\x63KMS", key: "\x6cPartitionKey",
	number: "\x6eSequenceNumber\x78\x38", next: "\xff", // 56 digits
	millis: wire.AppendCBORMillis, blob: wire.AppendCBORBlob, text: wire.AppendCBORText,
	size: func(z sizes) int { return z.cbor },
}

// recordSize is how much a record takes, without its data and key.
func (f *form) recordSize(c *chunk) int {
	var moment [32]byte
	n := len(f.arrival) + len(f.millis(moment[:0], c.arrival)) + len(f.data) + len(f.key) + len(f.number) + sequenceDigits + len(f.next)
	if c.encrypted {
		n += len(f.encrypted)
	}
	return n
}

// Start makes what comes before the records.
func (r *recordsReply) Start(cbor bool) (size int, err error) {
	r.form = &jsonForm
	appendOutput := wire.AppendJSON
	if cbor {
		r.form, appendOutput = &cborForm, wire.AppendCBOR
	}
	if r.head, err = appendOutput(nil, r.out); err != nil {
		return 0, err
	}
	r.head = append(r.head[:len(r.head)-1], r.form.records...) // the object goes on
	size = len(r.head) + max(0, r.page.count-1)*len(r.form.comma) + len(r.form.end)
	for i := range r.page.parts {
		c := &r.page.parts[i].chunk
		size += int(c.count)*r.form.recordSize(c) + r.form.size(c.sizes)
	}
	return size, nil
}

// AppendPiece appends the next records.
func (r *recordsReply) AppendPiece(b []byte, size int) (piece []byte, more bool, err error) {
	b = append(b, r.head...)
	r.head = nil
	for {
		for r.open.count > 0 {
			if len(b) >= size {
				return b, true, nil
			}
			if b, err = r.appendRecord(b); err != nil {
				r.page.spoiled(r.part - 1)
				return b, false, err
			}
		}
		if r.part == len(r.page.parts) {
			return append(b, r.form.end...), false, nil
		}
		if r.open, err = r.page.open(r.part); err != nil {
			return b, false, err
		}
		r.part++
	}
}

// appendRecord appends the open chunk's next record.
func (r *recordsReply) appendRecord(b []byte) ([]byte, error) {
	f, c := r.form, &r.open
	counter := c.first
	key, data, err := c.next()
	if err != nil {
		return b, err
	}
	if r.sent > 0 {
		b = append(b, f.comma...)
	}
	r.sent++
	b = f.millis(append(b, f.arrival...), c.arrival)
	b = f.blob(append(b, f.data...), data)
	if c.encrypted {
		b = append(b, f.encrypted...)
	}
	b = f.text(append(b, f.key...), key)
	b = r.run.appendTo(append(b, f.number...), r.page.shard, counter, c.arrival)
	return append(b, f.next...), nil
}

// Release hands the page's memory to other pages.
func (r *recordsReply) Release() { r.page.release() }
