package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/examples/s3archive/format"
	"github.com/shoal-stream/shoal/examples/s3archive/prefix"
	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// Config says where records go and when. Store, Prefix and Format are required. What decides on keys (Prefix,
// ErrorPrefix, Query, Transform, Format, Compression) must be the same in every process and stay the same over the life
// of a prefix; the marker keeps that (Claim).
type Config struct {
	// Store keeps the objects.
	Store Store
	// Prefix and ErrorPrefix are the folders of objects and of dead letters. ErrorPrefix may be nil: then a record that
	// fails holds its shard until it no longer does.
	Prefix, ErrorPrefix *prefix.Template
	// Query gives the values that Prefix names; each set of values is an output of its own.
	Query *prefix.Query
	// Format and Compression make bodies.
	Format      format.Format
	Compression format.Compression
	// Transform, if set, sees every record before anything else. What it returns must depend on the record alone.
	Transform func(ctx context.Context, r *record.Record) Result

	// MaxBytes, MaxRecords and MaxAge cut objects: so much data before compression, so many records, so long after the
	// first record was read. Defaults 32 MiB, 1 million, 60 s.
	MaxBytes   int64
	MaxRecords int
	MaxAge     time.Duration
	// MaxOutputs is how many outputs of a shard may be open before all its objects are cut; the default is 500.
	MaxOutputs int
	// Budget is how many bytes of data this process holds that are not in objects yet, over all shards. At least
	// 64 MiB, the default 256 MiB. When it is used up all shards cut, and reading waits.
	Budget int64
	// SpoolDir, if set, is the folder in which data waits instead of in memory.
	SpoolDir string
	// Uploads is how many objects are made at a time; the default is 8.
	Uploads int
	// LagAlarm is the age of a record that is in no object yet at which the log warns; the default is 10 minutes.
	LagAlarm time.Duration

	// Logger hears what goes wrong, never data. nil is silent.
	Logger *zap.Logger
	// Hooks are for metrics.
	Hooks Hooks
	// Clock is the archiver's time and randomness.
	Clock clock.Clock

	// NoAdopt takes an object that is there already for one's own instead of taking over its end. It loses and repeats
	// records: it is there so that tests can show that they would see it.
	NoAdopt bool
}

// A Verdict says what becomes of a record.
type Verdict int

// The verdicts of a Transform.
const (
	// OK: Result.Data is stored.
	OK Verdict = iota + 1
	// Drop: the record is not wanted.
	Drop
	// Fail: the record becomes a dead letter, with Result.Err.
	Fail
)

// A Result is a Transform's answer.
type Result struct {
	Verdict Verdict
	Data    []byte
	Err     error
}

// An Archiver makes processors for a worker: give NewProcessor to worker.Config. It is safe for concurrent use.
type Archiver struct {
	cfg     Config
	budget  *budget
	uploads chan struct{} // one token for each object that is being made
	bodies  sync.Pool
	write   func(f *os.File, b []byte, at int64) (int, error) // into the spool; a test's disk is full
}

// New checks cfg. Its error lists every field that is missing or out of range.
func New(cfg Config) (*Archiver, error) {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 32<<20)
	cfg.MaxRecords = cmp.Or(cfg.MaxRecords, 1_000_000)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, time.Minute)
	cfg.MaxOutputs = cmp.Or(cfg.MaxOutputs, 500)
	cfg.Budget = cmp.Or(cfg.Budget, 256<<20)
	cfg.Uploads = cmp.Or(cfg.Uploads, 8)
	cfg.LagAlarm = cmp.Or(cfg.LagAlarm, 10*time.Minute)
	cfg.Compression = cmp.Or(cfg.Compression, format.None)
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	if cfg.SpoolDir != "" { // rather now than at the first shard
		f, err := temporary(cfg.SpoolDir)
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		f.Close()
	}
	return &Archiver{cfg: cfg, budget: newBudget(cfg.Budget), uploads: make(chan struct{}, cfg.Uploads), write: (*os.File).WriteAt}, nil
}

func (c *Config) check() error {
	var errs []error
	bad := func(field, text string, args ...any) {
		errs = append(errs, fmt.Errorf("%s %s", field, fmt.Sprintf(text, args...)))
	}
	if c.Store == nil {
		bad("Store", "is missing")
	}
	if c.Format == nil {
		bad("Format", "is missing")
	}
	if c.Prefix == nil {
		bad("Prefix", "is missing")
	} else {
		if c.Prefix.HasErrorType() {
			bad("Prefix", "%q has an error-output-type; that is for ErrorPrefix", c.Prefix)
		}
		if len(c.Prefix.Names()) > 0 && c.Query == nil {
			bad("Prefix", "%q takes %s from a query; want Query", c.Prefix, strings.Join(c.Prefix.Names(), ", "))
		}
		if len(c.Prefix.Names()) == 0 && c.Query != nil {
			bad("Query", "is of no use: Prefix %q names no value of it", c.Prefix)
		}
	}
	if c.ErrorPrefix != nil {
		if len(c.ErrorPrefix.Names()) > 0 {
			bad("ErrorPrefix", "%q takes values from a query; a record that failed has none", c.ErrorPrefix)
		}
		if c.Prefix != nil && nested(c.Prefix.Static(), c.ErrorPrefix.Static()) {
			bad("ErrorPrefix", "%q and Prefix %q begin alike; want folders apart, so that nobody reads dead letters as records", c.ErrorPrefix, c.Prefix)
		}
	}
	within(bad, "MaxBytes", c.MaxBytes, 1, 4<<30)
	within(bad, "MaxRecords", c.MaxRecords, 1, 100_000_000)
	within(bad, "MaxAge", c.MaxAge, 10*time.Millisecond, 24*time.Hour)
	within(bad, "MaxOutputs", c.MaxOutputs, 1, 5000)
	within(bad, "Budget", c.Budget, 64<<20, 1<<40)
	within(bad, "Uploads", c.Uploads, 1, 1000)
	within(bad, "LagAlarm", c.LagAlarm, time.Second, 365*24*time.Hour)
	return errors.Join(errs...)
}

// nested reports whether one of two folders may lie within the other.
func nested(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func within[T cmp.Ordered](bad func(string, string, ...any), field string, v, low, high T) {
	if v < low || v > high {
		bad(field, "is %v; want %v to %v", v, low, high)
	}
}

// NewProcessor is for worker.Config. Set IdleCall there, too, to a second or so, when producers aggregate: the silence
// after the last part of an aggregate tells that it is whole.
func (a *Archiver) NewProcessor(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
	return newProcessor(a, s), nil
}
