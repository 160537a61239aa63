// Package leader elects the one worker of a fleet that assigns leases, by the lock item that Java KCL 3.x uses
// (DynamoDBLockBasedLeaderDecider.java with the DynamoDB lock client 1.4.0).
//
// The leader writes a new version into the item with every heartbeat. An observer may take over when the version has
// stood still for the duration that the item names, on the observer's own monotonic clock; the leader trusts its lock for
// that long from the sending of its last successful heartbeat, less a margin. Nobody's wall clock is believed. The lock
// is no fence: two leaders may overlap for a moment, and every write of a lease is conditional for that.
//
// A leader names deputies in the item's data: standbys that watch the counters of the leases all the time, so that one of
// them can assign what has expired as soon as it leads. Java leaders have no such data; then a standby watches while the
// lock looks abandoned.
package leader

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
)

// Config is what an Election needs.
type Config struct {
	// Fleet is the table with the lock.
	Fleet lease.Fleet
	// Worker is this worker's ID.
	Worker string
	// Duration is for how long a leader may be silent before another takes over; it beats three times in that.
	Duration time.Duration
	// Clock is the worker's time and randomness.
	Clock clock.Clock
	// Stand, if set, tells whether this worker is to take part now: a fleet of KCL 2.x has no leader.
	Stand func() bool
	// Report, if set, hears of errors that were survived.
	Report func(error)
	// Changed, if set, is called when Leading or Watching may have changed.
	Changed func()
}

// An Election is one worker's part in it. Make it with New.
type Election struct {
	cfg Config

	mu     sync.Mutex // guards what follows; held around memory only
	held   lease.Lock // the own lock as last written, zero if there is none
	sent   time.Time  // when its last successful write was sent
	tries  []try      // writes of which it is not known whether they were applied
	seen   lease.Lock // the lock as last read, zero if there was none
	since  time.Time  // when its version was first seen
	looked bool       // at least once
	proven bool       // seen's version was seen to change: its owner lived then
	says   data
}

// A try is a write of the lock that was sent.
type try struct {
	lock lease.Lock
	sent time.Time
}

// mostTries is how many writes of unknown outcome are remembered, the last ones.
const mostTries = 16

// New makes an Election. It does no I/O.
func New(cfg Config) *Election { return &Election{cfg: cfg} }

// Leading reports whether this worker leads now.
func (e *Election) Leading() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leading()
}

func (e *Election) leading() bool {
	return e.held.Version != "" && e.cfg.Clock.Since(e.sent) < e.held.Duration-e.held.Duration/10
}

// Watching reports whether this worker, which does not lead, should watch the counters of the leases so that it could
// lead at once: the leader named it a deputy, the lock looks abandoned, or no heartbeat was seen yet.
func (e *Election) Watching() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading() || !e.looked {
		return false
	}
	return !e.proven || e.suspect() || slices.Contains(deputiesOf(e.seen), e.cfg.Worker)
}

// withdraw gives up what is held and forgets what was seen: this worker does not take part for now.
func (e *Election) withdraw(ctx context.Context) error {
	ctx, cancel := e.cfg.Clock.WithTimeout(ctx, e.cfg.Duration/3, errSlow)
	defer cancel()
	err := e.Resign(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen, e.looked, e.proven = lease.Lock{}, false, false
	return err
}

// Held is the lock as this worker last wrote it, zero if it does not lead.
func (e *Election) Held() lease.Lock {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.leading() {
		return lease.Lock{}
	}
	return e.held
}

// suspect reports whether the leader seems to be gone: it has missed a heartbeat by far.
func (e *Election) suspect() bool {
	return e.seen.Version == "" || e.seen.Released || e.cfg.Clock.Since(e.since) > e.duration(e.seen)*45/100
}

// Leader is the worker that leads as far as this one knows, "" if nobody does.
func (e *Election) Leader() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading() {
		return e.cfg.Worker
	}
	if e.seen.Released {
		return ""
	}
	return e.seen.Owner
}

// Announce has the next heartbeats name the deputies, and say whether workers of another library are in the fleet. Only a
// leader's word counts.
func (e *Election) Announce(deputies []string, mixed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.says = data{slices.Clone(deputies), mixed}
}

// Mixed reports whether a worker of another library is in the fleet, the Java KCL's: it leads, or the leader says so.
func (e *Election) Mixed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leading() {
		return e.says.Mixed
	}
	said, shoal := saidIn(e.seen)
	return said.Mixed || !shoal && e.seen.Version != ""
}

// Run takes part in the election until ctx ends. It does not give the lock up: see Resign.
func (e *Election) Run(ctx context.Context) {
	before := e.standing() // across pauses: time alone may change it
	for failed := 0; ctx.Err() == nil; {
		var err error
		switch {
		case e.cfg.Stand != nil && !e.cfg.Stand():
			err = e.withdraw(ctx)
		case e.Leading():
			err = e.beat(ctx)
		default:
			err = e.look(ctx)
		}
		if now := e.standing(); now != before {
			before = now
			if e.cfg.Changed != nil {
				e.cfg.Changed()
			}
		}
		pause := e.pause()
		if err != nil && ctx.Err() == nil {
			failed++
			pause = e.cfg.Clock.Backoff(failed, e.cfg.Duration/50, e.cfg.Duration/5)
			if e.cfg.Report != nil {
				e.cfg.Report(fmt.Errorf("leader election: %w", err))
			}
		} else {
			failed = 0
		}
		_ = e.cfg.Clock.Sleep(ctx, pause) // ctx is looked at next
	}
}

type standing struct{ leading, watching bool }

func (e *Election) standing() standing {
	return standing{e.Leading(), e.Watching()}
}

// mostPoll is the longest pause between two looks at the lock.
const mostPoll = 2 * time.Second

// pause is the time until the next heartbeat, or until the next look at another's lock: soon enough to meet the moment
// at which it may be taken over.
func (e *Election) pause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.cfg.Clock.Now()
	if e.leading() {
		return max(0, e.sent.Add(e.held.Duration*3/10).Sub(now))
	}
	poll := e.cfg.Clock.Jitter(min(e.duration(e.seen)*2/5, 2*mostPoll)) // half of it to all of it
	if expiry := e.since.Add(e.patience(e.seen)).Sub(now); e.seen.Version != "" && expiry > 0 {
		poll = min(poll, expiry)
	}
	return min(poll, mostPoll)
}

// patience is for how long the version must stand still before this worker takes over: the lock's duration, and a little
// more where others were named to be first.
func (e *Election) patience(l lease.Lock) time.Duration {
	if d := deputiesOf(l); len(d) > 0 && d[0] != e.cfg.Worker {
		return e.duration(l) + e.duration(l)/8
	}
	return e.duration(l)
}

// duration is for how long the holder of l may be silent; a lock that does not tell is held to this worker's own.
func (e *Election) duration(l lease.Lock) time.Duration { return cmp.Or(l.Duration, e.cfg.Duration) }

// look reads the lock, and takes it if it is to be had.
func (e *Election) look(ctx context.Context) error {
	ctx, cancel := e.cfg.Clock.WithTimeout(ctx, e.cfg.Duration/3, errSlow)
	defer cancel()
	seen, err := e.cfg.Fleet.Leader(ctx)
	if err != nil && !errors.Is(err, lease.ErrNotFound) {
		return fmt.Errorf("read the lock: %w", err)
	}
	now := e.cfg.Clock.Now()
	e.mu.Lock()
	first := !e.looked
	if first || seen.Version != e.seen.Version {
		e.since, e.proven = now, !first
	}
	e.seen, e.looked = seen, true
	_, kept := e.wrote(seen)                      // in spite of trouble
	left := first && seen.Owner == e.cfg.Worker   // from before a restart
	stood := now.Sub(e.since) >= e.patience(seen) // too long
	free := seen.Version == "" || seen.Released || stood || left || kept
	e.mu.Unlock()
	if !free {
		return nil
	}
	return e.take(ctx, seen)
}

// take replaces the lock that was seen by the worker's own.
func (e *Election) take(ctx context.Context, seen lease.Lock) error {
	next, sent := e.next(), e.cfg.Clock.Now()
	err := e.cfg.Fleet.PutLeader(ctx, seen, next)
	return e.settle(ctx, next, sent, err, "take the lock")
}

// beat writes a new version.
func (e *Election) beat(ctx context.Context) error {
	ctx, cancel := e.cfg.Clock.WithTimeout(ctx, e.cfg.Duration/4, errSlow)
	defer cancel()
	e.mu.Lock()
	held := e.held
	e.mu.Unlock()
	next, sent := e.next(), e.cfg.Clock.Now()
	err := e.cfg.Fleet.Beat(ctx, held, next)
	return e.settle(ctx, next, sent, err, "renew the lock")
}

// next is the lock as this worker writes it.
func (e *Election) next() lease.Lock {
	e.mu.Lock()
	defer e.mu.Unlock()
	version := fmt.Sprintf("%016x-%016x", e.cfg.Clock.Uint64(), e.cfg.Clock.Uint64())
	said, _ := json.Marshal(e.says) // strings always can
	return lease.Lock{Owner: e.cfg.Worker, Version: version, Duration: e.cfg.Duration.Round(time.Millisecond), Data: said}
}

// settle notes the outcome of a write. Where it is not known, or the condition failed, the item itself tells: it has a
// version that this worker wrote, now or in an attempt before, or it does not.
func (e *Election) settle(ctx context.Context, next lease.Lock, sent time.Time, err error, what string) error {
	refused := errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrNotFound)
	switch {
	case err == nil:
		e.adopt(next, sent)
		return nil
	case errors.Is(err, lease.ErrThrottled):
		return fmt.Errorf("%s: %w", what, err)
	case !refused:
		e.mu.Lock()
		e.tries = append(e.tries[max(0, len(e.tries)+1-mostTries):], try{next, sent})
		e.mu.Unlock()
	}
	seen, read := e.cfg.Fleet.Leader(ctx)
	if read != nil && !errors.Is(read, lease.ErrNotFound) {
		return fmt.Errorf("%s: %w", what, err) // still trusted until its time is over, if it was
	}
	e.mu.Lock()
	is, own := e.wrote(seen)
	unchanged := own && seen.Version == e.held.Version
	if !own {
		e.held = lease.Lock{}
	}
	if seen.Version != e.seen.Version {
		e.seen, e.since, e.proven = seen, e.cfg.Clock.Now(), true
	}
	e.mu.Unlock()
	if own && !unchanged {
		e.adopt(is.lock, is.sent)
		return nil
	}
	if refused {
		return nil // another was quicker
	}
	return fmt.Errorf("%s: %w", what, err)
}

// wrote finds the write of this worker that made the lock what was seen. e.mu is held.
func (e *Election) wrote(seen lease.Lock) (try, bool) {
	if seen.Version == "" || seen.Released || seen.Owner != e.cfg.Worker {
		return try{}, false
	}
	if seen.Version == e.held.Version {
		return try{e.held, e.sent}, true
	}
	for _, t := range e.tries {
		if t.lock.Version == seen.Version {
			return t, true
		}
	}
	return try{}, false
}

func (e *Election) adopt(l lease.Lock, sent time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held, e.sent, e.seen, e.since, e.looked, e.proven = l, sent, l, sent, true, true
	e.tries = nil
}

// Resign gives the lock up if it is held, so that another worker leads at once. It does not lead from then on, and tries
// until the lock is gone, is another's, or ctx ends. It is called after Run has returned.
func (e *Election) Resign(ctx context.Context) error {
	e.mu.Lock()
	held := e.held
	if held.Version != "" { // from now on it is one of those that may be there
		e.tries = append(e.tries, try{held, e.sent})
		e.held = lease.Lock{}
	}
	unsure := len(e.tries) > 0
	e.mu.Unlock()
	for attempt := 1; unsure; attempt++ {
		err := e.remove(ctx, held)
		if err == nil {
			break
		}
		held = lease.Lock{} // look what is there
		if e.cfg.Clock.Sleep(ctx, e.cfg.Clock.Backoff(attempt, e.cfg.Duration/50, e.cfg.Duration/5)) != nil {
			return fmt.Errorf("give up the leader's lock: %w", err)
		}
	}
	e.mu.Lock()
	e.tries = nil
	e.mu.Unlock()
	return nil
}

// remove deletes the lock as held says, or as the table says if that is this worker's; nil means that it is not there.
func (e *Election) remove(ctx context.Context, held lease.Lock) error {
	ctx, cancel := e.cfg.Clock.WithTimeout(ctx, e.cfg.Duration/4, errSlow)
	defer cancel()
	if held.Version != "" {
		err := e.cfg.Fleet.DeleteLeader(ctx, held)
		if err == nil || errors.Is(err, lease.ErrNotFound) {
			return nil
		}
		if !errors.Is(err, lease.ErrConflict) {
			return err
		}
	}
	seen, err := e.cfg.Fleet.Leader(ctx)
	if errors.Is(err, lease.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	_, own := e.wrote(seen)
	e.mu.Unlock()
	if !own {
		return nil
	}
	if err := e.cfg.Fleet.DeleteLeader(ctx, seen); err != nil && !errors.Is(err, lease.ErrNotFound) {
		return err
	}
	return nil
}

// LedByShoal reports whether the leader that this worker knows of is one of this library, itself included: its lock says
// who the deputies are, or that there are none.
func (e *Election) LedByShoal() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, shoal := saidIn(e.seen)
	return e.leading() || shoal
}

// data is what a leader says of itself in the lock.
type data struct {
	Deputies []string `json:"deputies"`
	Mixed    bool     `json:"mixed,omitempty"`
}

// saidIn is what the holder of a lock says, false if it is not of this library.
func saidIn(l lease.Lock) (said data, shoal bool) {
	if json.Unmarshal(l.Data, &said) != nil {
		return data{}, false
	}
	return said, true
}

func deputiesOf(l lease.Lock) []string {
	said, _ := saidIn(l)
	return said.Deputies
}

var errSlow = errors.New("the lease table did not answer in time")
