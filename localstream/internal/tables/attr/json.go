package attr

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A SerializationError says that a request's JSON has another shape than the operation asks for. It is answered as
// SerializationException, while a value of the right shape that is not allowed becomes a Value of kind Invalid.
type SerializationError struct{ Message string }

func (e *SerializationError) Error() string { return e.Message }

func serialization(format string, args ...any) error {
	return &SerializationError{fmt.Sprintf(format, args...)}
}

const (
	msgEmptyValue = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	msgManyKinds  = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	msgInvalid    = "One or more parameter values were invalid: "
	msgTooLarge   = "Item size has exceeded the maximum allowed size"
	msgNesting    = "Nesting Levels have exceeded supported limits"
)

// UnmarshalJSON reads the form {"name": {"S": "text"}, …}.
func (it *Item) UnmarshalJSON(data []byte) error {
	p := jsonReader{rest: data}
	if p.null() {
		return nil
	}
	m, err := p.item()
	*it = m
	return err
}

// UnmarshalJSON reads the form {"S": "text"}.
func (v *Value) UnmarshalJSON(data []byte) error {
	p := jsonReader{rest: data}
	if p.null() {
		return nil
	}
	read, err := p.whole()
	*v = read
	return err
}

// Problem is what is wrong with the first malformed attribute by name, or "".
func (it Item) Problem() string {
	first, problem := "", ""
	for name, v := range it {
		if v.Kind == Invalid && (problem == "" || name < first) {
			first, problem = name, v.Str
		}
	}
	return problem
}

// jsonReader reads attribute values straight from the bytes, without reflection and without a tree: the content of lists,
// maps and sets goes to out in stored form.
type jsonReader struct {
	rest   []byte
	values int // read so far
	out    []byte
	other  []byte // for putting the parts of out in another order
	parts  []part
}

// maxAttributes bounds the attributes of an item, beside its size: each takes some memory.
const maxAttributes = 10_000

var errJSON = errors.New("malformed JSON")

func (p *jsonReader) space() {
	i := 0
	for i < len(p.rest) && (p.rest[i] == ' ' || p.rest[i] == '\n' || p.rest[i] == '\t' || p.rest[i] == '\r') {
		i++
	}
	p.rest = p.rest[i:]
}

// next is the first byte of what comes next, 0 at the end.
func (p *jsonReader) next() byte {
	p.space()
	if len(p.rest) == 0 {
		return 0
	}
	return p.rest[0]
}

func (p *jsonReader) accept(c byte) bool {
	if p.next() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *jsonReader) null() bool {
	p.space()
	if bytes.HasPrefix(p.rest, []byte("null")) {
		p.rest = p.rest[4:]
		return true
	}
	return false
}

// text reads a JSON string.
func (p *jsonReader) text() (string, error) {
	p.space()
	whole := p.rest
	if !p.accept('"') {
		return "", errJSON
	}
	end := bytes.IndexByte(p.rest, '"')
	if end < 0 {
		return "", errJSON
	}
	if raw := p.rest[:end]; bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		p.rest = p.rest[end+1:]
		return string(raw), nil
	}
	return p.escapedText(whole)
}

// escapedText reads a string with escapes, or with bytes that are not UTF-8, behind its opening quote, with which whole
// begins.
func (p *jsonReader) escapedText(whole []byte) (string, error) {
	for i := 0; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case '"':
			var s string
			p.rest = p.rest[i+1:]
			return s, json.Unmarshal(whole[:i+2], &s)
		}
	}
	return "", errJSON
}

// members calls f for each member of an object, with the reader at the member's value.
func (p *jsonReader) members(f func(name string) error) error {
	if !p.accept('{') {
		return errJSON
	}
	if p.accept('}') {
		return nil
	}
	for {
		p.space()
		name, err := p.text()
		if err != nil {
			return err
		}
		if !p.accept(':') {
			return errJSON
		}
		if err := f(name); err != nil {
			return err
		}
		if p.accept('}') {
			return nil
		}
		if !p.accept(',') {
			return errJSON
		}
	}
}

// elements calls f for each element of an array, with the reader at the element.
func (p *jsonReader) elements(f func() error) error {
	if !p.accept('[') {
		return errJSON
	}
	if p.accept(']') {
		return nil
	}
	for {
		if err := f(); err != nil {
			return err
		}
		if p.accept(']') {
			return nil
		}
		if !p.accept(',') {
			return errJSON
		}
	}
}

// skip passes over any value, however deep, without recursion.
func (p *jsonReader) skip() error {
	depth := 0
	for {
		switch c := p.next(); c {
		case 0:
			return errJSON
		case '"':
			if _, err := p.text(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			p.rest = p.rest[1:]
			continue
		case '}', ']':
			depth--
			p.rest = p.rest[1:]
		case ',', ':':
			p.rest = p.rest[1:]
			continue
		default:
			p.literal()
		}
		if depth <= 0 {
			return nil
		}
	}
}

// literal takes a number, true, false or null.
func (p *jsonReader) literal() string {
	p.space()
	i := bytes.IndexAny(p.rest, ",:]}[{\" \n\t\r")
	if i < 0 {
		i = len(p.rest)
	}
	if i == 0 && len(p.rest) > 0 {
		i = 1
	}
	word := string(p.rest[:i])
	p.rest = p.rest[i:]
	return word
}

// openMap looks whether a map follows.
func (p *jsonReader) openMap() error {
	switch p.next() {
	case '{':
		return nil
	case '[':
		return serialization("Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>")
	}
	return serialization("Unexpected field type")
}

// item reads the attributes of an item.
func (p *jsonReader) item() (Item, error) {
	if err := p.openMap(); err != nil {
		return nil, err
	}
	it := Item{}
	err := p.members(func(name string) error {
		v, err := p.whole()
		if _, again := it[name]; !again && len(it) >= maxAttributes {
			v, name = Value{Kind: Invalid, Str: msgTooLarge}, "" // sorts before all names
		}
		it[name] = v
		return err
	})
	return it, err
}

// whole reads a value that is not inside of another.
func (p *jsonReader) whole() (Value, error) {
	v, err := p.value(0)
	if v.Kind.compound() {
		v.Str = string(p.out)
	}
	p.out = p.out[:0]
	return v, err
}

// nested reads a value inside of another and appends its stored form, or says what is wrong with it.
func (p *jsonReader) nested(depth int) (invalid string, err error) {
	start := len(p.out)
	p.out = append(p.out, 0) // where the kind goes if content follows
	v, err := p.value(depth)
	switch {
	case err != nil || v.Kind == Invalid:
		p.out = p.out[:start]
		return v.Str, err
	case v.Kind.compound():
		p.out[start] = byte(v.Kind)
	default:
		p.out = appendValue(p.out[:start], v)
	}
	return "", nil
}

// value reads one attribute value; depth is how many lists and maps are around it. The content of a list, map or set is
// appended to out, and not in the Value.
func (p *jsonReader) value(depth int) (Value, error) {
	switch p.next() {
	case '{':
	case '[':
		return Value{}, serialization("Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue")
	case 'n':
		p.literal()
		return Value{Kind: Invalid, Str: msgEmptyValue}, nil
	default:
		return Value{}, serialization("Unexpected value type in payload")
	}
	if depth > MaxNesting {
		return Value{Kind: Invalid, Str: msgNesting}, p.skip()
	}
	if p.values++; p.values > MaxItemSize { // each counts at least one byte
		return Value{Kind: Invalid, Str: msgTooLarge}, p.skip()
	}
	var v Value
	start, kinds := len(p.out), 0
	err := p.members(func(name string) error {
		kind := KindOf(name)
		if kind == None {
			return p.skip()
		}
		if p.null() {
			return nil
		}
		kinds++
		p.out = p.out[:start]
		read, err := p.content(kind, depth)
		if v.Kind != Invalid {
			v = read
		}
		return err
	})
	switch {
	case err != nil:
		return Value{}, err
	case kinds == 0:
		v = Value{Kind: Invalid, Str: msgEmptyValue}
	case kinds > 1 && v.Kind != Invalid:
		v = Value{Kind: Invalid, Str: msgManyKinds}
	}
	if v.Kind == Invalid {
		p.out = p.out[:start]
	}
	return v, nil
}

// content reads what follows the kind's name.
func (p *jsonReader) content(kind Kind, depth int) (Value, error) {
	switch kind {
	case S, N:
		text, err := p.plain("String")
		if err == nil && kind == N {
			return number(text), nil
		}
		return Value{Kind: kind, Str: text}, err
	case B:
		raw, err := p.binary()
		return Value{Kind: B, Str: raw}, err
	case BOOL, NULL:
		return p.boolean(kind)
	}
	if p.out == nil {
		p.out = make([]byte, 0, len(p.rest)) // the stored form is no longer
	}
	switch kind {
	case M:
		return p.mapping(depth)
	case L:
		return p.list(depth)
	}
	return p.set(kind)
}

func number(text string) Value {
	canonical, err := ParseNumber(text)
	if err != nil {
		return Value{Kind: Invalid, Str: err.Error()}
	}
	return Value{Kind: N, Str: canonical}
}

// plain reads a string where one is due and says what came instead otherwise.
func (p *jsonReader) plain(want string) (string, error) {
	switch p.next() {
	case '"':
		return p.text()
	case '[':
		return "", serialization("Unrecognized collection type class java.lang.%s", want)
	case '{':
		return "", serialization("Start of structure or map found where not expected")
	}
	switch word := p.literal(); {
	case word == "true" || word == "false":
		return "", serialization("%s_VALUE cannot be converted to %s", strings.ToUpper(word), want)
	case strings.ContainsAny(word, ".eE"):
		return "", serialization("DECIMAL_VALUE cannot be converted to %s", want)
	}
	return "", serialization("NUMBER_VALUE cannot be converted to %s", want)
}

func (p *jsonReader) binary() (string, error) {
	switch p.next() {
	case '"':
	case '[':
		return "", serialization("Unrecognized collection type class java.nio.ByteBuffer")
	case '{':
		return "", serialization("Start of structure or map found where not expected")
	default:
		return "", serialization("only base-64-encoded strings are convertible to bytes")
	}
	text, err := p.text()
	if err != nil {
		return "", err
	}
	if len(text)%4 != 0 {
		return "", serialization("Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(text))
	}
	p.other, err = base64.StdEncoding.Strict().AppendDecode(p.other[:0], []byte(text))
	if err != nil {
		return "", serialization("Invalid last non-pad Base64 character dectected")
	}
	return string(p.other), nil
}

func (p *jsonReader) boolean(kind Kind) (Value, error) {
	switch p.next() {
	case '"':
		return Value{}, serialization("Unexpected token received from parser")
	case '[':
		return Value{}, serialization("Unrecognized collection type class java.lang.Boolean")
	case '{':
		return Value{}, serialization("Start of structure or map found where not expected")
	}
	word := p.literal()
	switch {
	case word != "true" && word != "false":
		return Value{}, serialization("NUMBER_VALUE cannot be converted to Boolean")
	case kind == NULL && word == "false":
		return Value{Kind: Invalid, Str: msgInvalid + "Null attribute value types must have the value of true"}, nil
	case kind == NULL:
		return Value{Kind: NULL}, nil
	}
	return Value{Kind: BOOL, Bool: word == "true"}, nil
}

// collection says what is wrong when no array follows.
func (p *jsonReader) collection() error {
	switch p.next() {
	case '[':
		return nil
	case '{':
		return serialization("Start of structure or map found where not expected")
	}
	return serialization("Unexpected field type")
}

func (p *jsonReader) list(depth int) (Value, error) {
	if err := p.collection(); err != nil {
		return Value{}, err
	}
	start, count, invalid := len(p.out), 0, ""
	err := p.elements(func() error {
		end := len(p.out)
		wrong, err := p.nested(depth + 1)
		if invalid != "" {
			p.out = p.out[:end] // what comes behind a malformed one is read, but not kept
		}
		invalid = cmp.Or(invalid, wrong)
		count++
		return err
	})
	if invalid != "" {
		return Value{Kind: Invalid, Str: invalid}, err
	}
	p.counted(start, count)
	return Value{Kind: L}, err
}

// counted puts the number of elements before them.
func (p *jsonReader) counted(start, count int) {
	var number [binary.MaxVarintLen64]byte
	p.out = slices.Insert(p.out, start, number[:binary.PutUvarint(number[:], uint64(count))]...)
}
