package worker

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// mostMemberPause is the longest time between two writes of this worker's own item: Java KCL writes one each 30 s and takes a
// worker whose item is a minute old for dead.
const mostMemberPause = 10 * time.Second

// memberLoop tells the fleet that this worker lives, until ctx ends; then it takes that back, so that no leader gives
// leases to a worker that stops.
func (w *Worker) memberLoop(ctx context.Context) {
	every := min(w.cfg.LeaseDuration, mostMemberPause)
	for written, failed := 0, 0; ctx.Err() == nil; {
		pause := every*3/4 + w.clock.Jitter(every/4)
		if written++; written == 1 {
			pause = min(pause, 1100*time.Millisecond) // a leader believes an item whose time is far from its own once it changes
		}
		if !w.duty().Report {
			_ = w.clock.Sleep(ctx, pause) // ctx is looked at next
			continue
		}
		if err := w.putMember(ctx); err != nil && ctx.Err() == nil {
			failed++
			w.trouble(fmt.Errorf("tell the fleet that this worker lives: %w", err))
			pause = w.clock.Backoff(failed, 100*time.Millisecond, every/2)
		} else {
			failed = 0
		}
		_ = w.clock.Sleep(ctx, pause) // ctx is looked at next
	}
	w.leaveFleet()
}

func (w *Worker) putMember(ctx context.Context) error {
	ctx, cancel := w.clock.WithTimeout(ctx, w.cfg.LeaseDuration/3, errTake)
	defer cancel()
	m := w.cfg.Metrics.Report(w.cfg.WorkerID, w.clock.Now())
	m.Support, m.SupportTime = 1, m.Updated
	err := w.cfg.Leases.PutMember(ctx, m)
	if err == nil {
		w.mu.Lock()
		w.member = m
		w.mu.Unlock()
	}
	return err
}

// leaveFleet deletes this worker's item.
func (w *Worker) leaveFleet() {
	w.mu.Lock()
	m := w.member
	w.mu.Unlock()
	if m.Worker == "" {
		return
	}
	ctx, cancel := w.clock.WithTimeout(w.life, w.cfg.DrainTimeout/20, errTake)
	defer cancel()
	if err := w.cfg.Leases.DeleteMember(ctx, m); err != nil && !raced(err) {
		w.log.Warn("the fleet still counts on this worker", zap.Error(brief(err)))
	}
}
