package wire

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rules are the model's constraints on one member, from its field's tags.
type rules struct {
	required bool
	length   *bounds
	value    *bounds
	pattern  *regexp.Regexp
	source   string   // of pattern, as the model has it
	enum     []string // of a list: of its elements
	elements elementRules
}

// bounds are inclusive; a missing end is the end of int64.
type bounds struct{ least, most int64 }

func parseRules(tag reflect.StructTag) rules {
	r := rules{
		required: tag.Get("required") == "true",
		length:   parseBounds(tag.Get("len")),
		value:    parseBounds(tag.Get("range")),
		source:   tag.Get("pattern"),
		elements: parseElementRules(tag),
	}
	if r.source != "" {
		r.pattern = regexp.MustCompile(`^(?:` + r.source + `)$`)
	}
	if enum := tag.Get("enum"); enum != "" {
		r.enum = strings.Split(enum, ", ")
	}
	return r
}

func parseBounds(text string) *bounds {
	if text == "" {
		return nil
	}
	low, high, ok := strings.Cut(text, "..")
	b := &bounds{math.MinInt64, math.MaxInt64}
	var err1, err2 error
	if low != "" {
		b.least, err1 = strconv.ParseInt(low, 10, 64)
	}
	if high != "" {
		b.most, err2 = strconv.ParseInt(high, 10, 64)
	}
	if !ok || err1 != nil || err2 != nil {
		panic("wire: bounds " + strconv.Quote(text) + ": want least..most")
	}
	return b
}

// violations collects what is wrong with an input, in the order of its fields.
type violations struct{ texts []string }

// maxViolations is how many AWS lists.
const maxViolations = 10

func (v *violations) add(value, path, constraint string) {
	if len(v.texts) < maxViolations {
		v.texts = append(v.texts, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", value, path, constraint))
	}
}

// validate checks an input against its tags.
func validate(in reflect.Value) error {
	v := &violations{}
	v.structure("", in)
	return v.err()
}

// err is the error that lists the violations, nil if there are none.
func (v *violations) err() error {
	if len(v.texts) == 0 {
		return nil
	}
	plural := "s"
	if len(v.texts) == 1 {
		plural = ""
	}
	return Errorf("ValidationException", "%d validation error%s detected: %s", len(v.texts), plural, strings.Join(v.texts, "; "))
}

func (v *violations) structure(path string, in reflect.Value) {
	p := planFor(in.Type())
	for i := range p.fields {
		f := &p.fields[i]
		v.member(path, f, in.FieldByIndex(f.index))
	}
}

// lower puts a member's name as paths have it: its first letter in lower case.
func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }

func (v *violations) member(parent string, f *field, value reflect.Value) {
	if absent(value) {
		if f.rules.required {
			v.add("null", parent+lower(f.name), "Member must not be null")
		}
		return
	}
	value = reflect.Indirect(value)
	if !f.rules.satisfied(value) {
		f.rules.explain(v, parent+lower(f.name), value)
	}
	if value.Kind() == reflect.Map || isList(value) { // making the path costs more than all other checks
		f.rules.checkElements(v, parent+lower(f.name), value)
	}
	switch {
	case value.Kind() == reflect.Struct && value.Type() != timeType && !reflect.PointerTo(value.Type()).Implements(unmarshaler):
		v.structure(parent+lower(f.name)+".", value)
	case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
		if reflect.PointerTo(value.Type().Elem()).Implements(unmarshaler) {
			return
		}
		for i := range value.Len() {
			v.element(parent, f, i, value.Index(i))
		}
	case value.Kind() == reflect.Map && !reflect.PointerTo(value.Type()).Implements(unmarshaler):
		v.entries(parent+lower(f.name)+".", value)
	}
}

// entries checks the structures in a map, and those in lists there.
func (v *violations) entries(path string, value reflect.Value) {
	inner := value.Type().Elem()
	if inner.Kind() == reflect.Slice {
		inner = inner.Elem()
	}
	if inner.Kind() != reflect.Struct || reflect.PointerTo(inner).Implements(unmarshaler) {
		return
	}
	keys := value.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		at := path + key.String() + ".member."
		entry := value.MapIndex(key)
		if entry.Kind() == reflect.Struct {
			v.structure(at, entry)
			continue
		}
		for i := range entry.Len() {
			v.structure(fmt.Sprintf("%s%d.member.", at, i+1), entry.Index(i))
		}
	}
}

// element checks one structure in a list. Its path is made only if something is wrong: there may be hundreds.
func (v *violations) element(parent string, f *field, i int, value reflect.Value) {
	if direct, ok := value.Addr().Interface().(Direct); ok && direct.Valid() {
		return
	}
	if len(v.texts) == maxViolations {
		return
	}
	inner := &violations{}
	inner.structure("", value)
	if len(inner.texts) > 0 {
		v.structure(fmt.Sprintf("%s%s.%d.member.", parent, lower(f.name), i+1), value)
	}
}

// absent tells a member that was not given: a nil pointer, slice or map, or the zero of an enum.
func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	}
	return false
}

// size is what length constraints count.
func size(v reflect.Value) int64 {
	switch {
	case v.Kind() == reflect.String:
		return int64(utf8.RuneCountInString(v.String()))
	case v.Type() == textType:
		return int64(utf8.RuneCount(v.Bytes()))
	default:
		return int64(v.Len())
	}
}

func text(v reflect.Value) string {
	if v.Type() == textType {
		return string(v.Bytes())
	}
	return v.String()
}

// holds tells whether v's length is within b. Most texts need no counting: a character has one to four bytes.
func (b *bounds) holds(v reflect.Value) bool {
	if n := int64(v.Len()); v.Type() == textType && n <= b.most && n >= 4*b.least {
		return true
	}
	n := size(v)
	return n >= b.least && n <= b.most
}

func (r *rules) satisfied(v reflect.Value) bool {
	if r.length != nil && !r.length.holds(v) {
		return false
	}
	if r.value != nil {
		if n := v.Int(); n < r.value.least || n > r.value.most {
			return false
		}
	}
	return (r.pattern == nil || r.pattern.MatchString(text(v))) && (r.enum == nil || isList(v) || slices.Contains(r.enum, text(v)))
}

func (r *rules) explain(v *violations, path string, value reflect.Value) {
	shown := "'" + show(value) + "'"
	if r.enum != nil && !isList(value) && !slices.Contains(r.enum, text(value)) {
		v.add(shown, path, "Member must satisfy enum value set: ["+strings.Join(r.enum, ", ")+"]")
	}
	if r.length != nil {
		v.bounds(shown, path, "length", size(value), r.length)
	}
	if r.value != nil {
		v.bounds(shown, path, "value", value.Int(), r.value)
	}
	if r.pattern != nil && !r.pattern.MatchString(text(value)) {
		v.add(shown, path, "Member must satisfy regular expression pattern: "+r.source)
	}
}

func (v *violations) bounds(shown, path, what string, n int64, b *bounds) {
	if n > b.most {
		v.add(shown, path, fmt.Sprintf("Member must have %s less than or equal to %d", what, b.most))
	}
	if n < b.least {
		v.add(shown, path, fmt.Sprintf("Member must have %s greater than or equal to %d", what, b.least))
	}
}

// maxShown bounds what a message repeats of a value.
const maxShown = 4096

// show prints a value as AWS's messages do.
func show(v reflect.Value) string {
	switch {
	case v.Type() == textType || v.Kind() == reflect.String:
		s := text(v)
		if len(s) > maxShown {
			s = strings.ToValidUTF8(s[:maxShown], "")
		}
		return s
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return fmt.Sprintf("java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]", v.Len(), v.Len())
	case v.Kind() == reflect.Slice:
		var items []string
		for i := range min(v.Len(), maxViolations) {
			items = append(items, show(reflect.Indirect(v.Index(i))))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Kind() == reflect.Map:
		items := map[string]string{}
		for _, key := range v.MapKeys() {
			items[key.String()] = show(reflect.Indirect(v.MapIndex(key)))
		}
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(items)) {
			pairs = append(pairs, key+"="+items[key])
		}
		return "{" + strings.Join(pairs, ", ") + "}"
	case v.Kind() == reflect.Struct:
		return v.Type().Name()
	default:
		return fmt.Sprint(v.Interface())
	}
}
