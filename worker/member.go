package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
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
	m.Support, m.SupportTime, m.Shoal = 1, m.Updated, true
	w.mu.Lock()
	w.members = append(w.members[max(0, len(w.members)-mostMembers+1):], m)
	w.mu.Unlock()
	err := w.cfg.Leases.PutMember(ctx, m)
	if err == nil {
		w.mu.Lock()
		w.members = []lease.Member{m}
		w.mu.Unlock()
	}
	return err
}

// mostMembers is how many forms of the own item are remembered that may be in the table.
const mostMembers = 4

// leaveFleet deletes this worker's item, whichever of the writes of unknown outcome was the last to be applied.
func (w *Worker) leaveFleet() {
	defer close(w.away)
	w.mu.Lock()
	members := w.members
	w.mu.Unlock()
	ctx, cancel := w.clock.WithTimeout(w.life, w.cfg.DrainTimeout/20, errTake)
	defer cancel()
	var err error
	for attempt := 1; len(members) > 0; attempt++ {
		last := members[len(members)-1]
		err = w.cfg.Leases.DeleteMember(ctx, last)
		switch {
		case err == nil, errors.Is(err, lease.ErrNotFound):
			return
		case errors.Is(err, lease.ErrConflict):
			members = members[:len(members)-1]
		case w.clock.Sleep(ctx, w.clock.Backoff(attempt, 20*time.Millisecond, 200*time.Millisecond)) != nil:
			members = nil
		}
	}
	if err != nil {
		w.log.Warn("the fleet still counts on this worker", zap.Error(brief(err)))
	}
}
