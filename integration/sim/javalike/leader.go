package javalike

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/lease"
)

const (
	lockDuration   = 120 * time.Second // DynamoDBLockBasedLeaderDecider.java
	heartbeat      = 30 * time.Second
	memberLife     = 60 * time.Second
	handoffTimeout = 30 * time.Second // gracefulLeaseHandoffTimeoutMillis
)

// A leader is a worker's part in leading a fleet of 3.x: the lock, and while it has that, the LeaseAssignmentManager.
type leader struct {
	w *Worker

	mu   sync.Mutex // guards held and sent; held around memory only
	held lease.Lock
	sent time.Time // when its last heartbeat was answered

	// What follows is the election's alone.
	seen  lease.Lock
	since time.Time
	// And this the assignment's.
	sight    sight
	was      bool                 // it led in the round before
	handoffs map[string]time.Time // deadlines of hand-overs, by key and pair
}

// leading reports whether the worker believes that it leads. The lock fences nothing: two may.
func (l *leader) leading() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.held.IsZero() && l.w.cfg.Clock.Since(l.sent) < lockDuration
}

func (l *leader) set(held lease.Lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.sent = held, l.w.cfg.Clock.Now()
}

func (l *leader) lock() lease.Lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

// elect beats if the worker leads, and else tries to come to lead.
func (l *leader) elect(ctx context.Context) {
	ctx, cancel := l.w.call(ctx)
	defer cancel()
	next := lease.Lock{Owner: l.w.cfg.ID, Version: fmt.Sprintf("%016x", l.w.cfg.Clock.Uint64()), Duration: lockDuration}
	if l.leading() {
		switch err := l.w.cfg.Store.Beat(ctx, l.lock(), next); {
		case err == nil:
			l.set(next)
		case errors.Is(err, lease.ErrConflict), errors.Is(err, lease.ErrNotFound):
			l.set(lease.Lock{})
		}
		return
	}
	seen, err := l.w.cfg.Store.Leader(ctx)
	switch {
	case errors.Is(err, lease.ErrNotFound):
		seen = lease.Lock{}
	case err != nil:
		return
	case seen.Released:
	case seen.Version != l.seen.Version:
		l.seen, l.since = seen, l.w.cfg.Clock.Now()
		return
	case l.w.cfg.Clock.Since(l.since) <= seen.Duration:
		return
	}
	if l.w.cfg.Store.PutLeader(ctx, seen, next) == nil {
		l.set(next)
	}
}

// resign deletes the lock, as a clean end does.
func (l *leader) resign(ctx context.Context) {
	if !l.leading() {
		return
	}
	ctx, cancel := l.w.cfg.Clock.WithTimeout(context.WithoutCancel(ctx), 5*time.Second, errSlow)
	defer cancel()
	_ = l.w.cfg.Store.DeleteLeader(ctx, l.lock()) // else it has to expire
}

// assign is a round of the LeaseAssignmentManager. Each reign begins with what it sees first: a lease expires for it when
// its counter stood still between two rounds.
func (l *leader) assign(ctx context.Context) {
	if !l.leading() {
		l.was = false
		return
	}
	if !l.was {
		l.was, l.sight, l.handoffs = true, sight{}, map[string]time.Time{}
	}
	call, cancel := l.w.call(ctx)
	rows, members, err := l.w.cfg.Store.Survey(call)
	cancel()
	if err != nil && !errors.Is(err, lease.ErrDamaged) {
		return
	}
	still := l.sight.look(rows, l.w.cfg.Clock.Now())
	p := l.plan(rows, members, still)
	for _, m := range p {
		call, cancel := l.w.call(ctx)
		if m.ask {
			_, _ = l.w.cfg.Store.Ask(call, m.row, m.to)
		} else {
			_, _ = l.w.cfg.Store.Assign(call, m.row, m.to)
		}
		cancel()
	}
}

// A move is a lease for a worker: asked for, or assigned over whoever has it.
type move struct {
	row lease.Lease
	to  string
	ask bool
}

// plan decides who is to have what: expired leases go to who has least, then leases move from who has most. Hand-overs that
// have gone on for too long are forced.
func (l *leader) plan(rows []lease.Lease, members []lease.Member, still map[string]time.Duration) (moves []move) {
	now := l.w.cfg.Clock.Now()
	count := map[string]int{}
	for _, m := range members { // who has died counts as long as its item is fresh
		if now.Sub(m.Updated) < memberLife {
			count[m.Worker] = 0
		}
	}
	if len(count) == 0 {
		return nil
	}
	var movable []lease.Lease
	deadlines := map[string]time.Time{}
	var free []lease.Lease
	for _, row := range rows {
		expired := row.Holder() == "" || still[row.Key] > l.w.cfg.Duration
		switch {
		case expired:
			free = append(free, row)
			continue
		case row.CheckpointOwner != "":
			pair := row.Key + "\x00" + row.Owner + "\x00" + row.CheckpointOwner
			deadline, known := l.handoffs[pair]
			if !known {
				deadline = now.Add(handoffTimeout + l.w.cfg.Duration)
			}
			deadlines[pair] = deadline
			if now.After(deadline) {
				moves = append(moves, move{row: row, to: row.Owner})
			}
		case !row.Finished():
			movable = append(movable, row)
		}
		if _, alive := count[row.Owner]; alive {
			count[row.Owner]++
		}
	}
	l.handoffs = deadlines
	for _, row := range free {
		to := fewest(count)
		count[to]++
		if to != row.Owner || row.CheckpointOwner != "" { // its own lease counts as handled, though it stands still
			moves = append(moves, move{row: row, to: to})
		}
	}
	for _, row := range movable {
		to := fewest(count)
		if n, alive := count[row.Owner]; alive && n-count[to] >= 2 {
			count[row.Owner]--
			count[to]++
			moves = append(moves, move{row: row, to: to, ask: true})
		}
	}
	return moves
}

// fewest is the worker with the fewest leases.
func fewest(count map[string]int) string {
	var names []string
	for name := range count {
		names = append(names, name)
	}
	return slices.MinFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(count[a], count[b]), cmp.Compare(a, b)) })
}
