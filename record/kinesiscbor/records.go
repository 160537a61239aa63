package kinesiscbor

import (
	"time"
	"unsafe"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

// getRecords reads an answer of GetRecords.
func (d *decoder) getRecords(out *kinesis.GetRecordsOutput) error {
	return smithy.ReadStruct(d, schemas.GetRecordsOutput, func(s *smithy.Schema) error {
		switch s {
		case schemas.GetRecordsOutput_Records:
			if d.page != nil {
				return d.pageRecords(d.page)
			}
			return d.records(&out.Records)
		case schemas.GetRecordsOutput_ChildShards:
			return d.children(s, &out.ChildShards)
		case schemas.GetRecordsOutput_MillisBehindLatest:
			out.MillisBehindLatest = new(int64)
			return d.ReadInt64(s, out.MillisBehindLatest)
		case schemas.GetRecordsOutput_NextShardIterator:
			out.NextShardIterator = new(string)
			return d.ReadString(s, out.NextShardIterator)
		}
		return d.s.skip(d.depth())
	})
}

// event reads an event of SubscribeToShard.
func (d *decoder) event(out *types.SubscribeToShardEvent) error {
	return smithy.ReadStruct(d, schemas.SubscribeToShardEvent, func(s *smithy.Schema) error {
		switch s {
		case schemas.SubscribeToShardEvent_Records:
			return d.records(&out.Records)
		case schemas.SubscribeToShardEvent_ChildShards:
			return d.children(s, &out.ChildShards)
		case schemas.SubscribeToShardEvent_MillisBehindLatest:
			out.MillisBehindLatest = new(int64)
			return d.ReadInt64(s, out.MillisBehindLatest)
		case schemas.SubscribeToShardEvent_ContinuationSequenceNumber:
			out.ContinuationSequenceNumber = new(string)
			return d.ReadString(s, out.ContinuationSequenceNumber)
		}
		return d.s.skip(d.depth())
	})
}

func (d *decoder) children(s *smithy.Schema, to *[]types.ChildShard) error {
	*to = []types.ChildShard{}
	return smithy.ReadList(d, s, func() error {
		*to = append(*to, types.ChildShard{})
		if d.s.none() {
			return nil
		}
		return (*to)[len(*to)-1].Deserialize(d)
	})
}

// Sizes of the blocks that the parts of records come from. Who keeps a sequence number or a partition key keeps its
// block of text; who keeps one of the SDK's pointers, its block of values.
const (
	textBlock  = 2 << 10
	valueBlock = 128
)

// A pool holds what the records of one answer point to, in blocks.
type pool struct {
	text   []byte // never grows, so that strings taken of it stay where they are
	values []values
}

// values are what one record points to.
type values struct {
	number, key string
	arrival     time.Time
}

// next is the place for another record's values.
func (p *pool) next() *values {
	if len(p.values) == cap(p.values) {
		p.values = make([]values, 0, min(2*cap(p.values)+8, valueBlock))
	}
	n := len(p.values)
	p.values = p.values[:n+1]
	return &p.values[n]
}

// string copies b.
func (p *pool) string(b []byte) string {
	if len(b) == 0 || len(b) > textBlock/4 {
		return string(b)
	}
	begin := len(p.text)
	if cap(p.text)-begin < len(b) {
		p.text, begin = unwritten(max(min(2*cap(p.text)+128, textBlock), len(b))), 0
	}
	p.text = append(p.text, b...)
	return unsafe.String(&p.text[begin], len(b))
}

// records reads a list of records.
func (d *decoder) records(to *[]types.Record) error {
	var p pool
	return readList(d, to, func(r *types.Record) error { return d.s.record(r, &p) })
}

// readList reads a list of records, each with read, while they come.
func readList[R any](d *decoder, to *[]R, read func(*R) error) error {
	s := &d.s
	if s.peek()&majorMask != majorList {
		return s.unexpected("a list")
	}
	left, err := s.count()
	if err != nil {
		return err
	}
	list := []R{}
	for size := 1; ; {
		if len(s.b)-s.i < size && !d.whole() { // another one is not likely to be there; nor, at the end, what follows the last
			if err := d.load(); err != nil {
				return err
			}
		}
		if !s.more(&left) {
			break
		}
		begin := s.i
		switch len(list) {
		case maxElements:
			return s.malformed("too many records")
		case cap(list):
			list = grow(list, d.size()-begin)
		}
		list = list[:len(list)+1]
		if s.none() {
			continue
		}
		if err := readRecord(d, &list[len(list)-1], read); err != nil {
			return err
		}
		size = s.i - begin
		if len(list) == 1 { // most are about as long as the first
			list = reserve(list, (d.size()-s.i)/size)
		}
	}
	*to = list
	return d.rest()
}

// readRecord reads the next record, once enough of it has come.
func readRecord[R any](d *decoder, r *R, read func(*R) error) error {
	begin := d.s.i
	for {
		err := read(r)
		if err == nil || d.whole() {
			return err
		}
		d.s.i, *r = begin, *new(R)
		if err := d.load(); err != nil {
			return err
		}
	}
}

// size is that of the whole body.
func (d *decoder) size() int {
	if d.in != nil {
		return cap(d.in.body)
	}
	return len(d.s.b)
}

// whole reports whether all of the body has come.
func (d *decoder) whole() bool { return d.in == nil || d.in.whole() }

// load has more of the body come: at least as much as came and could not be decoded, so that few attempts are made.
func (d *decoder) load() error {
	err := d.in.more(len(d.s.b) - d.s.i)
	d.s.b = d.in.body
	return err
}

// rest has all of the body come.
func (d *decoder) rest() error {
	if d.whole() {
		return nil
	}
	err := d.in.all()
	d.s.b = d.in.body
	return err
}

// maxReserve is for how many records there is room made before they are seen: the most of an answer.
const maxReserve = 10_000

// reserve makes room for more records behind those of list.
func reserve[R any](list []R, more int) []R {
	more = min(more, maxReserve)
	return append(make([]R, 0, len(list)+more+more/16), list...)
}

// grow makes room for at least one record more when left bytes are left, of which each takes at least one.
func grow[R any](list []R, left int) []R {
	return reserve(list, min(max(1, len(list)), left+1))
}

// record reads one record into r, which is empty. A member that comes twice has its last value, as with the SDK.
func (s *scanner) record(r *types.Record, p *pool) error {
	if s.peek()&majorMask != majorMap {
		return s.unexpected("a record")
	}
	left, err := s.count()
	if err != nil {
		return err
	}
	v := p.next()
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
		if err := s.recordMember(name, r, v, p); err != nil {
			return err
		}
	}
	return nil
}

// recordDepth is how many lists and maps a member of a record stands in.
const recordDepth = 3

func (s *scanner) recordMember(name []byte, r *types.Record, v *values, p *pool) (err error) {
	switch string(name) {
	case "Data":
		var plain bool
		if r.Data, plain = s.plain(majorBytes); !plain {
			r.Data, err = s.bytes()
		}
	case "PartitionKey":
		r.PartitionKey = &v.key
		v.key, err = s.pooled(p)
	case "SequenceNumber":
		r.SequenceNumber = &v.number
		v.number, err = s.pooled(p)
	case "ApproximateArrivalTimestamp":
		var ms int64
		ms, err = s.millis()
		v.arrival = time.UnixMilli(ms)
		r.ApproximateArrivalTimestamp = &v.arrival
	case "EncryptionType":
		var b []byte
		b, err = s.text()
		r.EncryptionType = encryption(b)
	default:
		err = s.skip(recordDepth)
	}
	return err
}

// pooled takes a text string and copies it to p.
func (s *scanner) pooled(p *pool) (string, error) {
	b, ok := s.short()
	if !ok {
		var err error
		if b, err = s.text(); err != nil {
			return "", err
		}
	}
	return p.string(b), nil
}

func encryption(b []byte) types.EncryptionType {
	switch string(b) {
	case string(types.EncryptionTypeKms):
		return types.EncryptionTypeKms
	case string(types.EncryptionTypeNone):
		return types.EncryptionTypeNone
	}
	return types.EncryptionType(b)
}
