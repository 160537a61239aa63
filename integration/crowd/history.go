package main

import (
	"cmp"
	"slices"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
)

// history is all writes that were applied, in their order as far as that can be told: those of a row by its counter, which
// every write raises but Ask and Describe; all by the time of their answers. What the server applied just before it was
// killed, so that no answer came, is found by what was there after its restart.
func (t *table) history() []write {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := map[string][]write{}
	for _, w := range t.writes {
		rows[w.after.Key] = append(rows[w.after.Key], w)
	}
	var all []write
	for key, row := range rows {
		all = append(all, t.inOrder(key, row)...)
	}
	slices.SortStableFunc(all, func(a, b write) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.after.Key, b.after.Key))
	})
	return all
}

// inOrder puts the writes of a row into their order.
func (t *table) inOrder(key string, row []write) []write {
	for _, s := range t.snapshots {
		row = t.found(key, row, s)
	}
	slices.SortStableFunc(row, func(a, b write) int {
		if a.gone || b.gone {
			return map[bool]int{true: 1}[a.gone] - map[bool]int{true: 1}[b.gone]
		}
		return cmp.Or(cmp.Compare(a.after.Counter, b.after.Counter), cmp.Compare(rank(a), rank(b)))
	})
	// Whoever saw what a write has done wrote later: its answer was there no later than those of later writes.
	for i := len(row) - 2; i >= 0; i-- {
		if row[i+1].at.Before(row[i].at) {
			row[i].at = row[i+1].at
		}
	}
	return row
}

// rank puts those that do not raise the counter behind the one that did.
func rank(w write) int { return map[string]int{memory.OpDescribe: 1, memory.OpAsk: 2}[w.op] }

// found adds a write of which a snapshot alone tells.
func (t *table) found(key string, row []write, s snapshot) []write {
	now, there := s.rows[key]
	last := -1 // the newest write before
	for i := range row {
		if there && !row[i].gone && same(row[i].after, now) {
			return row
		}
		if row[i].at.Before(s.at) && (last < 0 || row[i].gone || !row[last].gone && row[i].after.Counter >= row[last].after.Counter) {
			last = i
		}
	}
	if last < 0 && !there || last >= 0 && row[last].gone {
		return row
	}
	w := write{sent: s.at, at: s.at, after: now}
	if !there {
		w.after, w.gone, w.op = lease.Lease{Key: key, Shard: key}, true, memory.OpDelete
	} else if last < 0 {
		w.op = memory.OpCreate
	} else {
		w.op = change(row[last].after, now)
	}
	for _, o := range slices.Backward(t.open) {
		if o.after.Key == key && o.at.Before(s.at) && can(o.op, w.op) && (last < 0 || !o.at.Before(row[last].at)) {
			w.life, w.op, w.sent = o.life, o.op, o.sent
			break
		}
	}
	return append(row, w)
}

// can reports whether a request was able to do what looks like another operation: a worker that takes what was assigned to
// it changes no more than a renewal does.
func can(request, seen string) bool {
	return request == seen || request == memory.OpTake && (seen == memory.OpAssign || seen == memory.OpRenew)
}

// same reports whether two writes of a row can be the same one.
func same(a, b lease.Lease) bool {
	return a.Counter == b.Counter && a.Owner == b.Owner && a.CheckpointOwner == b.CheckpointOwner && a.Checkpoint == b.Checkpoint
}

// change guesses the operation that changed a row. What takes it from another may be Take as well as Assign.
func change(from, to lease.Lease) string {
	switch {
	case to.Counter == from.Counter && to.CheckpointOwner != from.CheckpointOwner:
		return memory.OpAsk
	case to.Counter == from.Counter:
		return memory.OpDescribe
	case from.CheckpointOwner != "" && to.CheckpointOwner == "" && to.Owner == from.Owner || to.Owner == "" && from.Owner != "":
		return memory.OpRelease
	case to.Owner != from.Owner || to.OwnerSwitches > from.OwnerSwitches:
		return memory.OpAssign
	default:
		return memory.OpRenew
	}
}
