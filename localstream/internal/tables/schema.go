package tables

import (
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// Members of CreateTable and UpdateTable that describe a schema.

type attributeDefinition struct {
	AttributeName string `required:"true" len:"1..255"`
	AttributeType string `required:"true" enum:"B, N, S"`
}

type keySchemaElement struct {
	AttributeName string `required:"true" len:"1..255"`
	KeyType       string `required:"true" enum:"HASH, RANGE"`
}

type projection struct {
	ProjectionType   string   `enum:"ALL, INCLUDE, KEYS_ONLY"`
	NonKeyAttributes []string `len:"1..20"`
}

type provisionedThroughput struct {
	ReadCapacityUnits  *int64 `required:"true" range:"1.."`
	WriteCapacityUnits *int64 `required:"true" range:"1.."`
}

type indexDefinition struct {
	IndexName             *string            `required:"true" len:"3..255" pattern:"[a-zA-Z0-9_.-]+"`
	KeySchema             []keySchemaElement `required:"true" len:"1..2"`
	Projection            *projection        `required:"true"`
	ProvisionedThroughput *provisionedThroughput
}

type tagMember struct {
	Key   *string `required:"true" len:"1..128"`
	Value *string `required:"true" len:"0..256"`
}

// Limits of a table.
const (
	maxLocalIndexes  = 5
	maxGlobalIndexes = 20
	maxUnits         = 1_000_000_000_000
	maxTags          = 50
)

// definitions are the attribute definitions by name, in order.
func definitions(defs []attributeDefinition) ([]attribute, error) {
	var all []attribute
	for _, d := range defs {
		if slices.ContainsFunc(all, func(a attribute) bool { return a.Name == d.AttributeName }) {
			return nil, invalid(parameterProblem+"Duplicate AttributeName in AttributeDefinitions: %s", d.AttributeName)
		}
		all = append(all, attribute{d.AttributeName, attr.KindOf(d.AttributeType)})
	}
	return all, nil
}

// keySchema checks the shape of a key schema and gives its parts their types.
func keySchema(elements []keySchemaElement, defs []attribute) ([]keyPart, error) {
	var parts []keyPart
	for _, e := range elements {
		i := slices.IndexFunc(defs, func(a attribute) bool { return a.Name == e.AttributeName })
		if i < 0 {
			return nil, invalid(parameterProblem+"Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
				joined(elements, func(e keySchemaElement) string { return e.AttributeName }), joined(defs, func(a attribute) string { return a.Name }))
		}
		parts = append(parts, defs[i])
	}
	switch {
	case len(elements) == 2 && elements[0].AttributeName == elements[1].AttributeName:
		return nil, invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case elements[0].KeyType != "HASH":
		return nil, invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(elements) == 2 && elements[1].KeyType != "RANGE":
		return nil, invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	return parts, nil
}

func joined[E any](list []E, name func(E) string) string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = name(e)
	}
	return strings.Join(names, ", ")
}

// checkThroughput checks the throughput of a table for its billing mode.
func checkThroughput(billing string, p *provisionedThroughput) error {
	switch {
	case billing == onDemand && p != nil:
		return invalid(parameterProblem + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case billing == onDemand:
		return nil
	case p == nil:
		return invalid(parameterProblem + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	case *p.ReadCapacityUnits > maxUnits:
		return invalid("Given value %d for ReadCapacityUnits is out of bounds", *p.ReadCapacityUnits)
	case *p.WriteCapacityUnits > maxUnits:
		return invalid("Given value %d for WriteCapacityUnits is out of bounds", *p.WriteCapacityUnits)
	}
	return nil
}

func (p *provisionedThroughput) units() throughput {
	if p == nil {
		return throughput{}
	}
	return throughput{Read: *p.ReadCapacityUnits, Write: *p.WriteCapacityUnits}
}

// secondary checks the definition of an index on t and makes it.
func (t *table) secondary(d indexDefinition, global bool) (*index, error) {
	key, err := keySchema(d.KeySchema, t.Attributes)
	if err != nil {
		return nil, err
	}
	x := &index{Name: *d.IndexName, Global: global, Key: key, Projection: d.Projection.ProjectionType,
		NonKey: d.Projection.NonKeyAttributes, Status: active, Throughput: d.ProvisionedThroughput.units()}
	switch {
	case !global && len(key) != 2:
		return nil, invalid(parameterProblem+"Index KeySchema does not have a range key for index: %s", x.Name)
	case !global && key[0].Name != t.Key[0].Name:
		return nil, invalid(parameterProblem+"Index KeySchema does not have the same leading hash key as table KeySchema for index: %s. index hash key: %s, table hash key: %s",
			x.Name, key[0].Name, t.Key[0].Name)
	case x.Projection == "":
		return nil, invalid(parameterProblem + "Unknown ProjectionType: null")
	case x.NonKey != nil && x.Projection != "INCLUDE":
		return nil, invalid(parameterProblem+"ProjectionType is %s, but NonKeyAttributes is specified", x.Projection)
	case x.NonKey == nil && x.Projection == "INCLUDE":
		return nil, invalid(parameterProblem + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	case global && t.Billing == onDemand && d.ProvisionedThroughput != nil:
		return nil, invalid(parameterProblem+"ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", x.Name)
	case global && t.Billing == provisioned && d.ProvisionedThroughput == nil:
		return nil, invalid(parameterProblem+"ProvisionedThroughput must be specified for index: %s", x.Name)
	}
	return x, nil
}

// add numbers the index and makes it one of t's.
func (t *table) add(x *index) error {
	if t.index(x.Name) != nil {
		return invalid(parameterProblem+"Duplicate index name: %s", x.Name)
	}
	t.NextIndex++
	x.Number = t.NextIndex
	t.Indexes = append(t.Indexes, x)
	return nil
}

// checkDefinitionsUsed refuses attribute definitions that no key uses.
func (t *table) checkDefinitionsUsed() error {
	used := t.usedDefinitions()
	if len(used) == len(t.Attributes) {
		return nil
	}
	if len(t.Indexes) == 0 {
		return invalid(parameterProblem + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return invalid(parameterProblem+"Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]",
		joined(t.Attributes, func(a attribute) string { return a.Name }), joined(used, func(a attribute) string { return a.Name }))
}

// usedDefinitions are those of the attribute definitions that some key uses.
func (t *table) usedDefinitions() []attribute {
	var used []attribute
	for _, a := range t.Attributes {
		in := slices.Contains(t.Key, a)
		for _, x := range t.Indexes {
			in = in || slices.Contains(x.Key, a)
		}
		if in {
			used = append(used, a)
		}
	}
	return used
}
