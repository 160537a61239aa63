package tables

import (
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// A table or index that changes is settled by a task of its own. New starts the tasks again that an earlier process did
// not finish: all that they need is in the stored statuses.
//
//	table   CREATING ─► ACTIVE ◄─► UPDATING      any ─► DELETING ─► gone
//	index   CREATING (being filled) ─► ACTIVE ─► DELETING ─► gone

// backfillStep is how many items one update of the store adds to a new index: few enough not to hold up other writes.
const backfillStep = 256

// settle starts the task that brings the table, as just stored, to rest, if it is not.
func (s *Service) settle(t *table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Status == active || s.closed {
		return
	}
	s.tasks.Go(func() {
		if err := s.o.Clock.Sleep(s.ctx, s.o.Delay); err != nil {
			return
		}
		if err := s.finish(t); err != nil && s.ctx.Err() == nil {
			s.o.Logger.Error("table stays in its status", zap.String("table", t.Name), zap.String("status", t.Status), zap.Error(err))
		}
	})
}

// finish does what is left to do for t.
func (s *Service) finish(t *table) error {
	if t.Status == deleting {
		return s.revise(t, func(tx *storage.Tx, now *table) { s.forget(tx, now) })
	}
	for _, x := range t.Indexes {
		if x.Status == creating {
			if err := s.backfill(t, x); err != nil {
				return err
			}
		}
	}
	return s.revise(t, func(tx *storage.Tx, now *table) {
		c := now.clone()
		c.Status = active
		c.Indexes = c.Indexes[:0]
		for _, x := range now.clone().Indexes {
			if x.Status == deleting {
				prefix := itemsPrefix(nil, t.Number, x.Number)
				tx.DeleteRange(prefix, after(prefix))
				tx.Delete(statsKey(t.Number, x.Number))
				continue
			}
			x.Status = active
			c.Indexes = append(c.Indexes, x)
		}
		c.Attributes = c.usedDefinitions()
		s.save(tx, c)
	})
}

// revise runs do on the newest state of t, unless it is gone or another by now.
func (s *Service) revise(t *table, do func(*storage.Tx, *table)) error {
	return s.store.Update(s.ctx, func(tx *storage.Tx) error {
		if now := s.newest[t.Name]; now != nil && now.Number == t.Number && now.Status == t.Status {
			do(tx, now)
		}
		return nil
	})
}

// backfill adds the table's items to an index. Writes keep the index up to date meanwhile, so an entry may be there
// already; and what an interrupted backfill has added stays.
func (s *Service) backfill(t *table, x *index) error {
	prefix := itemsPrefix(nil, t.Number, baseIndex)
	for cursor := prefix; cursor != nil; {
		err := s.store.Update(s.ctx, func(tx *storage.Tx) (err error) {
			cursor, err = s.backfillFrom(tx, t, x, cursor, after(prefix))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// backfillFrom adds the items from cursor on, up to a step's worth, and returns where to go on, nil at the end.
func (s *Service) backfillFrom(tx *storage.Tx, t *table, x *index, cursor, end []byte) ([]byte, error) {
	if now := s.newest[t.Name]; now == nil || now.Number != t.Number || now.numbered(x.Number) == nil {
		return nil, nil // deleted meanwhile
	}
	if err := tx.Space(); err != nil {
		return nil, err
	}
	missing, next, err := missingEntries(tx, t, x, cursor, end)
	if err != nil {
		return nil, err
	}
	total, err := readStats(tx.Get, t, x)
	if err != nil {
		return nil, err
	}
	for _, e := range missing {
		total.count++
		total.bytes += int64(e.after.size)
		e.write(tx)
	}
	if len(missing) > 0 {
		writeStats(tx, t, x, total)
	}
	return next, nil
}

// missingEntries are the entries that the next items should have in the index but have not. Items whose attributes do
// not fit the index's key are left out.
func missingEntries(tx *storage.Tx, t *table, x *index, cursor, end []byte) (missing []edit, next []byte, err error) {
	it, err := tx.Iter(cursor, end)
	if err != nil {
		return nil, nil, err
	}
	defer it.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n > backfillStep {
			return missing, append([]byte(nil), it.Key()...), nil
		}
		e, err := missingEntry(tx, t, x, it.Value())
		if err != nil {
			return nil, nil, err
		}
		if e.changesContent {
			missing = append(missing, e)
		}
	}
	return missing, nil, it.Error()
}

func missingEntry(tx *storage.Tx, t *table, x *index, value []byte) (edit, error) {
	item, err := attr.Decode(value)
	if err != nil {
		return edit{}, err
	}
	e := edit{index: x, after: x.entry(t, item, nil)}
	if e.after.key == nil {
		return e, nil
	}
	_, found, err := tx.Get(e.after.key)
	e.changesContent = !found
	return e, err
}
