package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
)

// mine is the rows of the streams that this worker reads. Rows of the other modality mean that the table belongs to an
// application that reads one stream where this one reads several, or the other way round.
func (w *Worker) mine(rows []lease.Lease) ([]lease.Lease, error) {
	several := w.cfg.several()
	kept := rows[:0]
	for _, row := range rows {
		if (row.Stream != "") != several {
			return nil, fmt.Errorf("lease %q: the table holds leases of an application that reads %s, but this worker is to read %s; "+
				"an application cannot change between the two on one table", row.Key, oneOrSeveral(!several), oneOrSeveral(several))
		}
		if w.source(row.Stream) != nil {
			kept = append(kept, row)
		} else {
			w.notice(row.Stream)
		}
	}
	return kept, nil
}

// survey reads the table; the rows are those of the streams that this worker reads. damaged tells of items that are left out
// because they could not be read.
func (w *Worker) survey(ctx context.Context) (rows []lease.Lease, members []lease.Member, damaged, err error) {
	rows, members, damaged = w.cfg.Leases.Survey(ctx)
	if damaged != nil && !errors.Is(damaged, lease.ErrDamaged) {
		return nil, nil, nil, damaged
	}
	rows, err = w.mine(rows)
	return rows, members, damaged, err
}

func oneOrSeveral(several bool) string {
	if several {
		return "several streams"
	}
	return "one stream"
}

func (w *Worker) tenure(key string) *tenure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tenures[key]
}

// noteFleet keeps what a survey showed.
func (w *Worker) noteFleet(rows []lease.Lease, alive []lease.Member) {
	fleet, open := map[string]int{}, make(map[string]bool, len(rows))
	for i := range rows {
		if !rows[i].Finished() {
			fleet[rows[i].Owner]++
			open[rows[i].Key] = true
		}
	}
	w.mu.Lock()
	w.fleet, w.open = fleet, open
	w.room = assign.NewRoom(rows, alive, w.cfg.WorkerID, w.cfg.MaxLeases)
	w.roomAt = w.clock.Now()
	w.mu.Unlock()
	w.listed.broadcast()
}

// unfinished reports whether the last survey, of a worker that makes any, had a lease with this key that was not
// finished.
func (w *Worker) unfinished(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open[key]
}

// roomFor is for how long what a survey told of the room of the others is good.
const roomFor = 2 * time.Second

// roomiest is the other worker with the most room, "" if there is none or the table does not answer. Each answer counts
// a lease for the worker that it names.
func (w *Worker) roomiest(ctx context.Context) string {
	select { // one survey for all the shards that ask at once
	case w.surveying <- struct{}{}:
		defer func() { <-w.surveying }()
	case <-ctx.Done():
		return ""
	}
	w.mu.Lock()
	room, at := w.room, w.roomAt
	w.mu.Unlock()
	if room == nil || w.clock.Since(at) > roomFor {
		rows, members, err := w.cfg.Leases.Survey(ctx)
		if err != nil && !errors.Is(err, lease.ErrDamaged) {
			return ""
		}
		room = assign.NewRoom(rows, w.recent(members), w.cfg.WorkerID, w.cfg.MaxLeases)
		w.mu.Lock()
		w.room, w.roomAt = room, w.clock.Now()
		w.mu.Unlock()
	}
	return room.Next()
}

// forgetRoom has the next look for room read the table.
func (w *Worker) forgetRoom() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room = nil
}

// memberQuiet is how old the item of a live worker may be: Java writes one every 30 s.
const memberQuiet = 45 * time.Second

// recent are the members that seem to live as far as one look tells: those whose items are young by this worker's time
// of day. Where none is, that may be wrong; then those that are about as young as the youngest.
func (w *Worker) recent(members []lease.Member) []lease.Member {
	now := w.clock.Now()
	var last time.Time
	young := func(by time.Time) (alive []lease.Member) {
		for _, m := range members {
			if age := by.Sub(m.Updated); m.Worker != w.cfg.WorkerID && age < memberQuiet && age > -memberQuiet {
				alive = append(alive, m)
			}
		}
		return alive
	}
	if alive := young(now); len(alive) > 0 {
		return alive
	}
	for _, m := range members {
		if m.Worker != w.cfg.WorkerID && m.Updated.After(last) {
			last = m.Updated
		}
	}
	return young(last)
}

// trouble notes an error of the fleet's business that the worker survives.
func (w *Worker) trouble(err error) {
	w.log.Warn("survived", zap.Error(brief(err)))
	w.survive(ShardInfo{Application: w.cfg.Application, Worker: w.cfg.WorkerID}, err)
}

// raced reports whether a write was refused because the row had changed: another worker was quicker.
func raced(err error) bool {
	return errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrNotFound)
}

// refused notes a write that failed; one that lost a race is no error, nor one that the worker's end broke off.
func (w *Worker) refused(ctx context.Context, what string, row lease.Lease, err error) {
	err = fmt.Errorf("%s of %s: %w", what, row.Shard, err)
	if raced(err) || ctx.Err() != nil {
		w.log.Debug("another worker was quicker", zap.Error(err))
		return
	}
	w.log.Warn("survived", zap.Error(brief(err)))
	w.survive(ShardInfo{Application: w.cfg.Application, Shard: row.Shard, Worker: w.cfg.WorkerID}, err)
}

// reportTwin reports, once, that another process works under this worker's ID.
func (w *Worker) reportTwin(key string) {
	w.mu.Lock()
	first := !w.twin
	w.twin = true
	w.mu.Unlock()
	if !first {
		return
	}
	err := fmt.Errorf("another process works as %q: it keeps the lease %s; want a WorkerID of its own for each process", w.cfg.WorkerID, key)
	w.log.Error("worker ID is not unique", zap.Error(err))
	w.survive(ShardInfo{Application: w.cfg.Application, Worker: w.cfg.WorkerID}, err)
	if h := w.cfg.Hooks.Twin; h != nil {
		h(w.cfg.WorkerID)
	}
}
