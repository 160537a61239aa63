package worker

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/metrics"
	"github.com/shoal-stream/shoal/record"
)

// Config says what a worker reads, where its leases are, and what becomes of the records. Application, Streams, Leases
// and NewProcessor are required; everything else has a default that works.
type Config struct {
	// Application names the fleet: all workers of one application share its leases and split the shards among them.
	Application string

	// Streams are the streams that the application reads, one or several. With several, every lease row carries the
	// stream's identifier, as Java KCL's multi-stream mode does; an application cannot change between the two on one
	// table. Their names must differ, also of streams of different accounts.
	Streams []Stream

	// StreamsFunc, if set, names the streams in place of Streams. It is asked at the start and about each minute, and
	// soon when leases show up of a stream that it has not named. The application begins with a new stream where From or
	// Start says, and leaves one that is not named any more (or reads it on: ReadFormer); its leases stay, so that it is
	// taken up again where it was left, for as long as FormerStreams says. All workers of the application must be given
	// the same streams, each of a name of its own; a list with a name twice, or with nil, changes nothing and is reported.
	StreamsFunc func(ctx context.Context) ([]Stream, error)

	// FormerStreams is for how long the leases of a stream are kept that StreamsFunc does not name any more; at least a
	// minute, 0 is for ever.
	FormerStreams time.Duration

	// DropStream, if set, says of each such stream, by its identifier in the lease table, whether its leases may be deleted
	// after that time at all; they all may without it.
	DropStream func(stream string) bool

	// ReadFormer, if set, has an application of several streams go on reading those that leases belong to but that are not
	// named any more, until their leases are deleted, as Java KCL does: a fleet with Java workers should set it, or
	// only those read such a stream. It makes the Stream of an identity found in the lease table (kinesisstream.New, with
	// the client of its account), or returns nil to leave that stream alone, as all are without ReadFormer.
	ReadFormer func(id Identity) Stream

	// Leases is the table that the fleet shares: lease/dynamo, or lease/memory for one process without a table.
	Leases lease.Store

	// NewProcessor makes the processor of a shard when a tenure begins. ctx ends with the tenure. An error is retried
	// with back-off like one of ProcessRecords.
	NewProcessor func(ctx context.Context, s *Shard) (RecordProcessor, error)

	// Start is where the application begins on a stream that it has no leases for: record.TrimHorizon (the default,
	// everything that the stream still keeps), record.Latest (what comes after the first worker's first look), or
	// record.AtTimestamp.
	Start record.Position

	// StartAt, if set, gives the position at which each tenure of a shard begins, for applications that keep positions
	// elsewhere, beside their results. A zero position means the lease's checkpoint.
	StartAt func(ctx context.Context, stream, shard string) (record.Position, error)

	// WorkerID names this worker in the lease table; it must be unique in the fleet. The default is the host's name and
	// a random part. With a stable ID of your own a restarted worker resumes its shards at once instead of after
	// LeaseDuration.
	WorkerID string

	// LeaseDuration is how long a worker that has died keeps its shards: the fleet waits that long before it takes them
	// over. It must be the same in the whole fleet, 1 s to 10 min; the default is 10 s, as Java KCL's
	// failoverTimeMillis. Each lease is renewed every third of it.
	LeaseDuration time.Duration

	// DrainTimeout bounds how long Run, once its context has ended, and a hand-over wait for processors to finish:
	// 100 ms to 10 min, default 20 s, which is below the 30 s after which a Java leader takes a lease by force.
	DrainTimeout time.Duration

	// MaxLeases is the most shards that one worker has at a time; 0 is no limit. The leader keeps all workers to its own
	// value, so it should be the same in the whole fleet.
	MaxLeases int

	// MaxThroughputKBps is the most that one worker should have to process, in KiB per second; 0 is no limit. A worker
	// above it is given nothing more. The leader's value counts.
	MaxThroughputKBps float64

	// BalanceByCount spreads the shards by their number alone. The default goes by what they deliver, and by the
	// utilisation that the workers report where all of them do. The leader's value counts.
	BalanceByCount bool

	// Balance tunes how leases move from busy workers to idle ones. The leader's value counts.
	Balance Balance

	// Metrics measures how busy this worker's machine is. The default measures the CPU where Java KCL does: on ECS, on
	// EKS and on EC2.
	Metrics *metrics.Reporter

	// Compatible2X is for a fleet that still has workers of KCL 2.x: this worker takes leases as they do, and writes
	// nothing that they would stumble over, until the table says that the fleet has left 2.x behind. Without it, Run
	// refuses to start beside such workers.
	Compatible2X bool

	// SingleTable has this worker use one table in place of the three of KCL 3.0 to 3.4, and a leader bring them into one,
	// once every worker can (migrateAllEntitiesToLeaseTable); the leader waits until the whole fleet has it set. It makes no
	// difference to an application that has one table.
	SingleTable bool

	// Retry says what happens after an error of ProcessRecords. The zero Retry tries for ever with back-off.
	Retry Retry

	// MaxBatchRecords and MaxBatchBytes bound a batch; a single larger record still comes alone. Defaults 10,000
	// records and 10 MiB, the most that one read gives.
	MaxBatchRecords int
	MaxBatchBytes   int

	// MemoryBudget is how many bytes of records the worker holds read ahead or in process, over all shards; at least
	// 1 MiB. The default is a quarter of the Go memory limit if one is set, else 256 MiB.
	MemoryBudget int64

	// IdleCall, if set, calls ProcessRecords with an empty batch when nothing came for so long, at least 10 ms: for
	// processors that flush by time.
	IdleCall time.Duration

	// ProcessTimeout, if set, reports a call of the processor that takes longer, in Status, the log and Hooks.Slow; the
	// call goes on.
	ProcessTimeout time.Duration

	// DropForeign drops a KPL aggregate with a sub-record outside the shard's hash key range, as Java KCL does. The
	// default delivers all and counts (Status).
	DropForeign bool

	// Logger hears what the worker does, never record data or credentials. nil is silent.
	Logger *zap.Logger

	// Hooks are called on events; all are optional.
	Hooks Hooks

	// Clock is the worker's time and randomness. The zero value is the real one; simulations hand in their own.
	Clock clock.Clock
}

// Balance says when leases move to even out what the workers have to do. What is zero has the default of Java KCL.
type Balance struct {
	// Threshold is how far, in percent, a worker's utilisation may be from the fleet's before leases move
	// (reBalanceThresholdPercentage); 10.
	Threshold int

	// Dampening is the part, in percent, of a measured imbalance that one round corrects (dampeningPercentage), 1 to 100;
	// 60. Smaller values move leases in smaller steps.
	Dampening int

	// NoOvershoot forbids that a worker with too much gives a lease that is more than it has too much
	// (allowThroughputOvershoot is the opposite).
	NoOvershoot bool

	// Alpha is the weight of a new value in the moving average of a worker's metric (workerMetricsEMAAlpha), up to 1; 0.5.
	Alpha float64

	// Handover is for how long a live worker may take to hand a lease over before the leader moves it by force, from 1 s
	// (gracefulLeaseHandoffTimeoutMillis); 30 s.
	Handover time.Duration
}

// Retry is the policy for a batch whose processing fails. Its zero value retries for ever, pausing 100 ms to 30 s.
type Retry struct {
	// MinBackoff and MaxBackoff bound the pause between attempts, which doubles and has jitter. Defaults 100 ms, 30 s.
	MinBackoff, MaxBackoff time.Duration

	// Attempts is how often a batch is tried before it is halved to find the record that fails; 0 tries for ever.
	// Each part is again tried so often. It needs DeadLetter.
	Attempts int

	// DeadLetter takes a single record that failed Attempts times, with the last error. When it returns nil the record
	// counts as done and the shard goes on behind it; the next renewal checkpoints past it if everything before it is
	// checkpointed. An error is retried like one of ProcessRecords.
	DeadLetter func(ctx context.Context, s *Shard, r record.Record, cause error) error
}

const (
	minLeaseDuration, maxLeaseDuration = time.Second, 10 * time.Minute
	minDrainTimeout, maxDrainTimeout   = 100 * time.Millisecond, 10 * time.Minute
	minMemoryBudget                    = 1 << 20
)

// withDefaults is c with every zero field that has a default filled in.
func (c Config) withDefaults() Config {
	if c.Start.IsZero() {
		c.Start = record.TrimHorizon
	}
	c.WorkerID = cmp.Or(c.WorkerID, randomID())
	c.LeaseDuration = cmp.Or(c.LeaseDuration, 10*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 20*time.Second)
	c.Retry.MinBackoff = cmp.Or(c.Retry.MinBackoff, 100*time.Millisecond)
	c.Retry.MaxBackoff = cmp.Or(c.Retry.MaxBackoff, max(30*time.Second, c.Retry.MinBackoff))
	c.MaxBatchRecords = cmp.Or(c.MaxBatchRecords, 10_000)
	c.MaxBatchBytes = cmp.Or(c.MaxBatchBytes, 10<<20)
	c.MemoryBudget = cmp.Or(c.MemoryBudget, defaultBudget())
	if c.Metrics == nil {
		c.Metrics = metrics.New(metrics.Config{Clock: c.Clock})
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

// validate lists every field that is missing or out of its range.
func (c Config) validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("worker.Config.%s: %s", field, fmt.Sprintf(format, args...)))
	}
	within := func(field string, d, low, high time.Duration) {
		if d < low || d > high {
			bad(field, "is %v; want %v to %v", d, low, high)
		}
	}
	if n := len(c.Application); n < 1 || n > 128 {
		bad("Application", "has %d bytes; want a name of 1 to 128", n)
	}
	if (len(c.Streams) == 0) == (c.StreamsFunc == nil) {
		bad("Streams", "has %d streams and StreamsFunc is set: %t; want at least one stream, or StreamsFunc", len(c.Streams), c.StreamsFunc != nil)
	}
	if c.FormerStreams != 0 && (c.FormerStreams < time.Minute || c.StreamsFunc == nil) {
		bad("FormerStreams", "is %v; want 0 for ever, or with StreamsFunc at least 1m", c.FormerStreams)
	}
	if c.DropStream != nil && c.FormerStreams == 0 {
		bad("DropStream", "is set without FormerStreams; want both, or neither")
	}
	if c.ReadFormer != nil && !c.several() {
		bad("ReadFormer", "is set with one stream; want StreamsFunc, or several Streams: leases of an application of one stream do not say which")
	}
	if what := badStreams(c.Streams); what != "" {
		bad("Streams", "%s", what)
	}
	if c.Leases == nil {
		bad("Leases", "is nil; want a lease.Store such as dynamo.New or memory.New")
	}
	if c.NewProcessor == nil {
		bad("NewProcessor", "is nil; want a function such as worker.Stateless gives")
	}
	for _, at := range c.starts() {
		switch at.Kind() {
		case record.KindTrimHorizon, record.KindLatest, record.KindAtTimestamp:
		default:
			bad("Start", "is %v; want TRIM_HORIZON, LATEST or AT_TIMESTAMP", at)
		}
	}
	if n := len(c.WorkerID); n > 256 {
		bad("WorkerID", "has %d bytes; want 1 to 256", n)
	}
	within("LeaseDuration", c.LeaseDuration, minLeaseDuration, maxLeaseDuration)
	within("DrainTimeout", c.DrainTimeout, minDrainTimeout, maxDrainTimeout)
	if c.MaxLeases < 0 {
		bad("MaxLeases", "is %d; want 0 for no limit, or at least 1", c.MaxLeases)
	}
	if c.MaxThroughputKBps < 0 {
		bad("MaxThroughputKBps", "is %v; want 0 for no limit, or more", c.MaxThroughputKBps)
	}
	if h := c.Balance.Handover; h != 0 && h < time.Second {
		bad("Balance.Handover", "is %v; want 0 for the default, or at least 1s", h)
	}
	if b := c.Balance; b.Threshold < 0 || b.Dampening < 0 || b.Dampening > 100 || !(b.Alpha >= 0 && b.Alpha <= 1) {
		bad("Balance", "has Threshold %d, Dampening %d and Alpha %v; want each 0 for the default, or Threshold from 1, Dampening to 100, Alpha to 1",
			b.Threshold, b.Dampening, b.Alpha)
	}
	if c.MaxBatchRecords < 1 {
		bad("MaxBatchRecords", "is %d; want at least 1", c.MaxBatchRecords)
	}
	if c.MaxBatchBytes < 1 {
		bad("MaxBatchBytes", "is %d; want at least 1", c.MaxBatchBytes)
	}
	if c.MemoryBudget < minMemoryBudget {
		bad("MemoryBudget", "is %d bytes; want at least %d", c.MemoryBudget, minMemoryBudget)
	}
	if c.IdleCall != 0 && c.IdleCall < 10*time.Millisecond {
		bad("IdleCall", "is %v; want 0 for none, or at least 10ms", c.IdleCall)
	}
	if c.ProcessTimeout < 0 {
		bad("ProcessTimeout", "is %v; want 0 for none, or more", c.ProcessTimeout)
	}
	if r := c.Retry; r.MinBackoff < 0 || r.MaxBackoff < r.MinBackoff {
		bad("Retry", "pauses %v to %v; want 0 < MinBackoff <= MaxBackoff", r.MinBackoff, r.MaxBackoff)
	}
	if r := c.Retry; r.Attempts < 0 || (r.Attempts > 0) != (r.DeadLetter != nil) {
		bad("Retry", "has Attempts %d and DeadLetter set: %t; want both, or neither to retry for ever", r.Attempts, r.DeadLetter != nil)
	}
	return errors.Join(errs...)
}

// randomID is the host's name and a random part. The random part makes a new process a new worker, so that two
// processes never take each other for themselves.
func randomID() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	var b [6]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return fmt.Sprintf("%.200s-%s", host, hex.EncodeToString(b[:]))
}
