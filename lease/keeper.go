package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/record"
)

// KeeperConfig says how a Keeper keeps.
type KeeperConfig struct {
	Store  Store
	Worker string
	// Duration is the lease duration of the whole fleet. The keeper renews every third of it and trusts the lease
	// until Duration less a margin of a tenth after the sending of the last renewal that succeeded.
	Duration time.Duration
	Clock    clock.Clock
	// Throughput, if set, is asked before each write for the shard's average in KiB per second.
	Throughput func() float64
	// Report, if set, hears of each failed attempt that the keeper survives.
	Report func(error)
	// Wanted, if set, is called once when another worker has asked for the lease. It must not wait, nor call the keeper.
	Wanted func()
}

// A Keeper is the only writer of one held lease row: renewals and checkpoints go through it, so that they cannot fail
// each other's conditions. Run does all the I/O, or those who make the steps of Start; the other methods are safe for
// concurrent use with it and each other.
type Keeper struct {
	cfg   KeeperConfig
	name  string // the row's key
	first int64  // counter with which the tenure began

	keeping keeping // only whoever makes the step has it, and without one whoever has mu

	mu     sync.Mutex // guards what follows; held around memory only
	row    Lease      // as last known
	sent   time.Time  // when the last write that succeeded was sent
	mark   record.Position
	asked  bool          // somebody wants the lease
	ending error         // what Save and Release answer after the end
	ended  chan struct{} // closed at the end, after ending was set; made by the first request

	ctx    context.Context
	do     func(step func())
	over   func(error) // nil before the start and after the end
	unhook func() bool // ends the watch over ctx
	stop   func() bool // ends the timer, nil if there is none
	doing  doing
	queue  []*request // from Save and Release, oldest first
}

// A request asks for a write.
type request struct {
	ctx     context.Context // the caller's
	change  Change
	release bool
	next    string     // with release
	answer  chan error // has room for one, so that nobody waits for the caller
}

// reply answers r; only the first answer counts.
func (r *request) reply(err error) {
	select {
	case r.answer <- err:
	default:
	}
}

// NewKeeper makes the keeper of held, the row that a Take returned whose request was sent at sent (monotonic time of
// cfg.Clock). A lease that was held, or tried to be written, before must be taken anew for a new keeper: the raised
// counter is what stops an attempt of the former tenure that is still on its way.
func NewKeeper(cfg KeeperConfig, held Lease, sent time.Time) *Keeper {
	k := &Keeper{
		cfg:   cfg,
		name:  held.Key,
		first: held.Counter,
	}
	k.adopt(held.Clone(), sent)
	return k
}

// Save writes c at once; the write counts as a renewal. It returns when the row holds c, retrying what can be retried
// until ctx or the lease ends. A checkpoint that is behind a Mark is raised to it, and one behind the row's is left out:
// it is covered already. With SHARD_END, Run ends after the write.
//
// When ctx ends while an attempt is under way, Save returns ctx's cause and the row may come to hold c or not; the
// keeper settles that by itself. After the tenure the error wraps ErrLost or ErrReleased; a change that cannot be
// stored gives ErrInvalid.
func (k *Keeper) Save(ctx context.Context, c Change) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("save lease %s: %w", k.name, err)
	}
	c.PendingState, c.Children = slices.Clone(c.PendingState), slices.Clone(c.Children)
	if err := k.request(ctx, &request{change: c}); err != nil {
		return fmt.Errorf("save lease %s: %w", k.name, err)
	}
	return nil
}

// Mark notes that everything up to p is done, without I/O: the next write of the row carries it, also the one that
// Release makes. A mark behind a prepared checkpoint waits, because a checkpoint would remove that.
func (k *Keeper) Mark(p record.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.Compare(k.mark) > 0 {
		k.mark = p
	}
}

// Unmark takes back what was noted beyond p, all of it if p is zero: it turned out not to be done. What a write that is
// under way carries stays.
func (k *Keeper) Unmark(p record.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mark.Compare(p) > 0 {
		k.mark = p
	}
}

// Release gives the lease up as Store.Release says, with the last Mark, after which Run returns. Once Run has taken the
// request up it carries it out even if ctx ends meanwhile.
func (k *Keeper) Release(ctx context.Context, next string) error {
	if err := k.request(ctx, &request{release: true, next: next}); err != nil {
		return fmt.Errorf("release lease %s: %w", k.name, err)
	}
	return nil
}

// Deadline is the time until which the lease can be trusted.
func (k *Keeper) Deadline() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.deadline()
}

func (k *Keeper) deadline() time.Time {
	if mutant.Planted(mutant.DeadlineTooLate) {
		return k.sent.Add(3 * k.cfg.Duration)
	}
	return k.sent.Add(k.cfg.Duration - k.cfg.Duration/10)
}

// Notice tells the keeper that a scan saw the row handed over to another worker, so that it need not wait for its next
// write to find out. Rows from before this tenure are ignored: scans can be stale.
func (k *Keeper) Notice(seen Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if seen.Key != k.row.Key || seen.Counter < k.first {
		return
	}
	if k.wantedBy(seen) {
		k.row.Owner, k.row.CheckpointOwner = seen.Owner, seen.CheckpointOwner
	}
}

// Lease is the row as the keeper last knew it.
func (k *Keeper) Lease() Lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.row.Clone()
}

// request has r carried out and waits for its answer.
func (k *Keeper) request(ctx context.Context, r *request) error {
	if !k.cfg.Clock.Now().Before(k.Deadline()) {
		return fmt.Errorf("%w: no renewal has succeeded in time", ErrLost)
	}
	r.ctx, r.answer = ctx, make(chan error, 1)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	k.mu.Lock()
	if k.ending != nil {
		defer k.mu.Unlock()
		return k.ending
	}
	if k.ended == nil {
		k.ended = make(chan struct{})
	}
	ended := k.ended
	k.queue = append(k.queue, r)
	k.mu.Unlock()
	k.wake()
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		k.mu.Lock()
		k.queue = slices.DeleteFunc(k.queue, func(o *request) bool { return o == r }) // if nobody took it up
		k.mu.Unlock()
		return context.Cause(ctx)
	case <-ended:
	}
	select { // it is answered before the end
	case err := <-r.answer:
		return err
	default:
		return k.end()
	}
}

func (k *Keeper) end() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ending
}

// adopt takes row for what the table holds. sent is when the write that made it so was sent, or zero if row was read.
func (k *Keeper) adopt(row Lease, sent time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.row = row
	if !sent.IsZero() {
		k.sent = sent
	}
	k.wantedBy(row)
}

// wantedBy reports whether row hands the lease from this worker to another, and tells that once. k.mu is held.
func (k *Keeper) wantedBy(row Lease) bool {
	if row.CheckpointOwner != k.cfg.Worker || row.Owner == k.cfg.Worker {
		return false
	}
	if !k.asked && k.cfg.Wanted != nil {
		k.cfg.Wanted()
	}
	k.asked = true
	return true
}

func (k *Keeper) report(err error) {
	if k.cfg.Report != nil {
		k.cfg.Report(err)
	}
}

var errSlow = errors.New("no answer from the lease table in time")
