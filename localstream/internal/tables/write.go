package tables

import (
	"context"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

// writeInput is the input of PutItem (Item), UpdateItem (Key, and the members from AttributeUpdates on) and DeleteItem
// (Key).
type writeInput struct {
	TableName                           *string `required:"true"`
	Item                                attr.Item
	Key                                 attr.Item
	AttributeUpdates                    map[string]attributeUpdate
	UpdateExpression                    *string
	Expected                            map[string]expectedValue
	ConditionalOperator                 string `enum:"OR, AND"`
	ConditionExpression                 *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           attr.Item
	ReturnValues                        string `enum:"ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW"`
	ReturnValuesOnConditionCheckFailure string `enum:"ALL_OLD, NONE"`
	ReturnConsumedCapacity              string `enum:"INDEXES, TOTAL, NONE"`
	ReturnItemCollectionMetrics         string `enum:"SIZE, NONE"`
}

// writing is one write of one item, checked and bound, on its way to the store.
type writing struct {
	table     *table
	key       attr.Item // it may have further attributes
	condition predicate // nil for none
	returnOld bool      // the item goes into a failed condition's error
	// next gives the item as it is to be (nil to delete it), from what it is (nil if it is not there).
	next  func(old attr.Item) (attr.Item, error)
	units consumed
}

// change is what a write met and what it left; nil for no item.
type change struct{ old, new attr.Item }

// prepare checks and binds all of a write that needs no table. The expressions besides the condition are bound by more.
func (s *Service) prepare(in *writeInput, expressions, legacy []parameter, more func(*binder) error) (*writing, error) {
	b, err := s.binder(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	expressions = append(expressions, parameter{"ConditionExpression", in.ConditionExpression != nil})
	legacy = append(legacy, parameter{"Expected", in.Expected != nil})
	if err := checkStyles(b.params, expressions, legacy); err != nil {
		return nil, err
	}
	w := &writing{returnOld: in.ReturnValuesOnConditionCheckFailure == "ALL_OLD", units: consumed{detail: in.ReturnConsumedCapacity}}
	if more != nil {
		if err := more(b); err != nil {
			return nil, err
		}
	}
	if w.condition, err = bindCondition(b, in); err != nil {
		return nil, err
	}
	return w, b.done()
}

// bindCondition checks and binds the condition in either style; nil for none.
func bindCondition(b *binder, in *writeInput) (predicate, error) {
	if in.ConditionalOperator != "" && len(in.Expected) == 0 {
		return nil, invalid("ConditionalOperator cannot be used without Filter or Expected")
	}
	if len(in.Expected) > 0 {
		return expectations(in.Expected, in.ConditionalOperator)
	}
	bound, err := b.condition("ConditionExpression", in.ConditionExpression)
	if err != nil || bound == nil {
		return nil, err
	}
	return bound, nil
}

// locate finds the table of a write.
func (s *Service) locate(w *writing, in *writeInput) error {
	name, err := s.tableName(*in.TableName)
	if err != nil {
		return err
	}
	w.table, err = s.table(name)
	w.units.table = name
	if c, ok := w.condition.(*expr.BoundCondition); ok && err == nil {
		err = checkScalarKeys(w.table, c.Paths())
	}
	return err
}

func (s *Service) putItem(ctx context.Context, in *writeInput) (any, error) {
	if in.Item == nil {
		return nil, constraint("null", "item", "Member must not be null")
	}
	w, err := s.prepare(in, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	if problem := in.Item.Problem(); problem != "" {
		return nil, invalid("%s", problem)
	}
	if err := onlyOld(in); err != nil {
		return nil, err
	}
	if in.Item.Size() > attr.MaxItemSize {
		return nil, invalid("Item size has exceeded the maximum allowed size")
	}
	if err := s.locate(w, in); err != nil {
		return nil, err
	}
	if err := w.table.checkItem(in.Item); err != nil {
		return nil, err
	}
	w.key = in.Item
	w.next = func(attr.Item) (attr.Item, error) { return in.Item, nil }
	return s.writeAndReturnOld(ctx, w, in)
}

func (s *Service) deleteItem(ctx context.Context, in *writeInput) (any, error) {
	if in.Key == nil {
		return nil, constraint("null", "key", "Member must not be null")
	}
	w, err := s.prepare(in, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := onlyOld(in); err != nil {
		return nil, err
	}
	if err := s.locate(w, in); err != nil {
		return nil, err
	}
	if err := w.table.checkKey(in.Key); err != nil {
		return nil, err
	}
	w.key = in.Key
	w.next = func(attr.Item) (attr.Item, error) { return nil, nil }
	return s.writeAndReturnOld(ctx, w, in)
}

// onlyOld refuses ReturnValues that PutItem and DeleteItem do not have.
func onlyOld(in *writeInput) error {
	if in.ReturnValues != "" && in.ReturnValues != "ALL_OLD" && in.ReturnValues != "NONE" {
		return invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	return nil
}

func (s *Service) writeAndReturnOld(ctx context.Context, w *writing, in *writeInput) (any, error) {
	c, err := s.write(ctx, w)
	if err != nil {
		return nil, err
	}
	reply := &itemReply{member: "Attributes", units: w.units}
	if in.ReturnValues == "ALL_OLD" {
		reply.item = c.old
	}
	return reply, nil
}

// write tests the condition and writes the item with its index entries, all in one update of the store.
func (s *Service) write(ctx context.Context, w *writing) (change, error) {
	key, _ := w.table.base.storageKey(w.table, w.key)
	var done change
	err := s.store.Update(ctx, func(tx *storage.Tx) error {
		c, err := s.writeIn(tx, w, key)
		done = c
		return err
	})
	if err != nil {
		return change{}, err // the update may still be running: done is not ours
	}
	return done, nil
}

// writeIn is write within an update: first all that can fail, then the changes. A transaction will run it for several.
func (s *Service) writeIn(tx *storage.Tx, w *writing, key []byte) (change, error) {
	t := s.newest[w.table.Name]
	if !t.readable() || t.Number != w.table.Number {
		return change{}, errNoTable()
	}
	c, err := decide(tx, t, w, key)
	if err != nil {
		return c, err
	}
	edits := t.edits(c, key)
	if err := countEdits(tx, t, edits); err != nil {
		return c, err
	}
	w.units.base = writeUnits(max(c.old.Size(), c.new.Size()))
	for i := range edits {
		if edits[i].index != t.base {
			w.units.index(edits[i].index, edits[i].units())
		}
		edits[i].write(tx, t)
	}
	return c, nil
}

// decide reads the item, tests the condition and works out the new item.
func decide(tx *storage.Tx, t *table, w *writing, key []byte) (c change, err error) {
	value, found, err := tx.Get(key)
	if err != nil {
		return c, err
	}
	if found {
		if c.old, err = attr.Decode(value); err != nil {
			return c, err
		}
	}
	if w.condition != nil && !w.condition.Match(c.old) {
		if w.returnOld {
			return c, conditionFailed(c.old)
		}
		return c, conditionFailed(nil)
	}
	if c.new, err = w.next(c.old); err != nil || c.new == nil {
		return c, err
	}
	if err := t.checkIndexKeys(c.new); err != nil {
		return c, err
	}
	return c, tx.Space()
}
