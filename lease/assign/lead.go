package assign

import (
	"cmp"
	"time"

	"github.com/shoal-stream/shoal/lease"
)

const defaultDuration = 10 * time.Second

// A Config says how a leader assigns. What is zero has the default of Java KCL 3.5.1.
type Config struct {
	// Duration is the lease duration of the fleet; 10 s.
	Duration time.Duration
	// HandoverTimeout is how long a worker may take to let go of a lease; 30 s. A leader waits for it and one lease
	// duration more before it assigns the lease over the holder's head.
	HandoverTimeout time.Duration
	// MaxLeases is the most unfinished leases of one worker; no limit.
	MaxLeases int
	// MaxThroughputKBps is the most that the leases of one worker may deliver together, in KiB per second; no limit. A
	// worker without leases may have any one.
	MaxThroughputKBps float64
	// Dampening is the part, in percent, of a measured imbalance that one round corrects; 60. What follows from
	// throughput alone is corrected in one round.
	Dampening int
	// Threshold is how far, in percent, a worker's utilisation may be from the fleet's before leases move; 10.
	Threshold int
	// NoOvershoot forbids that a worker with too much gives a lease that is more than it has too much.
	NoOvershoot bool
	// Alpha is the weight of a new value in the moving average of a worker's metric; 0.5.
	Alpha float64
	// ByCount makes all leases equal (KCL's LEASE_COUNT_BASED).
	ByCount bool
}

func (cfg Config) withDefaults() Config {
	cfg.Duration = cmp.Or(cfg.Duration, defaultDuration)
	cfg.HandoverTimeout = cmp.Or(cfg.HandoverTimeout, 30*time.Second)
	cfg.Dampening = cmp.Or(cfg.Dampening, 60)
	cfg.Threshold = cmp.Or(cfg.Threshold, 10)
	cfg.Alpha = cmp.Or(cfg.Alpha, 0.5)
	return cfg
}

// A Move is a lease and the worker that is to have it.
type Move struct {
	Lease lease.Lease
	To    string
}

// Moves is what a leader should do now. Each is a conditional write: that it fails because the row has changed is
// ordinary.
type Moves struct {
	// Take are free and expired leases, for Store.Take.
	Take []Move
	// Ask are leases of live workers, for Store.Ask.
	Ask []Move
	// Force are leases whose hand-over is overdue though the holder lives, for Fleet.Assign.
	Force []Move
	// Stale are members to delete, with Fleet.DeleteMember.
	Stale []lease.Member
	// Unplaced counts free leases that no worker may have: there is none, or the limits forbid it.
	Unplaced int
	// Suspect is true where a lease has stood still for long enough that the next round should come soon.
	Suspect bool
}
