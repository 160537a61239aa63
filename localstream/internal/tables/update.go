package tables

import (
	"context"
	"errors"
	"slices"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

func (s *Service) updateItem(ctx context.Context, in *writeInput) (any, error) {
	if in.Key == nil {
		return nil, constraint("null", "key", "Member must not be null")
	}
	w, ch, err := s.updating(in)
	if err != nil {
		return nil, err
	}
	if err := s.locate(w, in); err != nil {
		return nil, err
	}
	if err := checkUpdate(w.table, in, ch); err != nil {
		return nil, err
	}
	c, err := s.write(ctx, w)
	if err != nil {
		return nil, err
	}
	return &itemReply{member: "Attributes", item: updated(in.ReturnValues, ch, c), units: *w.units}, nil
}

// updating checks and binds all of an update that needs no table.
func (s *Service) updating(in *writeInput) (w *writing, ch changes, err error) {
	w, err = s.prepare(in, []parameter{{"UpdateExpression", in.UpdateExpression != nil}},
		[]parameter{{"AttributeUpdates", in.AttributeUpdates != nil}},
		func(b *binder) (err error) {
			ch, err = bindChanges(b, in)
			return err
		})
	if err != nil {
		return nil, nil, err
	}
	w.key = in.Key
	w.next = func(old attr.Item) (attr.Item, error) { return update(in, ch, old) }
	return w, ch, nil
}

// bindChanges checks and binds the update in either style.
func bindChanges(b *binder, in *writeInput) (changes, error) {
	if in.UpdateExpression == nil {
		return replacements(in.AttributeUpdates)
	}
	return b.update(in.UpdateExpression)
}

// checkUpdate refuses a wrong key and changes of the key.
func checkUpdate(t *table, in *writeInput, ch changes) error {
	if err := t.checkKey(in.Key); err != nil {
		return err
	}
	paths := ch.Paths()
	for _, p := range paths {
		if slices.ContainsFunc(t.Key, func(k keyPart) bool { return k.Name == p.Root() }) && !p.Nested() {
			return invalid(parameterProblem+"Cannot update attribute %s. This attribute is part of the key", p.Root())
		}
	}
	if err := checkScalarKeys(t, paths); err != nil {
		return err
	}
	if all, ok := ch.(expr.Replacements); ok {
		return t.checkIndexUpdates(all)
	}
	return nil
}

// checkIndexUpdates refuses AttributeUpdates that add to or take from the keys of local indexes what those cannot have.
func (t *table) checkIndexUpdates(all expr.Replacements) error {
	for _, r := range all {
		for _, x := range t.Indexes {
			for _, k := range x.Key {
				if !x.Global && k.Name == r.Name && r.Value.Exists() && r.Value.Kind != k.Kind && r.Action != "PUT" {
					return invalid("Updates on index keys must be of the same data type as the key attribute")
				}
			}
		}
	}
	return nil
}

// update applies the changes. An item that is not there begins as its key, unless the older parameters only delete.
func update(in *writeInput, ch changes, old attr.Item) (attr.Item, error) {
	from := old
	if old == nil {
		if r, ok := ch.(expr.Replacements); ok && len(r) > 0 && !slices.ContainsFunc(r, func(r expr.Replacement) bool { return r.Action != "DELETE" }) {
			return nil, nil
		}
		from = in.Key
	}
	it, err := ch.Apply(from)
	if err != nil {
		var complaint *expr.Error
		if errors.As(err, &complaint) {
			return nil, invalid("%s", complaint.Message)
		}
		return nil, invalid("%s", err)
	}
	if it.Size() > attr.MaxItemSize {
		return nil, invalid("Item size to update has exceeded the maximum allowed size")
	}
	if it.TooDeep() {
		return nil, invalid("Nesting Levels have exceeded supported limits")
	}
	return it, nil
}

// updated are the attributes to answer.
func updated(returnValues string, ch changes, c change) attr.Item {
	var it attr.Item
	switch returnValues {
	case "ALL_OLD":
		return c.old
	case "ALL_NEW":
		return c.new
	case "UPDATED_OLD":
		it = expr.Project(c.old, ch.Paths())
	case "UPDATED_NEW":
		it = expr.Project(c.new, ch.Paths())
	}
	if len(it) == 0 {
		return nil
	}
	return it
}
