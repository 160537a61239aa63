// Package shardsync decides which lease rows a stream needs: at the first start, when shards turn up that no row covers,
// at the end of a shard, and when finished rows can go. It is pure: shards and rows in, rows out.
//
// The rows of a stream form a front that moves along the lineage of its shards: each point of the hash key space is
// covered by an unfinished row, or by one that is about to be created by the end of another. The end of a shard creates
// the rows of its children before the shard's own row is marked as done, and rows go oldest first, once their children
// are under way. So a shard without a row that has an ancestor with one is in the future of the front, and needs
// nothing; a shard without either has been overlooked.
package shardsync

import (
	"slices"
	"time"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// Input is what is known of one stream.
type Input struct {
	// Stream is the stream's identifier in an application of several streams, else "".
	Stream string
	// Shards are the stream's shards: for a table without rows of this stream those open at the start position, else
	// all within retention.
	Shards []record.Shard
	// Leases are the rows of this stream.
	Leases []lease.Lease
	// Start is where the application begins: TrimHorizon, Latest, or an AtTimestamp position.
	Start record.Position
	// Now is the service's time when it listed the shards.
	Now time.Time
}

// Missing returns the rows to create, parents before children.
//
// At the first listing, which is one without rows, each shard given gets a row at Start; for LATEST with Now as its
// StartTime.
//
// Later, the listing shows everything within retention, and each open shard must have a row, or have all its parents
// covered, so that its row will be created when they end. Where neither is so, the oldest listed shards of the
// uncovered lineage get rows; that includes one side of a merge when only the other has any. Such shards were there
// when the application first listed the stream, but the creation of the rows broke off, or rows were deleted by hand.
// They begin where they would have begun then: at TRIM_HORIZON or the start's moment. With LATEST that is the earliest
// StartTime that other rows still know; if none does, it is TRIM_HORIZON, because records put since then must not be
// lost.
//
// A child whose parents' rows are all finished should have been created by them. If it is missing, it is created at
// TRIM_HORIZON.
//
// A listing of rows is no snapshot: while it was read, rows may have been created in one part and deleted in another.
// So, but for the first listing, create only what is still missing by a second one.
func Missing(in Input) []lease.Lease {
	if len(in.Leases) == 0 {
		return first(in)
	}
	s := newSyncer(in)
	for _, l := range in.Leases {
		s.leaveBehind(l.Shard)
	}
	for _, shard := range in.Shards {
		if shard.Open() {
			s.cover(shard.ID)
		}
	}
	return s.rows
}

func first(in Input) []lease.Lease {
	in.Leases = nil
	s := newSyncer(in)
	var add func(shard record.Shard)
	add = func(shard record.Shard) {
		if s.coverage[shard.ID] != unknown {
			return
		}
		s.coverage[shard.ID] = unfinished
		for _, parent := range s.listedParents(shard) {
			add(parent)
		}
		row := s.row(shard, in.Start)
		if in.Start == record.Latest {
			row.StartTime = in.Now
		}
		s.rows = append(s.rows, row)
	}
	for _, shard := range in.Shards {
		add(shard)
	}
	return s.rows
}

// Key is the key of a shard's row: shard, or stream:shard where stream is not "".
func Key(stream, shard string) string {
	if stream == "" {
		return shard
	}
	return stream + ":" + shard
}

// coverage says how the records of a shard come to be processed.
type coverage int

const (
	unknown    coverage = iota // not looked at yet
	unfinished                 // it has a row that is not done
	finished                   // it has a row that is done
	future                     // its row will be created at the end of a parent
	overlooked                 // it gets its row now, because nothing of its lineage had any
	past                       // it has no row, but a shard that came after it has
)

type syncer struct {
	in       Input
	start    record.Position // of rows that were overlooked
	since    time.Time       // and their StartTime
	shards   map[string]record.Shard
	coverage map[string]coverage
	rows     []lease.Lease // to create
}

func newSyncer(in Input) *syncer {
	s := &syncer{
		in: in, start: in.Start,
		shards:   make(map[string]record.Shard, len(in.Shards)),
		coverage: make(map[string]coverage, len(in.Shards)),
	}
	for _, shard := range in.Shards {
		s.shards[shard.ID] = shard
	}
	for _, l := range in.Leases {
		s.coverage[l.Shard] = unfinished
		if l.Finished() {
			s.coverage[l.Shard] = finished
		}
		if !l.StartTime.IsZero() && (s.since.IsZero() || l.StartTime.Before(s.since)) {
			s.since = l.StartTime
		}
	}
	switch {
	case in.Start != record.Latest:
		s.since = time.Time{}
	case s.since.IsZero():
		s.start = record.TrimHorizon
	}
	return s
}

// leaveBehind marks the ancestors of a shard with a row that have none: their rows were deleted, or they were closed
// when the application began.
func (s *syncer) leaveBehind(id string) {
	for _, parent := range s.listedParents(s.shards[id]) {
		if s.coverage[parent.ID] == unknown {
			s.coverage[parent.ID] = past
			s.leaveBehind(parent.ID)
		}
	}
}

// cover sees to it that the shard is covered, its ancestors first, and returns how it is.
func (s *syncer) cover(id string) coverage {
	if c := s.coverage[id]; c != unknown {
		return c
	}
	s.coverage[id] = future
	shard := s.shards[id]
	parents := s.listedParents(shard)
	parents = slices.DeleteFunc(parents, func(p record.Shard) bool { return s.coverage[p.ID] == past })
	done, missed := 0, 0
	for _, parent := range parents {
		switch s.cover(parent.ID) {
		case finished:
			done++
		case overlooked:
			missed++
		}
	}
	switch {
	case len(parents) == done && done > 0 && !mutant.Planted(mutant.ChildForgotten):
		s.coverage[id] = unfinished
		s.rows = append(s.rows, s.row(shard, record.TrimHorizon))
	case len(parents) == missed && (missed == 0 || s.start != record.TrimHorizon):
		s.coverage[id] = overlooked
		s.rows = append(s.rows, s.overlooked(shard))
	}
	return s.coverage[id]
}

// overlooked is the row of a shard of a lineage without rows. Where the application begins at a moment, all of that
// lineage gets rows at that moment: were only the oldest to get one, its children would begin at TRIM_HORIZON, with
// records from before it. Where that is LATEST's moment, closed shards, and those whose parents have rows, say
// AT_TIMESTAMP: LATEST beside a parent's row has to mean TRIM_HORIZON (see StartPosition), and what ends at
// AT_TIMESTAMP hands the moment on to its children.
func (s *syncer) overlooked(shard record.Shard) lease.Lease {
	row := s.row(shard, s.start)
	row.StartTime = s.since
	hasRow := func(parent string) bool {
		c := s.coverage[parent]
		return c == unfinished || c == finished || c == overlooked
	}
	if s.start == record.Latest && (!shard.Open() || slices.ContainsFunc(shard.Parents, hasRow)) {
		row.Checkpoint = record.AtTimestamp(s.since)
	}
	return row
}

func (s *syncer) listedParents(shard record.Shard) []record.Shard {
	var parents []record.Shard
	for _, id := range shard.Parents {
		if parent, ok := s.shards[id]; ok {
			parents = append(parents, parent)
		}
	}
	return parents
}

func (s *syncer) row(shard record.Shard, checkpoint record.Position) lease.Lease {
	return newRow(s.in.Stream, shard, checkpoint)
}

func newRow(stream string, shard record.Shard, checkpoint record.Position) lease.Lease {
	r := shard.Range
	return lease.Lease{
		Key: Key(stream, shard.ID), Stream: stream, Shard: shard.ID,
		Checkpoint: checkpoint, Parents: slices.Clone(shard.Parents), Range: &r,
	}
}
