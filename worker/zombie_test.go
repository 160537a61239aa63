package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// blind is a table that a worker cannot survey any more, while all its other calls succeed.
type blind struct {
	lease.Store
	is *atomic.Bool
}

func (s blind) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	if s.is.Load() {
		return nil, nil, errors.New("no survey")
	}
	return s.Store.Survey(ctx)
}

// Its heartbeats go on, so that nobody else would ever lead.
func TestALeaderThatCannotSurveyTheTableGivesTheLeadUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 6, memstream.Options{})
		var is atomic.Bool
		a := f.start("a", func(c *worker.Config) { c.Leases = blind{c.Leases, &is} })
		f.until("a leads", time.Second, func() bool { return a.Status().Leader == "a" })
		b, c := f.start("b", nil), f.start("c", nil)
		f.settled(time.Minute, 2, a, b, c)
		is.Store(true)
		b.kill()
		f.put(100)
		if took := f.all(10 * time.Minute); took > 45*time.Second {
			t.Errorf("the shards flow again after %v, want at most 45s", took)
		}
		stop(t, a, c)
		f.verify()
	})
}
