package worker

import (
	"testing"
	"time"
)

// TestLargeTablesAreReadMoreRarelyOnlyWhereALongLeaseLeavesTheTime has the cadences that the failover times go by: those
// of leases of 10 s are the same for tables of any size.
func TestLargeTablesAreReadMoreRarelyOnlyWhereALongLeaseLeavesTheTime(t *testing.T) {
	for _, c := range []struct {
		lease                                time.Duration
		rows                                 int
		discover, lead, deputy, whileSuspect time.Duration
	}{
		{10 * time.Second, 8, 500 * time.Millisecond, time.Second, 2 * time.Second, 250 * time.Millisecond},
		{10 * time.Second, 10_000, 500 * time.Millisecond, time.Second, 2 * time.Second, 250 * time.Millisecond},
		{2 * time.Minute, 8, 500 * time.Millisecond, time.Second, 2 * time.Second, 250 * time.Millisecond},
		{2 * time.Minute, 3_000, 3 * time.Second, 3 * time.Second, 6 * time.Second, 250 * time.Millisecond},
		{2 * time.Minute, 100_000, 6 * time.Second, 12 * time.Second, 24 * time.Second, 250 * time.Millisecond},
	} {
		w := &Worker{cfg: Config{LeaseDuration: c.lease}}
		l := &leading{w: w, rows: c.rows}
		if got := w.discoverEvery(c.rows); got != c.discover {
			t.Errorf("lease of %v, %d rows: a look at the owner index each %v, want %v", c.lease, c.rows, got, c.discover)
		}
		for _, s := range []struct {
			what           string
			leads, suspect bool
			want           time.Duration
		}{{"leader", true, false, c.lead}, {"deputy", false, false, c.deputy}, {"leader in doubt", true, true, c.whileSuspect}} {
			if got := l.every(s.leads, s.suspect); got < s.want*7/8 || got > s.want {
				t.Errorf("lease of %v, %d rows: a survey of the %s each %v, want between 7/8 of %v and that", c.lease, c.rows, s.what, got, s.want)
			}
		}
	}
}
