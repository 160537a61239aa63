package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/lease"
)

// A discovery looks, by the owner index, for leases that were assigned to this worker, and for those of its own that
// are to go elsewhere: the index then names another owner.
type discovery struct {
	w       *Worker
	robbed  map[string]losses    // of leases in this worker's name to a writer of the same name
	still   map[string]sighting  // rows that another process of this name may keep
	unheard map[string]time.Time // when a held key was first missed in the index
	named   int                  // keys that the index named last
}

// A sighting is a row's counter and since when it has been that.
type sighting struct {
	counter int64
	since   time.Time
}

// losses are how often something was lost in short succession, and when last.
type losses struct {
	times int
	last  time.Time
}

// twinLosses is how often a lease must be lost to a writer of the own name before that is taken for another process:
// once can be this process's own write, applied late.
const twinLosses = 3

// twinMemory is for how many lease durations a loss counts. A twin that keeps a lease takes it each few seconds; a leader
// may rarely assign a lease anew to the worker that has it.
const twinMemory = 3

// discoverEvery is the time between two looks at the owner index that names so many keys: half a second, and more where
// thousands are named and a long lease leaves the time for it.
func (w *Worker) discoverEvery(named int) time.Duration {
	return max(min(w.cfg.LeaseDuration/20, max(500*time.Millisecond, rowPause(named))), 50*time.Millisecond)
}

// rowPause is how long so many rows are to be left alone after they were read, if time allows: they cost request units
// and, where they are read, processor time.
func rowPause(rows int) time.Duration { return time.Duration(rows) * time.Millisecond }

func (w *Worker) discoverLoop(ctx context.Context) {
	d := &discovery{w: w, robbed: map[string]losses{}, still: map[string]sighting{}, unheard: map[string]time.Time{}}
	for failed := 0; ctx.Err() == nil; {
		changed := w.elected.wait()
		if !w.duty().Led { // every worker takes for itself
			w.await(ctx, changed)
			continue
		}
		every := w.discoverEvery(d.named)
		pause := every*3/4 + w.clock.Jitter(every/4)
		if err := d.round(ctx); err != nil && ctx.Err() == nil {
			failed++
			w.trouble(fmt.Errorf("look for leases: %w", err))
			pause = max(pause, w.clock.Backoff(failed, 100*time.Millisecond, w.cfg.LeaseDuration/3))
		} else {
			failed = 0
		}
		w.pauseFor(ctx, pause, w.pokeDiscover, nil)
	}
}

// round looks once.
func (d *discovery) round(ctx context.Context) error {
	w := d.w
	before := w.holdings() // the look comes after: what is held by then and not in the index is on its way out
	keys, err := w.owned(ctx)
	if err != nil {
		return err
	}
	d.named = len(keys)
	named := make(map[string]bool, len(keys))
	for _, key := range keys {
		named[key] = true
	}
	d.forget(named)
	var look []string
	for _, key := range keys {
		if !w.isDone(key) && w.tenure(key) == nil {
			look = append(look, key)
		}
	}
	for _, key := range before {
		if !named[key] && d.missed(key) {
			look = append(look, key)
		}
	}
	return d.examine(ctx, look)
}

// owned asks the index. Whatever else goes on, what was assigned to this worker must not wait for an answer that never
// comes.
func (w *Worker) owned(ctx context.Context) ([]string, error) {
	ctx, cancel := w.soon(ctx)
	defer cancel()
	return w.cfg.Leases.Owned(ctx, w.cfg.WorkerID)
}

// forget drops what was noted of keys that the index does not name any more.
func (d *discovery) forget(named map[string]bool) {
	d.w.keepDone(named)
	for key := range d.robbed {
		if !named[key] {
			delete(d.robbed, key)
			delete(d.still, key)
		}
	}
	for key := range d.unheard {
		if named[key] {
			delete(d.unheard, key)
		}
	}
}

// missed reports whether a held key that the index does not name is worth a look: once when it was missed first, and
// then now and then, because the index may be behind.
func (d *discovery) missed(key string) bool {
	now := d.w.clock.Now()
	if at, ok := d.unheard[key]; ok && now.Sub(at) < d.w.cfg.LeaseDuration/3 {
		return false
	}
	d.unheard[key] = now
	return true
}

// examine reads rows and does what is to be done with each.
func (d *discovery) examine(ctx context.Context, keys []string) error {
	rows := make([]*lease.Lease, len(keys))
	reads := pool.New().WithMaxGoroutines(writesAtOnce).WithErrors()
	for i, key := range keys {
		reads.Go(func() error {
			soon, cancel := d.w.soon(ctx)
			defer cancel()
			row, err := d.w.cfg.Leases.Get(soon, key)
			switch {
			case err == nil:
				rows[i] = &row
			case errors.Is(err, lease.ErrNotFound):
			default:
				return err
			}
			return nil
		})
	}
	err := reads.Wait()
	writes := pool.New().WithMaxGoroutines(writesAtOnce)
	for i, row := range rows {
		switch {
		case row == nil:
		case d.w.tenure(keys[i]) != nil:
			d.w.tenure(keys[i]).keeper.Notice(*row)
		case d.claim(*row):
			writes.Go(func() { d.w.take(ctx, *row) })
		}
	}
	writes.Wait()
	return err
}

// claim decides whether a row that nobody in this process holds is to be taken.
func (d *discovery) claim(row lease.Lease) bool {
	w, key := d.w, row.Key
	switch {
	case row.Owner != w.cfg.WorkerID: // the index is behind
		return false
	case row.Finished():
		w.noteDone(row)
		return false
	case w.source(row.Stream) == nil:
		w.notice(row.Stream)
		return false
	case row.CheckpointOwner != "" && row.CheckpointOwner != w.cfg.WorkerID && !mutant.Planted(mutant.TakesHandedOver): // its holder is not done yet
		return false
	}
	now := w.clock.Now()
	if counter, lost := w.takeLoss(key); lost && row.Counter > counter {
		l := d.robbed[key]
		if now.Sub(l.last) > twinMemory*w.cfg.LeaseDuration {
			l.times = 0
		}
		d.robbed[key] = losses{l.times + 1, now}
	}
	if d.robbed[key].times < twinLosses {
		return true
	}
	w.reportTwin(key)
	if s, ok := d.still[key]; !ok || s.counter != row.Counter {
		d.still[key] = sighting{row.Counter, now}
		return false
	}
	return now.Sub(d.still[key].since) >= w.cfg.LeaseDuration
}

// holdings are the keys of the leases that this worker holds now, in order.
func (w *Worker) holdings() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := make([]string, 0, len(w.tenures))
	for key, t := range w.tenures {
		if t.holding() {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// takeLoss returns the counter with which this worker lost a lease, once.
func (w *Worker) takeLoss(key string) (int64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counter, ok := w.losses[key]
	delete(w.losses, key)
	return counter, ok
}
