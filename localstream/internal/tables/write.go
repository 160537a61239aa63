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
	// next gives the item as it is to be (nil to delete it), from what it is (nil if it is not there). Nil only tests.
	next  func(old attr.Item) (attr.Item, error)
	units *consumed

	storageKey []byte // set by decide
}

// change is what a write met and what it left; nil for no item. same says that it was only a test.
type change struct {
	old, new attr.Item
	same     bool
}

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
	w := &writing{returnOld: in.ReturnValuesOnConditionCheckFailure == "ALL_OLD", units: &consumed{detail: in.ReturnConsumedCapacity}}
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
	if err := checkConditionalOperator(in.ConditionalOperator, len(in.Expected)); err != nil {
		return nil, err
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
	w, err := s.putting(in)
	if err == nil {
		err = onlyOld(in)
	}
	if err == nil {
		err = s.locate(w, in)
	}
	if err == nil {
		err = w.table.checkItem(in.Item)
	}
	if err != nil {
		return nil, err
	}
	return s.writeAndReturnOld(ctx, w, in)
}

// putting checks and binds all of a put that needs no table.
func (s *Service) putting(in *writeInput) (*writing, error) {
	w, err := s.prepare(in, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	w.key = in.Item
	w.next = func(attr.Item) (attr.Item, error) { return in.Item, nil }
	return w, checkNewItem(in.Item)
}

// checkNewItem refuses an item that no table takes.
func checkNewItem(it attr.Item) error {
	if problem := it.Problem(); problem != "" {
		return invalid("%s", problem)
	}
	if it.Size() > attr.MaxItemSize {
		return invalid("Item size has exceeded the maximum allowed size")
	}
	return nil
}

func (s *Service) deleteItem(ctx context.Context, in *writeInput) (any, error) {
	if in.Key == nil {
		return nil, constraint("null", "key", "Member must not be null")
	}
	w, err := s.deleting(in)
	if err == nil {
		err = onlyOld(in)
	}
	if err == nil {
		err = s.locate(w, in)
	}
	if err == nil {
		err = w.table.checkKey(in.Key)
	}
	if err != nil {
		return nil, err
	}
	return s.writeAndReturnOld(ctx, w, in)
}

// deleting checks and binds all of a delete that needs no table.
func (s *Service) deleting(in *writeInput) (*writing, error) {
	w, err := s.prepare(in, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	w.key = in.Key
	w.next = func(attr.Item) (attr.Item, error) { return nil, nil }
	return w, nil
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
	reply := &itemReply{member: "Attributes", units: *w.units}
	if in.ReturnValues == "ALL_OLD" {
		reply.item = c.old
	}
	return reply, nil
}

// write tests the condition and writes the item with its index entries, all in one update of the store.
func (s *Service) write(ctx context.Context, w *writing) (change, error) {
	var done change
	err := s.store.Update(ctx, func(tx *storage.Tx) error {
		c, err := s.decide(tx, w)
		done = c
		if err != nil {
			return err
		}
		return apply(tx, []*writing{w}, []change{c})
	})
	if err != nil {
		return change{}, err // the update may still be running: done is not ours
	}
	return done, nil
}

// apply writes what was decided for each of several different items and charges for it: first all that can fail, then
// the changes.
func apply(tx *storage.Tx, all []*writing, decided []change) error {
	var totals totals
	edits := make([][]edit, len(all))
	for i, w := range all {
		if decided[i].same {
			w.units.base += writeUnits(decided[i].old.Size()) * w.units.times()
			continue
		}
		edits[i] = w.table.edits(decided[i], w.storageKey)
		if err := totals.add(tx, w.table, edits[i]); err != nil {
			return err
		}
	}
	for i, w := range all {
		w.carryOut(tx, decided[i], edits[i])
	}
	totals.write(tx)
	return nil
}

func (w *writing) carryOut(tx *storage.Tx, c change, edits []edit) {
	if c.same {
		return
	}
	w.units.base += writeUnits(max(c.old.Size(), c.new.Size())) * w.units.times()
	for i := range edits {
		if edits[i].index != w.table.base {
			w.units.index(edits[i].index, edits[i].units()*w.units.times())
		}
		edits[i].write(tx)
	}
	if seconds, ok := w.table.expiresAt(c.new); ok {
		tx.OnCommit(func() { w.table.expiry.note(seconds) })
	}
}

// decide reads the item, tests the condition and works out the new item, within an update.
func (s *Service) decide(tx *storage.Tx, w *writing) (c change, err error) {
	t := s.newest[w.table.Name]
	if !t.readable() || t.Number != w.table.Number {
		return c, errNoTable()
	}
	w.table = t
	w.storageKey, _ = t.base.storageKey(t, w.key)
	value, found, err := tx.Get(w.storageKey)
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
	if w.next == nil {
		c.new, c.same = c.old, true
		return c, nil
	}
	if c.new, err = w.next(c.old); err != nil || c.new == nil {
		return c, err
	}
	if err := t.checkIndexKeys(c.new); err != nil {
		return c, err
	}
	return c, tx.Space()
}
