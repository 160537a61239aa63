package oracle

import "fmt"

// tokenRequests is after how many requests the generator takes new idempotency tokens. A token counts for ten minutes
// in both servers, from moments that are not quite the same: none may be used again that late.
const tokenRequests = 300

// tokens are the idempotency tokens of a stretch of requests.
type tokens struct {
	stretch, used int
	last          object // the latest transaction with a token of this stretch
}

// tick counts a request.
func (t *tokens) tick() {
	if t.used++; t.used >= tokenRequests {
		t.renew()
	}
}

// renew begins a stretch: after answers that differ, one server may know of a transaction that the other does not.
func (t *tokens) renew() { *t = tokens{stretch: t.stretch + 1} }

// tokened gives some transactions a token, mostly a new one, and makes others the latest one that has one, again.
func (g *generator) tokened(input object) object {
	switch {
	case g.chance(8) && g.tokens.last != nil:
		return g.tokens.last
	case g.chance(3):
		input["ClientRequestToken"] = fmt.Sprintf("t%d-%d", g.tokens.stretch, g.IntN(10))
		g.tokens.last = input
	}
	return input
}
