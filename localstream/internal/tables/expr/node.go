package expr

import (
	"fmt"
	"strings"
)

// op says what a node is.
type op uint8

const (
	opPath  op = iota // a document path
	opValue           // a :value
	opCall            // a function call
	opPlus
	opMinus
	opAnd
	opOr
	opNot
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opBetween
	opIn
)

var opNames = map[op]string{
	opPlus: "+", opMinus: "-", opAnd: "AND", opOr: "OR", opNot: "NOT", opEqual: "=", opNotEqual: "<>", opLess: "<",
	opLessEqual: "<=", opGreater: ">", opGreaterEqual: ">=", opBetween: "BETWEEN", opIn: "IN",
}

var comparators = map[string]op{
	"=": opEqual, "<>": opNotEqual, "<": opLess, "<=": opLessEqual, ">": opGreater, ">=": opGreaterEqual,
}

// node is one part of a parsed expression. It refers to names and values by their places in the expression's lists, so
// that it can serve every request with the same text.
type node struct {
	op     op
	path   path
	value  int    // opValue: place in refs.values
	name   string // opCall
	args   []*node
	parens bool // it stands in parentheses
}

func (n *node) isOperand() bool { return n.op <= opMinus }

// operator is how messages call the node.
func (n *node) operator() string {
	if n.op == opCall {
		return n.name
	}
	return opNames[n.op]
}

// path is a document path: an attribute's name, then names in maps and places in lists.
type path []step

// step is one element of a path: a literal name, the place of a #name in refs.names, or a list index.
type step struct {
	name  string
	ref   int // -1 unless it is a #name
	index int // -1 unless it is a list index
}

// refs are the distinct placeholders that an expression uses, in order of first use.
type refs struct{ names, values []string }

func intern(list *[]string, s string) int {
	for i, e := range *list {
		if e == s {
			return i
		}
	}
	*list = append(*list, s)
	return len(*list) - 1
}

// steps of a path whose names are resolved: index is -1 for a name.
type place struct {
	name  string
	index int
}

// Path is a document path with its names resolved.
type Path []place

// Root is the attribute that the path begins at.
func (p Path) Root() string { return p[0].name }

// Nested reports whether the path goes inside its attribute.
func (p Path) Nested() bool { return len(p) > 1 }

// String is the form that messages use: "[a, [0], b]".
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteString(", ")
		}
		if s.index >= 0 {
			fmt.Fprintf(&b, "[%d]", s.index)
		} else {
			b.WriteString(s.name)
		}
	}
	return "[" + b.String() + "]"
}
