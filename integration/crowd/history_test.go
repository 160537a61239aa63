package main

import (
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// A write that the server applied right before it was killed, so that nobody got its answer, is found in the table as it was
// after, as the operation that it was and, where a proxy has seen its request, of the life that sent it.
func TestAWriteOfWhichTheTableAloneTellsIsFound(t *testing.T) {
	at := func(seconds int) time.Time {
		return time.Date(2026, 1, 1, 0, 0, seconds, 0, time.UTC)
	}
	held := lease.Lease{Key: "k", Shard: "k", Owner: "a", Counter: 4, Checkpoint: record.At("100", 0)}
	with := func(l lease.Lease, change func(*lease.Lease)) lease.Lease { change(&l); return l }
	asked := with(held, func(l *lease.Lease) { l.Owner, l.CheckpointOwner = "b", "a" })
	for name, test := range map[string]struct {
		before, after lease.Lease // the zero Lease is no row
		sent, op      string      // the request that a proxy has seen, and what was done
		life          int
	}{
		"a renewal":                    {held, with(held, func(l *lease.Lease) { l.Counter++ }), memory.OpRenew, memory.OpRenew, 7},
		"a renewal during a hand-over": {asked, with(asked, func(l *lease.Lease) { l.Counter++; l.Checkpoint = record.At("101", 0) }), memory.OpRenew, memory.OpRenew, 7},
		"a renewal nobody sent":        {held, with(held, func(l *lease.Lease) { l.Counter++ }), memory.OpRelease, memory.OpRenew, 0},
		"a take of what was assigned":  {held, with(held, func(l *lease.Lease) { l.Counter++ }), memory.OpTake, memory.OpTake, 7},
		"the end of a hand-over":       {asked, with(asked, func(l *lease.Lease) { l.Counter++; l.CheckpointOwner = "" }), memory.OpRelease, memory.OpRelease, 7},
		"a release to nobody":          {held, with(held, func(l *lease.Lease) { l.Counter++; l.Owner = "" }), memory.OpRelease, memory.OpRelease, 7},
		"a take":                       {held, with(held, func(l *lease.Lease) { l.Counter++; l.Owner = "b" }), memory.OpTake, memory.OpTake, 7},
		"a request to hand over":       {held, asked, memory.OpAsk, memory.OpAsk, 7},
		"a new row":                    {lease.Lease{}, held, memory.OpCreate, memory.OpCreate, 7},
		"a row that is gone":           {held, lease.Lease{}, memory.OpDelete, memory.OpDelete, 7},
		"nothing":                      {held, held, memory.OpRenew, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			now := &table{
				open:      []write{{sent: at(2), at: at(3), life: 7, op: test.sent, after: lease.Lease{Key: "k"}}},
				snapshots: []snapshot{{at: at(5), rows: map[string]lease.Lease{}}},
			}
			if test.before.Key != "" {
				now.writes = []write{{sent: at(1), at: at(1), life: 3, op: memory.OpRenew, after: test.before}}
			} else { // a row of which nothing is known but that somebody has tried to make it
				now.writes = []write{{sent: at(6), at: at(6), life: 3, op: memory.OpRenew, after: with(held, func(l *lease.Lease) { l.Counter += 2 })}}
			}
			if test.after.Key != "" {
				now.snapshots[0].rows["k"] = test.after
			}
			var found []write
			for _, w := range now.history() {
				if w.life != 3 {
					found = append(found, w)
				}
			}
			if test.op == "" {
				if len(found) > 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].op != test.op || found[0].life != test.life || !found[0].at.Equal(at(5)) || found[0].gone != (test.after.Key == "") {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// A request that ended before the row's last known write has not done what came after that.
func TestAnOldRequestIsNotTakenForWhatTheTableAloneTells(t *testing.T) {
	at := func(seconds int) time.Time {
		return time.Date(2026, 1, 1, 0, 0, seconds, 0, time.UTC)
	}
	row := func(counter int64) lease.Lease {
		return lease.Lease{Key: "k", Shard: "k", Owner: "b", Counter: counter}
	}
	request := func(op string, life, sent int) write {
		return write{sent: at(sent), at: at(sent + 1), life: life, op: op, after: lease.Lease{Key: "k"}}
	}
	for name, test := range map[string]struct {
		open []write
		life int
	}{
		"only an old one":   {[]write{request(memory.OpRenew, 7, 1)}, 0},
		"an old and a late": {[]write{request(memory.OpRenew, 7, 1), request(memory.OpTake, 8, 5)}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			now := &table{
				writes:    []write{{sent: at(4), at: at(4), life: 3, op: memory.OpAssign, after: row(4)}},
				open:      test.open,
				snapshots: []snapshot{{at: at(9), rows: map[string]lease.Lease{"k": row(5)}}},
			}
			all := now.history()
			if len(all) != 2 || all[1].life != test.life {
				t.Errorf("history %+v, want a second write of life %d", all, test.life)
			}
		})
	}
}
