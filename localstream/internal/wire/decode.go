package wire

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Decode reads a JSON request body into in, a pointer to a struct as the package comment describes, and checks its
// constraints. The error is an *Error of type SerializationException or ValidationException, unless a field's
// UnmarshalJSON gave another *Error. Decode overwrites parts of body, and in aliases it.
func Decode(body []byte, in any) error {
	d := &decoder{s: scanner{b: body}, memory: memoryFor(body)}
	target := reflect.ValueOf(in).Elem()
	err := d.structure(planFor(target.Type()), target)
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

// A decoder fills one input. Its methods return syntax errors; the first value of a wrong type is kept in mismatch
// and reading goes on, because malformed JSON comes first.
type decoder struct {
	s        scanner
	mismatch error
	memory   memory
}

// maxElements bounds what is stored of lists and maps beyond what their constraint allows: the constraint's check
// needs to see that there are too many, no more.
const maxElements = 10_000

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textType    = reflect.TypeFor[Text]()
	timeType    = reflect.TypeFor[time.Time]()
)

// A plan is what decoding and validating need to know of a struct type.
type plan struct {
	fields []field
	byName map[string]int
}

type field struct {
	index []int
	name  string
	limit int // elements to store
	rules rules
}

var plans sync.Map // reflect.Type to *plan

func planFor(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{byName: map[string]int{}}
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Anonymous {
			continue
		}
		rules := parseRules(f.Tag)
		limit := maxElements
		if rules.length != nil && rules.length.most < math.MaxInt64 {
			limit = min(limit, int(rules.length.most)+1)
		}
		p.byName[f.Name] = len(p.fields)
		p.fields = append(p.fields, field{index: f.Index, name: f.Name, limit: limit, rules: rules})
	}
	actual, _ := plans.LoadOrStore(t, p)
	return actual.(*plan)
}

// find finds a field by its name: first where it is to be expected, as members mostly come in one order.
func (p *plan) find(name []byte, expected int) (int, bool) {
	if expected < len(p.fields) && p.fields[expected].name == string(name) {
		return expected, true
	}
	i, ok := p.byName[string(name)]
	return i, ok
}

// name is that of the i-th member, if there are so many.
func (p *plan) name(i int) string {
	if i < len(p.fields) {
		return p.fields[i].name
	}
	return ""
}

// structure reads an object into v. A member that occurs twice is refused: parsers differ in which one they take.
func (d *decoder) structure(p *plan, v reflect.Value) error {
	var seen uint64
	expected := 0
	d.s.hint = p.name(expected)
	direct, _ := v.Addr().Interface().(Direct)
	return d.s.elements(true, func(key []byte) error {
		defer func() { d.s.hint = p.name(expected) }()
		i, ok := p.find(key, expected)
		if !ok {
			_, err := d.s.skip()
			return err
		}
		expected = i + 1
		bit := uint64(1) << (i % 64)
		if seen&bit != 0 && len(p.fields) <= 64 {
			return errSyntax
		}
		seen |= bit
		f := &p.fields[i]
		if direct != nil && d.s.peek() == '"' {
			if data, text := direct.Member(f.name); data != nil || text != nil {
				return d.direct(data, text)
			}
		}
		return d.value(v.FieldByIndex(f.index), f.limit)
	})
}

// value reads any value into v.
func (d *decoder) value(v reflect.Value, limit int) error {
	c := d.s.peek()
	if c == 'n' {
		_, err := d.s.literal()
		return err
	}
	if v.CanAddr() && v.Addr().Type().Implements(unmarshaler) {
		return d.custom(v)
	}
	t := v.Type()
	if t.Kind() == reflect.Pointer && t.Elem() != timeType && t.Elem().Kind() != reflect.Pointer {
		if err := d.memory.take(t.Elem().Size()); err != nil {
			return err
		}
		inner := reflect.New(t.Elem())
		v.Set(inner)
		return d.value(inner.Elem(), limit)
	}
	switch {
	case t == textType:
		return d.scalar(c, "an String", '"', func() error {
			var text Text
			err := d.direct(nil, &text)
			v.SetBytes(text)
			return err
		})
	case t.Kind() == reflect.Pointer && t.Elem() == timeType:
		return d.scalar(c, "milliseconds since epoch", '0', func() error { return d.timestamp(v) })
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return d.blob(c, v)
	}
	switch t.Kind() {
	case reflect.String:
		return d.scalar(c, "an String", '"', func() error {
			text, err := d.s.text()
			v.SetString(string(text))
			return err
		})
	case reflect.Int32, reflect.Int64:
		least, most := int64(math.MinInt64), int64(math.MaxInt64)
		name := "a Long"
		if t.Kind() == reflect.Int32 {
			least, most, name = math.MinInt32, math.MaxInt32, "an Integer"
		}
		return d.scalar(c, name, '0', func() error {
			n, err := d.s.integer(least, most)
			v.SetInt(n)
			return err
		})
	case reflect.Float64:
		return d.scalar(c, "a Double", '0', func() error {
			text, err := d.s.number()
			f, _ := strconv.ParseFloat(string(text), 64)
			v.SetFloat(f)
			return err
		})
	case reflect.Bool:
		return d.scalar(c, "an Boolean", 't', func() error {
			word, err := d.s.literal()
			v.SetBool(word == "true")
			return err
		})
	case reflect.Struct:
		return d.container(c, '{', "Expected null", func() error { return d.structure(planFor(t), v) })
	case reflect.Slice:
		return d.container(c, '[', "Expected list or null", func() error { return d.list(v, limit) })
	case reflect.Map:
		return d.container(c, '{', "Expected map or null", func() error { return d.mapping(v, limit) })
	}
	panic("wire: input member of type " + t.String())
}

// kind folds the first byte of a value: '"', '0' for numbers, 't' for booleans, '[' or '{'.
func kind(c byte) byte {
	switch {
	case c == '-' || c >= '0' && c <= '9':
		return '0'
	case c == 'f':
		return 't'
	}
	return c
}

// scalar runs read if the value is of the kind wanted, else notes why not and skips it.
func (d *decoder) scalar(c byte, wanted string, want byte, read func() error) error {
	switch got := kind(c); {
	case got == want:
		return read()
	case got == '[':
		return d.refuse("Start of list found where not expected")
	case got == '{':
		return d.refuse("Start of structure or map found where not expected.")
	default:
		class := map[byte]string{
			'"': "class java.lang.String",
			'0': "class com.amazon.coral.value.json.numbers.TruncatingBigNumber",
			't': "class java.lang.Boolean",
		}[got]
		return d.refuse(class + " can not be converted to " + wanted)
	}
}

func (d *decoder) container(c, want byte, otherwise string, read func() error) error {
	switch {
	case c == want:
		return read()
	case c == '[':
		return d.refuse("Start of list found where not expected")
	case c == '{':
		return d.refuse("Start of structure or map found where not expected.")
	default:
		return d.refuse(otherwise)
	}
}

func (d *decoder) refuse(message string) error {
	if d.mismatch == nil {
		d.mismatch = &Error{Type: "SerializationException", Message: message}
	}
	_, err := d.s.skip()
	return err
}

func (d *decoder) blob(c byte, v reflect.Value) error {
	return d.scalar(c, "a Blob", '"', func() error {
		var data []byte
		err := d.direct(&data, nil)
		v.SetBytes(data)
		return err
	})
}

// direct reads a string into a blob or a text, whichever is not nil.
func (d *decoder) direct(data *[]byte, text *Text) error {
	if text != nil {
		b, err := d.s.text()
		*text = b[:len(b):len(b)]
		return err
	}
	b, problem, err := d.s.blob()
	if problem != "" && d.mismatch == nil {
		d.mismatch = &Error{Type: "SerializationException", Message: problem}
	}
	if b == nil {
		b = []byte{}
	}
	*data = b
	return err
}

// timestamp reads epoch seconds with a fraction, to the millisecond.
func (d *decoder) timestamp(v reflect.Value) error {
	text, err := d.s.number()
	if err != nil {
		return err
	}
	seconds, _ := strconv.ParseFloat(string(text), 64)
	const bound = 1 << 43 // beyond what a time in milliseconds can be used for
	t := time.UnixMilli(int64(math.Round(max(-bound, min(bound, seconds)) * 1000)))
	v.Set(reflect.ValueOf(&t))
	return nil
}

func (d *decoder) list(v reflect.Value, limit int) error {
	if err := d.memory.begin(v); err != nil {
		return err
	}
	var p *plan // of the elements, if they are plain structures
	if t := v.Type().Elem(); t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(unmarshaler) {
		p = planFor(t)
	}
	start := d.s.i
	return d.s.elements(false, func([]byte) error {
		n := v.Len()
		if n >= limit {
			_, err := d.s.skip()
			return err
		}
		total := n + 1 + n*(len(d.s.b)-d.s.i)/max(1, d.s.i-start) // if the rest is like what was before
		e, err := d.memory.extend(v, min(total, limit))
		if err != nil {
			return err
		}
		if p != nil && d.s.peek() == '{' {
			return d.structure(p, e)
		}
		return d.value(e, maxElements)
	})
}

func (d *decoder) mapping(v reflect.Value, limit int) error {
	v.Set(reflect.MakeMap(v.Type()))
	element := v.Type().Elem()
	return d.s.elements(true, func(key []byte) error {
		name := reflect.ValueOf(string(key)).Convert(v.Type().Key())
		if v.MapIndex(name).IsValid() {
			return errSyntax
		}
		if v.Len() >= limit {
			_, err := d.s.skip()
			return err
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

// custom hands a value to its type's own UnmarshalJSON.
func (d *decoder) custom(v reflect.Value) error {
	raw, err := d.s.skip()
	if err == nil && v.Kind() == reflect.Map {
		err = d.memory.take(smallMap)
	}
	if err != nil {
		return err
	}
	if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil && d.mismatch == nil {
		var modelled *Error
		if errors.As(err, &modelled) {
			d.mismatch = modelled
		} else {
			d.mismatch = &Error{Type: "SerializationException", Message: strings.TrimPrefix(err.Error(), "json: ")}
		}
	}
	return nil
}
