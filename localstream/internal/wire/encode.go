package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
)

// rawJSON is an output that is JSON already.
type rawJSON string

func (r rawJSON) AppendJSON(b []byte) ([]byte, error) { return append(b, r...), nil }

// AppendJSON appends the body of the error.
func (e *Error) AppendJSON(b []byte) ([]byte, error) {
	b = appendString(append(b, `{"__type":`...), e.Type)
	if e.Message != "" {
		b = append(appendString(append(b, ','), e.messageName()), ':')
		b = appendString(b, e.Message)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Members)) {
		b = append(appendString(append(b, ','), name), ':')
		var err error
		if b, err = appendOutput(b, e.Members[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// messageName is the name of the message's member: a quirk of AWS's that clients know.
func (e *Error) messageName() string {
	if strings.HasSuffix(e.Type, "SerializationException") {
		return "Message"
	}
	return "message"
}

func appendOutput(b []byte, out any) ([]byte, error) {
	switch out := out.(type) {
	case nil:
		return b, nil
	case Appender:
		return out.AppendJSON(b)
	case smithy.Serializable:
		w := &jsonWriter{b: b}
		out.Serialize(w)
		return w.b, w.err
	default:
		text, err := json.Marshal(out)
		return append(b, text...), err
	}
}

// A jsonWriter writes shapes as AWS JSON.
type jsonWriter struct {
	b     []byte
	comma bool // a member or element stands before
	keyed bool // the key of a map entry or union was just written
	// object tells, for each open bracket, whether members there get their names; one bit each, the innermost lowest.
	// The SDK's deepest output has 10 levels but for attribute values, whose 32 levels take 2 bits each.
	object [4]uint64
	err    error
}

func (w *jsonWriter) push(object bool) {
	for i := len(w.object) - 1; i > 0; i-- {
		w.object[i] = w.object[i]<<1 | w.object[i-1]>>63
	}
	w.object[0] <<= 1
	if object {
		w.object[0] |= 1
	}
}

func (w *jsonWriter) pop() {
	for i := range len(w.object) - 1 {
		w.object[i] = w.object[i]>>1 | w.object[i+1]<<63
	}
	w.object[len(w.object)-1] >>= 1
}

// before writes what stands before a value: a comma, and the member's name in a structure.
func (w *jsonWriter) before(schema *smithy.Schema) {
	if w.keyed {
		w.keyed = false
		return
	}
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
	if w.object[0]&1 == 1 && schema != nil {
		w.b = append(appendString(w.b, schema.MemberName()), ':')
	}
}

func (w *jsonWriter) open(schema *smithy.Schema, bracket byte, object bool) {
	w.before(schema)
	w.b = append(w.b, bracket)
	w.push(object)
	w.comma = false
}

func (w *jsonWriter) close(bracket byte) {
	w.b = append(w.b, bracket)
	w.pop()
	w.comma = true
}

func (w *jsonWriter) Bytes() []byte { return w.b }

func (w *jsonWriter) WriteInt8(s *smithy.Schema, v int8)   { w.WriteInt64(s, int64(v)) }
func (w *jsonWriter) WriteInt16(s *smithy.Schema, v int16) { w.WriteInt64(s, int64(v)) }
func (w *jsonWriter) WriteInt32(s *smithy.Schema, v int32) { w.WriteInt64(s, int64(v)) }
func (w *jsonWriter) WriteInt64(s *smithy.Schema, v int64) {
	w.before(s)
	w.b = strconv.AppendInt(w.b, v, 10)
}
func (w *jsonWriter) WriteFloat32(s *smithy.Schema, v float32) { w.float(s, float64(v), 32) }
func (w *jsonWriter) WriteFloat64(s *smithy.Schema, v float64) { w.float(s, v, 64) }

func (w *jsonWriter) float(s *smithy.Schema, v float64, bits int) {
	w.before(s)
	switch {
	case math.IsNaN(v):
		w.b = append(w.b, `"NaN"`...)
	case math.IsInf(v, 1):
		w.b = append(w.b, `"Infinity"`...)
	case math.IsInf(v, -1):
		w.b = append(w.b, `"-Infinity"`...)
	default:
		w.b = strconv.AppendFloat(w.b, v, 'g', -1, bits)
	}
}

func (w *jsonWriter) WriteBool(s *smithy.Schema, v bool) {
	w.before(s)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *jsonWriter) WriteString(s *smithy.Schema, v string) {
	w.before(s)
	w.b = appendString(w.b, v)
}

func (w *jsonWriter) WriteBigInt(s *smithy.Schema, v *big.Int) {
	w.before(s)
	w.b = v.Append(w.b, 10)
}

func (w *jsonWriter) WriteBigFloat(s *smithy.Schema, v *big.Float) {
	w.before(s)
	w.b = v.Append(w.b, 'g', -1)
}

func (w *jsonWriter) WriteBlob(s *smithy.Schema, v []byte) {
	w.before(s)
	w.b = append(w.b, '"')
	w.b = appendBase64(w.b, v)
	w.b = append(w.b, '"')
}

// WriteTime writes epoch seconds with milliseconds, which is how far AWS's go.
func (w *jsonWriter) WriteTime(s *smithy.Schema, v time.Time) {
	w.before(s)
	w.b = AppendMillis(w.b, v.UnixMilli())
}

func (w *jsonWriter) WriteNil(s *smithy.Schema) {
	w.before(s)
	w.b = append(w.b, "null"...)
}

// WriteDocument reports that documents are not served: neither service has any.
func (w *jsonWriter) WriteDocument(s *smithy.Schema, _ document.Value) {
	w.WriteNil(s)
	w.err = fmt.Errorf("wire: a document cannot be written")
}

func (w *jsonWriter) WriteStruct(s *smithy.Schema) { w.open(s, '{', true) }
func (w *jsonWriter) CloseStruct()                 { w.close('}') }
func (w *jsonWriter) WriteList(s *smithy.Schema)   { w.open(s, '[', false) }
func (w *jsonWriter) CloseList()                   { w.close(']') }
func (w *jsonWriter) WriteMap(s *smithy.Schema)    { w.open(s, '{', false) }
func (w *jsonWriter) CloseMap()                    { w.close('}') }
func (w *jsonWriter) CloseUnion()                  { w.close('}') }

func (w *jsonWriter) WriteKey(_ *smithy.Schema, key string) {
	w.before(nil)
	w.b = append(appendString(w.b, key), ':')
	w.keyed = true
}

func (w *jsonWriter) WriteUnion(s, variant *smithy.Schema) {
	w.open(s, '{', true)
	w.before(variant)
	w.keyed = true
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

const hexDigits = "0123456789abcdef"
