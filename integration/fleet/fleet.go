package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/check"
)

// A Config says what a fleet is.
type Config struct {
	// Name is that of the stream, the application and the lease table.
	Name   string
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

// A Fleet is one application and its stream, into which records flow from NewFleet to Finish.
type Fleet struct {
	Config
	site     *Site
	folder   string
	producer *producer
	began    time.Time
	unwatch  func()

	mu      sync.Mutex
	workers []*Worker
}

// NewFleet makes the stream and lets records flow. There are no workers yet.
func (s *Site) NewFleet(ctx context.Context, c Config) (*Fleet, error) {
	f := &Fleet{Config: c, site: s, folder: filepath.Join(s.folder, c.Name), began: time.Now()}
	if err := os.Mkdir(f.folder, 0o755); err != nil {
		return nil, err
	}
	_, err := s.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &c.Name, ShardCount: aws.Int32(int32(c.Shards))})
	if err != nil {
		return nil, fmt.Errorf("create the stream %s: %w", c.Name, err)
	}
	err = kinesis.NewStreamExistsWaiter(s.Kinesis, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond }).
		Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &c.Name}, time.Minute)
	if err != nil {
		return nil, fmt.Errorf("wait for the stream %s: %w", c.Name, err)
	}
	f.producer, f.unwatch = startProducer(ctx, s.Kinesis, c), func() {}
	if c.Watch {
		f.unwatch = f.startWatch(ctx)
	}
	return f, nil
}

// Put is how many records were acknowledged so far. Its error is of a producer that could put no more.
func (f *Fleet) Put() (int, error) {
	select {
	case <-f.producer.done:
		return int(f.producer.put.Load()), f.producer.err
	default:
		return int(f.producer.put.Load()), nil
	}
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
	_ = f.producer.end()
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
