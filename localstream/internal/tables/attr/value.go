// Package attr is DynamoDB's item model: attribute values and items, their JSON and stored forms, sizes and keys.
// Values are never changed once built; whoever wants a different one builds a new one, sharing what stays the same.
package attr

import (
	"slices"
	"strings"
)

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

// Value is one attribute value. Which field counts depends on Kind.
type Value struct {
	Kind Kind
	Bool bool     // BOOL
	Str  string   // S: the text; N: the number in canonical text; B: the raw bytes; Invalid: what is wrong
	Set  []string // SS, NS, BS: the elements as in Str, ascending and without duplicates
	List []Value  // L
	Map  Item     // M
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
	case S, N, B:
		return a.Str == b.Str
	case BOOL:
		return a.Bool == b.Bool
	case SS, NS, BS:
		return slices.Equal(a.Set, b.Set)
	case L:
		return slices.EqualFunc(a.List, b.List, Equal)
	case M:
		return EqualItems(a.Map, b.Map)
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

// MakeSet builds a set of the given kind from elements in any order; duplicates are dropped.
func MakeSet(k Kind, elements []string) Value {
	set := slices.Clone(elements)
	sortSet(k, set)
	return Value{Kind: k, Set: slices.Compact(set)}
}

func sortSet(k Kind, set []string) {
	if k == NS {
		slices.SortFunc(set, CompareNumbers)
	} else {
		slices.Sort(set)
	}
}

// Union is the set of all elements of a and b, which must be sets of one kind.
func Union(a, b Value) Value {
	return MakeSet(a.Kind, append(slices.Clone(a.Set), b.Set...))
}

// Difference is the set of a's elements that are not in b. An empty result has Kind None, as sets are never empty.
func Difference(a, b Value) Value {
	var left []string
	for _, e := range a.Set {
		if !slices.Contains(b.Set, e) {
			left = append(left, e)
		}
	}
	if len(left) == 0 {
		return Value{}
	}
	return Value{Kind: a.Kind, Set: left}
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
