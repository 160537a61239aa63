package shardsync

import (
	"slices"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// Children returns the rows to create for the shards that follow parent, which has come to its end. ready is false
// while a merged child must wait: its other parent is still listed in shards but has no row, nor has the child. Were it
// created, it would not wait for that parent, whose row is made by a shard that is still being processed, or by the next
// Missing.
//
// The rows begin at TRIM_HORIZON wherever the application began, because their records came after the parent's; but
// after a parent that ended without having come to AT_TIMESTAMP's moment, they begin at that, too.
func Children(parent lease.Lease, children []record.Shard, leases []lease.Lease, shards []record.Shard) (rows []lease.Lease, ready bool) {
	has := byShard(leases, parent.Stream)
	listed := func(id string) bool {
		return slices.ContainsFunc(shards, func(s record.Shard) bool { return s.ID == id })
	}
	ready = true
	for _, child := range children {
		if _, ok := has[child.ID]; ok {
			continue
		}
		waits := slices.ContainsFunc(child.Parents, func(id string) bool {
			_, ok := has[id]
			return id != parent.Shard && !ok && listed(id)
		})
		if waits {
			ready = false
			continue
		}
		row := newRow(parent.Stream, child, record.TrimHorizon)
		if parent.Checkpoint.Kind() == record.KindAtTimestamp {
			row.Checkpoint, row.StartTime = parent.Checkpoint, parent.StartTime
		}
		rows = append(rows, row)
	}
	return rows, ready
}

// StartPosition is where to begin reading the shard of l: at its checkpoint, with LATEST and AT_TIMESTAMP made definite.
// parents are the rows of its parents that exist.
//
// LATEST means the row's StartTime; but TRIM_HORIZON if a parent has a row, because then the shard came after the
// application had begun, whoever wrote LATEST, and LATEST itself only where a Java worker created the row without a
// StartTime. AT_TIMESTAMP means the row's StartTime, else start's moment.
func StartPosition(l lease.Lease, parents []lease.Lease, start record.Position) record.Position {
	switch l.Checkpoint.Kind() {
	case record.KindLatest:
		switch {
		case len(parents) > 0:
			return record.TrimHorizon
		case !l.StartTime.IsZero():
			return record.AtTimestamp(l.StartTime)
		default:
			return record.Latest
		}
	case record.KindAtTimestamp:
		switch {
		case !l.StartTime.IsZero():
			return record.AtTimestamp(l.StartTime)
		case start.Kind() == record.KindAtTimestamp:
			return start
		default: // the application was configured otherwise when the row was made; its moment is not known any more
			return record.TrimHorizon
		}
	case record.KindNone:
		return record.TrimHorizon
	default:
		return l.Checkpoint
	}
}

// Deletable returns the finished rows that nobody needs any more: their children are known and have rows, all of which
// have moved beyond the sentinel that they began with, and the rows of their own parents are gone. So rows go oldest
// first, and a shard whose row is gone can be told from one that never had any. leases may be of several streams.
//
// listed, if not empty, are all shards of the one stream that leases are of. The row of a finished shard that is not
// among them goes also when it does not tell its children, or those have been forgotten, too: but a listed child must have
// a row, or it would look as if it had been overlooked.
func Deletable(leases []lease.Lease, listed []record.Shard) []lease.Lease {
	type id struct{ stream, shard string }
	rows := make(map[id]*lease.Lease, len(leases))
	for i := range leases {
		rows[id{leases[i].Stream, leases[i].Shard}] = &leases[i]
	}
	offspring := make(map[string][]string) // of a shard, as listed
	there := make(map[string]bool, len(listed))
	for _, s := range listed {
		there[s.ID] = true
		for _, parent := range s.Parents {
			offspring[parent] = append(offspring[parent], s.ID)
		}
	}
	var done []lease.Lease
	for _, l := range leases {
		underWay := func(child string) bool {
			row := rows[id{l.Stream, child}]
			return row != nil && (row.Checkpoint.Kind() == record.KindSequence || row.Finished())
		}
		hasRow := func(parent string) bool { return rows[id{l.Stream, parent}] != nil }
		if !(l.Finished() || mutant.Planted(mutant.DeletesTooEarly) && len(l.Children) > 0) || slices.ContainsFunc(l.Parents, hasRow) {
			continue
		}
		children, known := l.Children, len(l.Children) > 0
		if len(listed) > 0 && !there[l.Shard] {
			children, known = slices.Concat(children, offspring[l.Shard]), true
			children = slices.DeleteFunc(children, func(child string) bool { return !there[child] && !hasRow(child) })
		}
		if known && (mutant.Planted(mutant.DeletesTooEarly) || !slices.ContainsFunc(children, func(child string) bool { return !underWay(child) })) {
			done = append(done, l)
		}
	}
	return done
}

// Uncovered returns the parts of the hash key space in which no unfinished row of leases lies: records put there
// would be processed by nobody. The rows must be of one stream. Between the end of a shard and the next listing there
// can be a gap for a moment; one that stays calls for Missing. It returns nil while an unfinished row does not tell its
// range (see Store.Describe).
func Uncovered(leases []lease.Lease) []record.HashKeyRange {
	var covered []record.HashKeyRange
	for _, l := range leases {
		if l.Finished() {
			continue
		}
		if l.Range == nil {
			return nil
		}
		covered = append(covered, *l.Range)
	}
	slices.SortFunc(covered, func(a, b record.HashKeyRange) int { return a.Start.Compare(b.Start) })
	var gaps []record.HashKeyRange
	next := record.HashKey{} // the first point not known to be covered
	for _, r := range covered {
		if next.Compare(r.Start) < 0 {
			gaps = append(gaps, record.HashKeyRange{Start: next, End: r.Start.Prev()})
		}
		if next.Compare(r.End) > 0 {
			continue
		}
		if r.End == record.MaxHashKey {
			return gaps
		}
		next = r.End.Next()
	}
	return append(gaps, record.HashKeyRange{Start: next, End: record.MaxHashKey})
}

func byShard(leases []lease.Lease, stream string) map[string]lease.Lease {
	rows := make(map[string]lease.Lease, len(leases))
	for _, l := range leases {
		if l.Stream == stream {
			rows[l.Shard] = l
		}
	}
	return rows
}
