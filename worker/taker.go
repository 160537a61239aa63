package worker

import (
	"context"
	"fmt"

	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/lease/assign"
)

// takeLoop takes leases as workers of KCL 2.x do, each for itself, while the fleet has no leader.
func (w *Worker) takeLoop(ctx context.Context) {
	var census assign.Census
	first := true
	for failed := 0; ctx.Err() == nil; {
		changed := w.elected.wait()
		if w.duty().Led {
			census, first = assign.Census{Duration: w.cfg.LeaseDuration}, true
			w.await(ctx, changed)
			continue
		}
		every := w.cfg.LeaseDuration / 2
		pause := every*3/4 + w.clock.Jitter(every/4)
		if err := w.takeRound(ctx, &census, first); err != nil && ctx.Err() == nil {
			failed++
			w.trouble(fmt.Errorf("take leases: %w", err))
			pause = w.clock.Backoff(failed, w.cfg.LeaseDuration/50, every)
		} else {
			failed, first = 0, false
		}
		w.pauseFor(ctx, pause, w.pokeLead, changed)
	}
}

// takeRound lists the table, decides, and takes. In the first round the worker takes up what it had before a restart.
func (w *Worker) takeRound(ctx context.Context, census *assign.Census, first bool) error {
	rows, members, damaged, err := w.survey(ctx)
	if err != nil {
		return err
	}
	now := w.clock.Now()
	round := census.Observe(rows, members, now, now)
	w.noteFleet(rows, nil)
	own := map[string]bool{}
	for _, row := range rows {
		if row.Finished() && row.Owner == w.cfg.WorkerID {
			own[row.Key] = true
			w.noteDone(row)
		}
	}
	w.keepDone(own)
	w.noteRound(round)
	held := map[string]bool{}
	for _, key := range w.holdings() {
		held[key] = true
	}
	view := assign.View2X{
		Worker: w.cfg.WorkerID, Leases: rows, Still: round.Still, Held: held, Duration: w.cfg.LeaseDuration,
		MaxLeases: w.cfg.MaxLeases, Seed: w.clock.Uint64(),
	}
	take := assign.Take2X(view)
	for i := range rows {
		if row := &rows[i]; first && row.Owner == w.cfg.WorkerID && !held[row.Key] && !row.Finished() && row.CheckpointOwner == "" {
			take = append(take, assign.Taken{Lease: *row})
		}
	}
	writes := pool.New().WithMaxGoroutines(writesAtOnce)
	for _, t := range take {
		if w.tenure(t.Lease.Key) == nil {
			writes.Go(func() { w.take(ctx, t.Lease) })
		}
	}
	writes.Wait()
	return damaged
}
