// Package migrate decides how far a fleet has come on its way from older versions of Java KCL: from the leases that every
// worker takes for itself (2.x) to those that a leader assigns (3.x), and from the three tables of 3.0 to 3.4 to the one
// of 3.5. It is pure: it reads no clock and does no I/O. The states are those of the lease.Migration items, which every
// worker of a fleet reads and follows, Java or Go.
package migrate

import (
	"fmt"

	"github.com/shoal-stream/shoal/lease"
)

// Client is the state of lease.ClientVersion in which a worker starts: stored is what the item says, "" where there is
// none. A worker that starts in another state than the stored one writes it first, and if another was quicker, reads
// again. compatible is true for a worker that is to work beside workers of KCL 2.x
// (CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X); such a worker does not end a migration.
func Client(stored string, compatible bool) (string, error) {
	switch stored {
	case "":
		if compatible {
			return lease.ClientUpgradeFrom2X, nil
		}
		return lease.Client3X, nil
	case lease.Client3XWithRollback:
		if !compatible {
			return lease.Client3X, nil
		}
	case lease.ClientUpgradeFrom2X, lease.Client2X, lease.Client3X:
	default:
		return "", fmt.Errorf("the item %s says %q, want one of %s, %s, %s, %s", lease.ClientVersion, stored,
			lease.ClientUpgradeFrom2X, lease.Client2X, lease.Client3XWithRollback, lease.Client3X)
	}
	return stored, nil
}

// Duties are what a state of lease.ClientVersion asks of a worker.
type Duties struct {
	// Led is true where a leader, the holder of the lock, assigns the leases, and each worker finds its own by the owner
	// index. Else every worker takes leases for itself, as assign.Take2X says, and asks nobody.
	Led bool
	// Report is true where the worker shows its lease.Member item.
	Report bool
	// Index is true where the owner index must be there: it is made if it is missing.
	Index bool
	// Ready is true where somebody, as a rule the worker that syncs the shards, watches for the Readiness of the fleet.
	Ready bool
	// Poll is true where the state may change under a running worker: it reads the item each minute.
	Poll bool
}

// DutiesOf are the duties in a state that Client returned, or that was read since.
func DutiesOf(state string) Duties {
	switch state {
	case lease.ClientUpgradeFrom2X:
		return Duties{Report: true, Index: true, Ready: true, Poll: true}
	case lease.Client2X:
		return Duties{Poll: true}
	case lease.Client3XWithRollback:
		return Duties{Led: true, Report: true, Index: true, Poll: true}
	default:
		return Duties{Led: true, Report: true, Index: true}
	}
}
