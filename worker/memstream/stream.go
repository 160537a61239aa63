// Package memstream is a worker.Stream in memory, for tests and simulations: put records, split and merge shards, let
// records expire, and read it all through the interface by which a worker reads Kinesis.
//
//	s := memstream.New("orders", 4, memstream.Options{})
//	s.Put("customer-17", []byte("…"))
//	s.Split("shardId-000000000000", at)
//
// It behaves as Kinesis does where a reader can tell: 56-digit sequence numbers that rise within a shard and from
// parent to child, shards that close at the moment of a reshard and name their children exactly at their end, closed
// shards that stay listed until their records have expired.
package memstream

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// Options are what may differ from Kinesis's defaults. The zero value is good.
type Options struct {
	// Account is the AWS account that Identify names; default "000000000000".
	Account string
	// Retention is how long records stay; default 24 h.
	Retention time.Duration
	// PageRecords and PageBytes limit a page: default 10,000 records and 10 MiB. A single record always fits.
	PageRecords, PageBytes int
	// Pace is what the stream's Pace returns; default Kinesis's: 5 reads per second, 1 s idle, 30 s timeout.
	Pace worker.Pace
	// Clock gives arrival times and lets records expire.
	Clock clock.Clock
	// Fault, if set, runs before each call of the worker.Stream and Reader methods that return errors. It may wait,
	// until ctx ends, and fail the call: an error, for instance one that wraps worker.ErrThrottled, is what the caller
	// gets, and nothing else happens.
	Fault func(ctx context.Context, c Call) error
}

// A Call is what a worker is about to do to the stream.
type Call struct {
	// Op is "Identify", "Shards" or "Read".
	Op string
	// Shard is the shard that is read, else "".
	Shard string
}

// Stream is a stream in memory. Its methods are safe for concurrent use.
type Stream struct {
	name    string
	o       Options
	created time.Time

	mu     sync.Mutex // guards the rest; held around memory only
	latest time.Time  // the latest time given out: times never fall, whatever the clock does
	trim   time.Time  // what arrived before is gone, retention aside
	shards []*shard   // by index; expired ones stay, empty
	byID   map[string]*shard
}

var _ worker.Stream = (*Stream)(nil)

// New makes a stream of so many shards, at least one, that divide the hash key space evenly.
func New(name string, shards int, o Options) *Stream {
	o.Account = cmp.Or(o.Account, "000000000000")
	o.Retention = cmp.Or(o.Retention, 24*time.Hour)
	o.PageRecords = cmp.Or(o.PageRecords, 10_000)
	o.PageBytes = cmp.Or(o.PageBytes, 10<<20)
	o.Pace = cmp.Or(o.Pace, worker.Pace{PerSecond: 5, Idle: time.Second, Timeout: 30 * time.Second})
	s := &Stream{name: name, o: o, byID: map[string]*shard{}}
	s.created = s.now()
	for _, keys := range divide(max(1, shards)) {
		s.add(s.created, s.created.Unix(), keys)
	}
	return s
}

// now is the time to the millisecond; it never falls. The caller holds mu, or is New.
func (s *Stream) now() time.Time {
	if t := s.o.Clock.Now().Truncate(time.Millisecond); t.After(s.latest) {
		s.latest = t
	}
	return s.latest
}

// horizon is the time, and the moment from which records are kept.
func (s *Stream) horizon() (now, horizon time.Time) {
	now = s.now()
	horizon = s.created
	for _, t := range []time.Time{now.Add(-s.o.Retention), s.trim} {
		if t.After(horizon) {
			horizon = t
		}
	}
	return now, horizon
}

// Trim lets everything that arrived before a moment expire, and shards that were closed before it vanish.
func (s *Stream) Trim(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before.After(s.trim) {
		s.trim = before
	}
	_, horizon := s.horizon()
	for _, sh := range s.shards {
		sh.dropBefore(horizon)
	}
}

// Put stores a record under the MD5 of its partition key and tells where. The stream keeps data: do not change it.
func (s *Stream) Put(partitionKey string, data []byte) (shardID string, seq record.SequenceNumber, err error) {
	return s.PutTo(record.HashOf(partitionKey), partitionKey, data)
}

// PutTo is Put with an explicit hash key.
func (s *Stream) PutTo(h record.HashKey, partitionKey string, data []byte) (shardID string, seq record.SequenceNumber, err error) {
	if n := len([]rune(partitionKey)); n < 1 || n > 256 {
		return "", "", fmt.Errorf("put to %s: partition key of %d characters; want 1 to 256", s.name, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, horizon := s.horizon()
	for _, sh := range s.shards {
		if sh.Open() && sh.Range.Contains(h) {
			sh.dropBefore(horizon)
			return sh.ID, sh.put(now, partitionKey, data), nil
		}
	}
	panic("memstream: the open shards do not cover the hash key space")
}

// Name is the stream's name.
func (s *Stream) Name() string { return s.name }

// Pace is the Pace of the Options.
func (s *Stream) Pace() worker.Pace { return s.o.Pace }

// Identify names the stream; its epoch is when New was called.
func (s *Stream) Identify(ctx context.Context) (worker.Identity, error) {
	if err := s.enter(ctx, Call{Op: "Identify"}); err != nil {
		return worker.Identity{}, err
	}
	return worker.Identity{Account: s.o.Account, Name: s.name, Epoch: s.created.Unix(), Retention: s.o.Retention}, nil
}

// enter lets a call wait or fail as Options.Fault will have it. mu is not held.
func (s *Stream) enter(ctx context.Context, c Call) error {
	err := context.Cause(ctx)
	if err == nil && s.o.Fault != nil {
		err = s.o.Fault(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("%s of stream %s %s: %w", c.Op, s.name, c.Shard, err)
	}
	return nil
}

// Shards lists the shards that are or were open at a position, or all that are not past retention.
func (s *Stream) Shards(ctx context.Context, at record.Position) ([]record.Shard, time.Time, error) {
	if err := s.enter(ctx, Call{Op: "Shards"}); err != nil {
		return nil, time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, horizon := s.horizon()
	moment := now
	switch at.Kind() {
	case record.KindNone, record.KindLatest:
	case record.KindTrimHorizon:
		moment = horizon
	case record.KindAtTimestamp:
		moment = at.Time()
	default:
		return nil, time.Time{}, fmt.Errorf("Shards of stream %s: position %v; want none, TRIM_HORIZON, LATEST or AT_TIMESTAMP", s.name, at)
	}
	var list []record.Shard
	for _, sh := range s.shards {
		switch {
		case sh.goneBy(horizon):
		case at.Kind() == record.KindLatest && !sh.Open():
		case at.IsZero() || sh.openAt(moment):
			list = append(list, sh.Shard)
		}
	}
	return list, now, nil
}
