// Package attr is DynamoDB's item model: attribute values and items, their JSON and stored forms, sizes and keys.
// Values are never changed once built; whoever wants a different one builds a new one, sharing what stays the same.
package attr

import "strings"

// Kind is the type of a value.
type Kind uint8

// The kinds of values. None is the zero Value: no attribute.
const (
	None Kind = iota
	S
	N
	B
	BOOL
	NULL
	M
	L
	SS
	NS
	BS
	// Invalid is a value that was malformed in a request; its Str says how.
	Invalid
)

var kindNames = [...]string{"NONE", "S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS", "INVALID"}

// String is the name that the JSON form uses: "S", "NS" and so on.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "INVALID"
}

// KindOf is the kind with that name, or None.
func KindOf(name string) Kind {
	for k := S; k <= BS; k++ {
		if kindNames[k] == name {
			return k
		}
	}
	return None
}

// Value is one attribute value. Which field counts depends on Kind. Lists, maps and sets stay in their stored form, which
// takes no more memory than their JSON does; List, Map and Set take one level of it apart.
type Value struct {
	Kind Kind
	Bool bool // BOOL
	// Str is, of S: the text; of N: the number in canonical text; of B: the raw bytes; of Invalid: what is wrong; of L, M,
	// SS, NS and BS: the content in stored form, which is the same for equal values.
	Str string
}

// Item is a set of named attributes.
type Item map[string]Value

// String makes an S value.
func String(s string) Value { return Value{Kind: S, Str: s} }

// Exists reports whether there is a value at all.
func (v Value) Exists() bool { return v.Kind != None }

// IsSet reports whether v is one of the three kinds of sets.
func (v Value) IsSet() bool { return v.Kind == SS || v.Kind == NS || v.Kind == BS }

// Equal reports whether a and b are the same value; the order in sets and maps does not count.
func Equal(a, b Value) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case S, N, B, L, M, SS, NS, BS:
		return a.Str == b.Str
	case BOOL:
		return a.Bool == b.Bool
	}
	return true
}

// EqualItems reports whether both have the same attributes with equal values.
func EqualItems(a, b Item) bool {
	if len(a) != len(b) {
		return false
	}
	for name, v := range a {
		if w, ok := b[name]; !ok || !Equal(v, w) {
			return false
		}
	}
	return true
}

// Compare orders two values of the same kind S, N or B. For all others ok is false.
func Compare(a, b Value) (order int, ok bool) {
	if a.Kind != b.Kind {
		return 0, false
	}
	switch a.Kind {
	case S, B:
		return strings.Compare(a.Str, b.Str), true
	case N:
		return CompareNumbers(a.Str, b.Str), true
	}
	return 0, false
}

// Project returns the named attributes of the item that are there.
func (it Item) Project(names []string) Item {
	out := make(Item, len(names))
	for _, n := range names {
		if v, ok := it[n]; ok {
			out[n] = v
		}
	}
	return out
}
