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
	reply := &itemReply{member: "Item", units: consumed{detail: in.ReturnConsumedCapacity, table: name}}
	size, err := s.fetch(reply, t, in.Key, paths)
	if err != nil {
		return nil, err
	}
	reply.units.base = readUnits(size, in.ConsistentRead)
	return reply, nil
}

// fetch puts the item, or what it has at the paths, into the reply and returns the item's size.
func (s *Service) fetch(reply *itemReply, t *table, key attr.Item, paths []expr.Path) (size int, err error) {
	storageKey, _ := t.base.storageKey(t, key)
	value, found, err := s.store.Get(storageKey)
	if err != nil || !found {
		return 0, err
	}
	if paths == nil {
		reply.stored, size, err = attr.AppendStored(nil, value)
		return size, err
	}
	it, err := attr.Decode(value)
	if err != nil {
		return 0, err
	}
	reply.item = expr.Project(it, paths)
	return it.Size(), nil
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
