package expr

import (
	"slices"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// A Comparison is one condition of the older parameters: Expected, QueryFilter, ScanFilter, KeyConditions.
type Comparison struct {
	Name     string
	Operator string // EQ, NE, LE, LT, GE, GT, NOT_NULL, NULL, CONTAINS, NOT_CONTAINS, BEGINS_WITH, IN or BETWEEN
	Values   []attr.Value
}

// Comparisons are all that one parameter asks for.
type Comparisons struct {
	List []Comparison
	Any  bool // one that holds is enough (ConditionalOperator OR)
}

// Match reports whether the item (nil: there is none) satisfies the comparisons.
func (c *Comparisons) Match(it attr.Item) bool {
	for _, one := range c.List {
		if one.Match(it) == c.Any {
			return c.Any
		}
	}
	return !c.Any || len(c.List) == 0
}

var legacyComparators = map[string]op{
	"EQ": opEqual, "NE": opNotEqual, "LT": opLess, "LE": opLessEqual, "GT": opGreater, "GE": opGreaterEqual,
}

// Match reports whether the item satisfies the comparison.
func (c Comparison) Match(it attr.Item) bool { return c.holds(it[c.Name]) }

func (c Comparison) holds(x attr.Value) bool {
	if op, ok := legacyComparators[c.Operator]; ok {
		return compare(op, x, c.Values[0])
	}
	switch c.Operator {
	case "NULL":
		return !x.Exists()
	case "NOT_NULL":
		return x.Exists()
	case "CONTAINS":
		return contains(x, c.Values[0])
	case "NOT_CONTAINS":
		return x.Exists() && !contains(x, c.Values[0])
	case "BEGINS_WITH":
		return beginsWith(x, c.Values[0])
	case "IN":
		return slices.ContainsFunc(c.Values, func(y attr.Value) bool { return compare(opEqual, x, y) })
	}
	return compare(opGreaterEqual, x, c.Values[0]) && compare(opLessEqual, x, c.Values[1])
}

// argumentCounts are how many values an operator takes: at least, at most.
var argumentCounts = map[string][2]int{
	"NULL": {0, 0}, "NOT_NULL": {0, 0}, "EQ": {1, 1}, "NE": {1, 1}, "LE": {1, 1}, "LT": {1, 1}, "GE": {1, 1}, "GT": {1, 1},
	"CONTAINS": {1, 1}, "NOT_CONTAINS": {1, 1}, "BEGINS_WITH": {1, 1}, "IN": {1, maxOperands}, "BETWEEN": {2, 2},
}

const (
	scalars       = "S N B"
	scalarsOrSets = "S N B SS NS BS L M BOOL NULL"
)

var argumentKinds = map[string]string{
	"EQ": scalarsOrSets, "NE": scalarsOrSets, "LE": scalars, "LT": scalars, "GE": scalars, "GT": scalars, "CONTAINS": scalars + " BOOL NULL",
	"NOT_CONTAINS": scalars + " BOOL NULL", "BEGINS_WITH": "S B", "IN": scalars, "BETWEEN": scalars,
}

const parameterProblem = "One or more parameter values were invalid: "

// Check refuses values that do not go with the operator.
func (c Comparison) Check() error {
	counts := argumentCounts[c.Operator]
	if len(c.Values) < counts[0] || len(c.Values) > counts[1] {
		return refuse(parameterProblem+"Invalid number of argument(s) for the %s ComparisonOperator", c.Operator)
	}
	for _, v := range c.Values {
		if v.Kind == attr.Invalid {
			return refuse("%s", v.Str)
		}
	}
	for _, v := range c.Values {
		if v.Kind != c.Values[0].Kind {
			return refuse(parameterProblem + "AttributeValues inside AttributeValueList must be of same type")
		}
		if !allows(argumentKinds[c.Operator], v.Kind) {
			return refuse(parameterProblem+"ComparisonOperator %s is not valid for %s AttributeValue type", c.Operator, v.Kind)
		}
	}
	if c.Operator == "BETWEEN" {
		if order, _ := attr.Compare(c.Values[0], c.Values[1]); order > 0 {
			return refuse("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return nil
}

// A Replacement is one entry of AttributeUpdates.
type Replacement struct {
	Name   string
	Action string // PUT, ADD or DELETE
	Value  attr.Value
}

// Check refuses values that do not go with the action.
func (r Replacement) Check() error {
	switch {
	case r.Value.Kind == attr.Invalid:
		return refuse("%s", r.Value.Str)
	case !r.Value.Exists() && r.Action != "DELETE":
		return refuse(parameterProblem + "Only DELETE action is allowed when no attribute value is specified")
	case r.Action == "DELETE" && r.Value.Exists() && !r.Value.IsSet():
		return refuse(parameterProblem+"DELETE action with value is not supported for the type %s", r.Value.Kind)
	case r.Action == "ADD" && !r.Value.IsSet() && r.Value.Kind != attr.N && r.Value.Kind != attr.L:
		return refuse(parameterProblem+"ADD action is not supported for the type %s", r.Value.Kind)
	}
	return nil
}

// Replacements are AttributeUpdates.
type Replacements []Replacement

// Paths are the attributes that change.
func (rs Replacements) Paths() []Path {
	paths := make([]Path, len(rs))
	for i, r := range rs {
		paths[i] = Attribute(r.Name)
	}
	return paths
}

// Apply gives the item as the updates leave it; it is left unchanged itself.
func (rs Replacements) Apply(it attr.Item) (attr.Item, error) {
	out := make(attr.Item, len(it)+len(rs))
	for name, v := range it {
		out[name] = v
	}
	for _, r := range rs {
		v, err := r.replaced(it[r.Name])
		if err != nil {
			return nil, err
		}
		put(out, r.Name, v)
	}
	return out, nil
}

func (r Replacement) replaced(old attr.Value) (attr.Value, error) {
	switch {
	case r.Action == "PUT":
		return r.Value, nil
	case !r.Value.Exists(): // DELETE of the whole attribute
		return attr.Value{}, nil
	case !old.Exists() && r.Action == "ADD":
		return r.Value, nil
	case !old.Exists():
		return old, nil
	case old.Kind != r.Value.Kind:
		return old, refuse("Type mismatch for attribute to update")
	case r.Action == "DELETE":
		return attr.Difference(old, r.Value), nil
	case old.Kind == attr.N:
		sum, err := attr.Add(old.Str, r.Value.Str)
		return attr.Value{Kind: attr.N, Str: sum}, err
	case old.Kind == attr.L:
		return attr.MakeList(append(old.List(), r.Value.List()...)), nil
	}
	return attr.Union(old, r.Value), nil
}
