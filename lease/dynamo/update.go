package dynamo

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// An update is the expressions of one conditional write. Every attribute goes by an alias, "#" and its name, because
// some names are reserved words.
type update struct {
	sets, removes, adds, conds []string
	attrs                      []string               // that have aliases
	values                     []types.AttributeValue // by valueAlias
}

func newUpdate() *update { return &update{} }

func (u *update) name(attr string) string {
	if !slices.Contains(u.attrs, attr) {
		u.attrs = append(u.attrs, attr)
	}
	return "#" + attr
}

func (u *update) value(v types.AttributeValue) string {
	u.values = append(u.values, v)
	return valueAlias(len(u.values) - 1)
}

func (u *update) set(attr string, v types.AttributeValue) {
	u.sets = append(u.sets, u.name(attr)+" = "+u.value(v))
}

func (u *update) remove(attrs ...string) {
	for _, attr := range attrs {
		u.removes = append(u.removes, u.name(attr))
	}
}

func (u *update) add(attr string, v types.AttributeValue) {
	u.adds = append(u.adds, u.name(attr)+" "+u.value(v))
}

// is is the condition that attr has the value v, or is absent if v is the empty string.
func (u *update) is(attr string, v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok && s.Value == "" {
		return "attribute_not_exists(" + u.name(attr) + ")"
	}
	return u.name(attr) + " = " + u.value(v)
}

// exists is the condition that there is an item, of which attr is the key.
func (u *update) exists(attr string) string { return "attribute_exists(" + u.name(attr) + ")" }

// when adds conditions all of which must hold.
func (u *update) when(conds ...string) { u.conds = append(u.conds, conds...) }

func (u *update) condition() *string {
	c := strings.Join(u.conds, " AND ")
	return &c
}

// expression is the update expression, nil if nothing changes.
func (u *update) expression() *string {
	var clauses []string
	for _, c := range []struct {
		verb  string
		parts []string
	}{{"SET", u.sets}, {"REMOVE", u.removes}, {"ADD", u.adds}} {
		if len(c.parts) > 0 {
			clauses = append(clauses, c.verb+" "+strings.Join(c.parts, ", "))
		}
	}
	if len(clauses) == 0 {
		return nil
	}
	e := strings.Join(clauses, " ")
	return &e
}

// names are the aliases for ExpressionAttributeNames.
func (u *update) names() map[string]string {
	names := make(map[string]string, len(u.attrs))
	for _, attr := range u.attrs {
		names["#"+attr] = attr
	}
	return names
}

// aliases are the values for ExpressionAttributeValues, which must not be an empty map.
func (u *update) aliases() item {
	if len(u.values) == 0 {
		return nil
	}
	values := make(item, len(u.values))
	for i, v := range u.values {
		values[valueAlias(i)] = v
	}
	return values
}
