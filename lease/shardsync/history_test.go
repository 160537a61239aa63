package shardsync

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A history is a stream that is split, merged and trimmed at random, and an application on it that syncs, processes and
// cleans up at random. It knows of each record how often it was processed.
type history struct {
	t        *testing.T
	rng      *rand.Rand
	now      int // in ms
	shards   []*shard
	rows     map[string]*lease.Lease
	started  map[string]bool
	deleted  map[string]bool
	start    record.Position
	pending  []lease.Lease // rows that a sync found missing and has not created yet
	firstAt  int           // when the last of the first listings was
	latestAt int           // when the first of them was
	replays  bool          // nobody knew any more when the application began
	put      int
}

type shard struct {
	record.Shard
	from, to int // in hash keys of 64, both included
	created  int
	closed   int // 0: open
	trimmed  bool
	records  []*event
}

type event struct {
	seq, ms   int
	processed int
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: 1_000,
		rows: make(map[string]*lease.Lease), started: make(map[string]bool), deleted: make(map[string]bool),
	}
	n := 1 << h.rng.IntN(4)
	for i := range n {
		h.open(i*64/n, (i+1)*64/n-1)
	}
	return h
}

func (h *history) open(from, to int, parents ...*shard) *shard {
	s := &shard{from: from, to: to, created: h.now}
	s.ID = fmt.Sprintf("shardId-%012d", len(h.shards))
	s.First = record.SequenceNumber(strconv.Itoa(h.now))
	s.Range = record.HashKeyRange{
		Start: record.HashKey{Hi: uint64(from) << 58},
		End:   record.HashKey{Hi: uint64(to+1)<<58 - 1, Lo: ^uint64(0)},
	}
	for _, p := range parents {
		s.Parents = append(s.Parents, p.ID)
		p.closed, p.Last = h.now, record.SequenceNumber(strconv.Itoa(h.now))
	}
	h.shards = append(h.shards, s)
	return s
}

func (h *history) byID(id string) *shard {
	n, err := strconv.Atoi(id[len("shardId-"):])
	if err != nil {
		h.t.Fatal(err)
	}
	return h.shards[n]
}

// openShards are in the order of their ranges.
func (h *history) openShards() []*shard {
	var open []*shard
	for _, s := range h.shards {
		if s.closed == 0 {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b *shard) int { return a.from - b.from })
	return open
}

func (h *history) listed() []*shard {
	return slices.DeleteFunc(slices.Clone(h.shards), func(s *shard) bool { return s.trimmed })
}

func (h *history) parents(s *shard) (listed []*shard) {
	for _, id := range s.Parents {
		if p := h.byID(id); !p.trimmed {
			listed = append(listed, p)
		}
	}
	return listed
}

// openAt lists what ListShards gives for a start position.
func (h *history) openAt() []*shard {
	return slices.DeleteFunc(h.listed(), func(s *shard) bool {
		oldest := len(h.parents(s)) == 0
		switch h.start.Kind() {
		case record.KindLatest:
			return s.closed != 0
		case record.KindTrimHorizon:
			return !oldest
		default:
			ts := int(h.start.Time().UnixMilli())
			return s.closed != 0 && s.closed <= ts || s.created > ts && !oldest
		}
	})
}

func values(shards []*shard) []record.Shard {
	list := make([]record.Shard, len(shards))
	for i, s := range shards {
		list[i] = s.Shard
	}
	return list
}

func (h *history) leases() []lease.Lease {
	var list []lease.Lease
	for _, s := range h.shards {
		if row := h.rows[s.ID]; row != nil {
			list = append(list, row.Clone())
		}
	}
	return list
}

// stream lets something happen to the stream.
func (h *history) stream() {
	h.now += 1 + h.rng.IntN(5)
	open := h.openShards()
	i := h.rng.IntN(len(open))
	s := open[i]
	switch h.rng.IntN(12) {
	case 0:
		if s.to > s.from {
			middle := (s.from + s.to) / 2
			h.open(s.from, middle, s)
			h.open(middle+1, s.to, s)
		}
	case 1:
		if i+1 < len(open) {
			h.open(s.from, open[i+1].to, s, open[i+1])
		}
	case 2: // the oldest closed shard is trimmed
		for _, s := range h.listed() {
			if s.closed != 0 && s.closed < h.now-80 && len(h.parents(s)) == 0 {
				s.trimmed = true
				break
			}
		}
	default:
		h.put++
		s.records = append(s.records, &event{seq: h.put, ms: h.now})
	}
}

// sync finds what is missing; create makes the rows. In between anything may happen but a deletion, since a sync is
// confirmed by a second listing.
func (h *history) sync() {
	in := Input{Shards: values(h.listed()), Leases: h.leases(), Start: h.start, Now: time.UnixMilli(int64(h.now))}
	if len(in.Leases) == 0 {
		in.Shards = values(h.openAt())
		h.firstAt = h.now
		if h.latestAt == 0 {
			h.latestAt = h.now
		}
	}
	h.pending = Missing(in)
	h.checkOrder(h.pending)
	if len(in.Leases) > 0 && h.start == record.Latest && len(h.pending) > 0 &&
		!slices.ContainsFunc(in.Leases, func(l lease.Lease) bool { return !l.StartTime.IsZero() }) {
		h.replays = true
	}
}

// checkOrder sees that rows come parents before children.
func (h *history) checkOrder(rows []lease.Lease) {
	for i, child := range rows {
		for _, later := range rows[i+1:] {
			if slices.Contains(child.Parents, later.Shard) {
				h.t.Fatalf("row of %s comes before that of its parent %s", child.Shard, later.Shard)
			}
		}
	}
}

// create makes pending rows until it breaks off at random.
func (h *history) create() {
	for _, row := range h.pending {
		if h.rng.IntN(8) == 0 {
			break
		}
		h.add(row)
	}
	h.pending = nil
}

func (h *history) add(row lease.Lease) {
	if h.rows[row.Key] != nil {
		return // ErrExists
	}
	if h.deleted[row.Key] {
		h.t.Fatalf("the row of %s is created again after it was deleted", row.Key)
	}
	h.rows[row.Key] = &row
}

// process lets one row get on, as a worker would.
func (h *history) process() {
	var can []*lease.Lease
	for _, s := range h.shards {
		if row := h.rows[s.ID]; row != nil && !row.Finished() && !h.blocked(row) {
			can = append(can, row)
		}
	}
	if len(can) > 0 {
		h.run(can[h.rng.IntN(len(can))])
	}
}

func (h *history) blocked(row *lease.Lease) bool {
	return slices.ContainsFunc(h.parentRows(row), func(p lease.Lease) bool { return !p.Finished() })
}

func (h *history) parentRows(row *lease.Lease) (rows []lease.Lease) {
	for _, id := range row.Parents {
		if p := h.rows[id]; p != nil {
			rows = append(rows, p.Clone())
		}
	}
	return rows
}

func (h *history) run(row *lease.Lease) {
	s := h.byID(row.Shard)
	if s.trimmed { // the service does not know the shard any more
		row.Checkpoint = record.ShardEnd
		return
	}
	for _, p := range h.parents(s) {
		h.checkDrained(p, s)
	}
	from := StartPosition(*row, h.parentRows(row), h.start)
	var last *event
	for _, e := range s.records {
		if after(e, from) && (last == nil || h.rng.IntN(10) > 0) {
			e.processed++
			last = e
		} else if last != nil {
			break
		}
	}
	if last != nil { // processed up to last
		c := lease.Change{Checkpoint: record.At(record.SequenceNumber(strconv.Itoa(last.seq)), 0)}
		*row = c.Apply(*row)
	}
	if last != nil && last != s.records[len(s.records)-1] || s.closed == 0 {
		return
	}
	var children []record.Shard
	for _, c := range h.shards {
		if slices.Contains(c.Parents, s.ID) {
			children = append(children, c.Shard)
		}
	}
	rows, ready := Children(*row, children, h.leases(), values(h.listed()))
	for _, child := range rows {
		h.add(child)
	}
	if !ready || h.rng.IntN(5) == 0 { // or the worker dies here
		return
	}
	for _, c := range children {
		row.Children = append(row.Children, c.ID)
	}
	c := lease.Change{Checkpoint: record.ShardEnd, Children: row.Children}
	*row = c.Apply(*row)
}

// checkDrained sees that a child is not read before the records of its parent that belong to the application.
func (h *history) checkDrained(parent, child *shard) {
	for _, e := range parent.records {
		if h.wanted(e) && e.processed == 0 {
			h.t.Fatalf("%s is read before record %d of its parent %s", child.ID, e.seq, parent.ID)
		}
	}
}

// wanted reports whether a record has to be processed.
func (h *history) wanted(e *event) bool {
	switch h.start.Kind() {
	case record.KindLatest:
		return e.ms >= h.firstAt
	case record.KindAtTimestamp:
		return e.ms >= int(h.start.Time().UnixMilli())
	default:
		return true
	}
}

func after(e *event, p record.Position) bool {
	switch p.Kind() {
	case record.KindSequence:
		return record.At(record.SequenceNumber(strconv.Itoa(e.seq)), 0).Compare(p) > 0
	case record.KindAtTimestamp:
		return e.ms >= int(p.Time().UnixMilli())
	default:
		return p.Kind() == record.KindTrimHorizon
	}
}

func (h *history) cleanUp() {
	for _, row := range Deletable(h.leases(), nil) {
		if h.rng.IntN(2) == 0 {
			delete(h.rows, row.Key)
			h.deleted[row.Key] = true
			h.pending = nil
		}
	}
}

// finish lets all come to its end: every record is processed, and the clean-up done.
func (h *history) finish() {
	for range 150 {
		h.sync()
		h.create()
		for range len(h.shards) {
			h.process()
		}
		h.cleanUp()
	}
	for _, s := range h.shards {
		row := h.rows[s.ID]
		if s.closed == 0 && row == nil {
			h.t.Errorf("open shard %s has no row", s.ID)
		}
		if s.closed != 0 && row != nil && !row.Finished() {
			h.t.Errorf("shard %s is closed and its row still at %v", s.ID, row.Checkpoint)
		}
		for _, e := range s.records {
			switch {
			case e.processed > 1:
				h.t.Errorf("record %d of %s was processed %d times", e.seq, s.ID, e.processed)
			case e.processed == 0 && h.wanted(e) && !s.trimmed:
				h.t.Errorf("record %d of %s was lost", e.seq, s.ID)
			case e.processed > 0 && h.start == record.Latest && e.ms < h.latestAt && !h.replays:
				h.t.Errorf("record %d of %s is from before the start at %d: %d", e.seq, s.ID, h.latestAt, e.ms)
			case e.processed > 0 && h.start.Kind() == record.KindAtTimestamp && !h.wanted(e):
				h.t.Errorf("record %d of %s is from before the start's moment", e.seq, s.ID)
			}
		}
	}
	if gaps := Uncovered(h.leases()); len(gaps) > 0 {
		h.t.Errorf("nobody covers %v", gaps)
	}
}

func TestEveryRecordIsCoveredByOneRowThroughAnyHistory(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := newHistory(t, seed)
			for range h.rng.IntN(150) { // before the application starts
				h.stream()
			}
			h.start = []record.Position{
				record.TrimHorizon, record.Latest, record.AtTimestamp(time.UnixMilli(int64(1_000 + h.rng.IntN(h.now-900)))),
			}[seed%3]
			for range 300 {
				switch h.rng.IntN(10) {
				case 0:
					h.sync()
				case 1:
					h.create()
				case 2, 3, 4:
					h.process()
				case 5:
					h.cleanUp()
				default:
					h.stream()
				}
			}
			h.finish()
		})
	}
}
