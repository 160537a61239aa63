package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sourcegraph/conc/pool"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/shardsync"
	"github.com/shoal-stream/shoal/record"
)

// syncEvery is the time between two comparisons of the stream's shards with the lease rows. It finds what the ends of
// shards do not: new rows are normally made by the owner of the shard that ends. It reads all rows and lists all shards, so
// that with thousands of rows it comes more rarely, up to syncRarely (as often as Java's
// leasesRecoveryAuditorExecutionFrequencyMillis).
const (
	syncEvery  = 30 * time.Second
	syncRarely = 2 * time.Minute
)

// What was read of the table grows old while a worker is cut off or its calls fail: rows that it found missing may have been
// made since, been finished and deleted, and made once more they would bring back all records of their shards. So rows are
// made within syncWithin of the listing that shows them missing, and a finished row stays for much longer after it was seen.
const (
	syncWithin   = 20 * time.Second
	finishedStay = time.Minute
)

// A settled tells since when a worker has seen which rows finished.
type settled map[string]time.Time

// look takes in all rows of the table.
func (f settled) look(rows []lease.Lease, now time.Time) {
	there := make(map[string]bool, len(f))
	for i := range rows {
		if !rows[i].Finished() {
			continue
		}
		there[rows[i].Key] = true
		if _, ok := f[rows[i].Key]; !ok {
			f[rows[i].Key] = now
		}
	}
	for key := range f {
		if !there[key] {
			delete(f, key)
		}
	}
}

// deletable are the rows that shardsync.Deletable names and that have been finished for long enough.
func (f settled) deletable(rows []lease.Lease, shards []record.Shard, now time.Time) []lease.Lease {
	return slices.DeleteFunc(shardsync.Deletable(rows, shards), func(row lease.Lease) bool {
		since, ok := f[row.Key]
		return !ok || now.Sub(since) < finishedStay
	})
}

// syncLoop makes the lease rows that are missing, at the start and then from time to time, and deletes those that nobody
// needs any more. That is the leader's duty; where there is none it is everybody's.
func (w *Worker) syncLoop(ctx context.Context) {
	former, finished := formerSince{}, settled{}
	for failed := 0; ctx.Err() == nil; {
		changed := w.elected.wait()
		if w.duty().Led && !w.election.Leading() {
			clear(former) // what is seen after a gap must be judged afresh
			w.await(ctx, changed)
			continue
		}
		pause := w.clock.Jitter(syncEvery)
		rows, err := w.syncAll(ctx, former, finished)
		pause = max(pause, min(10*rowPause(rows), syncRarely))
		if err != nil && ctx.Err() == nil {
			failed++
			w.trouble(err)
			pause = w.clock.Backoff(failed, 200*time.Millisecond, 5*time.Second)
		} else {
			failed = 0
		}
		w.pauseFor(ctx, pause, w.pokeSync, nil)
	}
}

// syncAll syncs all streams. n is how many rows the table has.
func (w *Worker) syncAll(ctx context.Context, former formerSince, finished settled) (n int, err error) {
	read := w.clock.Now()
	rows, damaged, err := w.listLeases(ctx)
	if err != nil {
		return 0, fmt.Errorf("sync shards: %w", err)
	}
	n = len(rows)
	finished.look(rows, read)
	var errs []error
	for _, row := range former.expired(w, rows) {
		if err := w.cfg.Leases.Delete(ctx, row); err != nil && !raced(err) {
			errs = append(errs, fmt.Errorf("delete the lease %s of a stream that is not read any more: %w", row.Key, err))
		}
	}
	if damaged != nil {
		// Without all rows it cannot be told which are missing: shards whose only descendants are damaged would look as if
		// they had been overlooked, and be processed again from their beginning.
		return n, errors.Join(append(errs, fmt.Errorf("sync shards: no rows are made or deleted while some cannot be read: %w", damaged))...)
	}
	if rows, err = w.mine(rows); err != nil {
		return n, fmt.Errorf("sync shards: %w", err)
	}
	for _, src := range w.readStreams() {
		if err := w.syncStream(ctx, src, rows, read, finished); err != nil {
			errs = append(errs, fmt.Errorf("sync shards of %s: %w", src.Name(), err))
		}
	}
	return n, errors.Join(errs...)
}

// listLeases and listShards are the calls of a sync. damaged tells of rows that are left out.
func (w *Worker) listLeases(ctx context.Context) (rows []lease.Lease, damaged, err error) {
	err = w.again(ctx, func() (err error) {
		if rows, err = w.cfg.Leases.List(ctx); errors.Is(err, lease.ErrDamaged) {
			damaged, err = err, nil
		} else {
			damaged = nil
		}
		return err
	})
	return rows, damaged, err
}

func (w *Worker) listShards(ctx context.Context, src *source, at record.Position) (shards []record.Shard, now time.Time, err error) {
	err = w.again(ctx, func() (err error) {
		shards, now, err = src.Shards(ctx, at)
		return err
	})
	return shards, now, err
}

// syncAttempts is how often one call of a sync is tried: a sync is a chain of several, and with each call failing now and
// then a chain that begins anew after every error would not come to its end.
const syncAttempts = 6

func (w *Worker) again(ctx context.Context, call func() error) error {
	for attempt := 1; ; attempt++ {
		err := call()
		if err == nil || attempt == syncAttempts {
			return err
		}
		if w.clock.Sleep(ctx, w.clock.Backoff(attempt, 50*time.Millisecond, time.Second)) != nil {
			return err
		}
	}
}

// syncStream brings the rows of one stream in line with its shards. rows are those of all streams, listed at read.
func (w *Worker) syncStream(ctx context.Context, src *source, rows []lease.Lease, read time.Time, finished settled) error {
	var own []lease.Lease
	for _, row := range rows {
		if row.Stream == src.rowStream {
			own = append(own, row)
		}
	}
	start, former := w.startOf(src)
	if former && len(own) == 0 {
		return nil
	}
	at := record.Position{}
	if len(own) == 0 {
		at = start
	}
	shards, now, err := w.listShards(ctx, src, at)
	if err != nil {
		return err
	}
	var all []record.Shard // where the listing is of all that there are
	if len(own) > 0 {
		all = shards
	}
	missing := shardsync.Missing(shardsync.Input{Stream: src.rowStream, Shards: shards, Leases: own, Start: start, Now: now})
	if former { // its rows may be in the middle of being deleted, and those of new shards are made by the shards that end
		missing = nil
	}
	if len(own) > 0 && len(missing) > 0 {
		if missing, err = w.openAtStart(ctx, src, missing); err != nil {
			return err
		}
		read = w.clock.Now()
		if missing, err = w.stillMissing(ctx, missing); err != nil {
			return err
		}
	}
	if err := w.create(ctx, missing, read); err != nil {
		return err
	}
	if len(missing) > 0 {
		w.log.Info("lease rows made", zap.String("stream", src.Name()), zap.Int("rows", len(missing)))
		poke(w.pokeLead)
	}
	for _, row := range finished.deletable(own, all, w.clock.Now()) {
		if err := w.cfg.Leases.Delete(ctx, row); err != nil && !raced(err) {
			return fmt.Errorf("delete the finished lease %s: %w", row.Key, err)
		}
	}
	return w.describe(ctx, own, shards)
}

// describeAtMost is how many rows of a stream one sync describes: they can wait, and the renewals of a table with little
// capacity cannot.
const describeAtMost = 4 * writesAtOnce

// describe writes the hash key ranges of unfinished shards into rows that do not tell them, as those that KCL before 2.3
// made do not. A leader of Java's looks by them for shards that nobody processes, and fills them in likewise
// (PeriodicShardSyncManager.java); older versions leave them alone. The counter stays, so no owner is disturbed.
func (w *Worker) describe(ctx context.Context, rows []lease.Lease, shards []record.Shard) error {
	var bare []lease.Lease
	for i := range rows {
		if rows[i].Range == nil && !rows[i].Finished() {
			bare = append(bare, rows[i])
		}
	}
	if len(bare) == 0 {
		return nil
	}
	ranges := make(map[string]*record.HashKeyRange, len(shards))
	for i := range shards {
		ranges[shards[i].ID] = &shards[i].Range
	}
	bare = slices.DeleteFunc(bare, func(row lease.Lease) bool { return ranges[row.Shard] == nil })
	bare = bare[:min(len(bare), describeAtMost)]
	errs := make([]error, len(bare))
	writes := pool.New().WithMaxGoroutines(writesAtOnce)
	for i, row := range bare {
		writes.Go(func() {
			err := w.again(ctx, func() error { return w.cfg.Leases.Describe(ctx, row.Key, nil, ranges[row.Shard]) })
			if !errors.Is(err, lease.ErrNotFound) {
				errs[i] = err
			}
		})
	}
	writes.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("write the hash key range into the lease %s: %w", bare[i].Key, err)
		}
	}
	return nil
}

// stillMissing leaves out of missing what a second listing of the table shows. One listing alone is no snapshot: it may
// have passed a child's place before the row was made, and its parent's after that was deleted.
func (w *Worker) stillMissing(ctx context.Context, missing []lease.Lease) ([]lease.Lease, error) {
	rows, damaged, err := w.listLeases(ctx)
	if err := errors.Join(damaged, err); err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for i := range rows {
		there[rows[i].Key] = true
		for _, parent := range rows[i].Parents { // a row whose child has one was finished, and deleted
			there[shardsync.Key(rows[i].Stream, parent)] = true
		}
	}
	return slices.DeleteFunc(missing, func(row lease.Lease) bool { return there[row.Key] }), nil
}

// openAtStart leaves out of missing the shards that were closed before the moment at which an application that starts at
// LATEST first listed the stream. Another worker may be making the rows of that listing just now, so that only some are
// there; a row for an older shard beside them would make its children, which were open then, look like later ones, and
// they would begin at TRIM_HORIZON.
func (w *Worker) openAtStart(ctx context.Context, src *source, missing []lease.Lease) ([]lease.Lease, error) {
	i := slices.IndexFunc(missing, func(row lease.Lease) bool { return !row.StartTime.IsZero() })
	if i < 0 {
		return missing, nil
	}
	shards, _, err := w.listShards(ctx, src, record.AtTimestamp(missing[i].StartTime))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(missing, func(row lease.Lease) bool {
		open := slices.ContainsFunc(shards, func(s record.Shard) bool { return s.ID == row.Shard })
		return !row.StartTime.IsZero() && !open
	}), nil
}

// create makes rows that a listing of read showed missing: parents before their children, so that a crash in between leaves
// no child whose parent is forgotten, and otherwise many at once. Rows that another worker made in the meantime are fine.
func (w *Worker) create(ctx context.Context, rows []lease.Lease, read time.Time) error {
	for len(rows) > 0 {
		if w.clock.Since(read) >= syncWithin/2 {
			var err error
			read = w.clock.Now()
			if rows, err = w.stillMissing(ctx, rows); err != nil {
				return err
			}
		}
		now, later := generation(rows)
		left, err := w.createUntil(ctx, now, read.Add(syncWithin))
		if err != nil {
			return err
		}
		rows = append(left, later...)
	}
	return nil
}

// createUntil makes rows until a moment, and returns those that are left then: none, or less than all.
func (w *Worker) createUntil(ctx context.Context, rows []lease.Lease, until time.Time) (left []lease.Lease, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ctx, cancel := w.clock.WithTimeout(ctx, until.Sub(w.clock.Now()), errStale)
	defer cancel()
	errs := make([]error, len(rows))
	writes := pool.New().WithMaxGoroutines(writesAtOnce)
	for i, row := range rows {
		writes.Go(func() {
			errs[i] = w.again(ctx, func() error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				err := w.cfg.Leases.Create(ctx, row)
				if errors.Is(err, lease.ErrExists) {
					return nil
				}
				return err
			})
		})
	}
	writes.Wait()
	for i, err := range errs {
		switch {
		case err == nil:
		case context.Cause(ctx) == errStale:
			left = append(left, rows[i])
		default:
			return nil, fmt.Errorf("create the lease %s: %w", rows[i].Key, err)
		}
	}
	if len(left) == len(rows) {
		return nil, fmt.Errorf("create the lease %s: %w", rows[0].Key, errors.Join(errStale, errs[0]))
	}
	return left, nil
}

var errStale = fmt.Errorf("not made within %v of the listing that showed it missing", syncWithin)

// generation splits rows into those without a parent among them and the others.
func generation(rows []lease.Lease) (now, later []lease.Lease) {
	among := make(map[string]bool, len(rows))
	for i := range rows {
		among[rows[i].Shard] = true
	}
	for _, row := range rows {
		if slices.ContainsFunc(row.Parents, func(id string) bool { return among[id] }) {
			later = append(later, row)
		} else {
			now = append(now, row)
		}
	}
	return now, later
}
