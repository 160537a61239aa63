package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/check"
)

// A Config says what a fleet is.
type Config struct {
	// Name is that of the application and the lease table, and of the stream where there is one.
	Name string
	// Streams, if set, are the names of several streams that the workers read, in place of the one. Fleet.AddStream adds
	// to them. What has a Shard's ID, in an Outcome as well, has the key of its lease then.
	Streams []string
	// Shards is how many each stream has at the beginning.
	Shards int
	// Lease is the lease duration of all workers, and LeaderLease and LeaderHeartbeat those of Java's lock; zero is
	// the default of each library.
	Lease, LeaderLease, LeaderHeartbeat time.Duration
	// ShardSync is Java's pause after it has listed shards, as in kclworker.Settings.
	ShardSync time.Duration
	// Batch is how many records each of the first shards gets with each tick, ten times a second; zero is one.
	Batch int
	// Patient lets the producer put a record again, for up to half a minute, when it could not; else it gives up.
	Patient bool
	// Fault is planted in all Go workers.
	Fault string
	// Say is told what happens; nil is silent.
	Say func(format string, args ...any)
	// Watch tells each change of the leader and of the leases' owners as well.
	Watch bool
}

// A Fleet is one application and its streams, into which records flow from NewFleet to Finish.
type Fleet struct {
	Config
	site    *Site
	folder  string
	began   time.Time
	unwatch func()

	mu        sync.Mutex
	producers []*producer // one for each stream
	workers   []*Worker
}

// NewFleet makes the streams and lets records flow. There are no workers yet.
func (s *Site) NewFleet(ctx context.Context, c Config) (*Fleet, error) {
	f := &Fleet{Config: c, site: s, folder: filepath.Join(s.folder, c.Name), began: time.Now(), unwatch: func() {}}
	if err := os.Mkdir(f.folder, 0o755); err != nil {
		return nil, err
	}
	if err := f.makeStreams(ctx); err != nil {
		f.Drop()
		return nil, err
	}
	if c.Watch {
		f.unwatch = f.startWatch(ctx)
	}
	return f, nil
}

// Put is how many records were acknowledged so far. Its error is of a producer that could put no more.
func (f *Fleet) Put() (n int, err error) {
	for _, p := range f.flows() {
		put, failed := p.progress()
		n, err = n+put, errors.Join(err, failed)
	}
	return n, err
}

// say tells what happens, with the seconds since the fleet began.
func (f *Fleet) say(format string, args ...any) {
	if f.Say != nil {
		f.Say("%s %6.1f s: %s", f.Name, time.Since(f.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

// Note tells what happens.
func (f *Fleet) Note(format string, args ...any) { f.say(format, args...) }

// pollTime is how often tables are looked at while waiting.
const pollTime = 100 * time.Millisecond

// wait asks until ok says yes, fails, or the limit has passed.
func (f *Fleet) wait(ctx context.Context, what string, limit time.Duration, ok func() (bool, error)) error {
	start := time.Now()
	for {
		yes, err := ok()
		if err != nil {
			return fmt.Errorf("%s: wait until %s: %w", f.Name, what, err)
		}
		if yes {
			f.say("%s (after %.1f s)", what, time.Since(start).Seconds())
			return nil
		}
		if time.Since(start) > limit {
			return fmt.Errorf("%s: not within %v: %s", f.Name, limit, what)
		}
		if err := Sleep(ctx, pollTime); err != nil {
			return err
		}
	}
}

// Sleep waits for d or the end of ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Evening watches the table from now on until the given workers have shared the leases evenly for as long as settled, or
// until limit. It returns the time until it became so.
func (f *Fleet) Evening(ctx context.Context, settled, limit time.Duration, workers ...string) (time.Duration, error) {
	start := time.Now()
	var since time.Time // of the present even time, zero while it is not
	for {
		rows, err := f.Rows(ctx)
		if err != nil {
			return 0, err
		}
		switch even := Even(rows, workers...); {
		case !even:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
			f.say("even: %v", Held(rows))
		case time.Since(since) >= settled:
			return since.Sub(start), nil
		}
		if time.Since(start) > limit {
			return 0, fmt.Errorf("%s: not even for %v within %v; leases held: %v", f.Name, settled, limit, Held(rows))
		}
		if err := Sleep(ctx, pollTime); err != nil {
			return 0, err
		}
	}
}

// log is what all workers have written down.
func (f *Fleet) log() ([]check.Batch, error) {
	f.mu.Lock()
	workers := f.workers
	f.mu.Unlock()
	var logs [][]check.Batch
	read := map[string]bool{}
	for _, w := range workers {
		if read[w.output] {
			continue // a worker of the same name came again
		}
		read[w.output] = true
		log, err := check.ReadFile(w.output)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		logs = append(logs, log)
	}
	return check.Merge(logs...), nil
}

// Drop ends all that runs without a look at it, after a failure.
func (f *Fleet) Drop() {
	for _, p := range f.flows() {
		_ = p.end()
	}
	f.unwatch()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers {
		if !w.over {
			w.over = true
			w.kill()
		}
	}
}
