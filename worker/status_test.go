package worker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestProcessTimeoutReportsASlowCallWhileItRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.put(5)
		var slow []time.Duration
		var began, reported time.Time
		a := f.start("a", config(processing(func(_ context.Context, _ *worker.Shard, _ *worker.Batch, next func() error) error {
			began = time.Now()
			time.Sleep(20 * time.Second)
			return next()
		}), func(c *worker.Config) {
			c.ProcessTimeout = 7 * time.Second
			c.Hooks.Slow = func(_ worker.ShardInfo, since time.Duration) { slow, reported = append(slow, since), time.Now() }
		}))
		f.all(time.Minute)
		if len(slow) != 1 || slow[0] != 7*time.Second || reported.Sub(began) != 7*time.Second {
			t.Errorf("reported %v, %v after the call began; want once after 7s", slow, reported.Sub(began))
		}
		if err := a.Status().LastError; err == nil || !strings.Contains(err.Error(), "ProcessTimeout is 7s") {
			t.Errorf("Status tells of %v", err)
		}
		stop(t, a)
		f.once()
	})
}

func TestTwinsAreReportedAndLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 4, memstream.Options{})
		var reports tally
		hook := func(c *worker.Config) {
			c.Hooks.Twin = func(workerID string) { reports.add(workerID) }
		}
		one := f.start("same", hook)
		pass(5 * time.Second)
		two := f.start("same", hook)
		for range 60 {
			f.put(10)
			time.Sleep(time.Second)
		}
		f.all(30 * time.Second)
		if !one.Status().Twin && !two.Status().Twin {
			t.Error("neither Status tells of a twin")
		}
		if n := reports.of("same"); n < 1 || n > 2 {
			t.Errorf("%d reports, want at most one from each", n)
		}
		stop(t, one, two)
		f.verify()
	})
}

func TestStatusTellsStatesCountsAndLag(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{PageRecords: 10})
		var release atomic.Bool
		a := f.start("a", processing(func(_ context.Context, s *worker.Shard, _ *worker.Batch, next func() error) error {
			for s.ID == id(0) && !release.Load() {
				time.Sleep(time.Second)
			}
			return next()
		}))
		if s := a.Status(); !s.Running && len(s.Shards) != 0 || s.Application != "test" || s.WorkerID != "a" {
			t.Errorf("at first: %+v", s)
		}
		f.until("both shards run", 5*time.Second, func() bool { return a.state(id(0)) == worker.Processing && a.state(id(1)) == worker.Processing })
		pass(5 * time.Second)
		if s := a.Status(); s.Lag != 0 || s.LastError != nil || s.Fleet["a"] != 2 {
			t.Errorf("idle: %+v", s)
		}
		f.putIn(id(0), 30)
		last := f.putIn(id(1), 10)[9]
		pass(30 * time.Second)
		s := a.Status()
		if lag := s.Shards[0].Lag; lag < 28*time.Second || lag > 31*time.Second || s.Lag != lag {
			t.Errorf("lag %v of the shard and %v in all, want about 30s", lag, s.Lag)
		}
		if one := s.Shards[1]; one.Lag != 0 || one.Records != 10 || one.Bytes != 90 || one.Checkpoint != last || one.Stream != "s" {
			t.Errorf("the other shard: %+v", one)
		}
		release.Store(true)
		f.all(10 * time.Second)
		pass(3 * time.Second)
		if s := a.Status(); s.Lag != 0 || s.Shards[0].Records != 30 {
			t.Errorf("caught up: %+v", s)
		}
		stop(t, a)
		if s := a.Status(); s.Running || len(s.Shards) != 0 {
			t.Errorf("at last: %+v", s)
		}
	})
}

func TestAShardThatIsFarBehindIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10, Retention: 24 * time.Hour})
		f.put(30)
		pass(13 * time.Hour)
		reports := 0
		a := f.start("a", func(c *worker.Config) {
			c.Hooks.Failed = func(_ worker.ShardInfo, err error) {
				if strings.Contains(err.Error(), "more than half of the stream's retention") {
					reports++
				}
			}
		})
		f.all(10 * time.Second)
		stop(t, a)
		if reports != 1 {
			t.Errorf("reported %d times, want once", reports)
		}
	})
}
