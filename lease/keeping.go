package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/internal/mutant"
	"github.com/shoal-stream/shoal/record"
)

// keeping is the state of a keeper's loop; only whoever makes its step touches it. The loop is
//
//	          due, or asked for                    applied
//	waiting ───────────────────────► write ─────────────────────► waiting, next in a third of the duration
//	   ▲                               │  │
//	   │ refused for capacity: back off│  │ unknown, or the condition failed
//	   ├───────────────────────────────┘  ▼
//	   │ the row is as before           read ──► as one of the attempts wrote it: applied
//	   └───────────────────────────────── │  └─► somebody else's: lost
//	                                      └ read failed: back off, read again
//
// until the deadline. All attempts over one counter value have that value in their condition, so at most one of them is
// ever applied, however late it arrives: once any is, the others can do no harm. Which one it was is told by comparing
// what the row holds with what each attempt wrote.
type keeping struct {
	req    *request  // in hand; nil: a plain renewal is next
	tries  []try     // attempts over the present counter whose outcome is unknown
	unsure bool      // read the row before the next write
	fails  int       // since the last success
	due    time.Time // of the next step
	why    error     // of the last failure
}

// What is being done about the next step.
type doing int

const (
	waiting  doing = iota // for it to be due
	asked                 // somebody is to make it
	stepping              // it is being made
)

// A try is one attempt to write.
type try struct {
	req    *request // that it serves, nil for a renewal
	sent   time.Time
	held   Lease // the row as known when it was sent
	change Change
	// giveUp tells that it was a Release, in which next is the owner that it makes.
	giveUp bool
	next   string
}

// Run renews until ctx ends (it returns nil and the row stays as it is), Release or a finished checkpoint ends the
// tenure (nil), or the lease is lost (an error that wraps ErrLost). Run or Start must be called once.
func (k *Keeper) Run(ctx context.Context) error {
	steps, over := make(chan func(), 1), make(chan error, 1)
	k.Start(ctx, func(step func()) { steps <- step }, func(err error) { over <- err })
	for {
		select {
		case step := <-steps:
			step()
		case err := <-over:
			return err
		}
	}
}

// Start is Run for a program that keeps so many leases that a goroutine for each is too much. It returns at once. Each
// write of the row, and each reading of it, is a step that goes to do, one at a time; do must have it called soon and
// must not wait for it. The end of the lease's deadline needs no step. over is called, once, with what Run would return;
// no step is under way then, but one that was not called yet may still be, and does nothing.
func (k *Keeper) Start(ctx context.Context, do func(step func()), over func(error)) {
	k.mu.Lock()
	k.ctx, k.do, k.over = ctx, do, over
	// The first renewal comes early by a random part, so that leases taken at once are not renewed at once for ever.
	k.keeping.due = k.sent.Add(k.cfg.Clock.Jitter(k.cfg.Duration / 3))
	k.mu.Unlock()
	unhook := context.AfterFunc(ctx, k.wake)
	k.mu.Lock()
	k.unhook = unhook
	k.mu.Unlock()
	k.wake()
}

// wake does what is due.
func (k *Keeper) wake() { k.proceed(k.plan) }

// proceed changes the keeper's state by f and, if that ends the keeper, says so.
func (k *Keeper) proceed(f func() (over bool, err error)) {
	k.mu.Lock()
	if k.over == nil {
		k.mu.Unlock()
		return
	}
	end, err := f()
	if !end {
		k.mu.Unlock()
		return
	}
	switch {
	case err != nil:
		k.ending = err
	case k.ctx.Err() != nil:
		k.ending = fmt.Errorf("the keeper was stopped: %w", context.Cause(k.ctx))
	default:
		k.ending = ErrReleased
	}
	over := k.over
	k.over, k.queue = nil, nil
	k.still()
	if k.unhook != nil {
		k.unhook()
	}
	if k.ended != nil {
		close(k.ended)
	}
	k.mu.Unlock()
	over(err)
}

// still stops the timer. k.mu is held.
func (k *Keeper) still() {
	if k.stop != nil {
		k.stop()
		k.stop = nil
	}
}

// plan asks for a step if one is due, or sets the timer. k.mu is held.
func (k *Keeper) plan() (over bool, err error) {
	s := &k.keeping
	if k.doing == stepping {
		return false, nil
	}
	if k.ctx.Err() != nil {
		return true, nil
	}
	now, deadline := k.cfg.Clock.Now(), k.deadline()
	if !now.Before(deadline) {
		return true, k.lost(s.why)
	}
	due := deadline
	if k.doing == waiting {
		if s.req == nil && len(k.queue) > 0 { // one at a time
			s.req, k.queue = k.queue[0], k.queue[1:]
			if s.fails == 0 { // else the table is in trouble, and the back-off holds for this write, too
				s.due = now
			}
		}
		if !now.Before(s.due) {
			k.doing = asked
			k.do(k.work)
		} else if s.due.Before(due) {
			due = s.due
		}
	}
	k.still()
	k.stop = k.cfg.Clock.AfterFunc(due.Sub(now), k.wake)
	return false, nil
}

// work makes the step that was asked for.
func (k *Keeper) work() {
	k.mu.Lock()
	if k.over == nil {
		k.mu.Unlock()
		return
	}
	k.doing = stepping
	k.still()
	ctx := k.ctx
	k.mu.Unlock()
	over, err := false, error(nil)
	if ctx.Err() == nil {
		over, err = k.step(ctx, &k.keeping)
	}
	k.proceed(func() (bool, error) {
		k.doing = waiting
		if over || err != nil {
			return true, err
		}
		return k.plan()
	})
}

// step makes one attempt. over tells that the tenure has ended well.
func (k *Keeper) step(ctx context.Context, s *keeping) (over bool, err error) {
	left := k.Deadline().Sub(k.cfg.Clock.Now())
	if left <= 0 {
		return false, k.lost(s.why)
	}
	ctx, cancel := k.cfg.Clock.WithTimeout(ctx, min(k.cfg.Duration/4, left), errSlow)
	defer cancel()
	if s.unsure {
		return k.settle(ctx, s)
	}
	return k.write(ctx, s)
}

// write sends the next write.
func (k *Keeper) write(ctx context.Context, s *keeping) (over bool, err error) {
	if s.req != nil && !s.req.release && s.req.ctx.Err() != nil {
		s.req = nil // its caller has gone, and no attempt of it is left that could count as under way
	}
	t := k.next(s)
	var row Lease
	if mutant.Spent() {
		err = ErrThrottled
	} else if t.giveUp {
		row, err = k.cfg.Store.Release(ctx, t.held, k.cfg.Worker, t.next)
	} else {
		row, err = k.cfg.Store.Renew(ctx, t.held, k.cfg.Worker, t.change)
	}
	switch {
	case err == nil:
		return k.applied(s, t, row)
	case errors.Is(err, ErrNotFound):
		return false, k.lost(err)
	case errors.Is(err, ErrConflict):
		k.failed(ctx, s, err)
		s.readNext(t.sent)
	case errors.Is(err, ErrInvalid) && t.req != nil && !t.giveUp:
		t.req.reply(err)
		s.req = nil
	case mutant.Planted(mutant.ThrottledIsLoss) && errors.Is(err, ErrThrottled):
		return false, k.lost(err)
	case errors.Is(err, ErrThrottled), errors.Is(err, ErrInvalid):
		k.failed(ctx, s, err)
	case mutant.Planted(mutant.LostAnswerIsDone) && !t.giveUp:
		return k.applied(s, t, t.guess())
	default:
		k.failed(ctx, s, err)
		s.tries = append(s.tries, t)
		s.readNext(t.sent)
	}
	return false, nil
}

// readNext makes a read the next step: at once after a first failure, else after the back-off.
func (s *keeping) readNext(sent time.Time) {
	s.unsure = true
	if s.fails == 1 {
		s.due = sent
	}
}

// next makes up the next write: the one asked for, else a renewal; with the mark.
func (k *Keeper) next(s *keeping) try {
	t := try{held: k.Lease(), sent: k.cfg.Clock.Now()}
	if s.req != nil && !s.req.release {
		t.req, t.change = s.req, s.req.change
	}
	k.mu.Lock()
	mark := k.mark
	k.mu.Unlock()
	carryMark(&t.change, mark, &t.held)
	if s.req != nil && s.req.release && t.change.Checkpoint.IsZero() { // else the mark goes first, by a renewal
		t.req, t.giveUp, t.next = s.req, true, s.req.next
		if t.held.CheckpointOwner == k.cfg.Worker {
			t.next = t.held.Owner
		}
		return t
	}
	if t.change.ThroughputKBps == nil && k.cfg.Throughput != nil {
		kbps := k.cfg.Throughput()
		t.change.ThroughputKBps = &kbps
	}
	return t
}

// carryMark puts the mark into c as far as it says more than c and row do, and keeps c from going back.
func carryMark(c *Change, mark record.Position, row *Lease) {
	switch {
	case !c.Checkpoint.IsZero():
		if mark.Compare(c.Checkpoint) > 0 {
			c.Checkpoint = mark
		}
		if c.Checkpoint.Compare(row.Checkpoint) < 0 {
			c.Checkpoint = record.Position{}
		}
	case c.Pending.IsZero() && (mark.Compare(row.Checkpoint) > 0 || mutant.Planted(mutant.MarkGoesBack) && !mark.IsZero()) && mark.Compare(row.Pending) >= 0:
		c.Checkpoint = mark
	}
}

// applied goes on after t made the row what it is.
func (k *Keeper) applied(s *keeping, t try, row Lease) (over bool, err error) {
	if mutant.Planted(mutant.SentAtAnswer) {
		t.sent = k.cfg.Clock.Now()
	}
	k.adopt(row.Clone(), t.sent)
	if t.req != nil {
		t.req.reply(nil)
		if t.req == s.req {
			s.req = nil
		}
	}
	*s = keeping{req: s.req, due: t.sent.Add(clock.Coarse(t.sent, k.cfg.Duration/3))}
	if s.req != nil {
		s.due = k.cfg.Clock.Now()
	}
	return t.giveUp || t.change.Checkpoint == record.ShardEnd, nil
}

// settle reads the row to learn what became of the attempts.
func (k *Keeper) settle(ctx context.Context, s *keeping) (over bool, err error) {
	row, err := k.cfg.Store.Get(ctx, k.name)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, k.lost(err)
	case err != nil:
		k.failed(ctx, s, err)
		return false, nil
	}
	held, gaveUp := k.Lease(), false
	for _, t := range s.tries {
		if t.wrote(row, k.cfg.Worker) && !mutant.Planted(mutant.LostAnswerIsLoss) {
			return k.applied(s, t, row)
		}
		gaveUp = gaveUp || t.giveUp
	}
	switch mine := row.Holder() == k.cfg.Worker; {
	case mine && row.Counter == held.Counter:
		// Nothing was applied yet. An attempt that is still on its way stays in tries: it may be what wins.
		k.adopt(row, time.Time{})
		s.unsure, s.due = false, k.cfg.Clock.Now()
		return false, nil
	case gaveUp && !mine:
		// Our Release was applied and its next owner has written since, or somebody was quicker: it is given up.
		if s.req != nil {
			s.req.reply(nil)
		}
		return true, nil
	default:
		return false, k.lost(fmt.Errorf("%w: held by %q with counter %d", ErrConflict, row.Holder(), row.Counter))
	}
}

// guess is the row as t makes it if it is applied.
func (t *try) guess() Lease {
	row := t.change.Apply(t.held)
	row.Counter++
	return row
}

// wrote reports whether row is what t made of the row that it was sent for. Values are compared, not only the counter:
// another process may have raised that. OwnerSwitches tells a renewal from an Assign that gave the lease back to this
// worker, which raised the counter earlier: trust must not begin with a renewal that was sent after it and refused.
func (t *try) wrote(row Lease, worker string) bool {
	if row.Counter != t.held.Counter+1 {
		return false
	}
	if t.giveUp {
		return row.Owner == t.next && row.CheckpointOwner == ""
	}
	want := t.change.Apply(t.held)
	return row.Holder() == worker && row.OwnerSwitches == want.OwnerSwitches && row.Checkpoint == want.Checkpoint &&
		row.Pending == want.Pending && bytes.Equal(row.PendingState, want.PendingState)
}

// backoff is at most a tenth of the duration, so that several attempts fit into the trust that is left.
func (k *Keeper) backoff(s *keeping) time.Duration {
	return k.cfg.Clock.Backoff(max(s.fails, 1), k.cfg.Duration/100, k.cfg.Duration/10)
}

// failed notes that the attempt under ctx failed, which the keeper survives, and backs off.
func (k *Keeper) failed(ctx context.Context, s *keeping, err error) {
	switch context.Cause(ctx) {
	case nil:
	case errSlow:
		err = fmt.Errorf("%w: %w", errSlow, err)
	default:
		return // Run is being stopped
	}
	s.fails++
	s.why = err
	s.due = k.cfg.Clock.Now().Add(k.backoff(s))
	k.report(fmt.Errorf("keep lease %s, attempt %d: %w", k.name, s.fails, err))
}

func (k *Keeper) lost(why error) error {
	if why == nil {
		why = errors.New("no renewal was sent in time")
	}
	return fmt.Errorf("lease %s: %w: %w", k.name, ErrLost, why)
}
