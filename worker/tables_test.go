package worker_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// threeTables is one worker's view of a table of leases with the two others of KCL 3.0 to 3.4 beside it.
type threeTables struct {
	lease.Store
	old *oldTable

	mu    sync.Mutex // guards what follows
	unite bool
	state string // of lease.SingleTable, as last read
}

// oldTable is the old table of workers, which all share, with how many coordinator items are still to be moved.
type oldTable struct {
	mu      sync.Mutex // guards what follows
	members map[string]lease.Member
	items   int
}

func (s *threeTables) Unite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unite = true
}

func (s *threeTables) Apart() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state != lease.TableComplete
}

func (s *threeTables) Migration(ctx context.Context, key lease.MigrationKey) (lease.Migration, error) {
	m, err := s.Store.Migration(ctx, key)
	if err == nil && key == lease.SingleTable {
		s.mu.Lock()
		s.state = m.State
		s.mu.Unlock()
	}
	return m, err
}

func (s *threeTables) PutMember(ctx context.Context, m lease.Member) error {
	s.mu.Lock()
	old := s.state != lease.TablePending && s.state != lease.TableComplete && !(s.unite && s.state == lease.TableDeployed)
	s.mu.Unlock()
	if !old {
		return s.Store.PutMember(ctx, m)
	}
	s.old.mu.Lock()
	defer s.old.mu.Unlock()
	m.Updated = m.Updated.Truncate(time.Second)
	s.old.members[m.Worker] = m
	return nil
}

func (s *threeTables) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	rows, members, err := s.Store.Survey(ctx)
	s.old.mu.Lock()
	defer s.old.mu.Unlock()
	for _, m := range s.old.members {
		switch i := slices.IndexFunc(members, func(n lease.Member) bool { return n.Worker == m.Worker }); {
		case i < 0:
			members = append(members, m)
		case m.Updated.After(members[i].Updated):
			members[i] = m
		}
	}
	return rows, members, err
}

func (s *threeTables) Leftovers(context.Context) (int, []lease.Member, error) {
	s.old.mu.Lock()
	defer s.old.mu.Unlock()
	return s.old.items, slices.Collect(maps.Values(s.old.members)), nil
}

func (s *threeTables) MoveItems(context.Context, lease.Lock) error {
	s.old.mu.Lock()
	defer s.old.mu.Unlock()
	s.old.items = 0
	return nil
}

func (s *threeTables) Withdraw(context.Context, lease.Migration) error { return lease.ErrConflict }

func (s *threeTables) Complete(context.Context, lease.Lock, string) error { return lease.ErrConflict }

// Once everybody understands one table, workers that are to use one stop writing to the old one, so that nothing is in
// the way of the leader's moving its items. While one of them is not, it waits.
func TestAFleetThatIsToUseOneTableLeavesTheOldOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		old := &oldTable{members: map[string]lease.Member{}, items: 3}
		apart := func(single bool) func(*worker.Config) {
			return func(c *worker.Config) {
				c.Leases, c.SingleTable = &threeTables{Store: c.Leases, old: old}, single
			}
		}
		at := time.Now().Truncate(time.Millisecond)
		deployed := lease.Migration{Key: lease.SingleTable, State: lease.TableDeployed, By: "a", At: at}
		if err := f.store.PutMigration(t.Context(), lease.Migration{}, deployed); err != nil {
			t.Fatal(err)
		}
		state := func() string {
			m, _ := f.store.Migration(t.Context(), lease.SingleTable)
			return m.State
		}
		a, b := f.start("a", apart(true)), f.start("b", apart(false))
		pass(10 * time.Minute)
		if got := state(); got != lease.TableDeployed {
			t.Errorf("%s while a worker writes to the old table, want %s", got, lease.TableDeployed)
		}
		stop(t, b)
		c := f.start("c", apart(true))
		f.until("the items are moved", 5*time.Minute, func() bool { return state() == lease.TablePending })
		stop(t, a, c)
	})
}
