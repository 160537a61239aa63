package attr

import (
	"encoding/binary"
	"slices"
)

// compound tells the kinds whose content is in stored form.
func (k Kind) compound() bool { return k >= M && k <= BS }

// MakeList makes a list of values.
func MakeList(values []Value) Value {
	content := binary.AppendUvarint(nil, uint64(len(values)))
	for _, v := range values {
		content = appendValue(content, v)
	}
	return Value{Kind: L, Str: string(content)}
}

// MakeMap makes a map of values.
func MakeMap(it Item) Value { return Value{Kind: M, Str: string(appendMap(nil, it))} }

// MakeSet makes a set of the given kind from elements in any order; duplicates are dropped.
func MakeSet(k Kind, elements []string) Value {
	set := slices.Clone(elements)
	sortSet(k, set)
	set = slices.Compact(set)
	content := binary.AppendUvarint(nil, uint64(len(set)))
	for _, e := range set {
		content = appendText(content, e)
	}
	return Value{Kind: k, Str: string(content)}
}

func sortSet(k Kind, set []string) {
	if k == NS {
		slices.SortFunc(set, CompareNumbers)
	} else {
		slices.Sort(set)
	}
}

// Len is how many elements a list, map or set has, 0 for other kinds.
func (v Value) Len() int {
	if !v.Kind.compound() {
		return 0
	}
	d := decoder{rest: v.Str}
	n, _ := d.count() // content is well formed: it was checked when it was read
	return n
}

// List is the elements of a list, nil for other kinds.
func (v Value) List() []Value {
	if v.Kind != L {
		return nil
	}
	d := decoder{rest: v.Str}
	n, _ := d.count()
	list := make([]Value, n)
	for i := range list {
		list[i], _ = d.value(0)
	}
	return list
}

// Map is the attributes of a map, nil for other kinds.
func (v Value) Map() Item {
	if v.Kind != M {
		return nil
	}
	d := decoder{rest: v.Str}
	it, _ := d.item()
	return it
}

// At is the element of a list at an index, which may be too large, or the attribute of a map, which may be missing:
// then it is the zero Value.
func (v Value) At(name string, index int) Value {
	d := decoder{rest: v.Str}
	if v.Kind != L && v.Kind != M {
		return Value{}
	}
	n, _ := d.count()
	for i := range n {
		found := i == index
		if v.Kind == M {
			key, _ := d.text()
			found = key == name
		}
		if e, _ := d.value(0); found {
			return e
		}
	}
	return Value{}
}

// Set is the elements of a set as in Str, ascending and without duplicates, nil for other kinds.
func (v Value) Set() []string {
	if !v.IsSet() {
		return nil
	}
	d := decoder{rest: v.Str}
	n, _ := d.count()
	set := make([]string, n)
	for i := range set {
		set[i], _ = d.text()
	}
	return set
}

// Union is the set of all elements of a and b, which must be sets of one kind.
func Union(a, b Value) Value { return MakeSet(a.Kind, append(a.Set(), b.Set()...)) }

// Difference is the set of a's elements that are not in b. An empty result has Kind None, as sets are never empty.
func Difference(a, b Value) Value {
	without := b.Set()
	left := slices.DeleteFunc(a.Set(), func(e string) bool { return slices.Contains(without, e) })
	if len(left) == 0 {
		return Value{}
	}
	return MakeSet(a.Kind, left)
}
