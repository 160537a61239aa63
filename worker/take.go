package worker

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
)

// takeAttempts is how often a take is tried that the table refuses for lack of capacity, before the next look decides.
const takeAttempts = 4

var errTake = errors.New("lease table did not answer in time")

// soon bounds a call of the table that is made again if it has no answer.
func (w *Worker) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return w.clock.WithTimeout(ctx, w.cfg.LeaseDuration/3, errTake)
}

// take makes this worker the owner of a row and begins its tenure, unless that is under way or done: who leads takes what
// it has assigned to itself, and finds the same row by the owner index before the answer has come.
func (w *Worker) take(ctx context.Context, row lease.Lease) {
	src := w.source(row.Stream)
	if src == nil || !w.reserve(row.Key) {
		return
	}
	taken, sent, err := w.takeAs(ctx, row, w.cfg.WorkerID)
	if err != nil {
		w.mu.Lock()
		delete(w.taking, row.Key)
		w.mu.Unlock()
		w.refused(ctx, "take lease", row, err)
		return
	}
	w.log.Info("lease taken", zap.String("shard", row.Shard), zap.String("from", row.Holder()), zap.Stringer("checkpoint", taken.Checkpoint))
	w.begin(taken, src, sent)
}

// reserve notes that a lease is being taken for this worker. It is false if it is already, or is held.
func (w *Worker) reserve(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taking[key] || w.tenures[key] != nil {
		return false
	}
	w.taking[key] = true
	return true
}

// takeAs makes owner the owner of a free or expired row. A take that is under way when the worker stops is carried
// through, so that the lease can be released at once. sent is when the request was sent that succeeded.
func (w *Worker) takeAs(ctx context.Context, row lease.Lease, owner string) (taken lease.Lease, sent time.Time, err error) {
	tctx, cancel := w.clock.WithTimeout(context.WithoutCancel(ctx), w.cfg.LeaseDuration/3, errTake)
	defer cancel()
	for attempt := 1; ; attempt++ {
		sent = w.clock.Now()
		taken, err = w.cfg.Leases.Take(tctx, row, owner)
		if !errors.Is(err, lease.ErrThrottled) || attempt == takeAttempts || ctx.Err() != nil {
			return taken, sent, err
		}
		if w.clock.Sleep(tctx, w.clock.Backoff(attempt, 20*time.Millisecond, 200*time.Millisecond)) != nil {
			return taken, sent, err
		}
	}
}
