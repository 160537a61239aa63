package oracle

import (
	"fmt"
	"strings"
)

// expressions collects the names and values that the expressions of one request use.
type expressions struct {
	g      *generator
	names  object
	values object
}

func newExpressions(g *generator) *expressions {
	return &expressions{g: g, names: object{}, values: object{}}
}

// name writes an attribute's name, as itself or by a placeholder.
func (e *expressions) name(attribute string) string {
	if e.g.chance(3) {
		placeholder := "#" + attribute
		e.names[placeholder] = attribute
		return placeholder
	}
	return attribute
}

func (e *expressions) value(v object) string {
	placeholder := fmt.Sprintf(":v%d", len(e.values))
	e.values[placeholder] = v
	return placeholder
}

// path is an attribute or a place inside one.
func (e *expressions) path() string {
	g := e.g
	switch g.IntN(12) {
	case 0:
		return e.name("m") + "." + e.name(pick(g, "x", "y", "z"))
	case 1:
		return e.name("m") + "." + e.name("y") + fmt.Sprintf("[%d]", g.IntN(3))
	case 2:
		return e.name(pick(g, "b", "c")) + fmt.Sprintf("[%d]", g.IntN(3))
	case 3:
		if g.chance(5) {
			return pick(g, "size", "name", "status", "nothere", "p", "s")
		}
	}
	return e.name(pick(g, "a", "b", "c", "g", "l", "m", "n"))
}

func (e *expressions) operand() string {
	g := e.g
	switch g.IntN(8) {
	case 0:
		return "size(" + e.path() + ")"
	case 1, 2, 3:
		return e.path()
	}
	return e.value(e.like())
}

// like is a value that stands a chance of being equal to another.
func (e *expressions) like() object {
	switch e.g.IntN(4) {
	case 0:
		return object{"N": e.g.small()}
	case 1:
		return object{"S": pick(e.g, "a", "ab", "b", "x", "y", "")}
	}
	return e.g.someValue()
}

// condition is a condition of some depth.
func (e *expressions) condition(depth int) string {
	g := e.g
	if depth > 0 {
		switch g.IntN(6) {
		case 0:
			return "NOT " + e.condition(depth-1)
		case 1:
			return "(" + e.condition(depth-1) + ")"
		case 2:
			return e.condition(depth-1) + pick(g, " AND ", " and ") + e.condition(depth-1)
		case 3:
			return e.condition(depth-1) + " OR " + e.condition(depth-1)
		}
	}
	switch g.IntN(10) {
	case 0:
		return "attribute_exists(" + e.path() + ")"
	case 1:
		return "attribute_not_exists (" + e.path() + ")"
	case 2:
		return "attribute_type(" + e.path() + ", " + e.value(object{"S": pick(g, "S", "N", "B", "SS", "L", "M", "NULL", "BOOL", "Q")}) + ")"
	case 3:
		return "begins_with(" + e.path() + ", " + e.value(pick(g, object{"S": "a"}, object{"S": ""}, object{"B": "YQ=="}, object{"N": "1"})) + ")"
	case 4:
		return "contains(" + e.path() + ", " + e.operand() + ")"
	case 5:
		return e.operand() + " BETWEEN " + e.value(e.like()) + " AND " + e.value(e.like())
	case 6:
		list := []string{e.operand()}
		for range g.IntN(3) {
			list = append(list, e.operand())
		}
		return e.operand() + " IN (" + strings.Join(list, ", ") + ")"
	}
	return e.operand() + " " + pick(g, "=", "<>", "<", "<=", ">", ">=") + " " + e.operand()
}

// update is an update expression.
func (e *expressions) update() string {
	g := e.g
	var clauses []string
	if !g.chance(4) {
		var actions []string
		for range 1 + g.IntN(2) {
			actions = append(actions, e.path()+" = "+e.setValue())
		}
		clauses = append(clauses, "SET "+strings.Join(actions, ", "))
	}
	if g.chance(4) {
		clauses = append(clauses, "REMOVE "+e.path())
	}
	if g.chance(4) {
		clauses = append(clauses, pick(g, "ADD ", "add ")+e.path()+" "+e.value(e.addend()))
	}
	if g.chance(6) {
		clauses = append(clauses, "DELETE "+e.path()+" "+e.value(g.set()))
	}
	if len(clauses) == 0 {
		return "REMOVE " + e.path()
	}
	g.Shuffle(len(clauses), func(i, j int) { clauses[i], clauses[j] = clauses[j], clauses[i] })
	return strings.Join(clauses, " ")
}

func (e *expressions) addend() object {
	if e.g.chance(2) {
		return object{"N": pick(e.g, e.g.small(), e.g.number())}
	}
	if e.g.chance(8) {
		return e.g.value(1)
	}
	return e.g.set()
}

func (e *expressions) setOperand() string {
	g := e.g
	switch g.IntN(6) {
	case 0:
		return e.path()
	case 1:
		return "if_not_exists(" + e.path() + ", " + e.value(e.like()) + ")"
	}
	return e.value(g.someValue())
}

func (e *expressions) setValue() string {
	g := e.g
	switch g.IntN(6) {
	case 0:
		return e.name(pick(g, "n", "l", "c")) + pick(g, " + ", " - ") + e.value(object{"N": pick(g, g.small(), g.number())})
	case 1:
		return "list_append(" + pick(g, e.name("b"), e.name("c"), e.setOperand()) + ", " + e.value(object{"L": []any{g.value(0)}}) + ")"
	case 2:
		return "if_not_exists(" + e.path() + ", " + e.value(object{"N": "0"}) + ") + " + e.value(object{"N": "1"})
	}
	return e.setOperand()
}

func (e *expressions) projection() string {
	paths := []string{e.path()}
	for range e.g.IntN(3) {
		paths = append(paths, e.path())
	}
	return strings.Join(paths, ", ")
}

// spoil breaks an expression now and then: a word less, a word more, a character less.
func (e *expressions) spoil(text string) string {
	g := e.g
	if !g.chance(60) {
		return text
	}
	words := strings.Fields(text)
	switch i := g.IntN(len(words)); g.IntN(4) {
	case 0:
		return strings.Join(append(words[:i:i], words[i+1:]...), " ")
	case 1:
		return strings.Join(append(words[:i:i], append([]string{pick(g, "AND", "(", ")", ",", "=", "foo(a)", "$", ":none", "#none")}, words[i:]...)...), " ")
	case 2:
		return text[:len(text)-1]
	}
	return ""
}

// into adds the names and values to the request, now and then one that nobody uses.
func (e *expressions) into(request object) {
	if e.g.chance(150) {
		e.names["#unused"] = "a"
	}
	if e.g.chance(150) {
		e.values[":unused"] = object{"S": "a"}
	}
	if len(e.names) > 0 {
		request["ExpressionAttributeNames"] = e.names
	}
	if len(e.values) > 0 {
		request["ExpressionAttributeValues"] = e.values
	}
}

var operators = map[string]int{"EQ": 1, "NE": 1, "LT": 1, "LE": 1, "GT": 1, "GE": 1, "NULL": 0, "NOT_NULL": 0,
	"CONTAINS": 1, "NOT_CONTAINS": 1, "BEGINS_WITH": 1, "IN": 2, "BETWEEN": 2}

var operatorNames = []string{"EQ", "NE", "LT", "LE", "GT", "GE", "NULL", "NOT_NULL", "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH", "IN", "BETWEEN"}

// comparison is an entry of QueryFilter, ScanFilter or Expected in the older style.
func (e *expressions) comparison() object {
	g := e.g
	operator := pick(g, operatorNames...)
	n := operators[operator]
	if g.chance(80) {
		n = g.IntN(3)
	}
	entry := object{"ComparisonOperator": operator}
	var list []any
	for range n {
		list = append(list, e.like())
	}
	if list != nil {
		entry["AttributeValueList"] = list
	}
	return entry
}

func (e *expressions) expected() object {
	g := e.g
	all := object{}
	for range 1 + g.IntN(2) {
		name := pick(g, "a", "b", "g", "n", "p")
		switch g.IntN(4) {
		case 0:
			all[name] = object{"Exists": false}
		case 1:
			all[name] = object{"Value": e.like()}
		case 2:
			all[name] = object{"Exists": true, "Value": e.like()}
		default:
			all[name] = e.comparison()
		}
		if g.chance(80) {
			all[name] = object{"Exists": true}
		}
	}
	return all
}

func (e *expressions) filters() object {
	all := object{}
	for range 1 + e.g.IntN(2) {
		all[pick(e.g, "a", "b", "g", "n", "l")] = e.comparison()
	}
	return all
}

func (e *expressions) attributeUpdates() object {
	g := e.g
	all := object{}
	for range 1 + g.IntN(3) {
		name := pick(g, "a", "b", "c", "g", "l", "n")
		switch g.IntN(5) {
		case 0:
			all[name] = object{"Action": "DELETE"}
		case 1:
			all[name] = object{"Action": "DELETE", "Value": g.set()}
		case 2:
			all[name] = object{"Action": "ADD", "Value": e.addend()}
		default:
			all[name] = object{"Action": "PUT", "Value": g.attribute(name)}
		}
	}
	if g.chance(100) {
		all["p"] = object{"Action": "PUT", "Value": object{"S": "a"}}
	}
	return all
}
