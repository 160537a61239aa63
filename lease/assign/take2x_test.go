package assign

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

func TestTake2X(t *testing.T) {
	const forever = 1000 * time.Hour
	type rows struct {
		owner string
		n     int
		still time.Duration
	}
	for _, c := range []struct {
		name            string
		rows            []rows
		max, steal      int
		taken, stealing int
	}{
		{"a first worker takes all new leases", []rows{{"", 7, forever}}, 0, 0, 7, 0},
		{"as many as it may have", []rows{{"", 7, forever}}, 3, 0, 3, 0},
		{"what was released not long ago is shared", []rows{{"", 4, time.Second}, {"you", 2, 0}}, 0, 0, 3, 0},
		{"what expired not long ago is shared", []rows{{"dead", 4, 11 * time.Second}, {"you", 2, 0}}, 0, 0, 3, 0},
		{"what stands still no longer than the duration has not expired", []rows{{"slow", 4, 10 * time.Second}, {"me", 4, 0}}, 0, 0, 0, 0},
		{"what is late is taken beyond the share", []rows{{"dead", 4, 31 * time.Second}, {"you", 2, 0}, {"me", 3, 0}}, 0, 0, 4, 0},
		{"and nothing else with it", []rows{{"dead", 1, 31 * time.Second}, {"", 5, time.Second}, {"you", 2, 0}}, 0, 0, 1, 0},
		{"one lease is stolen from the worker with most", []rows{{"you", 6, 0}, {"they", 2, 0}}, 0, 0, 0, 1},
		{"or more, if that is allowed", []rows{{"you", 8, 0}, {"they", 1, 0}}, 0, 4, 0, 3},
		{"but not more than that has too much", []rows{{"you", 5, 0}, {"they", 4, 0}}, 0, 4, 0, 2},
		{"one even where nobody has too much, if two are missing", []rows{{"you", 3, 0}, {"they", 3, 0}, {"others", 3, 0}}, 0, 1, 0, 1},
		{"none if only one is missing", []rows{{"you", 2, 0}, {"they", 2, 0}, {"me", 1, 0}}, 0, 0, 0, 0},
		{"none where there are more workers than leases", []rows{{"a", 1, 0}, {"b", 1, 0}}, 0, 0, 0, 0},
		{"none beyond the own limit", []rows{{"you", 9, 0}, {"me", 2, 0}}, 2, 0, 0, 0},
	} {
		v := View2X{Worker: "me", Still: make(map[string]time.Duration), MaxLeases: c.max, MaxSteal: c.steal}
		for _, r := range c.rows {
			for range r.n {
				key := fmt.Sprint("s", len(v.Leases))
				v.Leases = append(v.Leases, lease.Lease{Key: key, Owner: r.owner, Checkpoint: record.TrimHorizon})
				v.Still[key] = r.still
			}
		}
		for v.Seed = range 20 {
			taken, stolen := 0, 0
			seen := make(map[string]bool)
			for _, got := range Take2X(v) {
				if seen[got.Lease.Key] || got.Lease.Owner == "me" {
					t.Errorf("%s: %s taken twice or from itself", c.name, got.Lease.Key)
				}
				seen[got.Lease.Key] = true
				if got.Stolen {
					stolen++
				} else {
					taken++
				}
				if got.Stolen && got.Lease.Owner != c.rows[0].owner && len(c.rows) == 2 {
					t.Errorf("%s: stolen from %s", c.name, got.Lease.Owner)
				}
			}
			if taken != c.taken || stolen != c.stealing {
				t.Errorf("%s, seed %d: takes %d and steals %d, want %d and %d", c.name, v.Seed, taken, stolen, c.taken, c.stealing)
			}
		}
	}
}

func TestTake2XKeepsWhatIsHeldAndLeavesWhatIsFinished(t *testing.T) {
	v := View2X{
		Worker: "me", Held: map[string]bool{"held": true},
		Still: map[string]time.Duration{"held": time.Hour, "done": time.Hour, "yours": 0},
		Leases: []lease.Lease{
			{Key: "held", Owner: "me", Checkpoint: record.TrimHorizon},
			{Key: "done", Checkpoint: record.ShardEnd},
			{Key: "yours", Owner: "you", Checkpoint: record.TrimHorizon},
		},
	}
	if got := Take2X(v); len(got) > 0 {
		t.Errorf("takes %v, want none", got)
	}
	v.Leases[0].Owner = "" // an old listing
	if got := Take2X(v); len(got) > 0 {
		t.Errorf("takes %v, want none", got)
	}
}
