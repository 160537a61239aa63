package invariant

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// A story writes a log as a fleet would that works.
type story struct {
	log     Log
	now     time.Time
	rows    map[string]lease.Lease
	tenures int
	of      map[int]Event // the Begin of each tenure
	names   map[int]string
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// tell starts a story of one shard, a, with three workers that have started: w1 to w3 with the lives 1 to 3.
func tell() *story {
	s := &story{now: epoch, rows: map[string]lease.Lease{}, of: map[int]Event{}, names: map[int]string{}}
	s.open("a", 0, 255)
	for i := 1; i <= 3; i++ {
		s.start(fmt.Sprint("w", i), i, "")
	}
	return s
}

func (s *story) add(e Event) {
	e.At = s.now
	s.log.Add(e)
}

func (s *story) wait(d time.Duration) *story { s.now = s.now.Add(d); return s }

func (s *story) start(worker string, life int, note string) {
	s.names[life] = worker
	s.add(Event{Kind: Start, Worker: worker, Life: life, Note: note})
}

func (s *story) act(kind Kind, life int) *story {
	s.add(Event{Kind: kind, Worker: s.names[life], Life: life})
	return s
}

// keys is a range of the hash key space by its first byte.
func keys(from, to byte) record.HashKeyRange {
	return record.HashKeyRange{Start: record.HashKey{Hi: uint64(from) << 56}, End: record.HashKey{Hi: uint64(to)<<56 | (1<<56 - 1), Lo: ^uint64(0)}}
}

func (s *story) open(shard string, from, to byte, parents ...string) *story {
	s.add(Event{Kind: Shard, Stream: "s", Shard: shard, Parents: parents, Range: keys(from, to)})
	return s
}

// at is the position of a record by a number, or of a sub-record by "number/sub".
func at(n int) record.Position { return record.At(record.SequenceNumber(fmt.Sprint(100+n)), 0) }

func sub(n, i int) record.Position {
	return record.At(record.SequenceNumber(fmt.Sprint(100+n)), uint64(i))
}

func span(from, to int) (p []record.Position) {
	for n := from; n <= to; n++ {
		p = append(p, at(n))
	}
	return p
}

func (s *story) put(shard string, from, to int) *story {
	for _, p := range span(from, to) {
		s.add(Event{Kind: Put, Stream: "s", Shard: shard, Records: []record.Position{p}})
	}
	return s
}

// write changes a row as an operation of a life.
func (s *story) write(op, shard string, life int, change func(*lease.Lease)) *story {
	before := s.rows[shard]
	after := before.Clone()
	change(&after)
	s.rows[shard] = after
	s.add(Event{Kind: Write, Op: op, Worker: s.names[life], Life: life, Stream: "s", Shard: shard, Before: before, After: after})
	if after.Key == "" {
		delete(s.rows, shard)
	}
	return s
}

func (s *story) create(shard string, life int, owner string) *story {
	return s.createAt(shard, life, owner, record.TrimHorizon, time.Time{})
}

func (s *story) createAt(shard string, life int, owner string, p record.Position, start time.Time) *story {
	return s.write(memory.OpCreate, shard, life, func(l *lease.Lease) {
		*l = lease.Lease{Key: shard, Shard: shard, Owner: owner, Checkpoint: p, StartTime: start}
	})
}

func (s *story) take(shard string, life int) *story {
	return s.write(memory.OpTake, shard, life, func(l *lease.Lease) { l.Owner, l.CheckpointOwner = s.names[life], ""; l.Counter++ })
}

func (s *story) assign(shard string, by, to int) *story {
	return s.write(memory.OpAssign, shard, by, func(l *lease.Lease) { l.Owner, l.CheckpointOwner = s.names[to], ""; l.Counter++ })
}

func (s *story) ask(shard string, by, to int) *story {
	return s.write(memory.OpAsk, shard, by, func(l *lease.Lease) { l.CheckpointOwner, l.Owner = l.Owner, s.names[to] })
}

// release gives a lease to the one who asked for it, or to nobody.
func (s *story) release(shard string, life int) *story {
	return s.write(memory.OpRelease, shard, life, func(l *lease.Lease) {
		if l.CheckpointOwner == "" {
			l.Owner = ""
		}
		l.CheckpointOwner = ""
		l.Counter++
	})
}

// renew raises the counter, with a checkpoint if p is one.
func (s *story) renew(shard string, life int, p record.Position) *story {
	return s.write(memory.OpRenew, shard, life, func(l *lease.Lease) {
		if !p.IsZero() {
			l.Checkpoint, l.Pending = p, record.Position{}
		}
		l.Counter++
	})
}

// begin makes a processor at the row's checkpoint.
func (s *story) begin(shard string, life int) (tenure int) {
	return s.beginAt(shard, life, s.rows[shard].Checkpoint)
}

func (s *story) beginAt(shard string, life int, p record.Position) (tenure int) {
	return s.beginWith(shard, life, p, s.rows[shard].Counter)
}

// beginWith makes a processor for a lease that its worker believes to have with a counter.
func (s *story) beginWith(shard string, life int, p record.Position, counter int64) (tenure int) {
	s.tenures++
	e := Event{Kind: Begin, Worker: s.names[life], Life: life, Tenure: s.tenures, Stream: "s", Shard: shard, Records: []record.Position{p}, Counter: counter}
	s.of[s.tenures] = e
	s.add(e)
	return s.tenures
}

func (s *story) by(tenure int, e Event) {
	b := s.of[tenure]
	e.Worker, e.Life, e.Tenure, e.Stream, e.Shard = b.Worker, b.Life, tenure, b.Stream, b.Shard
	s.add(e)
}

// deliver hands records over in a call that succeeds.
func (s *story) deliver(tenure, from, to int) *story {
	s.call(tenure, span(from, to)...)
	return s.back(tenure, "")
}

// call begins a call, back ends one.
func (s *story) call(tenure int, records ...record.Position) *story {
	s.by(tenure, Event{Kind: Deliver, Records: records})
	return s
}

func (s *story) back(tenure int, err string) *story {
	s.by(tenure, Event{Kind: Return, Err: err})
	return s
}

func (s *story) says(tenure int, p record.Position, note string) *story {
	s.by(tenure, Event{Kind: Said, Records: []record.Position{p}, Note: note})
	return s
}

// saves says and stores a checkpoint.
func (s *story) saves(tenure, n int) *story {
	b := s.of[tenure]
	return s.says(tenure, at(n), "").renew(b.Shard, b.Life, at(n))
}

func (s *story) finish(tenure int, reason string) *story {
	s.by(tenure, Event{Kind: Finish, Note: reason})
	return s.back(tenure, "")
}

// closes ends a shard.
func (s *story) closes(tenure int) *story {
	b := s.of[tenure]
	return s.finish(tenure, ShardEnd).renew(b.Shard, b.Life, record.ShardEnd)
}

// check checks the story.
func (s *story) check(t *testing.T, r Rules) Result {
	t.Helper()
	return Check(s.log.Events(), r)
}

// holds fails the test unless everything was kept.
func (s *story) holds(t *testing.T, r Rules) Result {
	t.Helper()
	result := s.check(t, r)
	for _, v := range result.Violations {
		t.Error(v)
	}
	return result
}

// breaks fails the test unless just these invariants were violated, once with these words.
func (s *story) breaks(t *testing.T, r Rules, invariants, words string) {
	t.Helper()
	result := s.check(t, r)
	said := slices.ContainsFunc(result.Violations, func(v Violation) bool { return strings.Contains(v.Text, words) })
	if names := strings.Join(result.Names(), " "); names != invariants || !said {
		t.Errorf("found %v, want %s with %q", result.Violations, invariants, words)
	}
}
