package expr

import (
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// updateFunctions are those of SET.
var updateFunctions = map[string]bool{"if_not_exists": true, "list_append": true}

// verb is what an update does at a path.
type verb uint8

const (
	verbSet verb = iota
	verbRemove
	verbAdd
	verbDelete
)

var verbNames = [...]string{"SET", "REMOVE", "ADD", "DELETE"}

// clause is one change: a verb, where, and with what.
type clause struct {
	verb  verb
	path  path
	value *node // nil for REMOVE
}

// Update is a parsed UpdateExpression.
type Update struct {
	refs
	clauses []clause
}

// ParseUpdate parses src. Names and values are checked by Bind.
func ParseUpdate(src string) (*Update, error) {
	p, err := start(src, updateFunctions)
	if err != nil {
		return nil, err
	}
	u := &Update{}
	var repeated *Error
	err = p.run(func() {
		var seen [len(verbNames)]bool
		for {
			v, ok := p.section()
			if !ok {
				p.fail()
			}
			if seen[v] && repeated == nil {
				repeated = refuse(`The "%s" section can only be used once in an update expression;`, verbNames[v])
			}
			seen[v] = true
			u.clauses = append(u.clauses, p.clauses(v)...)
			if p.peek().kind == tokenEnd {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if err := first(p.redundantParens, p.reserved, p.unknownFunction, repeated); err != nil {
		return nil, err
	}
	u.refs = p.refs
	return u, nil
}

func (p *parser) section() (verb, bool) {
	for v, name := range verbNames {
		if p.acceptKeyword(name) {
			return verb(v), true
		}
	}
	return 0, false
}

func (p *parser) clauses(v verb) []clause {
	var list []clause
	for {
		c := clause{verb: v, path: p.documentPath()}
		p.operators++
		switch v {
		case verbSet:
			p.expectSign("=")
			c.value = p.setValue()
		case verbAdd, verbDelete:
			c.value = p.valueRef()
		}
		list = append(list, c)
		if !p.acceptSign(",") {
			return list
		}
	}
}

// setValue reads an operand, or a sum or difference of two, which may stand in parentheses.
func (p *parser) setValue() *node {
	n := p.sumPart()
	op := opPlus
	switch {
	case p.acceptSign("+"):
	case p.acceptSign("-"):
		op = opMinus
	default:
		return n
	}
	if n.op == opPlus || n.op == opMinus {
		p.at--
		p.fail()
	}
	p.operators++
	return &node{op: op, args: []*node{n, p.argument()}}
}

func (p *parser) sumPart() *node {
	if !p.acceptSign("(") {
		return p.operand()
	}
	n := p.setValue()
	p.expectSign(")")
	p.parenthesize(n)
	return n
}

// BoundUpdate is an Update with the names and values of one request.
type BoundUpdate struct {
	bound
	changes []change
}

// change is a clause with its path resolved.
type change struct {
	verb  verb
	path  Path
	value *node
}

// Bind gives the update its names and values and checks their types and that no two paths touch each other.
func (u *Update) Bind(p Params) (*BoundUpdate, error) {
	b := &BoundUpdate{bound: bind(u.refs, p), changes: make([]change, len(u.clauses))}
	if err := b.checkDefined(u); err != nil {
		return nil, err
	}
	for i, c := range u.clauses {
		b.changes[i] = change{verb: c.verb, path: b.resolve(c.path), value: c.value}
	}
	if err := checkPaths(b.Paths()); err != nil {
		return nil, err
	}
	for _, check := range []func(clause) *Error{b.checkElement, b.checkValue} {
		for _, c := range u.clauses {
			if err := check(c); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// checkDefined refuses undefined names before undefined values.
func (b *BoundUpdate) checkDefined(u *Update) error {
	if i := firstUndefined(len(b.names), func(i int) bool { return b.names[i] != "" }); i >= 0 {
		return refuse("An expression attribute name used in the document path is not defined; attribute name: %s", u.refs.names[i])
	}
	if i := firstUndefined(len(b.values), func(i int) bool { return b.values[i].Exists() }); i >= 0 {
		return refuse("An expression attribute value used in expression is not defined; attribute value: %s", u.refs.values[i])
	}
	return nil
}

func firstUndefined(n int, defined func(int) bool) int {
	for i := range n {
		if !defined(i) {
			return i
		}
	}
	return -1
}

var longKindNames = map[attr.Kind]string{
	attr.S: "STRING", attr.N: "NUMBER", attr.B: "BINARY", attr.NULL: "NULL", attr.BOOL: "BOOLEAN", attr.L: "LIST", attr.M: "MAP",
}

// checkElement checks the value of ADD (a number or set) and DELETE (a set).
func (b *BoundUpdate) checkElement(c clause) *Error {
	if c.verb != verbAdd && c.verb != verbDelete {
		return nil
	}
	v, _ := b.literal(c.value)
	if v.IsSet() || c.verb == verbAdd && v.Kind == attr.N {
		return nil
	}
	return refuse("Incorrect operand type for operator or function; operator: %s, operand type: %s", verbNames[c.verb], longKindNames[v.Kind])
}

// checkValue checks the functions and operators in the value of SET.
func (b *BoundUpdate) checkValue(c clause) *Error {
	if c.verb != verbSet {
		return nil
	}
	return b.checkNode(c.value)
}

func (b *BoundUpdate) checkNode(n *node) *Error {
	for _, arg := range n.args {
		if err := b.checkNode(arg); err != nil {
			return err
		}
	}
	if err := checkCount(n); err != nil {
		return err
	}
	switch {
	case n.op == opPlus || n.op == opMinus:
		return b.checkArguments(n, attr.N)
	case n.op == opCall && n.name == "list_append":
		return b.checkArguments(n, attr.L)
	case n.op == opCall && n.args[0].op != opPath:
		return refuse("Operator or function requires a document path; operator or function: %s", n.name)
	}
	return nil
}

func (b *BoundUpdate) checkArguments(n *node, want attr.Kind) *Error {
	for _, arg := range n.args {
		if v, ok := b.literal(arg); ok && v.Kind != want {
			return wrongType(n, v.Kind.String())
		}
	}
	return nil
}

// checkPaths refuses two paths of which one is the other or leads into it.
func checkPaths(paths []Path) error {
	var conflict *Error
	for i, a := range paths {
		for _, b := range paths[:i] {
			switch relate(b, a) {
			case overlapping:
				return refuse("Two document paths overlap with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", b, a)
			case conflicting:
				if conflict == nil {
					conflict = refuse("Two document paths conflict with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", b, a)
				}
			}
		}
	}
	return first(conflict)
}

type relation uint8

const (
	apart       relation = iota
	overlapping          // one is the other, or leads into it
	conflicting          // they use one thing as a list and as a map
)

func relate(a, b Path) relation {
	for i := range min(len(a), len(b)) {
		switch {
		case (a[i].index < 0) != (b[i].index < 0):
			return conflicting
		case a[i] != b[i]:
			return apart
		}
	}
	return overlapping
}

// Paths are the document paths that the update changes.
func (b *BoundUpdate) Paths() []Path {
	paths := make([]Path, len(b.changes))
	for i, c := range b.changes {
		paths[i] = c.path
	}
	return paths
}
