package tables

import (
	"context"
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

type queryInput struct {
	TableName                 *string  `required:"true"`
	IndexName                 *string  `len:"3..255" pattern:"[a-zA-Z0-9_.-]+"`
	Select                    string   `enum:"SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES"`
	AttributesToGet           []string `len:"1..255"`
	Limit                     *int32   `range:"1.."`
	ConsistentRead            bool
	KeyConditions             map[string]condition
	QueryFilter               map[string]condition
	ConditionalOperator       string `enum:"OR, AND"`
	ScanIndexForward          *bool
	ExclusiveStartKey         attr.Item
	ReturnConsumedCapacity    string `enum:"INDEXES, TOTAL, NONE"`
	ProjectionExpression      *string
	FilterExpression          *string
	KeyConditionExpression    *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues attr.Item
}

func (s *Service) query(_ context.Context, in *queryInput) (any, error) {
	b, err := s.binder(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	if err := checkQueryStyles(b, in); err != nil {
		return nil, err
	}
	f, err := b.filter("queryFilter", in.QueryFilter, in.ConditionalOperator, in.FilterExpression)
	if err != nil {
		return nil, err
	}
	terms, err := b.keyTerms(in)
	if err != nil {
		return nil, err
	}
	paths, err := b.projection(in.ProjectionExpression, in.AttributesToGet)
	if err != nil {
		return nil, err
	}
	if err := b.done(); err != nil {
		return nil, err
	}
	r, err := s.begin(pageInput{
		table: in.TableName, index: in.IndexName, selects: in.Select, limit: in.Limit, consistent: in.ConsistentRead,
		attributes: in.AttributesToGet, projection: in.ProjectionExpression, returnCapacity: in.ReturnConsumedCapacity,
	}, paths)
	if err != nil {
		return nil, err
	}
	if err := r.setKeys(terms, in.ExclusiveStartKey); err != nil {
		return nil, err
	}
	if err := r.checkFilterKeys(f); err != nil {
		return nil, err
	}
	if err := r.checkFilterProjected(f); err != nil {
		return nil, err
	}
	if err := r.setFilter(f); err != nil {
		return nil, err
	}
	r.backward = in.ScanIndexForward != nil && !*in.ScanIndexForward
	return s.run(r)
}

func checkQueryStyles(b *binder, in *queryInput) error {
	legacy := []parameter{{"AttributesToGet", in.AttributesToGet != nil}, {"QueryFilter", in.QueryFilter != nil},
		{"ConditionalOperator", in.ConditionalOperator != ""}, {"KeyConditions", in.KeyConditions != nil}}
	if in.KeyConditionExpression == nil {
		legacy = legacy[:3] // KeyConditions go with the expressions for the rest
	}
	err := checkStyles(b.params, []parameter{{"ProjectionExpression", in.ProjectionExpression != nil},
		{"FilterExpression", in.FilterExpression != nil}, {"KeyConditionExpression", in.KeyConditionExpression != nil}}, legacy)
	if err == nil && in.KeyConditions == nil && in.KeyConditionExpression == nil {
		err = invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	return err
}

// keyTerms are the key conditions in either style.
func (b *binder) keyTerms(in *queryInput) ([]expr.Comparison, error) {
	if in.KeyConditionExpression == nil {
		all, err := filters("keyConditions", in.KeyConditions, "")
		if err != nil {
			return nil, err
		}
		if n := len(all.List); n != 1 && n != 2 {
			return nil, invalid("Conditions can be of length 1 or 2 only")
		}
		return all.List, nil
	}
	c, err := b.condition("KeyConditionExpression", in.KeyConditionExpression)
	if err != nil {
		return nil, err
	}
	terms, err := c.KeyTerms()
	if err != nil {
		return nil, asInvalid("", err)
	}
	for _, t := range terms {
		if err := t.Check(); err != nil {
			return nil, asInvalid("", err)
		}
	}
	return terms, nil
}

// filter checks and binds a filter in either style; nil for none.
func (b *binder) filter(member string, legacy map[string]condition, operator string, src *string) (predicate, error) {
	if err := checkConditionalOperator(operator, len(legacy)); err != nil {
		return nil, err
	}
	if len(legacy) > 0 {
		return filters(member, legacy, operator)
	}
	bound, err := b.condition("FilterExpression", src)
	if err != nil || bound == nil {
		return nil, err
	}
	return bound, nil
}

// setFilter sets the filter after checking that it does not go inside key attributes.
func (r *reading) setFilter(f predicate) error {
	r.filter = f
	if c, ok := f.(*expr.BoundCondition); ok {
		return checkScalarKeys(r.table, c.Paths())
	}
	return nil
}

// checkFilterProjected refuses a query's filter on attributes that the index does not have.
func (r *reading) checkFilterProjected(f predicate) error {
	missing := r.unprojected(f)
	if missing == nil {
		return nil
	}
	return invalid(parameterProblem+"Secondary index %s does not project one or more filter attributes: [%s]", r.index.Name, strings.Join(missing, ", "))
}

// unprojected are the attributes that a filter needs and the index does not have.
func (r *reading) unprojected(f predicate) (missing []string) {
	var names []string
	switch f := f.(type) {
	case *expr.BoundCondition:
		for _, p := range f.Paths() {
			names = append(names, p.Root())
		}
	case *expr.Comparisons:
		for _, c := range f.List {
			names = append(names, c.Name)
		}
	}
	for _, name := range names {
		if r.index.projected != nil && !slices.Contains(r.index.projected, name) {
			missing = appendOnce(missing, name)
		}
	}
	slices.Sort(missing)
	return missing
}

// checkFilterKeys refuses a query's filter on the key attributes of what it queries.
func (r *reading) checkFilterKeys(f predicate) error {
	for _, k := range r.index.Key {
		switch f := f.(type) {
		case *expr.BoundCondition:
			for _, p := range f.Paths() {
				if p.Root() == k.Name {
					return invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", k.Name)
				}
			}
		case *expr.Comparisons:
			for _, c := range f.List {
				if c.Name == k.Name {
					return invalid("QueryFilter can only contain non-primary key attributes: Primary key attribute: %s", k.Name)
				}
			}
		}
	}
	return nil
}

// setKeys turns the key conditions into bounds.
func (r *reading) setKeys(terms []expr.Comparison, start attr.Item) error {
	partition, sort, err := r.matchTerms(terms)
	if err != nil {
		return err
	}
	r.lower = partitionKey(r.table.Number, r.index.Number, partition.Values[0])
	r.upper = after(r.lower)
	if sort != nil {
		r.narrow(sort)
	}
	if start == nil {
		return nil
	}
	if err := r.startAfter(start); err != nil {
		return err
	}
	switch {
	case !attr.Equal(start[partition.Name], partition.Values[0]) && sort == nil:
		return invalid("The provided starting key is outside query boundaries based on provided conditions")
	case sort != nil && !sort.Match(start):
		return invalid("The provided starting key does not match the range key predicate")
	case !attr.Equal(start[partition.Name], partition.Values[0]):
		return invalid("The query can return at most one row and cannot be restarted")
	}
	return nil
}

// matchTerms finds the condition of each key attribute.
func (r *reading) matchTerms(terms []expr.Comparison) (partition, sort *expr.Comparison, err error) {
	key := r.index.Key
	if len(key) == 1 && len(terms) > 1 {
		return nil, nil, invalid("Query key condition not supported")
	}
	var found [2]*expr.Comparison
	for i, k := range key {
		for j := range terms {
			if terms[j].Name == k.Name {
				found[i] = &terms[j]
			}
		}
		if found[i] == nil {
			if i == 0 || len(terms) > 1 {
				return nil, nil, invalid("Query condition missed key schema element: %s", k.Name)
			}
			continue
		}
		if err := checkTerm(found[i], k, i == 0); err != nil {
			return nil, nil, err
		}
	}
	return found[0], found[1], nil
}

func checkTerm(c *expr.Comparison, k keyPart, partition bool) error {
	switch c.Operator {
	case "NULL", "NOT_NULL", "NE", "CONTAINS", "NOT_CONTAINS", "IN":
		return invalid("Attempted conditional constraint is not an indexable operation")
	}
	for _, v := range c.Values {
		if v.Kind != k.Kind {
			return invalid(parameterProblem + "Condition parameter type does not match schema type")
		}
		if c.Operator != "BEGINS_WITH" {
			if err := checkKeyValue(k.Name, v, partition, parameterProblem); err != nil {
				return err
			}
		}
	}
	if partition && c.Operator != "EQ" {
		return invalid("Query key condition not supported")
	}
	return nil
}

// narrow restricts the bounds, so far those of the partition, to the sort keys that c allows.
func (r *reading) narrow(c *expr.Comparison) {
	prefix := r.lower[:len(r.lower):len(r.lower)]
	at := func(i int) []byte { return attr.AppendKey(prefix, c.Values[i]) }
	switch c.Operator {
	case "EQ":
		r.lower, r.upper = at(0), after(at(0))
	case "LT":
		r.upper = at(0)
	case "LE":
		r.upper = after(at(0))
	case "GT":
		r.lower = after(at(0))
	case "GE":
		r.lower = at(0)
	case "BETWEEN":
		r.lower, r.upper = at(0), after(at(1))
	case "BEGINS_WITH":
		r.lower = attr.AppendKeyPrefix(prefix, c.Values[0].Str)
		if c.Values[0].Str != "" {
			r.upper = after(r.lower)
		}
	}
}
