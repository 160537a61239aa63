package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
	"github.com/shoal-stream/shoal/lease/migrate"
)

// migrateEvery is the time between two looks at how far a migration has come, as in Java KCL.
const migrateEvery = time.Minute

// duty is what the state of the fleet asks of this worker.
func (w *Worker) duty() migrate.Duties { return *w.duties.Load() }

// setDuty takes over what a new state asks.
func (w *Worker) setDuty(state string) {
	d := migrate.DutiesOf(state)
	if w.cfg.Compatible2X && state == "" { // beside workers that would stumble over anything but leases
		d = migrate.Duties{Poll: true}
	}
	before := w.duties.Swap(&d)
	if before == nil || *before != d {
		w.log.Info("how leases are assigned", zap.String("state", state), zap.Bool("by a leader", d.Led))
		w.elected.broadcast()
	}
}

// joinFleet learns how the fleet assigns its leases, and says so in the table if nobody has yet.
func (w *Worker) joinFleet(ctx context.Context) error {
	for {
		stored, err := w.cfg.Leases.Migration(ctx, lease.ClientVersion)
		if err != nil && !errors.Is(err, lease.ErrNotFound) {
			return fmt.Errorf("read how the fleet assigns its leases: %w", err)
		}
		if stored.State == "" && w.cfg.Compatible2X {
			w.setDuty("")
			return nil
		}
		state, err := migrate.Client(stored.State, w.cfg.Compatible2X)
		if err != nil {
			return fmt.Errorf("%w: %w", lease.ErrSchema, err)
		}
		if stored.State == "" {
			if err := w.refuse2X(ctx); err != nil {
				return err
			}
		}
		if state == stored.State {
			w.setDuty(state)
			return nil
		}
		next := w.migration(lease.ClientVersion, state)
		if err := w.cfg.Leases.PutMigration(ctx, stored, next); err != nil && !errors.Is(err, lease.ErrConflict) {
			return fmt.Errorf("write how the fleet assigns its leases: %w", err)
		}
	}
}

// migration is the item with which this worker says where a migration stands.
func (w *Worker) migration(key lease.MigrationKey, state string) lease.Migration {
	return lease.Migration{Key: key, State: state, By: w.cfg.WorkerID, At: w.clock.Now().Truncate(time.Millisecond)}
}

// errFleet2X says that workers of KCL 2.x use the table, which cannot bear the items that this worker would write.
var errFleet2X = errors.New("workers of KCL 2.x keep leases in this table; stop them first, or set Config.Compatible2X in the whole fleet until they are gone")

// refuse2X watches, in a table that says nothing of itself, whether its leases are kept by workers that say nothing
// either.
func (w *Worker) refuse2X(ctx context.Context) error {
	counters := map[string]int64{}
	for start := w.clock.Now(); ; {
		rows, members, err := w.cfg.Leases.Survey(ctx)
		if err != nil && !errors.Is(err, lease.ErrDamaged) {
			return fmt.Errorf("look for workers of KCL 2.x: %w", err)
		}
		known := map[string]bool{w.cfg.WorkerID: true}
		for _, m := range members {
			known[m.Worker] = true
		}
		owned := false
		for _, row := range rows {
			before, seen := counters[row.Key]
			switch {
			case row.Owner == "" || row.Finished() || known[row.Holder()]:
				continue
			case seen && row.Counter > before:
				return fmt.Errorf("%w (%s is kept by %s)", errFleet2X, row.Key, row.Holder())
			case !seen:
				counters[row.Key] = row.Counter
			}
			owned = true
		}
		if _, err := w.cfg.Leases.Migration(ctx, lease.ClientVersion); err == nil || !owned || w.clock.Since(start) > w.cfg.LeaseDuration/2 {
			return nil // another worker has said what the fleet is, or nobody keeps anything
		}
		if err := w.clock.Sleep(ctx, w.cfg.LeaseDuration/10); err != nil {
			return err
		}
	}
}

// migrateLoop follows migrations, and where this worker leads brings them on.
func (w *Worker) migrateLoop(ctx context.Context) {
	var ready migrate.Readiness
	var mover migrate.Mover
	for w.clock.Sleep(ctx, w.clock.Jitter(migrateEvery)) == nil {
		if err := w.followClientVersion(ctx, &ready); err != nil && ctx.Err() == nil {
			w.trouble(fmt.Errorf("follow the migration from KCL 2.x: %w", err))
		}
		if err := w.moveTables(ctx, &mover); err != nil && ctx.Err() == nil {
			w.trouble(fmt.Errorf("migration to one table: %w", err))
		}
	}
}

// followClientVersion takes over a state that was changed, and ends the compatible phase when the fleet is ready for it.
func (w *Worker) followClientVersion(ctx context.Context, ready *migrate.Readiness) error {
	if !w.duty().Poll {
		return nil
	}
	stored, err := w.cfg.Leases.Migration(ctx, lease.ClientVersion)
	if err != nil && !errors.Is(err, lease.ErrNotFound) {
		return err
	}
	w.setDuty(stored.State)
	if !w.duty().Ready {
		return nil
	}
	_, missing := w.owned(ctx) // the index may have been deleted with a rollback, or be in the making
	var unmade error
	if missing != nil {
		unmade = w.makeIndex(ctx)
	}
	round := w.lastRound()
	if round == nil || !ready.Observe(missing == nil, *round, w.cfg.LeaseDuration, w.clock.Now()) {
		return unmade
	}
	next := w.migration(lease.ClientVersion, lease.Client3XWithRollback)
	if err := w.cfg.Leases.PutMigration(ctx, stored, next); err != nil && !raced(err) {
		return err
	}
	w.setDuty(next.State)
	return nil
}

// makeIndex has the store make the owner index if there is none. It does not wait until that can be used, which can take
// an hour: the next look tells.
func (w *Worker) makeIndex(ctx context.Context) error {
	ctx, cancel := w.clock.WithTimeout(ctx, migrateEvery/4, errTake)
	defer cancel()
	if err := w.cfg.Leases.Open(ctx); err != nil && context.Cause(ctx) != errTake {
		return fmt.Errorf("make the owner index: %w", err)
	}
	return nil
}

// moveTables takes the next step of a migration from the three tables of KCL 3.0 to 3.4, if this worker leads.
func (w *Worker) moveTables(ctx context.Context, m *migrate.Mover) error {
	tables, ok := w.cfg.Leases.(lease.TableMover)
	if !ok || !tables.Apart() {
		return nil
	}
	stored, err := w.cfg.Leases.Migration(ctx, lease.SingleTable) // every worker's store follows it
	if err != nil && !errors.Is(err, lease.ErrNotFound) {
		return err
	}
	round, lock := w.lastRound(), w.election.Held()
	if round == nil || lock.Version == "" {
		return nil
	}
	scene := migrate.Scene{
		Apart: true, Stored: stored, All: w.cfg.SingleTable, Round: *round, Duration: w.cfg.LeaseDuration,
		Now: w.clock.Now(), Wall: w.clock.Now(),
	}
	if scene.Items, scene.Old, err = tables.Leftovers(ctx); err != nil {
		return err
	}
	action := m.Next(scene)
	if action == migrate.Wait {
		return nil
	}
	w.log.Info("migration to one table", zap.Stringer("step", action), zap.String("state", stored.State))
	put := func(state string) error {
		next := w.migration(lease.SingleTable, state)
		return w.cfg.Leases.PutMigration(ctx, stored, next)
	}
	switch action {
	case migrate.Begin:
		err = put(lease.TableInit)
	case migrate.Withdraw:
		err = tables.Withdraw(ctx, stored)
	case migrate.Deploy:
		err = put(lease.TableDeployed)
	case migrate.Move:
		if err = tables.MoveItems(ctx, lock); err == nil {
			err = put(lease.TablePending)
		}
	case migrate.Complete:
		err = tables.Complete(ctx, lock, w.cfg.WorkerID)
	}
	if raced(err) {
		return nil
	}
	return err
}

// noteRound and lastRound keep what the last survey told.
func (w *Worker) noteRound(r assign.Round) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round = &r
}

func (w *Worker) lastRound() *assign.Round {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.round
}
