package worker_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// id is the name of the stream's shard with this index.
func id(index int) string { return fmt.Sprintf("shardId-%012d", index) }

// A step handles a batch around next, which does what the fleet's default processor does: log and checkpoint.
type step func(ctx context.Context, s *worker.Shard, b *worker.Batch, next func() error) error

// processing puts a step around the processors of a worker.
func processing(around step) func(*worker.Config) {
	return func(c *worker.Config) {
		inner := c.NewProcessor
		c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			p, err := inner(ctx, s)
			return &stepper{RecordProcessor: p, shard: s, around: around}, err
		}
	}
}

type stepper struct {
	worker.RecordProcessor
	shard  *worker.Shard
	around step
}

func (p *stepper) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	looked()
	return p.around(ctx, p.shard, b, func() error { return p.RecordProcessor.ProcessRecords(ctx, b) })
}

// missing names what was put and not handed over, with the rows of the table.
func (f *fleet) missing() string {
	given := map[string]bool{}
	for _, g := range f.log.snapshot() {
		given[g.shard+"/"+string(g.at.Sequence())] = true
	}
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	var text strings.Builder
	for _, shard := range slices.Sorted(maps.Keys(f.log.put)) {
		n := 0
		for _, seq := range f.log.put[shard] {
			if !given[shard+"/"+string(seq)] {
				n++
			}
		}
		row := f.store.Row(shard)
		fmt.Fprintf(&text, "\n%s: %d of %d missing; row %q owner %q asked by %q counter %d at %v since %v", shard, n, len(f.log.put[shard]),
			row.Key, row.Owner, row.CheckpointOwner, row.Counter, row.Checkpoint, row.StartTime)
	}
	return text.String()
}

// finishing puts a function before Finish; its error is Finish's.
func finishing(before func(s *worker.Shard, reason worker.FinishReason) error) func(*worker.Config) {
	return func(c *worker.Config) {
		inner := c.NewProcessor
		c.NewProcessor = func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			p, err := inner(ctx, s)
			return &finisher{p, s, before}, err
		}
	}
}

type finisher struct {
	worker.RecordProcessor
	shard  *worker.Shard
	before func(s *worker.Shard, reason worker.FinishReason) error
}

func (p *finisher) Finish(ctx context.Context, reason worker.FinishReason) error {
	if err := p.before(p.shard, reason); err != nil {
		return err
	}
	return p.RecordProcessor.Finish(ctx, reason)
}

// config chains changes of a configuration.
func config(changes ...func(*worker.Config)) func(*worker.Config) {
	return func(c *worker.Config) {
		for _, change := range changes {
			change(c)
		}
	}
}

func startAt(p record.Position) func(*worker.Config) {
	return func(c *worker.Config) { c.Start = p }
}

// logOnly is a step that logs a batch and checkpoints nothing.
func (f *fleet) logOnly(member string) func(*worker.Config) {
	return func(c *worker.Config) {
		c.NewProcessor = func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			tenure := f.log.tenure()
			return processorFunc(func(_ context.Context, b *worker.Batch) error {
				f.log.add(member, tenure, s.ID, b.Records)
				return nil
			}), nil
		}
	}
}

// putIn stores n records in one open shard and returns their positions.
func (f *fleet) putIn(shard string, n int) []record.Position {
	f.t.Helper()
	at := make([]record.Position, n)
	for i := range at {
		at[i] = f.putData(shard, fmt.Sprintf("data-%d", i))
	}
	return at
}

// putData stores one record in an open shard.
func (f *fleet) putData(shard, data string) record.Position {
	f.t.Helper()
	got, seq, err := f.stream.PutTo(f.rangeOf(shard).Start, "key", []byte(data))
	if err != nil || got != shard {
		f.t.Fatalf("put to %s went to %s, error %v", shard, got, err)
	}
	f.log.noted(shard, seq)
	return record.At(seq, 0)
}

func (f *fleet) rangeOf(shard string) record.HashKeyRange {
	f.t.Helper()
	shards, _, err := f.stream.Shards(context.Background(), record.Position{})
	if err != nil {
		f.t.Fatal(err)
	}
	i := slices.IndexFunc(shards, func(s record.Shard) bool { return s.ID == shard })
	if i < 0 {
		f.t.Fatalf("no shard %s", shard)
	}
	return shards[i].Range
}

func (f *fleet) merge(a, b string) (child string) {
	f.t.Helper()
	child, err := f.stream.Merge(a, b)
	if err != nil {
		f.t.Fatal(err)
	}
	return child
}

// nothingElse checks that only records that were put through the fleet were handed over.
func (f *fleet) nothingElse() {
	f.t.Helper()
	expected := map[string]bool{}
	f.log.mu.Lock()
	for shard, seqs := range f.log.put {
		for _, seq := range seqs {
			expected[shard+"/"+string(seq)] = true
		}
	}
	f.log.mu.Unlock()
	others := 0
	for _, g := range f.log.snapshot() {
		if !expected[g.shard+"/"+string(g.at.Sequence())] {
			others++
		}
	}
	if others > 0 {
		f.t.Errorf("%d records were handed over that should not have been", others)
	}
}

// once checks the whole log, and that no record came twice.
func (f *fleet) once() {
	f.t.Helper()
	if n := f.verify(); n != 0 {
		f.t.Errorf("%d records were repeated", n)
	}
	f.parentsFirst()
}

// stop halts members one after the other and checks that each drained cleanly.
func stop(t *testing.T, members ...*member) {
	t.Helper()
	for _, m := range members {
		if err, _ := m.halt(); err != nil {
			t.Errorf("Run = %v, want nil after a clean drain", err)
		}
	}
}

// state is the state of a shard as a worker tells it, 0 if it does not hold it.
func (m *member) state(shard string) worker.State {
	for _, s := range m.Status().Shards {
		if s.Shard == shard {
			return s.State
		}
	}
	return 0
}

// tenureCount is how many processors were made so far.
func (f *fleet) tenureCount() int {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	return f.log.tenures
}

// latency delays every call of table and stream. It is to be set up before the first start.
func latency(d time.Duration) (stream func(context.Context, memstream.Call) error, table func(context.Context, string, string) (bool, error)) {
	wait := func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return func(ctx context.Context, _ memstream.Call) error { return wait(ctx) },
		func(ctx context.Context, _, _ string) (bool, error) { err := wait(ctx); return err == nil, err }
}

// A tally counts events by name.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

// add counts one event and returns how many there were with it.
func (c *tally) add(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name]++
	return c.n[name]
}

func (c *tally) of(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

func (c *tally) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// errTest is an application's error.
var errTest = errors.New("not today")

// aggregate makes the data of a KPL aggregate of sub-records with these data, all under one explicit hash key.
func aggregate(hash record.HashKey, datas ...string) string {
	var m []byte
	field := func(b []byte, num protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), value)
	}
	m = field(m, 1, []byte("key"))
	m = field(m, 2, []byte(hash.String()))
	for _, data := range datas {
		var sub []byte
		sub = protowire.AppendVarint(protowire.AppendTag(sub, 1, protowire.VarintType), 0)
		sub = protowire.AppendVarint(protowire.AppendTag(sub, 2, protowire.VarintType), 0)
		m = field(m, 3, field(sub, 3, []byte(data)))
	}
	sum := md5.Sum(m)
	return "\xf3\x89\x9a\xc2" + string(m) + string(sum[:])
}

// row is a shard's row in the table.
func (f *fleet) row(shard string) *lease.Lease {
	row := f.store.Row(shard)
	return &row
}
