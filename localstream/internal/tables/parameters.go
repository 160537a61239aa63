package tables

import (
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

// predicate is a condition or filter in either style.
type predicate interface {
	Match(attr.Item) bool
}

// changes are an update in either style.
type changes interface {
	Apply(attr.Item) (attr.Item, error)
	Paths() []expr.Path
}

// parameter is one member of a request that belongs to one of the two styles.
type parameter struct {
	name  string
	given bool
}

// checkStyles refuses a request that has parameters of both styles, and names and values without an expression.
// values names those of the expressions that can use values.
func checkStyles(params expr.Params, expressions, legacy []parameter) error {
	modern, old := given(expressions), given(legacy)
	if len(modern) > 0 && len(old) > 0 {
		return invalid("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {%s} Expression parameters: {%s}",
			strings.Join(old, ", "), strings.Join(modern, ", "))
	}
	if params.Names != nil && len(modern) == 0 {
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if params.Values == nil {
		return nil
	}
	var users []string
	for _, e := range expressions {
		if e.name == "ProjectionExpression" {
			continue
		}
		if e.given {
			return nil
		}
		users = append(users, e.name)
	}
	verb := "are"
	if len(users) == 1 {
		verb = "is"
	}
	return invalid("ExpressionAttributeValues can only be specified when using expressions: %s %s null", strings.Join(users, " and "), verb)
}

func given(list []parameter) []string {
	var names []string
	for _, p := range list {
		if p.given {
			names = append(names, p.name)
		}
	}
	return names
}

// binder binds a request's expressions and remembers them, to find names and values that none of them uses.
type binder struct {
	s      *Service
	params expr.Params
	uses   []expr.Uses
	room   [3]expr.Uses
}

func (s *Service) binder(names map[string]string, values attr.Item) (*binder, error) {
	b := &binder{s: s, params: expr.Params{Names: names, Values: values}}
	b.uses = b.room[:0]
	return b, asInvalid("", b.params.Check())
}

// condition binds the expression in the member of that name.
func (b *binder) condition(member string, src *string) (*expr.BoundCondition, error) {
	if src == nil {
		return nil, nil
	}
	c, err := b.s.parsed.Condition(*src)
	if err != nil {
		return nil, asInvalid("Invalid "+member+": ", err)
	}
	b.uses = append(b.uses, c)
	bound, err := c.Bind(b.params)
	return bound, asInvalid("Invalid "+member+": ", err)
}

func (b *binder) update(src *string) (*expr.BoundUpdate, error) {
	u, err := b.s.parsed.Update(*src)
	if err != nil {
		return nil, asInvalid("Invalid UpdateExpression: ", err)
	}
	b.uses = append(b.uses, u)
	bound, err := u.Bind(b.params)
	return bound, asInvalid("Invalid UpdateExpression: ", err)
}

// projection binds a ProjectionExpression or checks AttributesToGet. Nil paths mean the whole item.
func (b *binder) projection(src *string, attributes []string) ([]expr.Path, error) {
	if src == nil {
		return attributePaths(attributes)
	}
	p, err := b.s.parsed.Projection(*src)
	if err != nil {
		return nil, asInvalid("Invalid ProjectionExpression: ", err)
	}
	b.uses = append(b.uses, p)
	paths, err := p.Bind(b.params)
	return paths, asInvalid("Invalid ProjectionExpression: ", err)
}

func attributePaths(attributes []string) ([]expr.Path, error) {
	var paths []expr.Path
	for i, name := range attributes {
		for _, other := range attributes[:i] {
			if other == name {
				return nil, invalid(parameterProblem+"Duplicate value in attribute name: %s", name)
			}
		}
		paths = append(paths, expr.Attribute(name))
	}
	return paths, nil
}

// done refuses what no expression used.
func (b *binder) done() error { return asInvalid("", b.params.CheckUsed(b.uses...)) }

// checkScalarKeys refuses paths that go inside a key attribute.
func checkScalarKeys(t *table, paths []expr.Path) error {
	for _, p := range paths {
		if !p.Nested() {
			continue
		}
		for _, k := range t.Key {
			if k.Name == p.Root() {
				return invalid("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: %s", k.Name)
			}
		}
		for _, x := range t.Indexes {
			for _, k := range x.Key {
				if k.Name == p.Root() {
					return invalid("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: %s", k.Name)
				}
			}
		}
	}
	return nil
}
