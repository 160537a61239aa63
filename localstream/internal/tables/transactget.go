package tables

import (
	"bytes"
	"context"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

type transactGetInput struct {
	TransactItems []struct {
		Get *struct {
			Key                      attr.Item `required:"true"`
			TableName                *string   `required:"true"`
			ProjectionExpression     *string
			ExpressionAttributeNames map[string]string
		} `required:"true"`
	} `required:"true" len:"1..100"`
	ReturnConsumedCapacity string `enum:"INDEXES, TOTAL, NONE"`
}

// oneGet is one read of a transaction, checked and bound.
type oneGet struct {
	table *table
	key   []byte
	paths []expr.Path
}

// transactGetItems reads all items in the state of one moment.
func (s *Service) transactGetItems(_ context.Context, in *transactGetInput) (any, error) {
	all, err := s.bindTransactGets(in)
	if err != nil {
		return nil, err
	}
	it, err := s.store.Iter([]byte{keySpace, spaceItems}, []byte{keySpace, spaceItems + 1})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	reply := &transactGetReply{units: allConsumed{detail: in.ReturnConsumedCapacity, double: true}}
	total := 0
	for _, g := range all {
		size, err := reply.add(it, g)
		if err != nil {
			return nil, err
		}
		if total += size; total > maxTransaction {
			return nil, invalid("Transaction request exceeds the limit: its items have %d bytes or more, at most %d are allowed", total, maxTransaction)
		}
	}
	return reply, it.Error()
}

func (s *Service) bindTransactGets(in *transactGetInput) ([]oneGet, error) {
	all := make([]oneGet, len(in.TransactItems))
	for i := range all {
		g := in.TransactItems[i].Get
		var err error
		all[i].paths, err = s.getProjection(&getInput{ProjectionExpression: g.ProjectionExpression, ExpressionAttributeNames: g.ExpressionAttributeNames})
		if err != nil {
			return nil, err
		}
	}
	for i := range all {
		var err error
		if all[i].table, err = s.namedTable(*in.TransactItems[i].Get.TableName); err != nil {
			return nil, err
		}
	}
	failed := make([]reason, len(all))
	for i, g := range all {
		err := g.table.checkKey(in.TransactItems[i].Get.Key)
		if err == nil {
			err = checkScalarKeys(g.table, g.paths)
		}
		if err := failed[i].set(err); err != nil {
			return nil, err
		}
	}
	if err := cancelled(failed); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i := range all {
		all[i].key, _ = all[i].table.base.storageKey(all[i].table, in.TransactItems[i].Get.Key)
		if seen[string(all[i].key)] {
			return nil, errOneItemTwice()
		}
		seen[string(all[i].key)] = true
	}
	return all, nil
}

type transactGetReply struct {
	items []byte // JSON objects, each with a comma behind
	units allConsumed
}

// add reads one item into the reply and returns its size.
func (r *transactGetReply) add(it *storage.Iter, g oneGet) (size int, err error) {
	var found attr.Item
	if it.SeekGE(g.key) && bytes.Equal(it.Key(), g.key) {
		if found, err = attr.Decode(it.Value()); err != nil {
			return 0, err
		}
		size = found.Size()
		if g.paths != nil {
			found = expr.Project(found, g.paths)
		}
	}
	units := r.units.of(g.table.Name)
	units.base += readUnits(size, true) * units.times()
	r.items = append(r.items, '{')
	if found != nil {
		r.items = append(found.AppendJSON(append(r.items, `"Item":`...)), ',')
	}
	r.items = append(closeObject(r.items), ',')
	return size, nil
}

// AppendJSON appends the reply.
func (r *transactGetReply) AppendJSON(b []byte) ([]byte, error) {
	b = append(append(b, `{"Responses":[`...), r.items...)
	return closeObject(r.units.appendTo(append(closeList(b), ','))), nil
}
