// Package producer puts records into a Kinesis stream: in batches, in order, with back-pressure, and with an answer for
// each record.
//
//	p, err := producer.New(kinesis.NewFromConfig(cfg), producer.Config{Stream: "flights"})
//	…
//	ack, err := p.Put(ctx, record.Record{PartitionKey: "OSL", Data: line})             // waits for its answer
//	err = p.PutAsync(ctx, record.Record{PartitionKey: "OSL", Data: line}, func(ack producer.Ack, err error) { … })
//	…
//	err = p.Close(ctx) // everything that was put has its answer now
//
// Many goroutines may Put at once; one alone gets its speed from PutAsync. Both wait while the buffer is full.
//
// # What is promised
//
// A record that was acknowledged is in the stream, at least once. One whose error does not wrap ErrUnknown is not in the
// stream, so that it may be put again without a second copy. One whose error does may be there or not: an attempt had
// no answer, and the service cannot be asked. A failed record leaves a gap: those of its key behind it go on.
//
// In OrderPerKey and OrderStrict a record is sent only after the one before it, in its key or shard, was acknowledged or
// given up. So of all acknowledged records the first copies are in the order of their Puts. A second copy comes from a
// request that had no answer, because the connection broke or RequestTimeout ran out, and was sent again. It lies
// directly behind the first (behind its whole aggregate, if it was in one), unless the network or the service kept the
// unanswered request and carried it out after its repetition: then the copy may lie behind later records of the key. No
// producer can prevent that, since PutRecords has nothing by which the service would know a repetition; a consumer that
// must not count a record twice needs an id in its data.
//
// Records that are put at the same time from several goroutines have no order among themselves. A stream whose record
// distribution strategy is AUTO keeps no order, whatever the producer does.
package producer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/internal/plainbody"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/kinesiscbor"
)

var (
	// ErrClosed is wrapped by the errors of calls after Close, and of records that Close gave up.
	ErrClosed = errors.New("producer is closed")
	// ErrExpired is wrapped by the errors of records that were not acknowledged before Config.Deadline, together with the
	// error of the last attempt.
	ErrExpired = errors.New("deadline of the record has passed")
	// ErrUnknown is wrapped by the errors of records that may be in the stream all the same: an attempt had no answer.
	ErrUnknown = errors.New("the record may be in the stream")

	errNoAnswer = errors.New("no answer in time") // cause of a request's context
)

// An Ack says where a record is.
type Ack struct {
	// Shard and SequenceNumber are the record's place in the stream.
	Shard          string
	SequenceNumber record.SequenceNumber
	// SubSequenceNumber counts the records of an aggregate from 0; Aggregated tells that it is one of several in one.
	SubSequenceNumber uint64
	Aggregated        bool
	// Attempts is how many requests carried the record. After one alone there is no copy of it; after several there may be,
	// since those before the last may have had no answer.
	Attempts int
}

// A Producer puts records into one stream. Its methods may be called from any goroutine.
type Producer struct {
	cfg       Config
	api       *kinesis.Client
	clock     clock.Clock
	born      time.Time
	name, arn *string // of the stream; one is nil

	life    context.Context // requests run under it; ends when Close gives up, or is done
	end     context.CancelCauseFunc
	over    context.Context // ends when every answer was handed on and the producer is closed
	finish  context.CancelFunc
	running sync.WaitGroup // the goroutines below, and one a request

	wake     chan struct{} // one slot, for dispatch: something may be sent
	answered chan struct{} // one slot, for deliver: there are answers
	look     chan struct{} // one slot, for follow: the shard map may be old

	mu       sync.Mutex // guards what follows; held around memory only
	closed   bool
	given    error // why the rest is given up; nil while it is not
	gone     int   // records that Close gave up
	backlog  backlog
	room     room
	answers  []answer          // to be handed on
	chains   map[string]*chain // per key order: by partition key
	shards   *shardMap         // nil until the stream's shards were listed
	next     *shardMap         // strict order: takes over once nothing is in flight
	lanes    []*lane           // by index in shards.open; nil where nothing ever waited
	limbo    *lane             // for what is put before the shards are known
	turns    fifo[*lane]       // lanes in which something waits, in their turns
	alarm    time.Time         // until when dispatch sleeps unless it is woken, zero for ever
	hurry    int               // callers of Flush and Close: nothing lingers
	fresh    int               // chains that may be sent, as far as dispatch need know
	freshLen int               // their bytes
	listed   chan struct{}     // closed and replaced after each listing of the shards
	listing  error             // why there is no shard map yet
	stats    Stats
}

// New makes a producer for one stream. It does no I/O: the stream is first called when something is put. It calls
// through a client of its own with the options of api, except that the SDK does not retry, and that requests are in CBOR
// (Config.SDKCodec).
//
// It needs the permissions kinesis:ListShards and kinesis:PutRecords, or kinesis:PutRecord in OrderStrict. Close must be
// called. An error names each field of cfg that is out of its range.
func New(api *kinesis.Client, cfg Config) (*Producer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Linger = min(cfg.Linger, cfg.Deadline/2)
	cfg.AggregateBytes = min(cfg.AggregateBytes, cfg.MaxBatchBytes)
	if api == nil {
		return nil, errors.New("producer: no Kinesis client given")
	}
	p := &Producer{
		cfg: cfg, clock: cfg.Clock, born: cfg.Clock.Now(),
		api: kinesis.New(api.Options(), func(o *kinesis.Options) {
			o.Retryer, o.HTTPClient = aws.NopRetryer{}, plainbody.Wrap(o.HTTPClient)
			if !cfg.SDKCodec {
				kinesiscbor.Enable(o)
			}
		}),
		wake: make(chan struct{}, 1), answered: make(chan struct{}, 1), look: make(chan struct{}, 1),
		room: room{most: cfg.MaxBuffered}, chains: map[string]*chain{}, limbo: &lane{}, listed: make(chan struct{}),
	}
	if strings.HasPrefix(cfg.Stream, "arn:") {
		p.arn = &cfg.Stream
	} else {
		p.name = &cfg.Stream
	}
	p.life, p.end = context.WithCancelCause(context.Background())
	p.over, p.finish = context.WithCancel(context.Background())
	p.running.Go(p.dispatch)
	p.running.Go(p.deliver)
	p.running.Go(p.follow)
	return p, nil
}

// Put puts r and waits for its answer. Of r only PartitionKey, ExplicitHashKey (decimal, or empty) and Data count; Data
// must not be changed before Put returns, nor, after an error that wraps ErrUnknown, for RequestTimeout.
//
// If ctx ends first, Put returns its cause; the record is not sent after that, and if it is just under way, or was
// before without an answer, the error wraps ErrUnknown. Other errors wrap ErrExpired, ErrClosed, or the service's.
func (p *Producer) Put(ctx context.Context, r record.Record) (Ack, error) {
	type answer struct {
		ack Ack
		err error
	}
	answered := make(chan answer, 1)
	e, err := p.put(ctx, &r, func(ack Ack, err error) { answered <- answer{ack, err} })
	if err != nil {
		return Ack{}, err
	}
	select {
	case a := <-answered:
		return a.ack, a.err
	case <-ctx.Done():
	}
	if err := p.cancel(e, context.Cause(ctx)); err != nil {
		return Ack{}, err
	}
	a := <-answered // it has just been given
	return a.ack, a.err
}

// PutAsync puts r, and returns as soon as there is room in the buffer; ctx bounds only that wait. Of r the same counts
// as in Put; Data must not be changed until done is called. An error says why r was not taken, and then done is not
// called.
//
// done, which may be nil, is called once with the record's answer: calls come one at a time from a goroutine of the
// producer, for the records of a key in the order of their Puts (not in OrderNone). It must be quick, and must not call
// Put, PutAsync, Flush or Close, which might wait for it.
func (p *Producer) PutAsync(ctx context.Context, r record.Record, done func(Ack, error)) error {
	_, err := p.put(ctx, &r, done)
	return err
}

// entryOverhead is what a record costs in memory besides its bytes.
const entryOverhead = 256

func (p *Producer) put(ctx context.Context, r *record.Record, done func(Ack, error)) (*entry, error) {
	if err := check(r); err != nil {
		return nil, fmt.Errorf("put record: %w", err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("put record: %w", context.Cause(ctx))
	}
	e := &entry{key: r.PartitionKey, explicit: r.ExplicitHashKey, data: r.Data, size: int32(r.Size()), done: done}
	taken, err := p.enter(e)
	if !taken && err == nil {
		e.hash = r.HashKey() // outside of the lock, for it takes some time
		if err = p.admit(ctx, e.cost()); err == nil {
			err = p.queue(e)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("put record: %w", err)
	}
	return e, nil
}

// enter queues e if there is room for it and the records before it tell its hash key.
func (p *Producer) enter(e *entry) (taken bool, err error) {
	if e.explicit != "" || p.cfg.Order != OrderPerKey {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.chains[e.key]
	if c == nil {
		return false, nil
	}
	var ok bool
	if e.hash, ok = c.hashOfKey(); !ok {
		return false, nil
	}
	if p.closed {
		return false, ErrClosed
	}
	if len(p.room.waiters) > 0 || !p.room.fits(e.cost()) {
		return false, nil
	}
	p.room.take(e.cost())
	p.add(e, c)
	return true, nil
}

// queue puts e, for which there is room, at its place.
func (p *Producer) queue(e *entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.room.give(e.cost())
		return ErrClosed
	}
	p.add(e, p.chainOf(e))
	return nil
}

// add puts e at the end of its chain.
func (p *Producer) add(e *entry, c *chain) {
	e.put = p.clock.Since(p.born)
	p.backlog.add(e)
	p.enqueue(e, c)
}

// admit takes room in the buffer, and waits for it.
func (p *Producer) admit(ctx context.Context, cost int64) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	w := p.room.take(cost)
	p.mu.Unlock()
	if w == nil {
		return nil
	}
	poke(p.wake) // nothing lingers while somebody waits
	err := w.wait(ctx)
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.room.leave(w) {
		p.room.give(cost) // it was granted meanwhile
	}
	return fmt.Errorf("wait for room in the buffer: %w", err)
}

// check says what is wrong with a record that the service would refuse whatever the stream.
func check(r *record.Record) error {
	if n := len(r.PartitionKey); n < 1 || n > 256 { // bytes, as many as characters or more
		if n = utf8.RuneCountInString(r.PartitionKey); n < 1 || n > 256 {
			return fmt.Errorf("PartitionKey has %d characters; want 1 to 256", n)
		}
	}
	if !utf8.ValidString(r.PartitionKey) {
		return errors.New("PartitionKey is not valid UTF-8")
	}
	if r.ExplicitHashKey != "" {
		if _, err := record.ParseHashKey(r.ExplicitHashKey); err != nil {
			return fmt.Errorf("ExplicitHashKey: %w", err)
		}
	}
	if n := r.Size(); n > maxRecordBytes {
		return fmt.Errorf("data and partition key have %d bytes; want at most %d", n, maxRecordBytes)
	}
	return nil
}

// cancel gives a record up whose caller does not wait any longer. It returns nil if its answer is there already.
func (p *Producer) cancel(e *entry, cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.state {
	case acknowledged, givenUp:
		return nil
	case flying:
		e.troubled().cancelled, e.unknown = cause, true
		return e.failure(cause)
	default:
		p.fail(e, cause)
		return e.trouble.err
	}
}

// Flush sends all that was put before without further lingering and waits until every answer was handed on, good or bad.
// If ctx ends before, it returns its cause; the records stay.
func (p *Producer) Flush(ctx context.Context) error {
	if err := p.drain(ctx); err != nil {
		return fmt.Errorf("flush producer: %w", err)
	}
	return nil
}

// Close refuses further Puts, those that wait for room included, and then does as Flush. If ctx ends before that is
// done, all that is left is given up, with an error that wraps ErrClosed and the cause, and Close returns an error with
// the number of those records. In every case all goroutines of the producer have ended when it returns, once the
// last done has returned.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.room.refuse()
	p.mu.Unlock()
	err := p.drain(ctx)
	if err != nil {
		p.abandon(fmt.Errorf("%w: %w", ErrClosed, err))
		_ = p.drain(context.WithoutCancel(ctx))
	}
	p.end(ErrClosed)
	p.finish()
	p.running.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && p.gone > 0 {
		return fmt.Errorf("close producer: gave up %d records: %w", p.gone, err)
	}
	return nil
}

// drain waits until all that was put before is finished.
func (p *Producer) drain(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.backlog.numbers
	p.hurry++
	defer func() { p.hurry-- }()
	poke(p.wake)
	for p.backlog.oldest != nil && p.backlog.oldest.number <= last {
		moved := p.backlog.wait()
		p.mu.Unlock()
		var err error
		select {
		case <-moved:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		p.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// abandon gives up all records; those in flight once their requests have returned, which is soon.
func (p *Producer) abandon(why error) {
	p.mu.Lock()
	p.given = why
	p.failQueued(why)
	p.mu.Unlock()
	p.end(why)
}

// failQueued gives up all records that are not in flight, nor behind one that is.
func (p *Producer) failQueued(why error) {
	for e := p.backlog.oldest; e != nil; e = e.newer {
		if e.idle() {
			p.fail(e, why)
		}
	}
}

// fail gives one record up.
func (p *Producer) fail(e *entry, why error) {
	if p.given != nil {
		p.gone++
	}
	e.troubled().err = e.failure(why)
	if e.state == queued {
		e.data = nil // it may stay in its chain for a while
	}
	e.state = givenUp
	if e.chain != nil {
		e.chain.dead++
	}
	p.stats.Failed++
	p.answers = append(p.answers, answer{entry: e})
	poke(p.answered)
}

// An answer is for deliver to hand on.
type answer struct {
	*entry
	unit *unit // that was acknowledged; nil if the record was given up
	sub  int   // which of the unit's records it is
}

// give calls done.
func (a *answer) give() {
	switch {
	case a.done == nil:
	case a.unit == nil:
		a.done(Ack{}, a.trouble.err)
	default:
		a.done(Ack{
			Shard: a.unit.shard, SequenceNumber: record.SequenceNumber(a.unit.sequence), SubSequenceNumber: uint64(a.sub),
			Aggregated: a.unit.aggregate != nil, Attempts: int(a.attempts),
		}, nil)
	}
}

// deliver hands answers on, and gives back the room of their records.
func (p *Producer) deliver() {
	var batch []answer
	for {
		p.mu.Lock()
		batch, p.answers = p.answers, batch[:0]
		p.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-p.answered:
				continue
			case <-p.over.Done():
				return
			}
		}
		for i := range batch {
			batch[i].give()
		}
		p.mu.Lock()
		for _, a := range batch {
			p.backlog.remove(a.entry)
			p.room.give(a.cost())
		}
		p.mu.Unlock()
		clear(batch)
	}
}

// poke fills a one-slot channel.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lapsed reports whether e is not to be sent any more.
func (p *Producer) lapsed(e *entry, now time.Time) bool {
	return p.given != nil || !p.born.Add(e.put+p.cfg.Deadline).After(now)
}

// expire gives up the queued records whose deadline has passed, and returns when the next one's does. Those behind one in
// flight are left to land.
func (p *Producer) expire(now time.Time) (next time.Time) {
	for e := p.backlog.unexpired; e != nil; e = e.newer {
		p.backlog.unexpired = e
		if due := p.born.Add(e.put + p.cfg.Deadline); due.After(now) {
			return due
		}
		if e.idle() {
			p.fail(e, p.expired(e))
		}
	}
	p.backlog.unexpired = nil
	return time.Time{}
}

// expired is the error of a record whose deadline has passed.
func (p *Producer) expired(e *entry) error {
	if p.listing != nil && e.attempts == 0 {
		return fmt.Errorf("%w: %w", ErrExpired, p.listing)
	}
	return ErrExpired
}
