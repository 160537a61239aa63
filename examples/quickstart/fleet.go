package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// A fleet is the workers of one application. They share its name, and with it the table of leases.
type fleet struct {
	application string
	aws         aws.Config
	screen      *screen
	processors  func(m *member) newProcessor
	failed      context.CancelCauseFunc // told when a worker cannot go on
	deliveries  check.Log               // what the processors were given, for the verdict

	mu        sync.Mutex
	members   []*member
	delivered map[delivered]bool
}

type newProcessor func(context.Context, *worker.Shard) (worker.RecordProcessor, error)

// A delivered record, for counting progress.
type delivered struct {
	shard string
	at    record.Position
}

// A member is one worker. It has a network of its own that can be cut, so that it can die as a process does.
type member struct {
	fleet  *fleet
	id     string
	worker *worker.Worker
	wire   wire
	stop   context.CancelFunc
	ended  chan struct{} // closed when Run has returned

	mu       sync.Mutex
	dead     bool
	sessions int
}

// start adds a worker to the fleet. This is all that it takes: it finds its shards by itself.
func (f *fleet) start(ctx context.Context) (*member, error) {
	m := &member{fleet: f, id: fmt.Sprintf("%s-%d", f.application, len(f.all())+1), ended: make(chan struct{})}
	m.wire.next = f.aws.HTTPClient
	cfg := f.aws.Copy()
	cfg.HTTPClient = &m.wire
	var err error
	m.worker, err = worker.New(worker.Config{
		Application:  f.application,
		Streams:      []worker.Stream{kinesisstream.New(kinesis.NewFromConfig(cfg), streamName)},
		Leases:       dynamo.New(dynamodb.NewFromConfig(cfg), f.application),
		WorkerID:     m.id,
		IdleCall:     500 * time.Millisecond,
		NewProcessor: m.tapped(f.processors(m)),
		Hooks:        worker.Hooks{State: m.changed},
	})
	if err != nil {
		return nil, err
	}
	ctx, m.stop = context.WithCancel(ctx)
	go func() {
		defer close(m.ended)
		if err := m.worker.Run(ctx); err != nil && !m.isDead() {
			f.failed(fmt.Errorf("%s: %w", m.id, err))
		}
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, m)
	return m, nil
}

// stop lets every worker of the fleet drain.
func (f *fleet) stop() {
	for _, m := range f.all() {
		m.stop()
	}
	for _, m := range f.all() {
		<-m.ended
	}
}

// all are the members, dead ones too.
func (f *fleet) all() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.members)
}

// owner is the worker that now reads the shard, nil if none does.
func (f *fleet) owner(shard string) *member {
	for _, m := range f.all() {
		if !m.isDead() && slices.Contains(m.shards(), shard) {
			return m
		}
	}
	return nil
}

// processed counts the different records that the fleet was given.
func (f *fleet) processed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.delivered)
}

// shards are the shards that the member now reads.
func (m *member) shards() []string {
	var ids []string
	for _, s := range m.worker.Status().Shards {
		if s.State == worker.Processing {
			ids = append(ids, s.Shard)
		}
	}
	return ids
}

// crash ends the member as if its process were killed: the network goes first, so it can neither release its leases nor
// checkpoint, and nothing that its processors still do is seen by anybody.
func (m *member) crash() time.Time {
	m.wire.cut.Store(true)
	m.mu.Lock()
	m.dead = true
	m.mu.Unlock()
	at := time.Now()
	m.stop()
	return at
}

func (m *member) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// tell prints a line in the member's name.
func (m *member) tell(format string, args ...any) {
	if !m.isDead() {
		m.fleet.screen.say("%s  %s", m.id, fmt.Sprintf(format, args...))
	}
}

// changed tells which shards the member takes up and ends.
func (m *member) changed(s worker.ShardInfo, from, to worker.State) {
	if from == worker.Starting && to == worker.Processing {
		m.tell("takes %s", short(s.Shard))
	}
}

// short is a shard's name without its zeros.
func short(shard string) string {
	return "shard " + cmp.Or(strings.TrimLeft(strings.TrimPrefix(shard, "shardId-"), "0"), "0")
}

// A tap sits before a processor and notes what it is given.
type tap struct {
	processor worker.RecordProcessor
	member    *member
	session   string
}

func (m *member) tapped(f newProcessor) newProcessor {
	return func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
		p, err := f(ctx, s)
		if err != nil {
			return nil, err
		}
		return &tap{processor: p, member: m}, nil
	}
}

var errDead = errors.New("this worker has crashed")

func (t *tap) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	if err := t.note(b); err != nil {
		return err
	}
	err := t.processor.ProcessRecords(ctx, b)
	if err != nil {
		t.session = "" // the records come again
	}
	return err
}

func (t *tap) Finish(ctx context.Context, reason worker.FinishReason) error {
	if t.member.isDead() {
		return errDead
	}
	return t.processor.Finish(ctx, reason)
}

// note logs the batch, unless its worker is dead.
func (t *tap) note(b *worker.Batch) error {
	m, f := t.member, t.member.fleet
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	if t.session == "" {
		m.sessions++
		t.session = strconv.Itoa(m.sessions)
	}
	if len(b.Records) == 0 {
		return nil
	}
	entry := check.Batch{At: time.Now(), Worker: m.id, Session: t.session, Shard: b.Shard.ID}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range b.Records {
		p := b.Records[i].Position()
		entry.Records = append(entry.Records, p)
		f.delivered[delivered{b.Shard.ID, p}] = true
	}
	f.deliveries.Add(entry)
	return nil
}

// A wire is the network of one worker. Once cut it fails every request, and the answers of those under way are lost.
type wire struct {
	next aws.HTTPClient
	cut  atomic.Bool
}

var errCut = errors.New("network is cut")

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	if w.cut.Load() {
		return nil, errCut
	}
	resp, err := w.next.Do(r)
	if err == nil && w.cut.Load() {
		return nil, errors.Join(errCut, resp.Body.Close())
	}
	return resp, err
}
