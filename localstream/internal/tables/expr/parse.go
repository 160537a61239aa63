package expr

import (
	"strconv"
	"strings"
)

// Limits of an expression.
const (
	maxLength    = 4096 // bytes
	maxOperators = 300  // operators and functions
	maxOperands  = 100  // of IN
	maxDepth     = 32   // elements of a document path
)

// parser is a recursive descent over the tokens. Complaints that do not stop parsing are kept until the end, where the
// one that DynamoDB ranks first is reported.
type parser struct {
	src       string
	tokens    []token
	at        int
	refs      refs
	functions map[string]bool // those known in this kind of expression
	operators int

	redundantParens, unknownFunction, misusedFunction, reserved *Error
}

// syntaxError unwinds the parser.
type syntaxError struct{ err *Error }

// start prepares a parser or refuses src for its length.
func start(src string, functions map[string]bool) (*parser, error) {
	if len(src) > maxLength {
		return nil, refuse("Expression size has exceeded the maximum allowed size; expression size: %d", len(src))
	}
	if src == "" {
		return nil, refuse("The expression can not be empty;")
	}
	return &parser{src: src, tokens: tokenize(src), functions: functions}, nil
}

// run calls parse and turns a syntax error into a returned one.
func (p *parser) run(parse func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			err = s.err
		}
	}()
	parse()
	if p.peek().kind != tokenEnd {
		p.fail()
	}
	if p.operators > maxOperators {
		return refuse("The expression contains too many operators; operator count: %d", p.operators)
	}
	return nil
}

// fail reports the token that does not fit, with its neighbours.
func (p *parser) fail() {
	t := p.peek()
	text := "<EOF>"
	if t.kind != tokenEnd {
		text = p.src[t.start:t.end]
	}
	from, to := t.start, t.end
	if p.at > 0 {
		from = p.tokens[p.at-1].start
	}
	if p.at+1 < len(p.tokens) {
		to = p.tokens[p.at+1].end
	}
	panic(syntaxError{refuse("Syntax error; token: %q, near: %q", text, strings.TrimSpace(p.src[from:to]))})
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) text(t token) string { return p.src[t.start:t.end] }

// take moves on and returns the token's text.
func (p *parser) take() string {
	t := p.peek()
	p.at++
	return p.text(t)
}

func (p *parser) isSign(s string) bool {
	t := p.peek()
	return t.kind == tokenSign && p.text(t) == s
}

func (p *parser) acceptSign(s string) bool {
	if !p.isSign(s) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expectSign(s string) {
	if !p.acceptSign(s) {
		p.fail()
	}
}

func (p *parser) isKeyword(word string) bool {
	t := p.peek()
	return t.kind == tokenWord && strings.EqualFold(p.text(t), word)
}

func (p *parser) acceptKeyword(word string) bool {
	if !p.isKeyword(word) {
		return false
	}
	p.at++
	return true
}

// isGrammarWord reports words that can never be an attribute's name because the grammar has them.
func isGrammarWord(word string) bool {
	switch strings.ToUpper(word) {
	case "AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE":
		return true
	}
	return false
}

// operand reads a :value, a function call or a path, without parentheses.
func (p *parser) operand() *node {
	switch t := p.peek(); t.kind {
	case tokenValue:
		return p.valueRef()
	case tokenWord:
		if next := p.tokens[p.at+1]; next.kind == tokenSign && p.text(next) == "(" && !isGrammarWord(p.text(t)) {
			return p.call()
		}
	}
	return &node{op: opPath, path: p.documentPath()}
}

func (p *parser) valueRef() *node {
	if p.peek().kind != tokenValue {
		p.fail()
	}
	return &node{op: opValue, value: intern(&p.refs.values, p.take())}
}

// call reads name(operand, …). Functions that give a truth value cannot be arguments.
func (p *parser) call() *node {
	n := &node{op: opCall, name: p.take()}
	p.operators++
	p.expectSign("(")
	for {
		arg := p.argument()
		p.checkUse(arg)
		n.args = append(n.args, arg)
		if !p.acceptSign(",") {
			break
		}
	}
	p.expectSign(")")
	if !p.functions[n.name] && p.unknownFunction == nil {
		p.unknownFunction = refuse("Invalid function name; function: %s", n.name)
	}
	return n
}

// argument reads an operand that may stand in parentheses.
func (p *parser) argument() *node {
	if !p.acceptSign("(") {
		return p.operand()
	}
	n := p.argument()
	p.expectSign(")")
	p.parenthesize(n)
	return n
}

func (p *parser) parenthesize(n *node) {
	if n.parens && p.redundantParens == nil {
		p.redundantParens = refuse("The expression has redundant parentheses;")
	}
	n.parens = true
}

// checkUse complains of a function whose result cannot be an operand.
func (p *parser) checkUse(n *node) {
	if n.op == opCall && conditionFunctions[n.name] && n.name != "size" {
		p.misuse(n)
	}
}

func (p *parser) misuse(n *node) {
	if p.misusedFunction == nil {
		p.misusedFunction = refuse("The function is not allowed to be used this way in an expression; function: %s", n.name)
	}
}

// documentPath reads name(.name|[index])*.
func (p *parser) documentPath() path {
	steps := path{p.pathName()}
	for {
		switch {
		case p.acceptSign("."):
			steps = append(steps, p.pathName())
		case p.isSign("["):
			p.at++
			steps = append(steps, p.pathIndex())
			p.expectSign("]")
		default:
			if len(steps) > maxDepth {
				panic(syntaxError{refuse("The document path has too many nesting elements; nesting elements: %d", len(steps))})
			}
			return steps
		}
	}
}

func (p *parser) pathName() step {
	t := p.peek()
	switch {
	case t.kind == tokenName:
		return step{ref: intern(&p.refs.names, p.take()), index: -1}
	case t.kind == tokenWord && !isGrammarWord(p.text(t)):
		word := p.take()
		if isReserved(word) && p.reserved == nil {
			p.reserved = refuse("Attribute name is a reserved keyword; reserved keyword: %s", word)
		}
		return step{name: word, ref: -1, index: -1}
	}
	p.fail()
	return step{}
}

func (p *parser) pathIndex() step {
	if p.peek().kind != tokenNumber {
		p.fail()
	}
	text := p.take()
	index, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		panic(syntaxError{refuse("List index is not within the allowable range; index: [%s]", text)})
	}
	return step{ref: -1, index: int(index)}
}

// first is the first of the complaints that is there.
func first(complaints ...*Error) error {
	for _, c := range complaints {
		if c != nil {
			return c
		}
	}
	return nil
}
