package worker

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
)

// drain stops everything: this worker assigns and discovers nothing any more and takes its item out of the fleet, so that
// nothing is assigned to it; processors finish and leases are released to the workers with the most room; what still
// came over is passed on; the leader's lock goes last.
func (w *Worker) drain(loops, election *crew, endElection context.CancelFunc) error {
	w.log.Info("worker stops")
	stop := w.clock.AfterFunc(w.cfg.DrainTimeout, func() {
		w.end()
		close(w.abandon)
	})
	defer stop()
	<-w.away       // in a twentieth of the bound
	w.forgetRoom() // others may be stopping, too
	close(w.stopping)
	w.leaveShards(func(*source) bool { return true })
	loops.wait(w.abandon)
	w.crew.wait(w.abandon)
	w.giveBack()
	endElection()
	election.wait(nil)
	w.resign()
	if !stop() { // the bound has passed: the tenures end now, without their processors
		w.crew.wait(nil)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Info("worker has stopped", zap.Int("left behind", len(w.left)))
	return errors.Join(w.left...)
}

// isStopping reports whether tenures that begin now are to end at once.
func (w *Worker) isStopping() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

// giveBack passes on, once all tenures have ended, the leases that were assigned to this worker and that it has not
// begun with: nobody else would take them before they expire. It waits for those whose holders have not finished, a
// quarter of the drain bound at most, and does without a table that does not answer.
func (w *Worker) giveBack() {
	ctx, cancel := w.clock.WithTimeout(w.life, w.cfg.DrainTimeout/4, errTake)
	defer cancel()
	for {
		keys, err := w.cfg.Leases.Owned(ctx, w.cfg.WorkerID)
		pending := false
		for _, key := range keys {
			var later bool
			if later, err = w.passOn(ctx, key); err != nil {
				break
			}
			pending = pending || later
		}
		if err != nil {
			w.log.Warn("leases that came late are left to expire", zap.Error(brief(err)))
			return
		}
		if !pending || w.clock.Sleep(ctx, w.discoverEvery(0)/2) != nil {
			return
		}
	}
}

// passOn releases one lease in this worker's name to the worker with the most room. later is true while another still
// holds it.
func (w *Worker) passOn(ctx context.Context, key string) (later bool, err error) {
	row, err := w.cfg.Leases.Get(ctx, key)
	switch {
	case errors.Is(err, lease.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case row.Owner != w.cfg.WorkerID || row.Finished() || w.source(row.Stream) == nil:
		return false, nil
	case row.CheckpointOwner != "" && row.CheckpointOwner != w.cfg.WorkerID:
		return true, nil
	}
	taken, err := w.cfg.Leases.Take(ctx, row, w.cfg.WorkerID)
	if err == nil {
		_, err = w.cfg.Leases.Release(ctx, taken, w.cfg.WorkerID, w.roomiest(ctx))
	}
	if raced(err) {
		return false, nil
	}
	return false, err
}

// resign gives up the leader's lock, if this worker has it.
func (w *Worker) resign() {
	ctx, cancel := w.clock.WithTimeout(context.WithoutCancel(w.life), max(w.cfg.DrainTimeout/20, 50*time.Millisecond), errTake)
	defer cancel()
	if err := w.election.Resign(ctx); err != nil {
		w.log.Warn("the next leader has to wait for the lock to expire", zap.Error(brief(err)))
	}
}
