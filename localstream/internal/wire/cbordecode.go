package wire

import (
	"math"
	"reflect"
	"time"
)

// DecodeCBOR reads a CBOR request body into in as Decode does a JSON one. Blobs are byte strings, timestamps numbers
// of milliseconds since the epoch, with or without a tag. The types of in must not implement json.Unmarshaler.
func DecodeCBOR(body []byte, in any) error {
	d := &cborDecoder{s: cborScanner{b: body}, memory: memoryFor(body)}
	target := reflect.ValueOf(in).Elem()
	h, err := d.s.head()
	if err == nil && h.major != cborMap {
		err = errCBOR
	}
	if err == nil {
		err = d.structure(h, planFor(target.Type()), target)
	}
	if err == nil {
		err = d.s.end()
	}
	if err != nil {
		return &Error{Type: "SerializationException"}
	}
	if d.mismatch != nil {
		return d.mismatch
	}
	return validate(target)
}

// isCBORMap reports whether a body looks like a CBOR map, perhaps behind a tag, which all requests are.
func isCBORMap(body []byte) bool {
	s := cborScanner{b: body}
	h, err := s.head()
	return err == nil && h.major == cborMap
}

// A cborDecoder fills one input. As with JSON, malformed input comes before a value of a wrong type.
type cborDecoder struct {
	s        cborScanner
	mismatch error
	memory   memory
}

// structure reads a map into v. A member that occurs twice is refused.
func (d *cborDecoder) structure(h head, p *plan, v reflect.Value) error {
	var seen uint64
	direct, _ := v.Addr().Interface().(Direct)
	return d.s.elements(h, func(key []byte) error {
		i, ok := p.byName[string(key)]
		if !ok {
			return d.s.skipNext()
		}
		bit := uint64(1) << (i % 64)
		if seen&bit != 0 && len(p.fields) <= 64 {
			return errCBOR
		}
		seen |= bit
		f := &p.fields[i]
		h, err := d.s.head()
		if err != nil || h.none() {
			return err
		}
		if direct != nil {
			data, text := direct.Member(f.name)
			switch {
			case data != nil && h.major == cborBytes:
				*data, err = d.s.bytes(h)
				return err
			case text != nil && h.major == cborText:
				*text, err = d.s.text(h)
				return err
			}
		}
		return d.fill(h, v.FieldByIndex(f.index), f.limit)
	})
}

// value reads the next item into v.
func (d *cborDecoder) value(v reflect.Value, limit int) error {
	h, err := d.s.head()
	if err != nil || h.none() {
		return err
	}
	return d.fill(h, v, limit)
}

// fill reads the item that h begins into v.
func (d *cborDecoder) fill(h head, v reflect.Value, limit int) error {
	t := v.Type()
	if t.Kind() == reflect.Pointer && t.Elem() != timeType && t.Elem().Kind() != reflect.Pointer {
		if err := d.memory.take(t.Elem().Size()); err != nil {
			return err
		}
		inner := reflect.New(t.Elem())
		v.Set(inner)
		return d.fill(h, inner.Elem(), limit)
	}
	switch {
	case t == textType:
		if h.major != cborText {
			return d.refuse(h, "an String")
		}
		b, err := d.s.text(h)
		v.SetBytes(b)
		return err
	case t.Kind() == reflect.Pointer && t.Elem() == timeType:
		return d.timestamp(h, v)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		if h.major != cborBytes {
			return d.refuse(h, "a Blob")
		}
		b, err := d.s.bytes(h)
		v.SetBytes(b)
		return err
	}
	switch t.Kind() {
	case reflect.Struct:
		if h.major != cborMap {
			return d.refuseContainer(h, "Expected null")
		}
		return d.structure(h, planFor(t), v)
	case reflect.Slice:
		if h.major != cborList {
			return d.refuseContainer(h, "Expected list or null")
		}
		return d.list(h, v, limit)
	case reflect.Map:
		if h.major != cborMap {
			return d.refuseContainer(h, "Expected map or null")
		}
		return d.mapping(h, v, limit)
	}
	return d.scalar(h, v)
}

func (d *cborDecoder) scalar(h head, v reflect.Value) error {
	kind := v.Kind()
	f, n, integer, isNumber := h.number()
	switch {
	case kind == reflect.String:
		if h.major != cborText {
			return d.refuse(h, "an String")
		}
		b, err := d.s.text(h)
		v.SetString(string(b))
		return err
	case kind == reflect.Int32 || kind == reflect.Int64:
		least, most, name := int64(math.MinInt64), int64(math.MaxInt64), "a Long"
		if kind == reflect.Int32 {
			least, most, name = math.MinInt32, math.MaxInt32, "an Integer"
		}
		if !isNumber {
			return d.refuse(h, name)
		}
		if !integer {
			n = saturate(f)
		}
		v.SetInt(max(least, min(most, n)))
	case kind == reflect.Float64:
		if !isNumber {
			return d.refuse(h, "a Double")
		}
		v.SetFloat(f)
	case kind == reflect.Bool:
		if h.major != cborSimple || h.info != cborFalse && h.info != cborTrue {
			return d.refuse(h, "an Boolean")
		}
		v.SetBool(h.info == cborTrue)
	default:
		panic("wire: input member of type " + v.Type().String())
	}
	return nil
}

// saturate cuts off the fraction of f and brings it into the range of int64; what is no number becomes 0.
func saturate(f float64) int64 {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

// timestamp reads milliseconds. Their tag, 1, means seconds by the standard, but not with this protocol.
func (d *cborDecoder) timestamp(h head, v reflect.Value) error {
	f, n, integer, ok := h.number()
	if !ok {
		return d.refuse(h, "milliseconds since epoch")
	}
	if !integer {
		n = saturate(math.Round(f))
	}
	const bound = 1 << 53 // as with JSON: beyond what a time in milliseconds can be used for
	t := time.UnixMilli(max(-bound, min(bound, n)))
	v.Set(reflect.ValueOf(&t))
	return nil
}

func (d *cborDecoder) list(h head, v reflect.Value, limit int) error {
	if err := d.memory.begin(v); err != nil {
		return err
	}
	return d.s.elements(h, func([]byte) error {
		if v.Len() >= limit {
			return d.s.skipNext()
		}
		e, err := d.memory.extend(v, 0)
		if err != nil {
			return err
		}
		return d.value(e, maxElements)
	})
}

func (d *cborDecoder) mapping(h head, v reflect.Value, limit int) error {
	v.Set(reflect.MakeMap(v.Type()))
	element := v.Type().Elem()
	return d.s.elements(h, func(key []byte) error {
		name := reflect.ValueOf(string(key)).Convert(v.Type().Key())
		if v.MapIndex(name).IsValid() {
			return errCBOR
		}
		if v.Len() >= limit {
			return d.s.skipNext()
		}
		if err := d.memory.entry(element); err != nil {
			return err
		}
		value := reflect.New(element).Elem()
		err := d.value(value, maxElements)
		v.SetMapIndex(name, value)
		return err
	})
}

// refuse notes that the item that h begins cannot be a scalar of that name, and skips it.
func (d *cborDecoder) refuse(h head, wanted string) error {
	class := ""
	switch h.major {
	case cborText:
		class = "class java.lang.String"
	case cborBytes:
		class = "class java.nio.HeapByteBuffer"
	case cborSimple:
		class = "class java.lang.Boolean"
		if _, _, _, number := h.number(); number {
			class = "class java.lang.Double"
		}
	case cborUint, cborNegint:
		class = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
	}
	return d.refuseContainer(h, class+" can not be converted to "+wanted)
}

// refuseContainer is refuse with the message for items that are neither list nor map.
func (d *cborDecoder) refuseContainer(h head, message string) error {
	switch h.major {
	case cborList:
		message = "Start of list found where not expected"
	case cborMap:
		message = "Start of structure or map found where not expected."
	}
	if d.mismatch == nil {
		d.mismatch = &Error{Type: "SerializationException", Message: message}
	}
	return d.s.skip(h)
}
