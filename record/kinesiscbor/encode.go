package kinesiscbor

import (
	"encoding/binary"
	"math"
	"math/big"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
)

// A writer writes requests for the SDK's generated code. Structures and lists are of indefinite length: their elements
// are not known when they begin.
type writer struct {
	b     []byte
	named []bool // for each open structure (true), list or map
	keyed bool   // the key of a map's next value has just been written
	err   error
}

var _ smithy.ShapeSerializer = (*writer)(nil)

func appendHead(b []byte, major byte, n uint64) []byte {
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

func appendText(b []byte, text string) []byte {
	return append(appendHead(b, majorText, uint64(len(text))), text...)
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNegint, uint64(-1-n))
	}
	return appendHead(b, majorUint, uint64(n))
}

// name writes what stands before a value in a structure: the member's name.
func (w *writer) name(member *smithy.Schema) {
	if w.keyed {
		w.keyed = false
		return
	}
	if n := len(w.named); n > 0 && w.named[n-1] {
		w.b = appendText(w.b, member.MemberName())
	}
}

func (w *writer) begin(shape *smithy.Schema, major byte, named bool) {
	w.name(shape)
	w.b = append(w.b, major|indefinite)
	w.named = append(w.named, named)
}

func (w *writer) end() {
	w.b = append(w.b, itemBreak)
	w.named = w.named[:len(w.named)-1]
}

// Bytes is what has been written.
func (w *writer) Bytes() []byte { return w.b }

// WriteStruct, and those after it, write the shapes that requests have.
func (w *writer) WriteStruct(s *smithy.Schema) { w.begin(s, majorMap, true) }
func (w *writer) CloseStruct()                 { w.end() }
func (w *writer) WriteList(s *smithy.Schema)   { w.begin(s, majorList, false) }
func (w *writer) CloseList()                   { w.end() }
func (w *writer) WriteMap(s *smithy.Schema)    { w.begin(s, majorMap, false) }
func (w *writer) CloseMap()                    { w.end() }

func (w *writer) WriteKey(_ *smithy.Schema, key string) {
	w.b = appendText(w.b, key)
	w.keyed = true
}

func (w *writer) WriteInt8(s *smithy.Schema, v int8)   { w.WriteInt64(s, int64(v)) }
func (w *writer) WriteInt16(s *smithy.Schema, v int16) { w.WriteInt64(s, int64(v)) }
func (w *writer) WriteInt32(s *smithy.Schema, v int32) { w.WriteInt64(s, int64(v)) }
func (w *writer) WriteInt64(s *smithy.Schema, v int64) {
	w.name(s)
	w.b = appendInt(w.b, v)
}

func (w *writer) WriteBool(s *smithy.Schema, v bool) {
	w.name(s)
	item := byte(itemFalse)
	if v {
		item = itemTrue
	}
	w.b = append(w.b, item)
}

func (w *writer) WriteString(s *smithy.Schema, v string) {
	w.name(s)
	w.b = appendText(w.b, v)
}

func (w *writer) WriteBlob(s *smithy.Schema, v []byte) {
	w.name(s)
	w.b = append(appendHead(w.b, majorBytes, uint64(len(v))), v...)
}

// WriteTime writes milliseconds, as the service wants them with the tag that elsewhere means seconds.
func (w *writer) WriteTime(s *smithy.Schema, v time.Time) {
	w.name(s)
	w.b = appendInt(appendHead(w.b, majorTag, tagEpoch), v.UnixMilli())
}

func (w *writer) WriteNil(s *smithy.Schema) {
	w.name(s)
	w.b = append(w.b, itemNull)
}

// Kinesis has no shapes of the kinds below in the requests that are written here.

func (w *writer) unserved(s *smithy.Schema) {
	w.WriteNil(s)
	w.err = errUnserved
}

func (w *writer) WriteFloat32(s *smithy.Schema, _ float32)         { w.unserved(s) }
func (w *writer) WriteFloat64(s *smithy.Schema, _ float64)         { w.unserved(s) }
func (w *writer) WriteBigInt(s *smithy.Schema, _ *big.Int)         { w.unserved(s) }
func (w *writer) WriteBigFloat(s *smithy.Schema, _ *big.Float)     { w.unserved(s) }
func (w *writer) WriteDocument(s *smithy.Schema, _ document.Value) { w.unserved(s) }
func (w *writer) WriteUnion(s, _ *smithy.Schema)                   { w.begin(s, majorMap, true); w.err = errUnserved }
func (w *writer) CloseUnion()                                      { w.end() }
