package sim

import (
	"fmt"
	"slices"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/lease/shardsync"
	"github.com/shoal-stream/shoal/record"
)

// The rare situations that a set of runs must reach, or it is blind.
const (
	SawAbandonedTaken    = "a lease whose owner had died was taken"
	SawLostTake          = "the lost answer of a take was resolved"
	SawLostRenewal       = "the lost answer of a renewal was resolved"
	SawLostCheckpoint    = "the lost answer of a checkpoint was resolved"
	SawLateRefused       = "an old attempt that arrived late was refused"
	SawLateApplied       = "an old attempt that arrived late was applied"
	SawPreparedCompleted = "a prepared checkpoint was completed by the next owner"
	SawIgnoredContext    = "a processor ignored its context"
	SawDeadLetter        = "a record went to the dead-letter function"
	SawHandover          = "a lease was handed over"
	SawHandoverOwnerDied = "the owner died while it handed a lease over"
	SawHandoverTakerDied = "the next owner died while a lease was handed over to it"
	SawForced            = "an overdue hand-over was forced"
	SawReshardFailover   = "a shard was split or merged while its owner was dead"
	SawChildWaits        = "a parent was drained while its child waited"
	SawStale             = "a stale read was met"
	SawClockJump         = "a clock jumped"
	SawLeaderDied        = "the leader died and another came to lead"
	SawStorm             = "a throttling storm passed"
	SawExpiredDraining   = "an iterator expired while a shard was drained"
	SawRelease           = "a lease was released to nobody"
)

// Situations are all of them.
var Situations = []string{SawAbandonedTaken, SawLostTake, SawLostRenewal, SawLostCheckpoint, SawLateRefused, SawLateApplied, SawPreparedCompleted,
	SawIgnoredContext, SawDeadLetter, SawHandover, SawHandoverOwnerDied, SawHandoverTakerDied, SawForced, SawReshardFailover, SawChildWaits,
	SawStale, SawClockJump, SawLeaderDied, SawStorm, SawExpiredDraining, SawRelease}

// watching is what the world remembers of the log to see rare situations and what is still to be done.
type watching struct {
	lost       map[string]lostWrite // by key: the last write whose answer was lost, as it left the row
	unfinished map[string]bool      // rows that are there and not finished
	leader     string               // the life that leads, by the last write of the lock
	read       int                  // how many events of the log open has looked at
	puts       map[string][]record.Position
	parents    map[string][]string
}

// A lostWrite is a write that was applied and whose sender was not told.
type lostWrite struct {
	life       int
	op         string
	counter    int64
	checkpoint bool
}

func newWatching() watching {
	return watching{lost: map[string]lostWrite{}, unfinished: map[string]bool{}, puts: map[string][]record.Position{}, parents: map[string][]string{}}
}

// noteLost notes a write whose answer was lost. The row is as it left it: nothing has come since.
func (w *world) noteLost(r request, err error) {
	if err != nil {
		return
	}
	row := w.store.Row(r.key)
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.watching.lost[r.key]
	w.watching.lost[r.key] = lostWrite{life: r.life.id, op: r.op, counter: row.Counter, checkpoint: was.checkpoint && was.counter == row.Counter}
}

// watch looks at one write of the table for what is rare. It is called in the order of the writes.
func (w *world) watch(e invariant.Event, r request) {
	key, before, after := e.Before.Key, &e.Before, &e.After
	if e.Op == memory.OpCreate && slices.ContainsFunc(after.Parents, func(id string) bool { return w.unfinished(shardsync.Key(after.Stream, id)) }) {
		w.reach(SawChildWaits, r.life)
	}
	if e.Op == memory.OpTake && w.strict && !w.plan.on[Twin] {
		w.lapsed(e, r)
	}
	if before.Holder() != after.Holder() {
		w.mu.Lock()
		for _, l := range w.lives {
			if l.name != after.Holder() {
				l.forgets(key)
			}
		}
		w.mu.Unlock()
	}
	if key == "" || after.Key == "" || r.life == nil {
		return
	}
	w.mu.Lock()
	lost, ok := w.watching.lost[key]
	if before.Checkpoint != after.Checkpoint && e.Op == memory.OpRenew { // in case its answer is lost
		w.watching.lost[key] = lostWrite{counter: after.Counter, checkpoint: true}
	} else {
		delete(w.watching.lost, key)
	}
	holder := w.lifeNamed(before.Holder())
	taker := w.lifeNamed(before.Owner)
	w.mu.Unlock()
	if ok && lost.life == r.life.id && lost.counter == before.Counter {
		switch {
		case lost.op == memory.OpTake && e.Op == memory.OpTake && before.Owner == after.Owner:
			w.reach(SawLostTake, r.life)
		case lost.op == memory.OpRenew && lost.checkpoint:
			w.reach(SawLostCheckpoint, r.life)
		case lost.op == memory.OpRenew:
			w.reach(SawLostRenewal, r.life)
		}
	}
	if e.Note == Late {
		w.reach(SawLateApplied, r.life)
	}
	asked := before.CheckpointOwner != ""
	switch e.Op {
	case memory.OpTake:
		if holder != nil && holder.isDead() && holder.name != after.Owner {
			w.reach(SawAbandonedTaken, r.life)
			if asked {
				w.reach(SawHandoverOwnerDied, r.life)
			}
		}
		if asked && taker != nil && taker.isDead() {
			w.reach(SawHandoverTakerDied, r.life)
		}
	case memory.OpRelease:
		if asked {
			w.reach(SawHandover, r.life)
		}
		if after.Owner == "" {
			w.reach(SawRelease, r.life)
		}
	case memory.OpAssign:
		if asked {
			w.reach(SawForced, r.life)
		}
	}
}

// lapsed holds it against a worker that it gave up a lease which it could have trusted still (I10), or did not renew one
// that it could have renewed at any time (I15): a take shows it, by whomever.
func (w *world) lapsed(e invariant.Event, r request) {
	w.mu.Lock()
	holder := w.lifeNamed(e.Before.Holder())
	w.mu.Unlock()
	if holder == nil || r.life == nil {
		return
	}
	left, overdue := holder.trusts(e.Before.Key)
	switch {
	case holder == r.life && e.Note != Late && e.After.Owner == holder.name && left > 0:
		w.violate("I10", fmt.Sprintf("worker %s (life %d) took %s again, which it could have trusted for %v: it had given it up",
			holder.name, holder.id, e.Before.Key, left))
	case overdue:
		w.violate("I15", fmt.Sprintf("worker %s (life %d) did not renew %s, though nothing was in its way", holder.name, holder.id, e.Before.Key))
	}
}

// unfinished reports whether the row of this key was there and not finished when it was last written.
func (w *world) unfinished(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watching.unfinished[key]
}

// lifeNamed is the newest life of a worker, nil if there was none. w.mu is held.
func (w *world) lifeNamed(name string) *life {
	if name == "" {
		return nil
	}
	for i := len(w.lives) - 1; i >= 0; i-- {
		if w.lives[i].name == name {
			return w.lives[i]
		}
	}
	return nil
}

// ledBy notes who has come to lead.
func (w *world) ledBy(name string) {
	w.mu.Lock()
	was := w.lifeNamed(w.watching.leader)
	w.watching.leader = name
	w.mu.Unlock()
	if was != nil && was.name != name && was.isDead() {
		w.reach(SawLeaderDied, was)
	}
}

// open counts the records that rows do not cover, by shard, where the stream is read.
func (c *watching) open(events []invariant.Event, rows map[string]lease.Lease, isRead func(string) bool) map[string]int {
	for _, e := range events[c.read:] {
		key := e.Stream + "/" + e.Shard
		switch e.Kind {
		case invariant.Put:
			c.puts[key] = append(c.puts[key], e.Records...)
		case invariant.Shard:
			for _, p := range e.Parents {
				c.parents[key] = append(c.parents[key], e.Stream+"/"+p)
			}
			c.puts[key] = append(c.puts[key], nil...)
		}
	}
	c.read = len(events)
	left := map[string]int{}
	for key, puts := range c.puts {
		row, ok := rows[key]
		if !ok && c.begun(key, rows) || !isRead(streamName(key)) {
			continue // finished, and deleted since
		}
		for i := len(puts) - 1; i >= 0 && (!ok || puts[i].Compare(row.Checkpoint) > 0); i-- {
			left[key]++
		}
	}
	return left
}

// begun reports whether all children of a shard have rows, and it has any: then its own may have been deleted.
func (c *watching) begun(key string, rows map[string]lease.Lease) bool {
	for child, parents := range c.parents {
		for _, p := range parents {
			if _, ok := rows[child]; p == key && (ok || c.begun(child, rows)) {
				return true
			}
		}
	}
	return false
}

func streamName(key string) string {
	for i := range key {
		if key[i] == '/' {
			return key[:i]
		}
	}
	return key
}
