package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
)

// appendCBOR appends an output as CBOR: nothing for nil, else a map.
func appendCBOR(b []byte, out any) ([]byte, error) {
	switch out := out.(type) {
	case nil:
		return b, nil
	case *Error:
		return out.appendCBOR(b)
	case smithy.Serializable:
		w := &cborWriter{b: b}
		out.Serialize(w)
		return w.b, w.err
	default:
		return b, fmt.Errorf("wire: %T cannot be written as CBOR", out)
	}
}

// appendCBOR appends the body of the error. Errors with further members are DynamoDB's, which does not speak CBOR.
func (e *Error) appendCBOR(b []byte) ([]byte, error) {
	if len(e.Members) > 0 {
		return b, fmt.Errorf("wire: %s with further members cannot be written as CBOR", e.Type)
	}
	b = append(b, cborMap<<5|cborIndefinite)
	b = appendCBORText(appendCBORText(b, "__type"), e.Type)
	if e.Message != "" {
		b = appendCBORText(appendCBORText(b, e.messageName()), e.Message)
	}
	return append(b, cborBreak), nil
}

func appendCBORHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

func appendCBORInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendCBORHead(b, cborNegint, uint64(-1-n))
	}
	return appendCBORHead(b, cborUint, uint64(n))
}

// appendCBORText appends s as a text string. Invalid UTF-8 becomes U+FFFD.
func appendCBORText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return append(appendCBORHead(b, cborText, uint64(len(s))), s...)
}

// A cborWriter writes shapes as CBOR, lists and maps with indefinite lengths as AWS does.
type cborWriter struct {
	b      []byte
	keyed  bool   // the key of a map entry or union was just written
	nested []bool // for each open list or map, whether members there get their names
	err    error
}

// before writes what stands before a value: in a structure, the member's name.
func (w *cborWriter) before(s *smithy.Schema) {
	if w.keyed {
		w.keyed = false
		return
	}
	if n := len(w.nested); n > 0 && w.nested[n-1] && s != nil {
		w.b = appendCBORText(w.b, s.MemberName())
	}
}

func (w *cborWriter) open(s *smithy.Schema, major byte, named bool) {
	w.before(s)
	w.b = append(w.b, major<<5|cborIndefinite)
	w.nested = append(w.nested, named)
}

func (w *cborWriter) close() {
	w.b = append(w.b, cborBreak)
	w.nested = w.nested[:len(w.nested)-1]
}

func (w *cborWriter) Bytes() []byte { return w.b }

func (w *cborWriter) WriteInt8(s *smithy.Schema, v int8)   { w.WriteInt64(s, int64(v)) }
func (w *cborWriter) WriteInt16(s *smithy.Schema, v int16) { w.WriteInt64(s, int64(v)) }
func (w *cborWriter) WriteInt32(s *smithy.Schema, v int32) { w.WriteInt64(s, int64(v)) }
func (w *cborWriter) WriteInt64(s *smithy.Schema, v int64) {
	w.before(s)
	w.b = appendCBORInt(w.b, v)
}
func (w *cborWriter) WriteFloat32(s *smithy.Schema, v float32) { w.WriteFloat64(s, float64(v)) }

func (w *cborWriter) WriteFloat64(s *smithy.Schema, v float64) {
	w.before(s)
	w.b = binary.BigEndian.AppendUint64(append(w.b, cborSimple<<5|cborFloat64), math.Float64bits(v))
}

func (w *cborWriter) WriteBool(s *smithy.Schema, v bool) {
	w.before(s)
	value := byte(cborFalse)
	if v {
		value = cborTrue
	}
	w.b = append(w.b, cborSimple<<5|value)
}

func (w *cborWriter) WriteString(s *smithy.Schema, v string) {
	w.before(s)
	w.b = appendCBORText(w.b, v)
}

func (w *cborWriter) WriteBlob(s *smithy.Schema, v []byte) {
	w.before(s)
	w.b = append(appendCBORHead(w.b, cborBytes, uint64(len(v))), v...)
}

// WriteTime writes tag 1 and integer milliseconds, which is what the protocol means by it.
func (w *cborWriter) WriteTime(s *smithy.Schema, v time.Time) {
	w.before(s)
	w.b = appendCBORInt(appendCBORHead(w.b, cborTag, 1), v.UnixMilli())
}

func (w *cborWriter) WriteNil(s *smithy.Schema) {
	w.before(s)
	w.b = append(w.b, cborSimple<<5|cborNull)
}

// unserved writes null for what Kinesis has no members of, and reports it.
func (w *cborWriter) unserved(s *smithy.Schema, what string) {
	w.WriteNil(s)
	w.err = fmt.Errorf("wire: a %s cannot be written as CBOR", what)
}

func (w *cborWriter) WriteBigInt(s *smithy.Schema, _ *big.Int)         { w.unserved(s, "big integer") }
func (w *cborWriter) WriteBigFloat(s *smithy.Schema, _ *big.Float)     { w.unserved(s, "big float") }
func (w *cborWriter) WriteDocument(s *smithy.Schema, _ document.Value) { w.unserved(s, "document") }

func (w *cborWriter) WriteStruct(s *smithy.Schema) { w.open(s, cborMap, true) }
func (w *cborWriter) CloseStruct()                 { w.close() }
func (w *cborWriter) WriteList(s *smithy.Schema)   { w.open(s, cborList, false) }
func (w *cborWriter) CloseList()                   { w.close() }
func (w *cborWriter) WriteMap(s *smithy.Schema)    { w.open(s, cborMap, false) }
func (w *cborWriter) CloseMap()                    { w.close() }
func (w *cborWriter) CloseUnion()                  { w.close() }

func (w *cborWriter) WriteKey(_ *smithy.Schema, key string) {
	w.b = appendCBORText(w.b, key)
	w.keyed = true
}

func (w *cborWriter) WriteUnion(s, variant *smithy.Schema) {
	w.open(s, cborMap, true)
	w.before(variant)
	w.keyed = true
}
