package tables

import (
	"bytes"
	"encoding/binary"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// edit is what a write does to one index (or the table itself): the entry before and after, no key for no entry.
type edit struct {
	index          *index
	before, after  entry
	changesContent bool
}

type entry struct {
	key  []byte
	item attr.Item
	size int
}

// stats are the number of entries of an index and their bytes.
type stats struct{ count, bytes int64 }

// entry is what the index holds of the item; key is known already for the table itself.
func (x *index) entry(t *table, it attr.Item, key []byte) entry {
	if it == nil {
		return entry{}
	}
	if x != t.base {
		var ok bool
		if key, ok = x.storageKey(t, it); !ok {
			return entry{}
		}
		it = x.project(it)
	}
	return entry{key: key, item: it, size: it.Size()}
}

// edits are what a write does to the table and its indexes.
func (t *table) edits(c change, key []byte) []edit {
	all := make([]edit, 0, 1+len(t.Indexes))
	all = append(all, newEdit(t, t.base, c, key))
	for _, x := range t.Indexes {
		if x.Status == deleting {
			continue
		}
		if e := newEdit(t, x, c, nil); e.changesContent {
			all = append(all, e)
		}
	}
	return all
}

func newEdit(t *table, x *index, c change, key []byte) edit {
	e := edit{index: x, before: x.entry(t, c.old, key), after: x.entry(t, c.new, key)}
	e.changesContent = !bytes.Equal(e.before.key, e.after.key) || !attr.EqualItems(e.before.item, e.after.item)
	return e
}

// units are the write units that an index takes: for the removed and the added entry when its key changes, for the
// larger of both when only its content does.
func (e *edit) units() float64 {
	switch {
	case !e.changesContent:
		return 0
	case e.before.key == nil:
		return writeUnits(e.after.size)
	case e.after.key == nil:
		return writeUnits(e.before.size)
	case bytes.Equal(e.before.key, e.after.key):
		return writeUnits(max(e.before.size, e.after.size))
	}
	return writeUnits(e.before.size) + writeUnits(e.after.size)
}

// change is how the edit moves the statistics.
func (e *edit) change() stats {
	change := stats{bytes: int64(e.after.size - e.before.size)}
	if e.after.key != nil {
		change.count++
	}
	if e.before.key != nil {
		change.count--
	}
	return change
}

// totals are the statistics that an update changes, as they are to be.
type totals struct{ changed []total }

type total struct {
	table *table
	index *index
	stats stats
}

// of finds or reads the statistics of an index.
func (all *totals) of(tx *storage.Tx, t *table, x *index) (*stats, error) {
	for i := range all.changed {
		if c := &all.changed[i]; c.table.Number == t.Number && c.index.Number == x.Number {
			return &c.stats, nil
		}
	}
	now, err := readStats(tx.Get, t, x)
	if err != nil {
		return nil, err
	}
	all.changed = append(all.changed, total{t, x, now})
	return &all.changed[len(all.changed)-1].stats, nil
}

// add counts what edits change. It is the last thing in a write that can fail.
func (all *totals) add(tx *storage.Tx, t *table, edits []edit) error {
	for i := range edits {
		e := &edits[i]
		if err := e.checkBefore(tx); err != nil {
			return err
		}
		change := e.change()
		if change == (stats{}) {
			continue
		}
		now, err := all.of(tx, t, e.index)
		if err != nil {
			return err
		}
		now.count += change.count
		now.bytes += change.bytes
	}
	return nil
}

func (all *totals) write(tx *storage.Tx) {
	for _, c := range all.changed {
		writeStats(tx, c.table, c.index, c.stats)
	}
}

// checkBefore drops the entry before if the index is still being filled and has not got to it.
func (e *edit) checkBefore(tx *storage.Tx) error {
	if e.index.Status != creating || e.before.key == nil {
		return nil
	}
	_, found, err := tx.Get(e.before.key)
	if !found {
		e.before = entry{}
	}
	return err
}

func (e *edit) write(tx *storage.Tx) {
	if e.before.key != nil && !bytes.Equal(e.before.key, e.after.key) {
		tx.Delete(e.before.key)
	}
	if e.after.key != nil && e.changesContent {
		tx.Set(e.after.key, attr.Encode(make([]byte, 0, e.after.size+e.after.size/2+32), e.after.item))
	}
}

func readStats(get func([]byte) ([]byte, bool, error), t *table, x *index) (stats, error) {
	value, ok, err := get(statsKey(t.Number, x.Number))
	if err != nil || !ok || len(value) != 16 {
		return stats{}, err
	}
	return stats{int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(value[8:]))}, nil
}

func writeStats(tx *storage.Tx, t *table, x *index, s stats) {
	value := binary.BigEndian.AppendUint64(nil, uint64(s.count))
	tx.Set(statsKey(t.Number, x.Number), binary.BigEndian.AppendUint64(value, uint64(s.bytes)))
}
