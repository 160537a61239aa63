package expr

import (
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// Match reports whether the item (nil: there is none) satisfies the condition.
func (b *BoundCondition) Match(it attr.Item) bool { return b.holds(b.root, it) }

func (b *BoundCondition) holds(n *node, it attr.Item) bool {
	switch n.op {
	case opAnd:
		for _, arg := range n.args {
			if !b.holds(arg, it) {
				return false
			}
		}
		return true
	case opOr:
		for _, arg := range n.args {
			if b.holds(arg, it) {
				return true
			}
		}
		return false
	case opNot:
		return !b.holds(n.args[0], it)
	case opBetween:
		x := b.operandValue(n.args[0], it)
		return compare(opGreaterEqual, x, b.operandValue(n.args[1], it)) && compare(opLessEqual, x, b.operandValue(n.args[2], it))
	case opIn:
		x := b.operandValue(n.args[0], it)
		return slices.ContainsFunc(n.args[1:], func(y *node) bool { return compare(opEqual, x, b.operandValue(y, it)) })
	case opCall:
		return b.calls(n, it)
	}
	return compare(n.op, b.operandValue(n.args[0], it), b.operandValue(n.args[1], it))
}

func (b *BoundCondition) calls(n *node, it attr.Item) bool {
	x := b.operandValue(n.args[0], it)
	switch n.name {
	case "attribute_exists":
		return x.Exists()
	case "attribute_not_exists":
		return !x.Exists()
	case "attribute_type":
		return x.Kind == attr.KindOf(b.operandValue(n.args[1], it).Str)
	case "begins_with":
		return beginsWith(x, b.operandValue(n.args[1], it))
	}
	return contains(x, b.operandValue(n.args[1], it))
}

func (b *BoundCondition) operandValue(n *node, it attr.Item) attr.Value {
	switch n.op {
	case opPath:
		return b.lookup(n.path, it)
	case opValue:
		return b.values[n.value]
	}
	return size(b.operandValue(n.args[0], it))
}

// compare holds never for a missing operand, except that <> holds for any. Ordering needs two
// operands of one kind S, N or B.
func compare(op op, x, y attr.Value) bool {
	switch op {
	case opEqual:
		return x.Exists() && attr.Equal(x, y)
	case opNotEqual:
		return !x.Exists() || !y.Exists() || !attr.Equal(x, y)
	}
	order, ok := attr.Compare(x, y)
	if !ok {
		return false
	}
	switch op {
	case opLess:
		return order < 0
	case opLessEqual:
		return order <= 0
	case opGreater:
		return order > 0
	}
	return order >= 0
}

func beginsWith(x, y attr.Value) bool {
	return x.Kind == y.Kind && (x.Kind == attr.S || x.Kind == attr.B) && strings.HasPrefix(x.Str, y.Str)
}

// contains finds a part of a text or binary, an element of a set or an element of a list.
func contains(x, y attr.Value) bool {
	switch x.Kind {
	case attr.S, attr.B:
		return y.Kind == x.Kind && strings.Contains(x.Str, y.Str)
	case attr.SS:
		return y.Kind == attr.S && slices.Contains(x.Set(), y.Str)
	case attr.NS:
		return y.Kind == attr.N && slices.Contains(x.Set(), y.Str)
	case attr.BS:
		return y.Kind == attr.B && slices.Contains(x.Set(), y.Str)
	case attr.L:
		return slices.ContainsFunc(x.List(), func(e attr.Value) bool { return attr.Equal(e, y) })
	}
	return false
}

// size is a number, or nothing for kinds that have no size. A text counts as Java counts it, in UTF-16 units.
func size(v attr.Value) attr.Value {
	n := 0
	switch v.Kind {
	case attr.S:
		for _, r := range v.Str {
			n++
			if r > 0xffff {
				n++
			}
		}
	case attr.B:
		n = len(v.Str)
	case attr.SS, attr.NS, attr.BS, attr.L, attr.M:
		n = v.Len()
	default:
		return attr.Value{}
	}
	return attr.Value{Kind: attr.N, Str: strconv.Itoa(n)}
}
