package expr

import (
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// conditionFunctions are those of conditions. All but size give a truth value.
var conditionFunctions = map[string]bool{
	"attribute_exists": true, "attribute_not_exists": true, "attribute_type": true, "begins_with": true, "contains": true, "size": true,
}

// Condition is a parsed ConditionExpression, FilterExpression or KeyConditionExpression.
type Condition struct {
	refs
	root *node
}

// ParseCondition parses src. Names and values are checked by Bind.
func ParseCondition(src string) (*Condition, error) {
	p, err := start(src, conditionFunctions)
	if err != nil {
		return nil, err
	}
	c := &Condition{}
	if err := p.run(func() { c.root = p.condition(p.or) }); err != nil {
		return nil, err
	}
	if err := first(p.redundantParens, p.unknownFunction, p.misusedFunction, p.reserved); err != nil {
		return nil, err
	}
	c.refs = p.refs
	return c, nil
}

// condition reads with read and insists on a truth value.
func (p *parser) condition(read func() *node) *node {
	n := read()
	switch {
	case n.op == opCall:
		if n.name == "size" {
			p.misuse(n)
		}
	case n.isOperand():
		p.fail()
	}
	return n
}

// or and the methods below return an operand when no operator followed it, so that parentheses may hold either.
func (p *parser) or() *node { return p.chain(opOr, "OR", p.and) }

func (p *parser) and() *node { return p.chain(opAnd, "AND", p.not) }

func (p *parser) chain(op op, word string, part func() *node) *node {
	n := part()
	if !p.isKeyword(word) {
		return n
	}
	p.mustBeCondition(n)
	all := &node{op: op, args: []*node{n}}
	for p.acceptKeyword(word) {
		p.operators++
		all.args = append(all.args, p.condition(part))
	}
	return all
}

// mustBeCondition refuses an operand where a condition is due, at the token that follows it.
func (p *parser) mustBeCondition(n *node) { p.condition(func() *node { return n }) }

func (p *parser) not() *node {
	if !p.acceptKeyword("NOT") {
		return p.comparison()
	}
	p.operators++
	return &node{op: opNot, args: []*node{p.condition(p.not)}}
}

func (p *parser) comparison() *node {
	x := p.primary()
	if !x.isOperand() {
		return x
	}
	t := p.peek()
	comparator, ok := comparators[p.text(t)]
	switch {
	case t.kind == tokenSign && ok:
		p.take()
		return p.operation(comparator, x, p.argument())
	case p.acceptKeyword("BETWEEN"):
		low := p.argument()
		if !p.acceptKeyword("AND") {
			p.fail()
		}
		return p.operation(opBetween, x, low, p.argument())
	case p.acceptKeyword("IN"):
		return p.in(x)
	}
	return x
}

func (p *parser) in(x *node) *node {
	p.expectSign("(")
	args := []*node{x, p.argument()}
	for p.acceptSign(",") {
		args = append(args, p.argument())
	}
	p.expectSign(")")
	if len(args)-1 > maxOperands {
		panic(syntaxError{refuse("The IN operator is provided with too many operands; number of operands: %d", len(args)-1)})
	}
	return p.operation(opIn, args...)
}

func (p *parser) operation(op op, args ...*node) *node {
	p.operators++
	for _, arg := range args {
		p.checkUse(arg)
	}
	return &node{op: op, args: args}
}

// primary reads an operand, or anything in parentheses.
func (p *parser) primary() *node {
	if !p.acceptSign("(") {
		return p.operand()
	}
	n := p.or()
	p.expectSign(")")
	p.parenthesize(n)
	return n
}

// BoundCondition is a Condition with the names and values of one request.
type BoundCondition struct {
	bound
	root *node
}

// Bind gives the condition its names and values and checks their types.
func (c *Condition) Bind(p Params) (*BoundCondition, error) {
	b := &BoundCondition{bound: bind(c.refs, p), root: c.root}
	if err := b.check(c.refs, c.root); err != nil {
		return nil, err
	}
	return b, nil
}

// check walks to the single conditions and checks each in turn.
func (b *BoundCondition) check(r refs, n *node) *Error {
	if n.op != opAnd && n.op != opOr && n.op != opNot {
		if err := b.undefined(r, n); err != nil {
			return err
		}
		return b.checkCalls(n)
	}
	for _, arg := range n.args {
		if err := b.check(r, arg); err != nil {
			return err
		}
	}
	return nil
}

// checkCalls checks the operands of n after those of the calls within it.
func (b *BoundCondition) checkCalls(n *node) *Error {
	for _, arg := range n.args {
		if arg.op == opCall {
			if err := b.checkCalls(arg); err != nil {
				return err
			}
		}
	}
	return b.checkOperands(n)
}

var operandCounts = map[string]int{
	"attribute_exists": 1, "attribute_not_exists": 1, "size": 1, "attribute_type": 2, "begins_with": 2, "contains": 2,
	"if_not_exists": 2, "list_append": 2,
}

func checkCount(n *node) *Error {
	if n.op == opCall && len(n.args) != operandCounts[n.name] {
		return refuse("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", n.name, len(n.args))
	}
	return nil
}

func wrongType(n *node, kind string) *Error {
	return refuse("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", n.operator(), kind)
}

func (b *BoundCondition) checkOperands(n *node) *Error {
	if err := checkCount(n); err != nil {
		return err
	}
	if (len(n.args) == 2 || n.op == opIn) && slices.ContainsFunc(n.args[1:], func(arg *node) bool { return b.samePath(n.args[0], arg) }) {
		return refuse("The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s",
			n.operator(), b.resolve(n.args[0].path))
	}
	switch n.op {
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return b.checkKinds(n, n.args, "S N B")
	case opBetween:
		return b.checkBetween(n)
	case opCall:
		return b.checkFunction(n)
	}
	return nil
}

// checkKinds refuses literal operands of other kinds than the allowed ones.
func (b *BoundCondition) checkKinds(n *node, args []*node, allowed string) *Error {
	for _, arg := range args {
		if v, ok := b.literal(arg); ok && !allows(allowed, v.Kind) {
			return wrongType(n, v.Kind.String())
		}
	}
	return nil
}

func (b *BoundCondition) checkBetween(n *node) *Error {
	if err := b.checkKinds(n, n.args, "S N B"); err != nil {
		return err
	}
	low, ok1 := b.literal(n.args[1])
	high, ok2 := b.literal(n.args[2])
	if !ok1 || !ok2 {
		return nil
	}
	order, same := attr.Compare(low, high)
	switch {
	case !same:
		return refuse("The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {%s}, upper bound operand: AttributeValue: {%s}",
			describe(low), describe(high))
	case order > 0:
		return refuse("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {%s}, upper bound operand: AttributeValue: {%s}",
			describe(low), describe(high))
	}
	return nil
}

func describe(v attr.Value) string {
	if v.Kind == attr.N {
		return "N:" + attr.Plain(v.Str)
	}
	return v.Kind.String() + ":" + v.Str
}

func (b *BoundCondition) checkFunction(n *node) *Error {
	switch n.name {
	case "attribute_exists", "attribute_not_exists":
		if n.args[0].op != opPath {
			return refuse("Operator or function requires a document path; operator or function: %s", n.name)
		}
	case "begins_with":
		for _, arg := range n.args {
			if arg.op == opCall {
				return wrongType(n, "N")
			}
		}
		return b.checkKinds(n, n.args, "S B")
	case "size":
		return b.checkKinds(n, n.args, "S B SS NS BS L M")
	case "attribute_type":
		v, ok := b.literal(n.args[1])
		switch {
		case !ok:
			return wrongType(n, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
		case v.Kind != attr.S:
			return wrongType(n, v.Kind.String())
		case attr.KindOf(v.Str) == attr.None:
			return refuse("Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", v.Str)
		}
	}
	return nil
}

// Paths are the document paths that the condition looks at.
func (b *BoundCondition) Paths() []Path { return b.paths(nil, b.root) }

func (b *BoundCondition) paths(found []Path, n *node) []Path {
	if n.op == opPath {
		return append(found, b.resolve(n.path))
	}
	for _, arg := range n.args {
		found = b.paths(found, arg)
	}
	return found
}

// allows reports whether the kind is in a list such as "S N B".
func allows(list string, k attr.Kind) bool { return strings.Contains(" "+list+" ", " "+k.String()+" ") }
