package tables

import (
	"context"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

type batchWriteInput struct {
	RequestItems                map[string][]writeRequest `required:"true" len:"1..25"`
	ReturnConsumedCapacity      string                    `enum:"INDEXES, TOTAL, NONE"`
	ReturnItemCollectionMetrics string                    `enum:"SIZE, NONE"`
}

type writeRequest struct {
	PutRequest *struct {
		Item attr.Item `required:"true"`
	}
	DeleteRequest *struct {
		Key attr.Item `required:"true"`
	}
}

// batchWriteItem writes all its items in one update: nothing is ever left unprocessed.
func (s *Service) batchWriteItem(ctx context.Context, in *batchWriteInput) (any, error) {
	units := &allConsumed{detail: in.ReturnConsumedCapacity}
	all, err := s.bindWrites(in, units)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx *storage.Tx) error {
		decided := make([]change, len(all))
		for i, w := range all {
			if decided[i], err = s.decide(tx, w); err != nil {
				return err
			}
		}
		return apply(tx, all, decided)
	})
	if err != nil {
		return nil, err
	}
	return &batchWriteReply{units}, nil
}

func (s *Service) bindWrites(in *batchWriteInput, units *allConsumed) ([]*writing, error) {
	n := 0
	for _, requests := range in.RequestItems {
		if len(requests) < 1 || len(requests) > maxBatchWrite {
			return nil, constraint("'"+"{…}"+"'", "requestItems",
				"Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]")
		}
		n += len(requests)
	}
	for _, member := range sortedNames(in.RequestItems) {
		for _, r := range in.RequestItems[member] {
			if err := r.check(); err != nil {
				return nil, err
			}
		}
	}
	if n > maxBatchWrite {
		return nil, invalid("Too many items requested for the BatchWriteItem call")
	}
	var all []*writing
	for _, member := range sortedNames(in.RequestItems) {
		t, err := s.namedTable(member)
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, r := range in.RequestItems[member] {
			w, err := r.writing(t)
			if err != nil {
				return nil, err
			}
			storageKey, _ := t.base.storageKey(t, w.key)
			if seen[string(storageKey)] {
				return nil, errDuplicateKeys()
			}
			seen[string(storageKey)] = true
			w.units = units.of(t.Name)
			all = append(all, w)
		}
	}
	return all, nil
}

// namedTable is the table that item operations work on, by its name or ARN.
func (s *Service) namedTable(member string) (*table, error) {
	name, err := s.tableName(member)
	if err != nil {
		return nil, err
	}
	return s.table(name)
}

func (r *writeRequest) check() error {
	switch {
	case r.PutRequest != nil && r.DeleteRequest != nil:
		return invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	case r.PutRequest != nil:
		return checkNewItem(r.PutRequest.Item)
	case r.DeleteRequest == nil:
		return invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	if problem := r.DeleteRequest.Key.Problem(); problem != "" {
		return invalid("%s", problem)
	}
	return nil
}

// writing checks the request against its table.
func (r *writeRequest) writing(t *table) (*writing, error) {
	if r.PutRequest != nil {
		it := r.PutRequest.Item
		return &writing{table: t, key: it, next: func(attr.Item) (attr.Item, error) { return it, nil }}, t.checkItem(it)
	}
	key := r.DeleteRequest.Key
	return &writing{table: t, key: key, next: func(attr.Item) (attr.Item, error) { return nil, nil }}, t.checkKey(key)
}

type batchWriteReply struct{ units *allConsumed }

// AppendJSON appends the reply.
func (r *batchWriteReply) AppendJSON(b []byte) ([]byte, error) {
	return closeObject(r.units.appendTo(append(b, `{"UnprocessedItems":{},`...))), nil
}
