package memstream

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// Open makes a reader. LATEST is behind the newest record at the reader's first successful Read.
func (s *Stream) Open(shardID string, at record.Position) worker.Reader {
	return &reader{stream: s, shardID: shardID, at: at}
}

// A reader keeps its place by counting records, so that it survives their expiry.
type reader struct {
	stream  *Stream
	shardID string
	at      record.Position
	placed  bool   // next is set
	next    uint64 // the place of the next record: how many the shard had before it
}

// Read returns the next page. What has expired before it was read is passed over, as Kinesis does.
func (r *reader) Read(ctx context.Context) (record.Page, error) {
	s := r.stream
	if err := s.enter(ctx, Call{Op: "Read", Shard: r.shardID}); err != nil {
		return record.Page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, horizon := s.horizon()
	sh := s.byID[r.shardID]
	if sh == nil || sh.goneBy(horizon) {
		return record.Page{}, fmt.Errorf("read of shard %s in stream %s: %w", r.shardID, s.name, worker.ErrShardGone)
	}
	sh.dropBefore(horizon)
	if !r.placed {
		next, err := sh.place(r.at)
		if err != nil {
			return record.Page{}, fmt.Errorf("read of shard %s in stream %s: %w", r.shardID, s.name, err)
		}
		r.next, r.placed = next, true
	}
	r.next = max(r.next, sh.gone)
	page := s.page(sh, r.next-sh.gone, now)
	r.next += uint64(len(page.Records))
	return page, nil
}

// Close has nothing to free.
func (r *reader) Close() {}

// place is where reading begins at a position.
func (sh *shard) place(at record.Position) (uint64, error) {
	n := len(sh.records)
	switch at.Kind() {
	case record.KindTrimHorizon:
		n = 0
	case record.KindLatest:
	case record.KindAtTimestamp:
		n = sh.arrivedBefore(at.Time())
	case record.KindSequence:
		n = sort.Search(n, func(i int) bool { return sh.records[i].SequenceNumber.Compare(at.Sequence()) >= 0 })
	default:
		return 0, fmt.Errorf("open at position %v; want TRIM_HORIZON, LATEST, AT_TIMESTAMP or a sequence number", at)
	}
	return sh.gone + uint64(n), at.Validate()
}

// page cuts the next page out of sh, from its record number from on.
func (s *Stream) page(sh *shard, from uint64, now time.Time) record.Page {
	rest := sh.records[from:]
	n, bytes := 0, 0
	for n < len(rest) && n < s.o.PageRecords {
		if bytes += rest[n].Size(); n > 0 && bytes > s.o.PageBytes {
			break
		}
		n++
	}
	page := record.Page{Records: slices.Clone(rest[:n])}
	switch {
	case n < len(rest):
		page.Behind = max(time.Millisecond, now.Sub(rest[n].ArrivalTime))
	case !sh.Open():
		page.End, page.Children = true, slices.Clone(sh.children)
	}
	return page
}
