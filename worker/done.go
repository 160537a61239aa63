package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// noteDone notes a finished lease in this worker's name: nobody need look at it again, until it leaves the name.
func (w *Worker) noteDone(row lease.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[row.Key] = row
}

func (w *Worker) isDone(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.done[key]
	return ok
}

// keepDone forgets the finished leases that are not named any more.
func (w *Worker) keepDone(named map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.done {
		if !named[key] {
			delete(w.done, key)
		}
	}
}

func (w *Worker) doneLeases() []lease.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	rows := make([]lease.Lease, 0, len(w.done))
	for _, row := range w.done {
		rows = append(rows, row)
	}
	return rows
}

// cleanEvery is the time between two looks at which of its own finished leases a worker under another library's leader
// may delete, as in Java KCL (leaseCleanupIntervalMillis).
const cleanEvery = time.Minute

// doneLoop renews this worker's finished leases where workers of Java KCL are in the fleet: those take a lease that is not
// renewed for expired and hand it around. It also deletes them there, once they can go: a leader of Java leaves that to the
// owner.
func (w *Worker) doneLoop(ctx context.Context) {
	cleaned, finished := w.clock.Now(), settled{}
	for w.clock.Sleep(ctx, w.clock.Jitter(w.cfg.LeaseDuration/3)) == nil {
		rows := w.doneLeases()
		if len(rows) == 0 || w.duty().Led && !w.election.Mixed() {
			continue
		}
		w.renewDone(ctx, rows)
		if !w.duty().Led || w.election.LedByShoal() || w.clock.Since(cleaned) < cleanEvery {
			continue // whoever leads compares shards and leases, or everybody does
		}
		cleaned = w.clock.Now()
		if err := w.cleanDone(ctx, finished); err != nil && ctx.Err() == nil {
			w.trouble(fmt.Errorf("delete finished leases: %w", err))
		}
	}
}

// renewDone renews each once. One that has changed is forgotten: the next look at the index, or at the table, tells.
func (w *Worker) renewDone(ctx context.Context, rows []lease.Lease) {
	ctx, cancel := w.clock.WithTimeout(ctx, w.cfg.LeaseDuration/3, errTake)
	defer cancel()
	writes := pool.New().WithMaxGoroutines(writesAtOnce)
	for _, row := range rows {
		writes.Go(func() {
			renewed, err := w.cfg.Leases.Renew(ctx, row, w.cfg.WorkerID, lease.Change{})
			switch {
			case err == nil:
				w.noteDone(renewed)
			case errors.Is(err, lease.ErrThrottled): // there is time for two more before it counts as expired
			default:
				w.mu.Lock()
				delete(w.done, row.Key)
				w.mu.Unlock()
			}
		})
	}
	writes.Wait()
}

// cleanDone deletes those of this worker's finished leases that nobody needs any more.
func (w *Worker) cleanDone(ctx context.Context, finished settled) error {
	rows, damaged, err := w.listLeases(ctx)
	if err != nil || damaged != nil { // rows that cannot be read may be those that these have to wait for
		return err
	}
	finished.look(rows, w.clock.Now())
	if rows, err = w.mine(rows); err != nil {
		return err
	}
	for _, src := range w.readStreams() {
		var own []lease.Lease
		ours := false
		for _, row := range rows {
			if row.Stream == src.rowStream {
				own = append(own, row)
				ours = ours || w.isDone(row.Key)
			}
		}
		if !ours {
			continue
		}
		shards, _, err := w.listShards(ctx, src, record.Position{})
		if err != nil {
			return err
		}
		for _, row := range finished.deletable(own, shards, w.clock.Now()) {
			if !w.isDone(row.Key) {
				continue
			}
			if err := w.cfg.Leases.Delete(ctx, row); err != nil && !raced(err) {
				return err
			}
		}
	}
	return nil
}
