package expr

import (
	"strings"
)

var keyOperators = map[op]string{
	opEqual: "EQ", opLess: "LT", opLessEqual: "LE", opGreater: "GT", opGreaterEqual: "GE", opBetween: "BETWEEN",
}

var mirrored = map[string]string{"EQ": "EQ", "LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE"}

// KeyTerms reads the condition as a key condition: one or two comparisons of different attributes.
func (b *BoundCondition) KeyTerms() ([]Comparison, error) {
	var terms []Comparison
	if err := b.keyTerms(&terms, b.root); err != nil {
		return nil, err
	}
	if len(terms) > 2 {
		return nil, refuse("Conditions can be of length 1 or 2 only")
	}
	return terms, nil
}

func (b *BoundCondition) keyTerms(terms *[]Comparison, n *node) *Error {
	if n.op == opAnd {
		for _, arg := range n.args {
			if err := b.keyTerms(terms, arg); err != nil {
				return err
			}
		}
		return nil
	}
	if err := b.checkKeyNode(n); err != nil {
		return err
	}
	t, err := b.keyTerm(n)
	if err != nil {
		return err
	}
	for _, other := range *terms {
		if other.Name == t.Name {
			return refuse("KeyConditionExpressions must only contain one condition per key")
		}
	}
	*terms = append(*terms, t)
	return nil
}

func (b *BoundCondition) checkKeyNode(n *node) *Error {
	beginsWith := n.op == opCall && n.name == "begins_with"
	switch {
	case n.op == opCall && !beginsWith:
		return refuse("Invalid operator used in KeyConditionExpression: %s", n.name)
	case n.op == opOr || n.op == opNot || n.op == opIn || n.op == opNotEqual:
		return refuse("Invalid operator used in KeyConditionExpression: %s", strings.ToUpper(n.operator()))
	case (n.op == opBetween || beginsWith) && n.args[0].op != opPath:
		return refuse("Invalid condition in KeyConditionExpression: %s operator must have the key attribute as its first operand", n.operator())
	}
	for _, arg := range n.args {
		if arg.op == opCall {
			return refuse("KeyConditionExpressions cannot contain nested operations")
		}
	}
	return nil
}

func (b *BoundCondition) keyTerm(n *node) (Comparison, *Error) {
	t := Comparison{Operator: keyOperators[n.op]}
	if n.op == opCall {
		t.Operator = "BEGINS_WITH"
	}
	for i, arg := range n.args {
		if arg.op == opValue {
			t.Values = append(t.Values, b.values[arg.value])
			continue
		}
		switch {
		case t.Name != "":
			return t, refuse("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
		case len(arg.path) > 1:
			return t, refuse("KeyConditionExpressions cannot have conditions on nested attributes")
		}
		t.Name = b.stepName(arg.path[0])
		if i > 0 {
			t.Operator = mirrored[t.Operator]
		}
	}
	if t.Name == "" {
		return t, refuse("Invalid condition in KeyConditionExpression: No key attribute specified")
	}
	return t, nil
}
