package lease

import (
	"context"
	"fmt"
	"time"
)

// A Fleet keeps what the workers of an application share beside their leases: who leads, who is alive and how busy, and
// how far a migration from older versions of Java KCL has come. It is a part of every Store; its methods make one attempt
// each, and their errors are those of a Store.
type Fleet interface {
	// Survey returns every lease row, as List does, and every worker's Member item, in one reading of the table where
	// both are in one. The reads may be eventually consistent. A damaged item is left out and reported in an error that
	// wraps ErrDamaged beside the rest.
	Survey(ctx context.Context) ([]Lease, []Member, error)

	// Owned returns the keys of the rows whose Owner is worker, by the owner index; the read is eventually consistent.
	Owned(ctx context.Context, worker string) ([]string, error)

	// Assign makes worker the owner, raises the counter by one and ends a hand-over: a leader's write, for a lease whose
	// live holder has not answered in time. It counts as a change of owner if there was another Owner, or if worker was
	// the CheckpointOwner. Condition: the row exists, and Owner and CheckpointOwner are those of seen; the counter is not
	// compared.
	Assign(ctx context.Context, seen Lease, worker string) (Lease, error)

	// PutMember writes the item of a worker, whatever was there.
	PutMember(ctx context.Context, m Member) error
	// DeleteMember removes the item of a worker. Condition: its Updated is that of seen. ErrNotFound and ErrConflict
	// are as of a lease.
	DeleteMember(ctx context.Context, seen Member) error

	// Leader returns the lock by a consistent read, or ErrNotFound where nobody has it.
	Leader(ctx context.Context) (Lock, error)
	// PutLeader replaces the lock by next. Condition: there is none if seen is zero; seen's Released mark is there if it
	// is set; else the Version is that of seen. Otherwise ErrConflict.
	PutLeader(ctx context.Context, seen, next Lock) error
	// Beat writes the Version, Duration and Data of next into the held lock. Condition: the Version and the Owner are
	// those of held; else ErrConflict or ErrNotFound.
	Beat(ctx context.Context, held, next Lock) error
	// DeleteLeader gives the lock up. Condition: the Version and the Owner are those of held.
	DeleteLeader(ctx context.Context, held Lock) error

	// Migration returns the state of a migration by a consistent read, or ErrNotFound where nothing is stored.
	Migration(ctx context.Context, m MigrationKey) (Migration, error)
	// PutMigration writes next and puts seen into its history, of which it keeps the last 10. Condition: the State is
	// that of seen, or there is no item if seen is zero; else ErrConflict.
	PutMigration(ctx context.Context, seen, next Migration) error
}

// A Member is what a worker tells of itself: that it lives, and how busy it is. (Item of the worker metrics,
// WorkerMetricStats.java.)
type Member struct {
	// Worker is its ID.
	Worker string
	// Updated is when it wrote the item, by its own wall clock, in whole seconds.
	Updated time.Time
	// Metrics are its last averages of each metric by short name (C for CPU, M memory, NI and NO network in and out, T
	// throughput), oldest first, at most 10, in percent; -1 stands for one that could not be taken. Empty if it cannot
	// measure.
	Metrics map[string][]float64
	// Limits are the greatest utilisation wanted of each metric, in whole percent from 1; one for each metric.
	Limits map[string]float64
	// Support is 1 if the worker understands a lease table that holds everything, as KCL 3.5 does, and SupportTime when
	// it last said so; else 0 and zero.
	Support     int
	SupportTime time.Time
	// Shoal is true if the item was last written by a worker of this library.
	Shoal bool
}

// maxSamples is how many averages of a metric an item holds (WorkerMetricStatsReporter.java).
const maxSamples = 10

// Validate returns an error that wraps ErrInvalid and names the field unless m can be stored.
func (m *Member) Validate() error {
	switch {
	case m.Worker == "":
		return fmt.Errorf("%w: member: Worker is empty; want the ID of a worker", ErrInvalid)
	case m.Updated.IsZero():
		return fmt.Errorf("%w: member %s: Updated is not set", ErrInvalid, m.Worker)
	case m.Support < 0 || (m.Support == 0) != m.SupportTime.IsZero():
		return fmt.Errorf("%w: member %s: Support %d with SupportTime %v; want both or neither", ErrInvalid, m.Worker, m.Support, m.SupportTime)
	}
	for name, averages := range m.Metrics {
		if len(averages) == 0 || len(averages) > maxSamples {
			return fmt.Errorf("%w: member %s: Metrics %s has %d values; want 1 to %d", ErrInvalid, m.Worker, name, len(averages), maxSamples)
		}
		if !(m.Limits[name] >= 1) {
			return fmt.Errorf("%w: member %s: Limits %s is %v; want 1 or more for each metric", ErrInvalid, m.Worker, name, m.Limits[name])
		}
	}
	for name := range m.Limits {
		if m.Metrics[name] == nil {
			return fmt.Errorf("%w: member %s: Limits has %s, which Metrics has not", ErrInvalid, m.Worker, name)
		}
	}
	return nil
}

// A Lock is the item by which one worker of a fleet leads, as the DynamoDB lock client 1.4.0 keeps it. Its holder writes
// a new Version with every heartbeat; it may be taken over when the Version has stood still for Duration on an observer's
// own clock.
type Lock struct {
	// Owner is the worker that leads.
	Owner string
	// Version is a random text.
	Version string
	// Duration is for how long the holder may be silent, in whole milliseconds.
	Duration time.Duration
	// Released is true where the holder has given the lock up and left the item.
	Released bool
	// Data is the holder's own; Java KCL has none and leaves it alone.
	Data []byte
}

// IsZero reports whether l stands for no lock.
func (l *Lock) IsZero() bool { return l.Version == "" && !l.Released }

// Validate returns an error that wraps ErrInvalid and names the field unless l can be stored.
func (l *Lock) Validate() error {
	switch {
	case l.Owner == "":
		return fmt.Errorf("%w: lock: Owner is empty; want the ID of a worker", ErrInvalid)
	case l.Version == "":
		return fmt.Errorf("%w: lock: Version is empty; want a random text", ErrInvalid)
	case l.Duration < time.Millisecond:
		return fmt.Errorf("%w: lock: Duration %v; want 1ms or more", ErrInvalid, l.Duration)
	}
	return nil
}

// A MigrationKey names the item of a migration.
type MigrationKey string

const (
	// ClientVersion is the migration from KCL 2.x (MigrationState.java). Its states are ClientUpgradeFrom2X and so on.
	ClientVersion MigrationKey = "Migration3.0"
	// SingleTable is that from three tables to one (TableMigrationState.java). Its states are TableInit and so on.
	SingleTable MigrationKey = "TableMigration3.5"
)

// The states of ClientVersion.
const (
	ClientUpgradeFrom2X  = "CLIENT_VERSION_UPGRADE_FROM_2X"
	Client2X             = "CLIENT_VERSION_2X"
	Client3XWithRollback = "CLIENT_VERSION_3X_WITH_ROLLBACK"
	Client3X             = "CLIENT_VERSION_3X"
)

// The states of SingleTable.
const (
	TableInit     = "TABLE_MIGRATION_STATUS_INIT"
	TableDeployed = "TABLE_MIGRATION_STATUS_DEPLOYED"
	TablePending  = "TABLE_MIGRATION_STATUS_PENDING"
	TableComplete = "TABLE_MIGRATION_STATUS_COMPLETE"
)

// A Migration is where a migration stands.
type Migration struct {
	Key   MigrationKey
	State string
	// By is who wrote it, a worker or a tool, and At when, in milliseconds.
	By string
	At time.Time
}

// Validate returns an error that wraps ErrInvalid and names the field unless m can be stored.
func (m *Migration) Validate() error {
	switch {
	case m.Key != ClientVersion && m.Key != SingleTable:
		return fmt.Errorf("%w: migration: Key %q; want %q or %q", ErrInvalid, m.Key, ClientVersion, SingleTable)
	case m.State == "":
		return fmt.Errorf("%w: migration %s: State is empty", ErrInvalid, m.Key)
	case m.By == "":
		return fmt.Errorf("%w: migration %s: By is empty; want who writes it", ErrInvalid, m.Key)
	case m.At.IsZero():
		return fmt.Errorf("%w: migration %s: At is not set", ErrInvalid, m.Key)
	}
	return nil
}
