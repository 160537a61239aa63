package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shoal-stream/shoal/integration/kclworker"
)

// A Worker is one worker of a fleet, in a process of its own.
type Worker struct {
	Name string
	Java bool

	*process
	fleet   *Fleet
	version string // of KCL
	output  string // the file with what it was given
	from    int    // the events of the process before this worker's
	over    bool
	asked   time.Time
}

// Asked is when the worker was asked to stop, the zero time if it was not.
func (w *Worker) Asked() time.Time { return w.asked }

// stopLimit is how long a worker gets to stop: longer than Shoal's drain, and than a leader of KCL takes, whose lock waits
// 30 s between two heartbeats.
const stopLimit = 180 * time.Second

// Go starts a Go worker; args are further flags of goworker. It returns when the worker runs.
func (f *Fleet) Go(ctx context.Context, name string, args ...string) (*Worker, error) {
	w := f.worker(name)
	args = append([]string{"-endpoint", f.site.URL, "-app", f.Name, "-worker", name, "-output", w.output}, args...)
	if len(f.Streams) > 0 {
		args = append(args, "-streams", f.listPath())
	} else {
		args = append(args, "-stream", f.Name)
	}
	if f.Lease > 0 {
		args = append(args, "-lease", f.Lease.String())
	}
	if f.Fault != "" {
		args = append(args, "-fault", f.Fault)
	}
	var err error
	w.process, err = launch(f.Name+"/"+name, exec.Command(filepath.Join(f.site.folder, "goworker"), args...), w.logPath())
	if err != nil {
		return nil, err
	}
	return w, f.begin(ctx, w)
}

// Java starts a worker of the newest KCL. It returns when the worker was started; it needs seconds more until it takes part.
func (f *Fleet) Java(ctx context.Context, name string) (*Worker, error) {
	return f.JavaVersion(ctx, name, kclworker.Newest)
}

// JavaVersion is Java with a version of KCL, which must be one of the Site's.
func (f *Fleet) JavaVersion(ctx context.Context, name, version string) (*Worker, error) {
	w := f.worker(name)
	w.Java, w.version = true, version
	var err error
	if w.process, err = f.site.takeJVM(ctx, version); err != nil {
		return nil, err
	}
	w.from = w.count()
	settings := kclworker.Settings{
		Endpoint: f.site.URL, Stream: f.Name, App: f.Name, Worker: name, Output: w.output, Failover: f.Lease, ShardSync: f.ShardSync,
	}
	if len(f.Streams) > 0 {
		settings.Stream, settings.Streams = "", f.listPath()
	}
	if version != kclworker.Second { // which has no leader
		settings.LeaderLease, settings.LeaderHeartbeat = f.LeaderLease, f.LeaderHeartbeat
	}
	if err := w.tell(settings.Start()); err != nil {
		return nil, err
	}
	return w, f.begin(ctx, w)
}

func (f *Fleet) worker(name string) *Worker {
	return &Worker{Name: name, fleet: f, output: filepath.Join(f.folder, name+".ndjson")}
}

func (w *Worker) logPath() string { return filepath.Join(w.fleet.folder, w.Name+".log") }

// begin waits for the worker's start and notes it.
func (f *Fleet) begin(ctx context.Context, w *Worker) error {
	f.mu.Lock()
	f.workers = append(f.workers, w)
	f.mu.Unlock()
	if _, err := w.await(ctx, "started", w.from, time.Minute); err != nil {
		return err
	}
	f.say("%s has started", w.Name)
	return nil
}

// Kill ends the worker with SIGKILL and returns the moment of the signal.
func (w *Worker) Kill() time.Time {
	w.over = true
	at := time.Now()
	w.kill()
	w.fleet.say("%s was killed", w.Name)
	if w.Java { // another JVM in its place, for later
		_ = w.fleet.site.Warm(w.version, 1) // if it fails, the next worker says so
	}
	return at
}

// Stop stops the worker as a deployment does, SIGTERM for Go and a graceful shutdown for Java, and waits until it has
// stopped. It returns the moment of the request.
func (w *Worker) Stop(ctx context.Context) (time.Time, error) {
	w.over = true
	at := time.Now()
	w.asked = at
	w.fleet.say("%s is to stop", w.Name)
	if !w.Java {
		if err := w.signal(syscall.SIGTERM); err != nil {
			return at, err
		}
		err := w.ended(stopLimit)
		w.fleet.say("%s stopped after %d ms", w.Name, time.Since(at).Milliseconds())
		return at, err
	}
	if err := w.tell(kclworker.Stop); err != nil {
		return at, err
	}
	if _, err := w.await(ctx, "stopped", w.from, stopLimit); err != nil {
		return at, err
	}
	w.fleet.say("%s stopped after %d ms", w.Name, time.Since(at).Milliseconds())
	w.fleet.site.putJVM(w.version, w.process)
	return at, nil
}

// Aim waits until a Go worker has just written down a batch: one that takes time for its work has not checkpointed it
// then. It reports false if that does not come within the limit.
func (w *Worker) Aim(ctx context.Context, limit time.Duration) (bool, error) {
	size := func() (int64, error) {
		info, err := os.Stat(w.output)
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}
	before, err := size()
	if err != nil {
		return false, err
	}
	for start := time.Now(); time.Since(start) < limit; {
		now, err := size()
		if err != nil {
			return false, err
		}
		if now > before {
			return true, nil
		}
		if err := Sleep(ctx, time.Millisecond); err != nil {
			return false, err
		}
	}
	return false, nil
}

// Pause stops the process of a Go worker (SIGSTOP) in its work.
func (w *Worker) Pause(ctx context.Context) error {
	switch busy, err := w.Aim(ctx, time.Minute); {
	case err != nil:
		return err
	case !busy:
		return fmt.Errorf("%s was handed nothing within a minute", w.Name)
	}
	return w.PauseNow()
}

// PauseNow stops the process of a Go worker (SIGSTOP).
func (w *Worker) PauseNow() error {
	w.fleet.say("%s is stopped", w.Name)
	return w.signal(syscall.SIGSTOP)
}

// Resume ends a Pause. It returns the moment before.
func (w *Worker) Resume() (time.Time, error) {
	at := time.Now()
	w.fleet.say("%s goes on", w.Name)
	return at, w.signal(syscall.SIGCONT)
}

// Told is the worker's events with a name since a moment.
func (w *Worker) Told(event string, since time.Time) []Event {
	var told []Event
	for _, e := range w.Events()[w.from:] {
		if e.Name == event && !e.At.Before(since) {
			told = append(told, e)
		}
	}
	return told
}

// drop ends what still runs, at the end of a fleet.
func (w *Worker) drop(ctx context.Context) error {
	if w.over {
		return nil
	}
	if _, err := w.Stop(ctx); err != nil {
		w.kill()
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}
