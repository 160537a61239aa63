package tables

import (
	"context"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

type getInput struct {
	TableName                *string   `required:"true"`
	Key                      attr.Item `required:"true"`
	AttributesToGet          []string  `len:"1..255"`
	ConsistentRead           bool
	ReturnConsumedCapacity   string `enum:"INDEXES, TOTAL, NONE"`
	ProjectionExpression     *string
	ExpressionAttributeNames map[string]string
}

// getItem reads what is on disk, which is never older than the last acknowledged write: all reads are consistent.
func (s *Service) getItem(_ context.Context, in *getInput) (any, error) {
	name, err := s.tableName(*in.TableName)
	if err != nil {
		return nil, err
	}
	paths, err := s.getProjection(in)
	if err != nil {
		return nil, err
	}
	t, err := s.table(name)
	if err != nil {
		return nil, err
	}
	if err := t.checkKey(in.Key); err != nil {
		return nil, err
	}
	if err := checkScalarKeys(t, paths); err != nil {
		return nil, err
	}
	it, err := s.read(t, in.Key)
	if err != nil {
		return nil, err
	}
	reply := &itemReply{member: "Item", item: it, units: consumed{detail: in.ReturnConsumedCapacity, table: name}}
	if reply.units.wanted() {
		reply.units.base = readUnits(it.Size(), in.ConsistentRead)
	}
	if it != nil && paths != nil {
		reply.item = expr.Project(it, paths)
	}
	return reply, nil
}

func (s *Service) getProjection(in *getInput) ([]expr.Path, error) {
	b, err := s.binder(in.ExpressionAttributeNames, nil)
	if err != nil {
		return nil, err
	}
	err = checkStyles(b.params, []parameter{{"ProjectionExpression", in.ProjectionExpression != nil}},
		[]parameter{{"AttributesToGet", in.AttributesToGet != nil}})
	if err != nil {
		return nil, err
	}
	paths, err := b.projection(in.ProjectionExpression, in.AttributesToGet)
	if err != nil {
		return nil, err
	}
	return paths, b.done()
}

// read is the stored item with that key, or nil.
func (s *Service) read(t *table, key attr.Item) (attr.Item, error) {
	storageKey, ok := t.base.storageKey(t, key)
	if !ok {
		return nil, nil
	}
	value, found, err := s.store.Get(storageKey)
	if err != nil || !found {
		return nil, err
	}
	return attr.Decode(value)
}
