package tables

import (
	"maps"
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

// expectedValue is an entry of Expected.
type expectedValue struct {
	Value              attr.Value
	Exists             *bool
	ComparisonOperator string
	AttributeValueList []attr.Value
}

// condition is an entry of QueryFilter, ScanFilter and KeyConditions.
type condition struct {
	ComparisonOperator string
	AttributeValueList []attr.Value
}

// attributeUpdate is an entry of AttributeUpdates.
type attributeUpdate struct {
	Action string
	Value  attr.Value
}

var comparisonOperators = []string{"IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"}

func checkOperator(member, name, operator string) error {
	if slices.Contains(comparisonOperators, operator) {
		return nil
	}
	return constraint("'"+operator+"'", member+"."+name+".member.comparisonOperator", "Member must satisfy enum value set: [%s]",
		strings.Join(comparisonOperators, ", "))
}

// comparison is the entry as a comparison of the attribute name.
func (e *expectedValue) comparison(name string) (expr.Comparison, error) {
	c := expr.Comparison{Name: name, Operator: e.ComparisonOperator, Values: e.AttributeValueList}
	if e.AttributeValueList != nil && e.Value.Exists() {
		return c, invalid(parameterProblem+"Value and AttributeValueList cannot be used together for Attribute: %s", name)
	}
	if e.Value.Exists() {
		c.Values = []attr.Value{e.Value}
	}
	if e.ComparisonOperator == "" {
		return c, e.implied(&c)
	}
	if err := checkOperator("expected", name, e.ComparisonOperator); err != nil {
		return c, err
	}
	none := e.ComparisonOperator == "NULL" || e.ComparisonOperator == "NOT_NULL"
	switch {
	case e.Exists != nil:
		return c, invalid(parameterProblem+"Exists and ComparisonOperator cannot be used together for Attribute: %s", name)
	case !none && c.Values == nil:
		return c, invalid(parameterProblem+"Value or AttributeValueList must be used with ComparisonOperator: %s for Attribute: %s", e.ComparisonOperator, name)
	}
	return c, asInvalid("", c.Check())
}

// implied fills in the operator that Exists and Value mean.
func (e *expectedValue) implied(c *expr.Comparison) error {
	exists := e.Exists == nil || *e.Exists
	given := "null"
	if e.Exists != nil {
		given = "true"
	}
	switch {
	case e.AttributeValueList != nil:
		return invalid(parameterProblem+"AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", c.Name)
	case exists && !e.Value.Exists():
		return invalid(parameterProblem+"Value must be provided when Exists is %s for Attribute: %s", given, c.Name)
	case !exists && e.Value.Exists():
		return invalid(parameterProblem+"Value cannot be used when Exists is false for Attribute: %s", c.Name)
	case !exists:
		c.Operator = "NULL"
		return nil
	}
	c.Operator = "EQ"
	return asInvalid("", c.Check())
}

// checkConditionalOperator refuses an operator between fewer than two conditions.
func checkConditionalOperator(operator string, conditions int) error {
	switch {
	case operator == "" || conditions > 1:
		return nil
	case conditions == 1:
		return invalid("ConditionalOperator can only be used when Filter or Expected has two or more elements")
	}
	return invalid("ConditionalOperator cannot be used without Filter or Expected")
}

// expectations are what Expected asks for.
func expectations(expected map[string]expectedValue, operator string) (*expr.Comparisons, error) {
	all := &expr.Comparisons{Any: operator == "OR"}
	for _, name := range sortedNames(expected) {
		e := expected[name]
		c, err := e.comparison(name)
		if err != nil {
			return nil, err
		}
		all.List = append(all.List, c)
	}
	return all, nil
}

// filters are what QueryFilter or ScanFilter asks for.
func filters(member string, conditions map[string]condition, operator string) (*expr.Comparisons, error) {
	all := &expr.Comparisons{Any: operator == "OR"}
	for _, name := range sortedNames(conditions) {
		c := expr.Comparison{Name: name, Operator: conditions[name].ComparisonOperator, Values: conditions[name].AttributeValueList}
		if err := checkOperator(member, name, c.Operator); err != nil {
			return nil, err
		}
		if err := c.Check(); err != nil {
			return nil, asInvalid("", err)
		}
		all.List = append(all.List, c)
	}
	return all, nil
}

// replacements are what AttributeUpdates asks for.
func replacements(updates map[string]attributeUpdate) (expr.Replacements, error) {
	var all expr.Replacements
	for _, name := range sortedNames(updates) {
		r := expr.Replacement{Name: name, Action: updates[name].Action, Value: updates[name].Value}
		switch r.Action {
		case "":
			r.Action = "PUT"
		case "PUT", "ADD", "DELETE":
		default:
			return nil, constraint("'"+r.Action+"'", "attributeUpdates."+name+".member.action", "Member must satisfy enum value set: [ADD, DELETE, PUT]")
		}
		if err := r.Check(); err != nil {
			return nil, asInvalid("", err)
		}
		all = append(all, r)
	}
	return all, nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
