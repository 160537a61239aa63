package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Missing is the error for members that are required by more than the model's say, nil if there are no paths. Paths are
// as in messages of validation: records.1.member.partitionKey.
func Missing(paths ...string) error {
	v := &violations{}
	for _, path := range paths {
		v.add("null", path, "Member must not be null")
	}
	return v.err()
}

// elementRules are the model's constraints on what a list or map consists of.
type elementRules struct{ items, keys, values *bounds }

func parseElementRules(tag reflect.StructTag) elementRules {
	return elementRules{parseBounds(tag.Get("items")), parseBounds(tag.Get("keys")), parseBounds(tag.Get("values"))}
}

// checkElements adds the violations of a list's or map's elements: one for the whole list, and each for keys and values.
func (r *rules) checkElements(v *violations, path string, value reflect.Value) {
	switch {
	case value.Kind() == reflect.Map:
		keys, values := true, true
		for it := value.MapRange(); it.Next(); {
			keys = keys && r.elements.keys.hold(it.Key())
			values = values && r.elements.values.hold(it.Value())
		}
		if !keys {
			v.add("'"+show(value)+"'", path, "Map keys must satisfy constraint: ["+r.elements.keys.text()+"]")
		}
		if !values {
			v.add("'"+show(value)+"'", path, "Map value must satisfy constraint: ["+r.elements.values.text()+"]")
		}
	case isList(value):
		items, enum := true, true
		for i := range value.Len() {
			items = items && r.elements.items.hold(value.Index(i))
			enum = enum && (r.enum == nil || slices.Contains(r.enum, value.Index(i).String()))
		}
		var constraints []string
		if !enum {
			constraints = append(constraints, "Member must satisfy enum value set: ["+strings.Join(r.enum, ", ")+"]")
		}
		if !items {
			constraints = append(constraints, r.elements.items.text())
		}
		if len(constraints) > 0 {
			v.add("'"+show(value)+"'", path, "Member must satisfy constraint: ["+strings.Join(constraints, ", ")+"]")
		}
	}
}

// hold tells whether the length of a string is within b; there may be no b, and what is no string has no length.
func (b *bounds) hold(value reflect.Value) bool {
	if b == nil || value.Kind() != reflect.String {
		return true
	}
	n := size(value)
	return n >= b.least && n <= b.most
}

func (b *bounds) text() string {
	return fmt.Sprintf("Member must have length less than or equal to %d, Member must have length greater than or equal to %d", b.most, b.least)
}

// isList tells lists of strings.
func isList(v reflect.Value) bool {
	return v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String
}
