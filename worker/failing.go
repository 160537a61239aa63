package worker

import "time"

// How long a processor may fail before somebody is told, and before another worker gets the shard.
const (
	failingReport = time.Minute
	failingMove   = 5 * time.Minute
)

// A failing follows how long a shard's processor has been failing without a success in between.
type failing struct {
	since    time.Time // zero while it works
	reported bool
}

// note takes in an error at now. report is true once, when the processor has failed for a minute; move is true from
// when it has failed for five.
func (f *failing) note(now time.Time) (report, move bool) {
	if f.since.IsZero() {
		f.since = now
	}
	failed := now.Sub(f.since)
	report = failed >= failingReport && !f.reported
	f.reported = f.reported || report
	return report, failed >= failingMove
}

// clear notes a success.
func (f *failing) clear() { *f = failing{} }
