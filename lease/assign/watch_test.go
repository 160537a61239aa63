package assign

import (
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

func TestWatch(t *testing.T) {
	var w Watch
	start := time.Unix(1_000, 0)
	row := func(owner, ckp string, counter int64) lease.Lease {
		return lease.Lease{Key: "s", Shard: "s", Owner: owner, CheckpointOwner: ckp, Counter: counter, Checkpoint: record.TrimHorizon}
	}
	for i, step := range []struct {
		what  string
		after time.Duration // since the start
		rows  []lease.Lease
		held  bool
		still time.Duration
		moved bool
		beats int
		quiet time.Duration
	}{
		{"first sight", 0, []lease.Lease{row("a", "", 5)}, false, 0, false, 0, 0},
		{"it stands still", 4 * time.Second, []lease.Lease{row("a", "", 5)}, false, 4 * time.Second, false, 0, 4 * time.Second},
		{"it moves", 5 * time.Second, []lease.Lease{row("a", "", 6)}, false, 0, false, 0, 5 * time.Second},
		{"we ask", 6 * time.Second, []lease.Lease{row("me", "a", 6)}, false, time.Second, false, 0, 0},
		{"it renews meanwhile", 7 * time.Second, []lease.Lease{row("me", "a", 7)}, false, 0, false, 0, time.Second},
		{"it lets go", 8 * time.Second, []lease.Lease{row("me", "", 8)}, false, 0, true, 0, 0},
		{"nothing happens", 9 * time.Second, []lease.Lease{row("me", "", 8)}, false, time.Second, true, 0, time.Second},
		{"we take it", 10 * time.Second, []lease.Lease{row("me", "", 9)}, true, 0, false, 0, 2 * time.Second},
		{"we lose it, a last write of ours comes in", 12 * time.Second, []lease.Lease{row("me", "", 10)}, false, 0, false, 0, 4 * time.Second},
		{"somebody renews in our name", 13 * time.Second, []lease.Lease{row("me", "", 11)}, false, 0, false, 1, 5 * time.Second},
		{"an old listing", 14 * time.Second, []lease.Lease{row("me", "", 10)}, false, 0, false, 1, 6 * time.Second},
		{"and again", 15 * time.Second, []lease.Lease{row("me", "", 12)}, false, 0, false, 2, 7 * time.Second},
		{"it is deleted", 16 * time.Second, nil, false, 0, false, 0, 0},
		{"and made anew", 17 * time.Second, []lease.Lease{row("", "", 0)}, false, 0, true, 0, 0},
	} {
		s := Snapshot{Worker: "me", Leases: step.rows, Held: map[string]bool{"s": step.held}, Duration: 10 * time.Second}
		w.Observe(&s, start.Add(step.after))
		if s.Still["s"] != step.still || s.Moved["s"] != step.moved || s.Beats["s"] != step.beats || s.Quiet != step.quiet {
			t.Errorf("%d, %s: still %v, moved %v, beats %d, quiet %v; want %v, %v, %d, %v", i, step.what,
				s.Still["s"], s.Moved["s"], s.Beats["s"], s.Quiet, step.still, step.moved, step.beats, step.quiet)
		}
	}
}

func TestAWatchForgetsRowsThatAreGone(t *testing.T) {
	var w Watch
	for i := range 100 {
		s := Snapshot{Leases: []lease.Lease{{Key: string(rune('a' + i)), Checkpoint: record.TrimHorizon}, {Key: "stays", Checkpoint: record.TrimHorizon}}}
		w.Observe(&s, time.Unix(int64(i), 0))
		if len(w.rows) != 2 {
			t.Fatalf("it remembers %d rows of 2", len(w.rows))
		}
	}
}
