package javalike

import (
	"context"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
	"github.com/shoal-stream/shoal/lease/shardsync"
	"github.com/shoal-stream/shoal/record"
)

// A sight is what one observer remembers of counters. The zero sight has seen nothing.
type sight struct {
	rows map[string]seen
}

type seen struct {
	counter int64
	since   time.Time // zero: the lease was nobody's at first sight, and counts as expired for ever
}

// look takes in a scan and tells for how long each counter has stood still.
func (s *sight) look(rows []lease.Lease, now time.Time) map[string]time.Duration {
	next, still := make(map[string]seen, len(rows)), make(map[string]time.Duration, len(rows))
	for i := range rows {
		l := &rows[i]
		was, known := s.rows[l.Key]
		switch {
		case !known && l.Holder() == "":
			was = seen{counter: l.Counter}
		case !known || was.counter != l.Counter:
			was = seen{l.Counter, now}
		}
		next[l.Key] = was
		still[l.Key] = 365 * 24 * time.Hour
		if !was.since.IsZero() {
			still[l.Key] = now.Sub(was.since)
		}
	}
	s.rows = next
	return still
}

// take is a round of KCL 2.x's LeaseTaker.
func (w *Worker) take(ctx context.Context) {
	rows, err := w.list(ctx)
	if err != nil {
		return
	}
	held := map[string]bool{}
	for _, h := range w.holdings() {
		held[h.key] = true
	}
	for _, t := range assign.Take2X(assign.View2X{
		Worker: w.cfg.ID, Leases: rows, Still: w.sight.look(rows, w.cfg.Clock.Now()), Held: held, Duration: w.cfg.Duration, Seed: w.cfg.Clock.Uint64(),
	}) {
		call, cancel := w.call(ctx)
		row, err := w.cfg.Store.Take(call, t.Lease, w.cfg.ID)
		cancel()
		if err == nil { // a lost answer is not looked for: the row expires again
			w.hold(row)
		}
	}
}

// discover holds the rows that the owner index shows in the worker's name (DynamoDBLeaseDiscoverer.java). Nothing is
// written: the first renewal tells whether they are really its own.
func (w *Worker) discover(ctx context.Context) {
	call, cancel := w.call(ctx)
	keys, err := w.cfg.Store.Owned(call, w.cfg.ID)
	cancel()
	if err != nil {
		return
	}
	for _, key := range keys {
		if w.holds(key) {
			continue
		}
		if row, err := w.get(ctx, key); err == nil && row.Owner == w.cfg.ID && row.CheckpointOwner == "" {
			w.hold(row)
		}
	}
}

// audit makes the rows of a stream that has none, and of holes in the hash key space, as the leader of 3.x and whoever
// comes first of 2.x do.
func (w *Worker) audit(ctx context.Context) {
	rows, err := w.list(ctx)
	if err != nil || w.three && len(rows) > 0 && !w.leader.leading() {
		return
	}
	for _, id := range w.streamIDs() {
		stream := w.cfg.Streams[id]
		mine := slices.Clone(rows)
		mine = slices.DeleteFunc(mine, func(l lease.Lease) bool { return l.Stream != id })
		at := record.Position{}
		if len(mine) == 0 {
			at = w.cfg.Start
		} else if len(shardsync.Uncovered(mine)) == 0 {
			continue
		}
		call, cancel := w.call(ctx)
		shards, now, err := stream.Shards(call, at)
		cancel()
		if err != nil {
			continue
		}
		w.create(ctx, shardsync.Missing(shardsync.Input{Stream: id, Shards: shards, Leases: mine, Start: w.cfg.Start, Now: now}))
	}
}

func (w *Worker) streamIDs() []string {
	var ids []string
	for id := range w.cfg.Streams {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// clean deletes the worker's own finished leases that nobody needs any more (LeaseCleanupManager.java).
func (w *Worker) clean(ctx context.Context) {
	rows, err := w.list(ctx)
	if err != nil {
		return
	}
	for _, row := range shardsync.Deletable(rows, nil) {
		if row.Owner != w.cfg.ID || !w.holds(row.Key) {
			continue
		}
		call, cancel := w.call(ctx)
		_ = w.cfg.Store.Delete(call, row) // a minute later again
		cancel()
	}
}
