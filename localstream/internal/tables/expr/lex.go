// Package expr is DynamoDB's expression language: conditions and filters, key conditions, updates and projections, as
// well as the older parameters (Expected, AttributeUpdates, …) that say the same without a language.
//
// An expression is parsed once, without its names and values, and kept in a Cache; each request binds its own to it:
//
//	c, err := cache.Condition("#o = :me AND attribute_exists (leaseKey)")
//	b, err := c.Bind(expr.Params{Names: names, Values: values})
//	if b.Match(item) { … }
package expr

import "fmt"

// An Error is why an expression was refused, in DynamoDB's words without the "Invalid ConditionExpression: " before it.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func refuse(format string, args ...any) *Error { return &Error{fmt.Sprintf(format, args...)} }

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenName   // #name
	tokenValue  // :value
	tokenNumber // digits
	tokenSign   // an operator or punctuation
	tokenBad    // a character that begins nothing
)

type token struct {
	kind       tokenKind
	start, end int // the bytes in the source
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// tokenize splits src; the last token is tokenEnd.
func tokenize(src string) []token {
	tokens := make([]token, 0, 16)
	for at := 0; ; {
		for at < len(src) && isSpace(src[at]) {
			at++
		}
		if at == len(src) {
			return append(tokens, token{tokenEnd, at, at})
		}
		t := oneToken(src, at)
		tokens = append(tokens, t)
		at = t.end
	}
}

func oneToken(src string, at int) token {
	end := at + 1
	word := func() {
		for end < len(src) && (isLetter(src[end]) || isDigit(src[end])) {
			end++
		}
	}
	switch c := src[at]; {
	case isLetter(c):
		word()
		return token{tokenWord, at, end}
	case c == '#' || c == ':':
		word()
		switch {
		case end == at+1:
			return token{tokenBad, at, end}
		case c == '#':
			return token{tokenName, at, end}
		}
		return token{tokenValue, at, end}
	case isDigit(c):
		for end < len(src) && isDigit(src[end]) {
			end++
		}
		return token{tokenNumber, at, end}
	case c == '<' || c == '>':
		if end < len(src) && (src[end] == '=' || c == '<' && src[end] == '>') {
			end++
		}
		return token{tokenSign, at, end}
	case c == '(' || c == ')' || c == '[' || c == ']' || c == ',' || c == '.' || c == '=' || c == '+' || c == '-':
		return token{tokenSign, at, end}
	}
	for end < len(src) && src[end] >= 0x80 && src[end] < 0xc0 {
		end++ // the rest of a character of several bytes
	}
	return token{tokenBad, at, end}
}
