package kinesiscbor

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/aws/smithy-go/eventstream"

	"github.com/shoal-stream/shoal/record"
)

// oracle reads an answer of GetRecords with the SDK's reader of CBOR values, which knows nothing of shapes, and gives
// the values the meaning that they have in CBOR 1.1.
func oracle(body []byte) (*kinesis.GetRecordsOutput, error) {
	v, err := cbor.Decode(body)
	if err != nil {
		return nil, err
	}
	if _, err := cbor.Decode(body[:len(body)-1]); err == nil {
		return nil, errors.New("something behind the value")
	}
	in, ok := v.(cbor.Map)
	if !ok {
		return nil, errors.New("no map")
	}
	o := &kinesis.GetRecordsOutput{}
	return o, errors.Join(
		member(in, "MillisBehindLatest", func(v cbor.Value) error { return integer(v, &o.MillisBehindLatest) }),
		member(in, "NextShardIterator", func(v cbor.Value) error { return text(v, &o.NextShardIterator) }),
		member(in, "Records", func(v cbor.Value) error { return list(v, &o.Records, oracleRecord) }),
		member(in, "ChildShards", func(v cbor.Value) error { return list(v, &o.ChildShards, oracleChild) }),
	)
}

func oracleRecord(v cbor.Value, r *types.Record) error {
	in, ok := v.(cbor.Map)
	if !ok {
		return errors.New("no record")
	}
	return errors.Join(
		member(in, "SequenceNumber", func(v cbor.Value) error { return text(v, &r.SequenceNumber) }),
		member(in, "PartitionKey", func(v cbor.Value) error { return text(v, &r.PartitionKey) }),
		member(in, "EncryptionType", func(v cbor.Value) error {
			s, ok := v.(cbor.String)
			r.EncryptionType = types.EncryptionType(s)
			return want(ok, v)
		}),
		member(in, "Data", func(v cbor.Value) error {
			b, ok := v.(cbor.Slice)
			r.Data = b
			return want(ok, v)
		}),
		member(in, "ApproximateArrivalTimestamp", func(v cbor.Value) error {
			if tag, ok := v.(*cbor.Tag); ok && tag.ID == 1 {
				v = tag.Value
			}
			var ms *int64
			err := integer(v, &ms)
			if err == nil {
				t := time.UnixMilli(*ms)
				r.ApproximateArrivalTimestamp = &t
			}
			return err
		}),
	)
}

func oracleChild(v cbor.Value, c *types.ChildShard) error {
	in, ok := v.(cbor.Map)
	if !ok {
		return errors.New("no child")
	}
	return errors.Join(
		member(in, "ShardId", func(v cbor.Value) error { return text(v, &c.ShardId) }),
		member(in, "ParentShards", func(v cbor.Value) error {
			return list(v, &c.ParentShards, func(v cbor.Value, to *string) error {
				s, ok := v.(cbor.String)
				*to = string(s)
				return want(ok, v)
			})
		}),
		member(in, "HashKeyRange", func(v cbor.Value) error {
			in, ok := v.(cbor.Map)
			c.HashKeyRange = &types.HashKeyRange{}
			return errors.Join(want(ok, v),
				member(in, "StartingHashKey", func(v cbor.Value) error { return text(v, &c.HashKeyRange.StartingHashKey) }),
				member(in, "EndingHashKey", func(v cbor.Value) error { return text(v, &c.HashKeyRange.EndingHashKey) }))
		}),
	)
}

func isNone(v cbor.Value) bool {
	_, null := v.(*cbor.Nil)
	_, undefined := v.(*cbor.Undefined)
	return null || undefined
}

func member(in cbor.Map, name string, read func(cbor.Value) error) error {
	v, ok := in[name]
	if !ok || isNone(v) {
		return nil
	}
	return read(v)
}

func want(ok bool, v cbor.Value) error {
	if !ok {
		return fmt.Errorf("a value of type %T", v)
	}
	return nil
}

func integer(v cbor.Value, to **int64) error {
	n, err := cbor.AsInt64(v)
	*to = &n
	return err
}

func text(v cbor.Value, to **string) error {
	s, ok := v.(cbor.String)
	plain := string(s)
	*to = &plain
	return want(ok, v)
}

func list[T any](v cbor.Value, to *[]T, read func(cbor.Value, *T) error) error {
	in, ok := v.(cbor.List)
	*to = make([]T, len(in))
	for i, item := range in {
		if !isNone(item) {
			if err := read(item, &(*to)[i]); err != nil {
				return err
			}
		}
	}
	return want(ok, v)
}

// ambiguous tells inputs of which the SDK's reader is no judge: it takes a list or map of 2^63 elements or more for an
// empty one, and of a member that comes twice, or null the second time, the generated code and the reader of values
// make different things.
func ambiguous(body []byte) bool {
	for i, c := range body {
		if (c == majorList|27 || c == majorMap|27) && i+1 < len(body) && body[i+1] >= 0x80 {
			return true
		}
	}
	for _, name := range []string{
		"MillisBehindLatest", "NextShardIterator", "Records", "ChildShards", "ShardId", "ParentShards", "HashKeyRange",
		"StartingHashKey", "EndingHashKey", "SequenceNumber", "PartitionKey", "EncryptionType", "Data", "ApproximateArrivalTimestamp",
	} {
		if twice(body, name) {
			return true
		}
	}
	return false
}

// twice reports whether one map of body has the member more than once, or in pieces, by asking the scanner; what it
// cannot read has no member at all.
func twice(body []byte, name string) bool {
	found := false
	var walk func(s *scanner, depth int) error
	walk = func(s *scanner, depth int) error {
		major := s.peek() & majorMask
		if major != majorMap && major != majorList || depth > maxDepth {
			return s.skip(depth)
		}
		left, err := s.count()
		seen := 0
		for err == nil && s.more(&left) {
			if major == majorMap {
				var key []byte
				if key, err = s.text(); string(key) == name {
					seen++
				}
			}
			if err == nil {
				err = walk(s, depth+1)
			}
		}
		found = found || seen > 1
		return err
	}
	_ = walk(&scanner{b: body}, 0)
	return found
}

// seeds are answers of all kinds, whole and damaged.
func seeds(tb testing.TB) [][]byte {
	page := cbor.Encode(cbor.Map{
		"Records": cbor.List{
			cbor.Map{"SequenceNumber": cbor.String("4965"), "PartitionKey": cbor.String("k"), "Data": cbor.Slice("data"), "ApproximateArrivalTimestamp": &cbor.Tag{ID: 1, Value: cbor.Uint(1_700_000_000_123)}},
			cbor.Map{"Data": cbor.Slice{}, "EncryptionType": cbor.String("KMS"), "Unknown": cbor.Map{"a": cbor.List{cbor.Float64(1), cbor.Bool(true), &cbor.Nil{}}}},
			&cbor.Nil{},
		},
		"MillisBehindLatest": cbor.Uint(17), "NextShardIterator": cbor.String("next"),
	})
	end := cbor.Encode(cbor.Map{
		"Records": cbor.List{}, "NextShardIterator": &cbor.Nil{}, "MillisBehindLatest": cbor.NegInt(1),
		"ChildShards": cbor.List{cbor.Map{"ShardId": cbor.String("shardId-1"), "ParentShards": cbor.List{cbor.String("shardId-0"), &cbor.Nil{}}, "HashKeyRange": cbor.Map{"StartingHashKey": cbor.String("0"), "EndingHashKey": cbor.String("9")}}},
	})
	indefinitely := []byte("\xbf\x67Records\x9f\xbf\x64Data\x5f\x42ab\x41c\xff\x6cPartitionKey\x7f\x61k\x61e\xff\x78\x1bApproximateArrivalTimestamp\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x00\xff\xff\xff")
	all := [][]byte{
		page, end, indefinitely, {}, {0xa0}, {0xbf, 0xff}, {0xf6}, {0xbf}, {0xa1}, append(bytes.Clone(page), 0), page[:len(page)-1],
		[]byte("\xa1\x67Records\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"), []byte("\xa1\x67Records\xa0"), []byte("\xa1\x41a\x00"),
		[]byte("\xa1\x61a\xf8\x20"), []byte("\xa1\x61a\xff"), []byte("\xa1\x61a\x1c"), []byte("\xa1\x61a\xf9\x3c\x00"), []byte("\xa1\x61a\xfb\x00"),
		[]byte("\xa1\x72MillisBehindLatest\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), []byte("\xa1\x72MillisBehindLatest\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"),
		[]byte("\xa1\x67Records\x81\xa1\x64Data\x5b\x00\x00\x00\xff\xff\xff\xff\xff"), []byte("\xa1\x67Records\x81\xa1\x6cPartitionKey\x62\xff\xfe"),
		[]byte("\xa1\x67Records\x81\xa1\x78\x1bApproximateArrivalTimestamp\xc0\x00"), []byte("\xa1\x67Records\x81\xa1\x78\x1bApproximateArrivalTimestamp\x00"),
	}
	all = append(all, cbor.Encode(cbor.Map{"Records": cbor.List{
		cbor.Map{"Data": cbor.Slice("plain")}, cbor.Map{"Data": cbor.Slice("\xf3\x89\x9a\xc2 and more than a checksum")},
	}}))
	for _, depth := range []int{126, 127, 128} {
		deep := append([]byte("\xa1\x61a"), bytes.Repeat([]byte{0x81}, depth)...)
		all = append(all, append(deep, 0))
	}
	return all
}

// agree checks the ways of reading a body against each other.
func agree(t *testing.T, body []byte) {
	t.Helper()
	var fast, generic kinesis.GetRecordsOutput
	err := decode(body, &fast)
	d := &decoder{s: scanner{b: body}}
	genericErr := generic.Deserialize(d)
	if genericErr == nil && d.s.i < len(body) {
		genericErr = errors.New("something behind the value")
	}
	if (err == nil) != (genericErr == nil) || err == nil && !reflect.DeepEqual(fast, generic) {
		t.Errorf("%x: read at once %+v, %v; by the SDK's code %+v, %v", body, fast, err, generic, genericErr)
	}
	for _, step := range []int{1, 13} {
		var pieces kinesis.GetRecordsOutput
		if piecesErr := inSteps(body, step, &pieces, nil); (err == nil) != (piecesErr == nil) || err == nil && !reflect.DeepEqual(fast, pieces) {
			t.Errorf("%x: read at once %+v, %v; in steps of %d %+v, %v", body, fast, err, step, pieces, piecesErr)
		}
	}
	for _, step := range []int{1, 13, step} {
		var rest kinesis.GetRecordsOutput
		var page Page
		if pageErr := inSteps(body, step, &rest, &page); (err == nil) != (pageErr == nil) || err == nil && !samePage(fast, rest, page) {
			t.Errorf("%x: read %+v, %v; into a page in steps of %d %+v and %+v, %v", body, fast, err, step, page, rest, pageErr)
		}
	}
	if ambiguous(body) {
		return
	}
	wanted, oracleErr := oracle(body)
	if (err == nil) != (oracleErr == nil) {
		t.Errorf("%x: %v; the SDK: %v", body, err, oracleErr)
	} else if err == nil && !reflect.DeepEqual(&fast, wanted) {
		t.Errorf("%x: read\n%+v\nwant\n%+v", body, &fast, wanted)
	}
}

// samePage reports whether an answer whose records were read into a page is the same as a whole one.
func samePage(whole, rest kinesis.GetRecordsOutput, page Page) bool {
	var records []record.Record
	if whole.Records != nil {
		records = []record.Record{}
	}
	plain := whole.Records != nil
	for _, r := range whole.Records {
		records = append(records, record.Record{
			SequenceNumber: record.SequenceNumber(aws.ToString(r.SequenceNumber)), PartitionKey: aws.ToString(r.PartitionKey), Data: r.Data,
			ArrivalTime: aws.ToTime(r.ApproximateArrivalTimestamp), EncryptionType: string(r.EncryptionType),
		})
		plain = plain && !record.IsAggregate(r.Data)
	}
	whole.Records = nil
	return reflect.DeepEqual(whole, rest) && reflect.DeepEqual(page, Page{Records: records, Plain: plain})
}

func TestAnswersReadAsTheSDKReadsThem(t *testing.T) {
	good := 0
	for _, body := range seeds(t) {
		agree(t, body)
		if decode(body, &kinesis.GetRecordsOutput{}) == nil {
			good++
		}
		for i := range body { // cut off anywhere
			agree(t, body[:i])
		}
	}
	if good < 9 {
		t.Errorf("only %d of the answers were good", good)
	}
}

func FuzzGetRecords(f *testing.F) {
	for _, body := range seeds(f) {
		f.Add(body)
	}
	f.Fuzz(agree)
}

// FuzzEvents reads frames as the SDK does.
func FuzzEvents(f *testing.F) {
	for _, payload := range append(seeds(f), []byte(`{"Records":[]}`)) {
		f.Add(encodeFrame(f, "event", eventstream.EventTypeHeader, "SubscribeToShardEvent", payload))
	}
	f.Add(encodeFrame(f, "exception", eventstream.ExceptionTypeHeader, "ResourceInUseException", []byte("\xa1\x67message\x61m")))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readFrame(bytes.NewReader(b))
		m, sdkErr := eventstream.NewDecoder().Decode(bytes.NewReader(b), nil)
		if err == nil && sdkErr != nil {
			t.Fatalf("%x: the SDK: %v", b, sdkErr)
		}
		if err != nil {
			if sdkErr == nil && len(b) < maxFrame {
				t.Fatalf("%x: %v, the SDK reads it", b, err)
			}
			return
		}
		header := func(name string) string {
			if v, ok := m.Headers.Get(name).(eventstream.StringValue); ok {
				return string(v)
			}
			return ""
		}
		if !bytes.Equal(got.payload, m.Payload) || len(m.Headers) < 4 && (got.kind != header(eventstream.MessageTypeHeader) || got.event != header(eventstream.EventTypeHeader)) {
			t.Fatalf("%x: %q %q %x; the SDK: %+v", b, got.kind, got.event, got.payload, m)
		}
	})
}

func encodeFrame(tb testing.TB, kind, label, name string, payload []byte) []byte {
	tb.Helper()
	m := eventstream.Message{Payload: payload}
	m.Headers.Set(eventstream.MessageTypeHeader, eventstream.StringValue(kind))
	m.Headers.Set(label, eventstream.StringValue(name))
	m.Headers.Set(eventstream.ContentTypeHeader, eventstream.StringValue(mediaType))
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}
