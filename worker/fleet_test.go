package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A fleet is an application over one stream and one table in memory, with a log of what its processors were given. It
// runs within a synctest bubble.
type fleet struct {
	t      *testing.T
	stream *memstream.Stream
	store  *memory.Store
	log    *deliveries
}

func newFleet(t *testing.T, shards int, o memstream.Options) *fleet {
	f := &fleet{t: t, stream: memstream.New("s", shards, o), store: memory.New(), log: &deliveries{}}
	f.store.Written = f.log.written
	return f
}

// deliveries is the log: what was put, what was handed over, and what the table was told, in the order of time.
type deliveries struct {
	mu      sync.Mutex
	put     map[string][]record.SequenceNumber // by shard
	given   []delivery
	faults  []string
	tenures int
}

type delivery struct {
	worker, shard string
	tenure        int
	at            record.Position
	when          time.Time
	failed        bool // the call that it was handed over by returned an error
}

// written checks every write of a checkpoint: forward only (G4), and never past a record that was not handed over (G1).
func (d *deliveries) written(op string, before, after lease.Lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before.Key == "" || after.Key == "" || before.Checkpoint == after.Checkpoint {
		return
	}
	if after.Checkpoint.Compare(before.Checkpoint) < 0 {
		d.faults = append(d.faults, fmt.Sprintf("%s: the checkpoint of %s went back from %v to %v", op, after.Key, before.Checkpoint, after.Checkpoint))
	}
	for _, seq := range d.put[after.Shard] {
		p := record.At(seq, 0)
		if p.Compare(before.Checkpoint) > 0 && p.Compare(after.Checkpoint) <= 0 && !d.handedOver(after.Shard, p) {
			d.faults = append(d.faults, fmt.Sprintf("%s: the checkpoint of %s went to %v past %v, which nobody was given", op, after.Key, after.Checkpoint, p))
		}
	}
}

func (d *deliveries) handedOver(shard string, p record.Position) bool {
	return slices.ContainsFunc(d.given, func(g delivery) bool { return g.shard == shard && g.at == p })
}

func (d *deliveries) noted(shard string, seq record.SequenceNumber) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.put == nil {
		d.put = map[string][]record.SequenceNumber{}
	}
	d.put[shard] = append(d.put[shard], seq)
}

func (d *deliveries) tenure() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tenures++
	return d.tenures
}

func (d *deliveries) add(worker string, tenure int, shard string, records []record.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range records {
		d.given = append(d.given, delivery{worker: worker, shard: shard, tenure: tenure, at: records[i].Position(), when: time.Now()})
	}
}

func (d *deliveries) snapshot() []delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.given)
}

// count is how many different records were handed over.
func (d *deliveries) count() int {
	seen := map[string]bool{}
	for _, g := range d.snapshot() {
		seen[g.shard+"/"+g.at.String()] = true
	}
	return len(seen)
}

// put stores n records of different keys.
func (f *fleet) put(n int) {
	f.t.Helper()
	for i := range n {
		shard, seq, err := f.stream.Put(fmt.Sprintf("key-%d-%d", i, rand.Uint32()), []byte("data"))
		if err != nil {
			f.t.Fatal(err)
		}
		f.log.noted(shard, seq)
	}
}

// A member is a worker of the fleet.
type member struct {
	*worker.Worker
	f    *fleet
	link *link
	stop context.CancelFunc
	done chan error
}

// end stops a member that a failed test left running.
func (m *member) end(ended <-chan struct{}) {
	m.stop()
	<-ended
}

// A link is a member's way to stream and table. Cut, it refuses everything; slow, it delays it.
type link struct {
	cut   atomic.Bool
	store lease.Store
	reads atomic.Int64
}

var errCut = errors.New("network is down")

func (l *link) check() error {
	if l.cut.Load() {
		return errCut
	}
	return nil
}

// processor is the fleet's default: it logs, then checkpoints every batch.
type processor struct {
	f      *fleet
	shard  *worker.Shard
	member string
	tenure int
}

func (p *processor) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	p.f.log.add(p.member, p.tenure, p.shard.ID, b.Records)
	return b.Checkpoint(ctx)
}

func (p *processor) Finish(context.Context, worker.FinishReason) error { return nil }

// start runs a worker. change, if not nil, edits its configuration.
func (f *fleet) start(id string, change func(*worker.Config)) *member {
	f.t.Helper()
	m := &member{f: f, link: &link{store: f.store}, done: make(chan error, 1)}
	cfg := worker.Config{
		Application: "test", WorkerID: id, Leases: cutStore{m.link, f.store}, Streams: []worker.Stream{cutStream{f.stream, m.link}},
		NewProcessor: func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return &processor{f: f, shard: s, member: id, tenure: f.log.tenure()}, nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	w, err := worker.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	m.Worker = w
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.done <- w.Run(ctx)
	}()
	f.t.Cleanup(func() { m.end(ended) })
	return m
}

// halt stops the worker cleanly and returns Run's error and how long it took.
func (m *member) halt() (error, time.Duration) {
	began := time.Now()
	m.stop()
	err := <-m.done
	return err, time.Since(began)
}

// crash ends the worker without a word to anybody: its link goes first.
func (m *member) crash() {
	m.link.cut.Store(true)
	m.stop()
	<-m.done
}

// kill is crash without waiting for the worker to notice.
func (m *member) kill() {
	m.link.cut.Store(true)
	m.stop()
}

// pass lets time go by. What the processors did in it may then be looked at, and what they do next comes after that.
func pass(d time.Duration) {
	looked()
	time.Sleep(d)
	synctest.Wait()
}

// looked orders what a test has read before what processors write from then on: both call it. The bubble's clock does
// so in fact, but the race detector does not know.
func looked() {
	looking.Lock()
	defer looking.Unlock()
}

var looking sync.Mutex

// until waits for a condition, at most for limit of the bubble's time.
func (f *fleet) until(what string, limit time.Duration, ok func() bool) time.Duration {
	f.t.Helper()
	began := time.Now()
	synctest.Wait()
	for !ok() {
		if time.Since(began) > limit {
			f.t.Fatalf("%s: not within %v", what, limit)
		}
		pass(10 * time.Millisecond)
	}
	return time.Since(began)
}

// all waits until every record that was put has been handed over.
func (f *fleet) all(limit time.Duration) time.Duration {
	f.t.Helper()
	f.log.mu.Lock()
	n := 0
	for _, seqs := range f.log.put {
		n += len(seqs)
	}
	f.log.mu.Unlock()
	began := time.Now()
	for f.log.count() < n {
		if time.Since(began) > limit {
			f.t.Fatalf("all %d records processed: not within %v%s", n, limit, f.missing())
		}
		pass(10 * time.Millisecond)
	}
	return time.Since(began)
}

// verify checks order (G2), the checkpoints (G1, G4), and returns how many records came more than once.
func (f *fleet) verify() (repeated int) {
	f.t.Helper()
	f.log.mu.Lock()
	faults := slices.Clone(f.log.faults)
	f.log.mu.Unlock()
	for _, fault := range faults {
		f.t.Error(fault)
	}
	last := map[int]record.Position{}
	seen := map[string]int{}
	highest := map[string]record.Position{}
	for _, g := range f.log.snapshot() {
		if p, ok := last[g.tenure]; ok && g.at.Compare(p) <= 0 {
			f.t.Errorf("%s gave %v after %v within one tenure of %s", g.worker, g.at, p, g.shard)
		}
		last[g.tenure] = g.at
		key := g.shard + "/" + g.at.String()
		seen[key]++
		if g.at.Compare(highest[g.shard]) > 0 {
			highest[g.shard] = g.at
		}
	}
	for _, n := range seen {
		repeated += n - 1
	}
	return repeated
}

// parentsFirst checks that no record of a child came before all records of its parents.
func (f *fleet) parentsFirst() {
	f.t.Helper()
	shards, _, err := f.stream.Shards(context.Background(), record.Position{})
	if err != nil {
		f.t.Fatal(err)
	}
	firstOf, lastFirst := map[string]time.Time{}, map[string]time.Time{}
	seen := map[string]bool{}
	for _, g := range f.log.snapshot() {
		if _, ok := firstOf[g.shard]; !ok {
			firstOf[g.shard] = g.when
		}
		if key := g.shard + "/" + g.at.String(); !seen[key] {
			seen[key] = true
			lastFirst[g.shard] = g.when
		}
	}
	for _, s := range shards {
		for _, parent := range s.Parents {
			if first, ok := firstOf[s.ID]; ok && first.Before(lastFirst[parent]) {
				f.t.Errorf("%s began at %v, before its parent %s was done at %v", s.ID, first, parent, lastFirst[parent])
			}
		}
	}
}

// bubble runs a test of a fleet on virtual time.
func bubble(t *testing.T, test func(t *testing.T)) { t.Helper(); synctest.Test(t, test) }

// cutStore and cutStream put a link between a worker and what is shared.
type cutStore struct {
	link *link
	lease.Store
}

func (s cutStore) List(ctx context.Context) ([]lease.Lease, error) {
	if err := s.link.check(); err != nil {
		return nil, err
	}
	return s.Store.List(ctx)
}

func (s cutStore) Get(ctx context.Context, key string) (lease.Lease, error) {
	if err := s.link.check(); err != nil {
		return lease.Lease{}, err
	}
	return s.Store.Get(ctx, key)
}

func (s cutStore) Create(ctx context.Context, l lease.Lease) error {
	return cmpOr(s.link.check(), func() error { return s.Store.Create(ctx, l) })
}

func (s cutStore) Renew(ctx context.Context, held lease.Lease, id string, c lease.Change) (lease.Lease, error) {
	if err := s.link.check(); err != nil {
		return lease.Lease{}, err
	}
	return s.Store.Renew(ctx, held, id, c)
}

func (s cutStore) Take(ctx context.Context, seen lease.Lease, id string) (lease.Lease, error) {
	if err := s.link.check(); err != nil {
		return lease.Lease{}, err
	}
	return s.Store.Take(ctx, seen, id)
}

func (s cutStore) Ask(ctx context.Context, seen lease.Lease, id string) (lease.Lease, error) {
	if err := s.link.check(); err != nil {
		return lease.Lease{}, err
	}
	return s.Store.Ask(ctx, seen, id)
}

func (s cutStore) Release(ctx context.Context, held lease.Lease, id, next string) (lease.Lease, error) {
	if err := s.link.check(); err != nil {
		return lease.Lease{}, err
	}
	return s.Store.Release(ctx, held, id, next)
}

func (s cutStore) Delete(ctx context.Context, seen lease.Lease) error {
	return cmpOr(s.link.check(), func() error { return s.Store.Delete(ctx, seen) })
}

func (s cutStore) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	if err := s.link.check(); err != nil {
		return nil, nil, err
	}
	return s.Store.Survey(ctx)
}

func (s cutStore) Owned(ctx context.Context, id string) ([]string, error) {
	if err := s.link.check(); err != nil {
		return nil, err
	}
	return s.Store.Owned(ctx, id)
}

func (s cutStore) Assign(ctx context.Context, seen lease.Lease, id string) (lease.Lease, error) {
	if err := s.link.check(); err != nil {
		return lease.Lease{}, err
	}
	return s.Store.Assign(ctx, seen, id)
}

func (s cutStore) PutMember(ctx context.Context, m lease.Member) error {
	return cmpOr(s.link.check(), func() error { return s.Store.PutMember(ctx, m) })
}

func (s cutStore) DeleteMember(ctx context.Context, m lease.Member) error {
	return cmpOr(s.link.check(), func() error { return s.Store.DeleteMember(ctx, m) })
}

func (s cutStore) Leader(ctx context.Context) (lease.Lock, error) {
	if err := s.link.check(); err != nil {
		return lease.Lock{}, err
	}
	return s.Store.Leader(ctx)
}

func (s cutStore) PutLeader(ctx context.Context, seen, next lease.Lock) error {
	return cmpOr(s.link.check(), func() error { return s.Store.PutLeader(ctx, seen, next) })
}

func (s cutStore) Beat(ctx context.Context, held, next lease.Lock) error {
	return cmpOr(s.link.check(), func() error { return s.Store.Beat(ctx, held, next) })
}

func (s cutStore) DeleteLeader(ctx context.Context, held lease.Lock) error {
	return cmpOr(s.link.check(), func() error { return s.Store.DeleteLeader(ctx, held) })
}

func cmpOr(err error, f func() error) error {
	if err != nil {
		return err
	}
	return f()
}

type cutStream struct {
	worker.Stream
	link *link
}

func (s cutStream) Shards(ctx context.Context, at record.Position) ([]record.Shard, time.Time, error) {
	if err := s.link.check(); err != nil {
		return nil, time.Time{}, err
	}
	return s.Stream.Shards(ctx, at)
}

func (s cutStream) Open(shard string, at record.Position) worker.Reader {
	return cutReader{s.Stream.Open(shard, at), s.link}
}

type cutReader struct {
	worker.Reader
	link *link
}

func (r cutReader) Read(ctx context.Context) (record.Page, error) {
	if err := r.link.check(); err != nil {
		return record.Page{}, err
	}
	r.link.reads.Add(1)
	return r.Reader.Read(ctx)
}
