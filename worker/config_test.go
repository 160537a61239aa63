package worker_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func validConfig() worker.Config {
	return worker.Config{
		Application: "test", Leases: memory.New(), Streams: []worker.Stream{memstream.New("s", 1, memstream.Options{})},
		NewProcessor: worker.Stateless(func(context.Context, *worker.Batch) error { return nil }),
	}
}

func TestAnEmptyConfigNamesAllThatIsRequired(t *testing.T) {
	_, err := worker.New(worker.Config{})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	want := []string{"Application", "Streams", "Leases", "NewProcessor"}
	if len(lines) != len(want) {
		t.Errorf("%d complaints, want those about %v: %v", len(lines), want, err)
	}
	for _, field := range want {
		if !strings.Contains(err.Error(), "worker.Config."+field+": ") {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}

func TestABadConfigNamesTheFieldAndTheRange(t *testing.T) {
	deadLetter := func(context.Context, *worker.Shard, record.Record, error) error { return nil }
	stream := func(name string) worker.Stream { return memstream.New(name, 1, memstream.Options{}) }
	for _, c := range []struct {
		name   string
		change func(*worker.Config)
		field  string
		want   string
	}{
		{"no application", func(c *worker.Config) { c.Application = "" }, "Application", "has 0 bytes; want a name of 1 to 128"},
		{"a long application", func(c *worker.Config) { c.Application = strings.Repeat("x", 129) }, "Application", "has 129 bytes; want a name of 1 to 128"},
		{"no streams", func(c *worker.Config) { c.Streams = []worker.Stream{} }, "Streams", "want at least one"},
		{"a nil stream", func(c *worker.Config) { c.Streams = append(c.Streams, nil) }, "Streams", "nil stream at index 1"},
		{"a stream twice", func(c *worker.Config) { c.Streams = []worker.Stream{stream("x"), stream("y"), stream("x")} }, "Streams", `names "x" twice; want each stream once`},
		{"no leases", func(c *worker.Config) { c.Leases = nil }, "Leases", "want a lease.Store"},
		{"no processor", func(c *worker.Config) { c.NewProcessor = nil }, "NewProcessor", "is nil; want a function"},
		{"a start at a record", func(c *worker.Config) { c.Start = record.At("17", 0) }, "Start", "is 17; want TRIM_HORIZON, LATEST or AT_TIMESTAMP"},
		{"a start at the end", func(c *worker.Config) { c.Start = record.ShardEnd }, "Start", "is SHARD_END; want TRIM_HORIZON, LATEST or AT_TIMESTAMP"},
		{"a long worker ID", func(c *worker.Config) { c.WorkerID = strings.Repeat("x", 257) }, "WorkerID", "has 257 bytes; want 1 to 256"},
		{"a short lease", func(c *worker.Config) { c.LeaseDuration = 999 * time.Millisecond }, "LeaseDuration", "is 999ms; want 1s to 10m0s"},
		{"a long lease", func(c *worker.Config) { c.LeaseDuration = 11 * time.Minute }, "LeaseDuration", "is 11m0s; want 1s to 10m0s"},
		{"a negative lease", func(c *worker.Config) { c.LeaseDuration = -time.Second }, "LeaseDuration", "is -1s; want 1s to 10m0s"},
		{"a short drain", func(c *worker.Config) { c.DrainTimeout = time.Millisecond }, "DrainTimeout", "is 1ms; want 100ms to 10m0s"},
		{"a long drain", func(c *worker.Config) { c.DrainTimeout = time.Hour }, "DrainTimeout", "is 1h0m0s; want 100ms to 10m0s"},
		{"fewer than no leases", func(c *worker.Config) { c.MaxLeases = -1 }, "MaxLeases", "is -1; want 0 for no limit, or at least 1"},
		{"a negative threshold", func(c *worker.Config) { c.Balance.Threshold = -1 }, "Balance", "has Threshold -1, Dampening 0 and Alpha 0; want each 0"},
		{"more than all at a time", func(c *worker.Config) { c.Balance.Dampening = 101 }, "Balance", "Dampening 101"},
		{"more weight than all", func(c *worker.Config) { c.Balance.Alpha = 1.5 }, "Balance", "Alpha 1.5"},
		{"a weight that is no number", func(c *worker.Config) { c.Balance.Alpha = math.NaN() }, "Balance", "Alpha NaN"},
		{"a short hand-over", func(c *worker.Config) { c.Balance.Handover = time.Millisecond }, "Balance.Handover", "is 1ms; want 0 for the default, or at least 1s"},
		{"streams to drop that are kept for ever", func(c *worker.Config) { c.DropStream = func(string) bool { return true } }, "DropStream", "is set without FormerStreams"},
		{"batches without records", func(c *worker.Config) { c.MaxBatchRecords = -1 }, "MaxBatchRecords", "is -1; want at least 1"},
		{"batches without bytes", func(c *worker.Config) { c.MaxBatchBytes = -5 }, "MaxBatchBytes", "is -5; want at least 1"},
		{"no memory", func(c *worker.Config) { c.MemoryBudget = 1<<20 - 1 }, "MemoryBudget", "is 1048575 bytes; want at least 1048576"},
		{"a tiny idle call", func(c *worker.Config) { c.IdleCall = time.Millisecond }, "IdleCall", "is 1ms; want 0 for none, or at least 10ms"},
		{"a negative idle call", func(c *worker.Config) { c.IdleCall = -time.Second }, "IdleCall", "is -1s; want 0 for none, or at least 10ms"},
		{"a negative timeout", func(c *worker.Config) { c.ProcessTimeout = -1 }, "ProcessTimeout", "is -1ns; want 0 for none, or more"},
		{"pauses the wrong way round", func(c *worker.Config) { c.Retry.MinBackoff, c.Retry.MaxBackoff = 2, 1 }, "Retry", "pauses 2ns to 1ns; want 0 < MinBackoff <= MaxBackoff"},
		{"a negative pause", func(c *worker.Config) { c.Retry.MinBackoff = -1 }, "Retry", "want 0 < MinBackoff <= MaxBackoff"},
		{"negative attempts", func(c *worker.Config) { c.Retry.Attempts, c.Retry.DeadLetter = -1, deadLetter }, "Retry", "has Attempts -1 and DeadLetter set: true; want both, or neither"},
		{"attempts without a dead letter", func(c *worker.Config) { c.Retry.Attempts = 3 }, "Retry", "has Attempts 3 and DeadLetter set: false; want both, or neither"},
		{"a dead letter without attempts", func(c *worker.Config) { c.Retry.DeadLetter = deadLetter }, "Retry", "has Attempts 0 and DeadLetter set: true; want both, or neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := validConfig()
			c.change(&cfg)
			w, err := worker.New(cfg)
			if err == nil || w != nil {
				t.Fatalf("New = %v, %v; want an error", w, err)
			}
			if text := err.Error(); !strings.HasPrefix(text, "worker.Config."+c.field+": ") || !strings.Contains(text, c.want) || strings.Contains(text, "\n") {
				t.Errorf("error %q; want one line about %s with %q", text, c.field, c.want)
			}
		})
	}
}

func TestTheLimitsThemselvesAreAccepted(t *testing.T) {
	for name, change := range map[string]func(*worker.Config){
		"the least": func(c *worker.Config) {
			c.Application, c.WorkerID = "a", "w"
			c.LeaseDuration, c.DrainTimeout, c.IdleCall, c.ProcessTimeout = time.Second, 100*time.Millisecond, 10*time.Millisecond, 1
			c.MaxLeases, c.MaxBatchRecords, c.MaxBatchBytes, c.MemoryBudget = 1, 1, 1, 1<<20
			c.Retry = worker.Retry{MinBackoff: 1, MaxBackoff: 1}
		},
		"the most": func(c *worker.Config) {
			c.Application, c.WorkerID = strings.Repeat("a", 128), strings.Repeat("w", 256)
			c.LeaseDuration, c.DrainTimeout = 10*time.Minute, 10*time.Minute
			c.Balance = worker.Balance{Threshold: 1000, Dampening: 100, Alpha: 1}
		},
		"a pause longer than the default's most": func(c *worker.Config) { c.Retry.MinBackoff = time.Minute },
		"a start at a moment":                    func(c *worker.Config) { c.Start = record.AtTimestamp(time.Unix(1, 0)) },
	} {
		cfg := validConfig()
		change(&cfg)
		if _, err := worker.New(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWorkerIDIsMadeUpForEachWorker(t *testing.T) {
	a, errA := worker.New(validConfig())
	b, errB := worker.New(validConfig())
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if a.ID() == b.ID() || a.ID() == "" || len(a.ID()) > 256 {
		t.Errorf("IDs %q and %q, want two that differ", a.ID(), b.ID())
	}
	cfg := validConfig()
	cfg.WorkerID = "mine"
	if c, err := worker.New(cfg); err != nil || c.ID() != "mine" {
		t.Errorf("ID %q, error %v", c.ID(), err)
	}
}

func TestRunMayBeCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := worker.New(validConfig())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
		if err := w.Run(ctx); err == nil || !strings.Contains(err.Error(), "called before") {
			t.Errorf("the second Run = %v, want an error", err)
		}
		if w.Status().Running {
			t.Error("Status says that the worker runs")
		}
	})
}
