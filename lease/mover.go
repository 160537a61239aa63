package lease

import "context"

// A TableMover is a Store of an application that may still have the tables of KCL 3.0 to 3.4 beside its lease table. Its
// methods are the steps by which a leader of KCL 3.5 brings everything into one (TableMigrationStateMachineImpl.java); when
// to take which is the leader's business. They can be repeated when an answer was lost.
type TableMover interface {
	// Apart reports whether there are such tables in use: they are there, and SingleTable was not TableComplete when it
	// was last read.
	Apart() bool
	// Unite has PutMember write to the lease table from TableDeployed on, when every worker understands that, as a worker
	// of KCL 3.5 that is to use one table only does: a leader moves nothing while a worker still writes to the old one.
	Unite()
	// Leftovers returns how many items of the old coordinator table are still to be moved, and the Member items in the
	// old table of workers.
	Leftovers(ctx context.Context) (items int, members []Member, err error)
	// MoveItems moves them. Condition of each batch: the owner of held has the lock, and the items have not changed;
	// else ErrConflict.
	MoveItems(ctx context.Context, held Lock) error
	// Withdraw removes the item of SingleTable. Condition: its State is that of seen.
	Withdraw(ctx context.Context, seen Migration) error
	// Complete writes TableComplete into both tables and gives up the lock. Condition: the owner of held has the lock, and
	// the state is TablePending, else ErrConflict. From then on the lock is another one, in the lease table, for which
	// whoever wants to lead has to stand anew.
	Complete(ctx context.Context, held Lock, by string) error
}
