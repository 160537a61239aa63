package invariant

import (
	"slices"
	"sort"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A shard is what is known of one, and what has happened to it so far.
type shard struct {
	name      string
	stream    *stream
	parents   []string
	ancestors []*shard // those of the parents that the log knows
	keys      record.HashKeyRange
	listed    bool
	records   []stored // in their order
	kept      []record.Position

	row     lease.Lease // the zero Lease if there is none
	rowed   bool        // there was one
	touched bool        // its row was changed by hand
	high    record.Position
	raised  time.Time // when the holder last raised the counter
	asked   time.Time // since when a hand-over is under way
	tenures []*tenure
	pin     time.Time // records from before the application's start are not expected
	pinless bool      // LATEST without a moment: what is expected is not known
	covered int       // records below are below the checkpoint, and were found delivered

	delivered bool // at least one record was
	session   *session
	crash     *crash // the failover that it waits for
}

// A stored record is one that was put.
type stored struct {
	pos   record.Position
	at    time.Time
	state state
}

// A state says how far a record has come.
type state uint8

const (
	waiting state = iota
	given         // handed over at least once
	done          // a call with it has succeeded
	dead          // taken as a dead letter
)

// sortRecords puts records in their order; that of the log is nearly it.
func (c *checker) sortRecords(s *shard) {
	byPosition := func(a, b stored) int { return a.pos.Compare(b.pos) }
	if !slices.IsSortedFunc(s.records, byPosition) {
		slices.SortStableFunc(s.records, byPosition)
	}
	for i := 1; i < len(s.records); i++ {
		if s.records[i].pos == s.records[i-1].pos {
			c.violate("I16", "shard %s: two records were acknowledged as %v", s.name, s.records[i].pos)
		}
	}
}

// find is the index of the record at p.
func (s *shard) find(p record.Position) (i int, ok bool) {
	i = sort.Search(len(s.records), func(i int) bool { return s.records[i].pos.Compare(p) >= 0 })
	return i, i < len(s.records) && s.records[i].pos == p
}

// behind is the index of the first record behind a checkpoint; ok is false where the records do not tell.
func (s *shard) behind(p record.Position) (i int, ok bool) {
	switch p.Kind() {
	case record.KindSequence:
		i, found := s.find(p)
		if found {
			i++
		}
		return i, true
	case record.KindShardEnd:
		return len(s.records), true
	case record.KindAtTimestamp:
		if p.Time().IsZero() || p.Time().Unix() == 0 {
			return 0, false
		}
		return sort.Search(len(s.records), func(i int) bool { return !s.records[i].at.Before(p.Time()) }), true
	case record.KindLatest:
		return 0, false
	default:
		return 0, true
	}
}

// excused reports whether the record at i need not be delivered: it came before the application's start, or it has
// expired.
func (c *checker) excused(s *shard, i int) bool {
	r := &s.records[i]
	return s.pinless && !s.delivered || !s.pin.IsZero() && r.at.Add(-c.rules.Slack).Before(s.pin) || r.at.Before(c.expired(s.stream))
}

// skipped is the first of the records from i up to but without j that may not be left out, -1 if there is none.
func (c *checker) skipped(s *shard, i, j int) int {
	for ; i < j; i++ {
		if s.records[i].state != dead && !c.excused(s, i) {
			return i
		}
	}
	return -1
}

// missing is the first of the records from i up to but without j that has not come as far as want though it had to, -1 if
// there is none.
func (c *checker) missing(s *shard, i, j int, want state) int {
	for ; i < j; i++ {
		if s.records[i].state < want && !c.excused(s, i) {
			return i
		}
	}
	return -1
}

// deleted reports whether the row was deleted by hand while a child had one: nobody can tell it then from that of a
// finished shard.
func (s *shard) deleted() bool {
	return s.touched && s.row.Key == "" && slices.ContainsFunc(s.stream.shards, func(child *shard) bool {
		return child.rowed && slices.Contains(child.ancestors, s)
	})
}

// everything checks what must be true of the shard when all is over.
func (c *checker) everything(s *shard) {
	c.stored(s)
	if !c.rules.Complete || c.rules.Start != record.TrimHorizon && !s.rowed && c.notStarted(s) {
		return
	}
	first, lost := -1, 0
	for i := range s.records {
		if s.records[i].state >= done || s.records[i].state == given && i < s.covered {
			continue // a call that failed may have stored a checkpoint before: the processor's word
		}
		if c.excused(s, i) || s.deleted() {
			c.result.Expired++
			continue
		}
		lost++
		if first < 0 {
			first = i
		}
	}
	if lost > 0 {
		c.result.Lost += lost
		c.violate("I1", "shard %s: %d of %d records were never processed, %v first; the row has the checkpoint %v, owner %q, counter %d",
			s.name, lost, len(s.records), s.records[first].pos, s.row.Checkpoint, s.row.Holder(), s.row.Counter)
		return
	}
	if n := len(s.records); c.rules.Covered && c.table && n > 0 && s.row.Key != "" {
		if at, ok := s.behind(s.row.Checkpoint); ok && at < n && !c.excused(s, n-1) && s.records[n-1].state != dead {
			c.violate("I1", "shard %s: all records were processed, and the checkpoint stayed at %v of %v", s.name, s.row.Checkpoint, s.records[n-1].pos)
		}
	}
}

// notStarted reports whether the shard, which never had a row, lies before the application's start.
func (c *checker) notStarted(s *shard) bool {
	n := len(s.records)
	return n == 0 || s.stream.since.IsZero() || s.records[n-1].at.Before(s.stream.since)
}

// stored compares what was acknowledged with what the stream holds in the end (I16).
func (c *checker) stored(s *shard) {
	for i := 1; i < len(s.kept); i++ {
		if s.kept[i].Compare(s.kept[i-1]) <= 0 {
			c.violate("I16", "shard %s: the stream holds %v behind %v", s.name, s.kept[i], s.kept[i-1])
			return
		}
	}
	if len(s.kept) == 0 && !c.anyKept() {
		return
	}
	k := 0
	for i := range s.records {
		r := &s.records[i]
		for k < len(s.kept) && s.kept[k].Compare(r.pos) < 0 {
			k++
		}
		if (k == len(s.kept) || s.kept[k] != r.pos) && !r.at.Before(c.expired(s.stream)) {
			c.violate("I16", "shard %s: %v was acknowledged and the stream does not hold it", s.name, r.pos)
			return
		}
	}
}

func (c *checker) anyKept() bool {
	return slices.ContainsFunc(c.order, func(s *shard) bool { return len(s.kept) > 0 })
}
