package migrate

import (
	"cmp"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/assign"
)

// An Action is what a leader does next for a migration to one table.
type Action int

const (
	// Wait is nothing.
	Wait Action = iota
	// Begin writes lease.TableInit with Fleet.PutMigration.
	Begin
	// Withdraw takes that back with TableMover.Withdraw.
	Withdraw
	// Deploy writes lease.TableDeployed: the first time, or back from lease.TablePending.
	Deploy
	// Move moves the items with TableMover.MoveItems and then writes lease.TablePending.
	Move
	// Complete ends the migration with TableMover.Complete.
	Complete
)

func (a Action) String() string {
	return [...]string{"wait", "begin", "withdraw", "deploy", "move", "complete"}[a]
}

// How long a state must have lasted, as in Java KCL (TableMigrationStateMachineImpl.java).
const (
	initLasts   = time.Hour
	bakeDefault = 24 * time.Hour
	bakeLeast   = time.Hour
	bakeMost    = 7 * 24 * time.Hour
	supportLife = 90 * time.Second
	// watched is for how long the leader must have seen it so itself: its time of day may be wrong.
	watched = 10 * time.Minute
)

// A Scene is what a leader knows of a migration to one table at one moment.
type Scene struct {
	// Apart is true where there are old tables in use (TableMover.Apart).
	Apart bool
	// Stored is the item of lease.SingleTable; zero if there is none.
	Stored lease.Migration
	// All is true if the leader itself is to use one table only.
	All bool
	// Bake is how long lease.TablePending lasts; 24 h if zero, and never less than an hour nor more than 7 days.
	Bake time.Duration
	// Round is the leader's last, of both tables' members, and Duration the lease duration.
	Round    assign.Round
	Duration time.Duration
	// Items and Old are TableMover.Leftovers: what is left in the old coordinator table, and the members in the old table.
	Items int
	Old   []lease.Member
	// Now is the leader's monotonic time, Wall its time of day.
	Now, Wall time.Time
}

// A Mover drives a migration to one table as the leader. Its zero value is ready; it belongs to one goroutine.
type Mover struct {
	state string    // as last seen
	since time.Time // when it was first seen so, and nothing against it since
}

// Next decides the next step. It is called each minute or so, with what was read since the last step.
func (m *Mover) Next(s Scene) Action {
	if !s.Apart {
		*m = Mover{}
		return Wait
	}
	if m.state != s.Stored.State || m.since.IsZero() {
		m.state, m.since = s.Stored.State, s.Now
	}
	action := m.next(s)
	if action == Withdraw || action == Deploy {
		m.since = time.Time{}
	}
	return action
}

func (m *Mover) next(s Scene) Action {
	switch s.Stored.State {
	case "":
		if s.supported() {
			return Begin
		}
	case lease.TableInit:
		switch {
		case !s.supported():
			return Withdraw
		case m.lasted(s, initLasts):
			return Deploy
		}
	case lease.TableDeployed:
		if s.All && !s.oldInUse() {
			return Move
		}
	case lease.TablePending:
		bake := min(max(cmp.Or(s.Bake, bakeDefault), bakeLeast), bakeMost)
		switch {
		case s.Items > 0 || s.oldInUse():
			return Deploy
		case m.lasted(s, bake):
			return Complete
		}
	}
	return Wait
}

// lasted says whether the stored state is old enough, by the day's time and by the leader's own watch.
func (m *Mover) lasted(s Scene, d time.Duration) bool {
	return s.Wall.Sub(s.Stored.At) >= d && s.Now.Sub(m.since) >= min(d, watched)
}

// supported says whether every owner of a lease has said of late that it understands one table for everything. Both
// times of a member are by its own clock.
func (s *Scene) supported() bool {
	owners := ownersOf(s.Round, s.Duration)
	return len(owners) > 0 && all(owners, s.Round.Alive, func(m lease.Member) bool {
		return m.Support >= 1 && m.Updated.Sub(m.SupportTime) <= supportLife
	})
}

// oldInUse says whether a worker that lives still writes to the old table.
func (s *Scene) oldInUse() bool {
	for _, old := range s.Old {
		for _, m := range s.Round.Alive {
			if m.Worker == old.Worker && !m.Updated.After(old.Updated) {
				return true
			}
		}
	}
	return false
}
