package attr

import (
	"bytes"
	"encoding/base64"
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
	m, _, err := p.item(0)
	*it = m
	return err
}

// UnmarshalJSON reads the form {"S": "text"}.
func (v *Value) UnmarshalJSON(data []byte) error {
	p := jsonReader{rest: data}
	if p.null() {
		return nil
	}
	read, err := p.value(0)
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

// jsonReader reads attribute values straight from the bytes, without reflection.
type jsonReader struct {
	rest   []byte
	values int // read so far
}

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
	return p.escapedText()
}

// escapedText reads a string with escapes, or with bytes that are not UTF-8, behind its opening quote.
func (p *jsonReader) escapedText() (string, error) {
	for i := 0; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case '"':
			var s string
			quoted := append(append([]byte{'"'}, p.rest[:i]...), '"')
			p.rest = p.rest[i+1:]
			return s, json.Unmarshal(quoted, &s)
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

// item reads a map of attributes. invalid is what is wrong with a malformed one among them.
func (p *jsonReader) item(depth int) (it Item, invalid string, err error) {
	switch c := p.next(); c {
	case '{':
	case '[':
		return nil, "", serialization("Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>")
	default:
		return nil, "", serialization("Unexpected field type")
	}
	it = Item{}
	err = p.members(func(name string) error {
		v, err := p.value(depth)
		if v.Kind == Invalid && invalid == "" {
			invalid = v.Str
		}
		it[name] = v
		return err
	})
	return it, invalid, err
}

// value reads one attribute value; depth is how many lists and maps are around it.
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
	kinds := 0
	err := p.members(func(name string) error {
		kind := KindOf(name)
		if kind == None {
			return p.skip()
		}
		if p.null() {
			return nil
		}
		kinds++
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
	case M:
		m, invalid, err := p.item(depth + 1)
		if invalid != "" {
			return Value{Kind: Invalid, Str: invalid}, err
		}
		return Value{Kind: M, Map: m}, err
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
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", serialization("Invalid last non-pad Base64 character dectected")
	}
	return string(raw), nil
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
	v := Value{Kind: L, List: []Value{}}
	invalid := ""
	err := p.elements(func() error {
		e, err := p.value(depth + 1)
		if e.Kind == Invalid && invalid == "" {
			invalid = e.Str
		}
		if invalid == "" {
			v.List = append(v.List, e) // what comes behind a malformed one is read, but not kept
		}
		return err
	})
	if invalid != "" {
		return Value{Kind: Invalid, Str: invalid}, err
	}
	return v, err
}

func (p *jsonReader) set(kind Kind) (Value, error) {
	if err := p.collection(); err != nil {
		return Value{}, err
	}
	var set []string
	invalid := ""
	err := p.elements(func() error {
		var e string
		var err error
		if kind == BS {
			e, err = p.binary()
		} else {
			e, err = p.plain("String")
		}
		if err == nil && kind == NS {
			n := number(e)
			if n.Kind == Invalid && invalid == "" {
				invalid = n.Str
			}
			e = n.Str
		}
		set = append(set, e)
		return err
	})
	if invalid != "" || err != nil {
		return Value{Kind: Invalid, Str: invalid}, err
	}
	return checkedSet(kind, set), nil
}

// checkedSet refuses empty sets and duplicates, and sorts.
func checkedSet(kind Kind, set []string) Value {
	if len(set) == 0 {
		return Value{Kind: Invalid, Str: msgInvalid + map[Kind]string{
			SS: "An string set  may not be empty",
			NS: "An number set  may not be empty",
			BS: "Binary sets should not be empty",
		}[kind]}
	}
	given := set
	set = slices.Clone(set)
	sortSet(kind, set)
	if len(slices.Compact(slices.Clone(set))) == len(set) {
		return Value{Kind: kind, Set: set}
	}
	switch kind {
	case SS:
		return Value{Kind: Invalid, Str: msgInvalid + "Input collection [" + strings.Join(given, ", ") + "] contains duplicates."}
	case BS:
		for i, e := range given {
			given[i] = base64.StdEncoding.EncodeToString([]byte(e))
		}
		return Value{Kind: Invalid, Str: msgInvalid + "Input collection [" + strings.Join(given, ", ") + "]of type BS contains duplicates."}
	}
	return Value{Kind: Invalid, Str: "Input collection contains duplicates"}
}
