package expr

import (
	"maps"
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// Params are a request's ExpressionAttributeNames ("#n" to name) and ExpressionAttributeValues (":v" to value).
// Nil means that the request has none.
type Params struct {
	Names  map[string]string
	Values attr.Item
}

// Check refuses malformed names and values, before any expression is looked at.
func (p Params) Check() error {
	if p.Names != nil && len(p.Names) == 0 {
		return refuse("ExpressionAttributeNames must not be empty")
	}
	for key := range p.Names {
		if !isPlaceholder(key, '#') {
			return refuse(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, key)
		}
	}
	if p.Values != nil && len(p.Values) == 0 {
		return refuse("ExpressionAttributeValues must not be empty")
	}
	for key := range p.Values {
		if !isPlaceholder(key, ':') {
			return refuse(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, key)
		}
	}
	for key, v := range p.Values {
		if v.Kind == attr.Invalid {
			return refuse("ExpressionAttributeValues contains invalid value: %s for key %s", v.Str, key)
		}
	}
	return nil
}

func isPlaceholder(key string, sign byte) bool {
	if len(key) < 2 || key[0] != sign {
		return false
	}
	for i := 1; i < len(key); i++ {
		if !isLetter(key[i]) && !isDigit(key[i]) {
			return false
		}
	}
	return true
}

// Uses tells which placeholders an expression has.
type Uses interface{ placeholders() refs }

func (r refs) placeholders() refs { return r }

// CheckUsed refuses names and values that none of the request's expressions uses.
func (p Params) CheckUsed(expressions ...Uses) error {
	for key := range p.Names {
		if !used(key, expressions, func(r refs) []string { return r.names }) {
			return refuse("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}",
				unused(maps.Keys(p.Names), expressions, func(r refs) []string { return r.names }))
		}
	}
	for key := range p.Values {
		if !used(key, expressions, func(r refs) []string { return r.values }) {
			return refuse("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}",
				unused(maps.Keys(p.Values), expressions, func(r refs) []string { return r.values }))
		}
	}
	return nil
}

func used(key string, expressions []Uses, list func(refs) []string) bool {
	for _, e := range expressions {
		if slices.Contains(list(e.placeholders()), key) {
			return true
		}
	}
	return false
}

func unused(keys func(func(string) bool), expressions []Uses, list func(refs) []string) string {
	var left []string
	for key := range keys {
		if !used(key, expressions, list) {
			left = append(left, key)
		}
	}
	slices.Sort(left)
	return strings.Join(left, ", ")
}

// bound is a request's names and values in the places that an expression's nodes refer to. Undefined ones are left
// empty here; they are complained of where they are used, in the order that DynamoDB does it.
type bound struct {
	names  []string
	values []attr.Value
}

func bind(r refs, p Params) bound {
	b := bound{names: make([]string, len(r.names)), values: make([]attr.Value, len(r.values))}
	for i, n := range r.names {
		b.names[i] = p.Names[n]
	}
	for i, v := range r.values {
		b.values[i] = p.Values[v]
	}
	return b
}

// undefined complains of the first placeholder under n that the request does not define.
func (b bound) undefined(r refs, n *node) *Error {
	switch n.op {
	case opPath:
		return b.undefinedName(r, n.path)
	case opValue:
		if !b.values[n.value].Exists() {
			return refuse("An expression attribute value used in expression is not defined; attribute value: %s", r.values[n.value])
		}
	}
	for _, arg := range n.args {
		if err := b.undefined(r, arg); err != nil {
			return err
		}
	}
	return nil
}

func (b bound) undefinedName(r refs, p path) *Error {
	for _, s := range p {
		if s.ref >= 0 && b.names[s.ref] == "" {
			return refuse("An expression attribute name used in the document path is not defined; attribute name: %s", r.names[s.ref])
		}
	}
	return nil
}

func (b bound) stepName(s step) string {
	if s.ref >= 0 {
		return b.names[s.ref]
	}
	return s.name
}

// resolve gives a path its names.
func (b bound) resolve(p path) Path {
	out := make(Path, len(p))
	for i, s := range p {
		out[i] = place{name: b.stepName(s), index: s.index}
	}
	return out
}

// lookup is what stands at the path in the item, or the zero Value.
func (b bound) lookup(p path, it attr.Item) attr.Value {
	v := it[b.stepName(p[0])]
	for _, s := range p[1:] {
		switch {
		case s.index < 0 && v.Kind == attr.M, s.index >= 0 && v.Kind == attr.L:
			v = v.At(b.stepName(s), s.index)
		default:
			return attr.Value{}
		}
	}
	return v
}

// samePath reports whether two operands are one path.
func (b bound) samePath(x, y *node) bool {
	if x.op != opPath || y.op != opPath || len(x.path) != len(y.path) {
		return false
	}
	for i := range x.path {
		if x.path[i].index != y.path[i].index || b.stepName(x.path[i]) != b.stepName(y.path[i]) {
			return false
		}
	}
	return true
}

// literal is the value of a :value operand; ok is false for other operands.
func (b bound) literal(n *node) (attr.Value, bool) {
	if n.op != opValue {
		return attr.Value{}, false
	}
	return b.values[n.value], true
}
