package lease_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
)

// A hand-over to a worker that has died is overdue, and the leader gives the lease back to its holder by force. A renewal
// that comes after that is refused. If its answer is lost, too, the row looks as the renewal would have made it: but the
// counter was raised before it was sent, so trust that began with it would last longer than others wait.
func TestALeaseThatWasAssignedBackIsNotTakenForRenewed(t *testing.T) {
	keep(t, nil, func(t *testing.T, b *bench) {
		if _, err := b.store.Ask(t.Context(), b.row(), "you"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // the next renewal is sent three seconds after the last one or later
		assigned, err := b.store.Assign(t.Context(), b.row(), "me")
		if err != nil {
			t.Fatal(err)
		}
		moved := time.Now()
		b.fault(func(_ context.Context, op string) (bool, error) {
			if op == "Get" {
				return true, nil
			}
			return true, errNet
		})
		for b.row().Counter == assigned.Counter && len(b.result) == 0 && time.Since(moved) < duration {
			if late := b.keeper.Deadline().Sub(moved); late >= duration {
				t.Fatalf("the keeper trusts the lease until %v after its counter rose; others take it after %v", late, duration)
			}
			time.Sleep(duration / 100)
		}
		if err := b.ended(); !errors.Is(err, lease.ErrLost) {
			t.Errorf("Run = %v, want ErrLost: the lease was assigned anew", err)
		}
	})
}
