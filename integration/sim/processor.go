package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/checkpoint"
	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// reasons are the ends of a processor as the log names them.
var reasons = map[worker.FinishReason]string{worker.ShardEnd: invariant.ShardEnd, worker.Moving: "moving"}

// A habit is how a processor says what is done.
type habit int

const (
	prompt    habit = iota // checkpoints each batch
	each                   // checkpoints each record
	lazy                   // checkpoints now and then, and at the end
	marking                // marks
	elsewhere              // checkpoints from another goroutine, later
	twoPhase               // prepares and then completes, sometimes only the next owner
	byKey                  // worker.ByKey
	rude                   // also tries what must be refused
	habits
)

var (
	errApplication = errors.New("simulated: the application failed")
	errPoison      = errors.New("simulated: this record always fails")
)

// poisoned is the data of records that fail until they are given to a dead-letter function.
const poisoned = "poison"

// A processor is the application's code for one shard, of one of several habits.
type processor struct {
	life   *life
	ctx    context.Context // ends with the processor
	shard  *worker.Shard
	tenure int
	habit  habit
	dice   *dice
	given  record.Position
	first  record.Position
	wait   *checkpoint.Prepared
	bad    bool // fails again and again for a while
}

// newProcessor is Config.NewProcessor of a life.
func (l *life) newProcessor(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
	l.enter("NewProcessor")
	if l.isDead() {
		return nil, errDead
	}
	w := l.world
	if w.trouble() && l.dice.chance(0.03) {
		return nil, errApplication
	}
	p := &processor{life: l, ctx: ctx, shard: s, tenure: w.nextTenure(), dice: w.actor(), habit: habit(l.dice.n(int(habits)))}
	l.mu.Lock()
	l.handles[s] = p.tenure
	l.mu.Unlock()
	start := s.Start
	if s.Prepared != nil && p.dice.chance(0.7) {
		at := s.Prepared.Position
		l.log(invariant.Event{Kind: invariant.Said, Tenure: p.tenure, Stream: s.Stream, Shard: s.ID, Records: []record.Position{at}})
		if err := s.Prepared.Checkpoint(ctx); err != nil {
			return nil, fmt.Errorf("complete what the owner before prepared: %w", err)
		}
		start = at
		w.reach(SawPreparedCompleted, l)
	}
	l.log(invariant.Event{Kind: invariant.Begin, Tenure: p.tenure, Stream: s.Stream, Shard: s.ID, Records: []record.Position{start},
		Counter: int64(s.Epoch), Note: noteIf(p.habit == byKey, invariant.ByKey)})
	if p.habit == byKey {
		inner, err := worker.ByKey(1+p.dice.n(4), p.handle)(ctx, s)
		return keyed{inner, p}, err
	}
	return p, nil
}

func noteIf(is bool, note string) string {
	if is {
		return note
	}
	return ""
}

func (p *processor) log(e invariant.Event) {
	e.Tenure, e.Stream, e.Shard = p.tenure, p.shard.Stream, p.shard.ID
	p.life.log(e)
}

func positions(records []record.Record) []record.Position {
	at := make([]record.Position, len(records))
	for i := range records {
		at[i] = records[i].Position()
	}
	return at
}

// ProcessRecords logs the call around what the habit does in it.
func (p *processor) ProcessRecords(ctx context.Context, b *worker.Batch) (err error) {
	p.life.enter("ProcessRecords")
	if p.life.isDead() {
		return errDead
	}
	p.log(invariant.Event{Kind: invariant.Deliver, Records: positions(b.Records)})
	defer func() {
		if r := recover(); r != nil {
			p.log(invariant.Event{Kind: invariant.Return, Err: fmt.Sprint("panic: ", r)})
			panic(r)
		}
		p.log(invariant.Event{Kind: invariant.Return, Err: text(err)})
	}()
	if len(b.Records) > 0 {
		p.given = b.Last()
		if p.first.IsZero() {
			p.first = b.Records[0].Position()
		}
	}
	if err := p.work(ctx, b); err != nil {
		return err
	}
	p.life.enter("Checkpoint")
	if p.life.isDead() {
		return errDead
	}
	return p.say(ctx, b)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// work takes its time, and fails now and then.
func (p *processor) work(ctx context.Context, b *worker.Batch) error {
	w := p.life.world
	for i := range b.Records {
		if string(b.Records[i].Data) == poisoned && w.plan.deadLetters {
			return errPoison
		}
	}
	if w.plan.work > 0 && !w.isCalm() {
		p.life.wait(ctx, p.dice.upTo(w.plan.work))
	}
	if !w.trouble() {
		return nil
	}
	switch n := p.dice.n(400); {
	case p.bad && n < 360:
		return errApplication
	case n < 8:
		p.bad = false
		return errApplication
	case n < 9:
		p.bad = true
		return errApplication
	case n < 11:
		panic(errApplication)
	case n < 14:
		return fmt.Errorf("simulated: %w", worker.ErrRestart)
	case n < 24:
		p.life.wait(ctx, p.dice.upTo(20*time.Second))
	case n < 28: // does not look at its context
		p.life.sleep(p.dice.upTo(2 * w.plan.drain))
		w.reach(SawIgnoredContext, p.life)
	}
	p.bad = false
	return nil
}

// checkpoint says that all up to at is done.
func (p *processor) checkpoint(ctx context.Context, at record.Position) error {
	p.said(at, "")
	return p.shard.Checkpoint(ctx, at)
}

// mark says the same without a write.
func (p *processor) mark(at record.Position) {
	p.said(at, invariant.SaidMark)
	p.shard.Mark(at)
}

func (p *processor) said(at record.Position, note string) {
	if p.ctx.Err() == nil {
		p.log(invariant.Event{Kind: invariant.Said, Records: []record.Position{at}, Note: note})
	}
}

// say tells what is done. When all faults are over, every habit tells at once.
func (p *processor) say(ctx context.Context, b *worker.Batch) error {
	if len(b.Records) == 0 {
		return nil
	}
	last := b.Last()
	habit := p.habit
	if p.life.world.isCalm() && habit != marking {
		habit = prompt
	}
	switch habit {
	case prompt:
		return p.checkpoint(ctx, last)
	case each:
		for i := range b.Records {
			if err := p.checkpoint(ctx, b.Records[i].Position()); err != nil {
				return err
			}
		}
	case lazy:
		if p.dice.chance(0.2) {
			return p.checkpoint(ctx, last)
		}
	case marking:
		p.mark(last)
	case elsewhere:
		after := p.dice.upTo(8 * time.Second)
		p.shard.Go(func(ctx context.Context) error {
			p.life.wait(ctx, after)
			p.life.enter("Checkpoint")
			if p.life.isDead() {
				return errDead
			}
			_ = p.checkpoint(ctx, last) // a newer one may have come first, or the batch may have failed
			return nil
		})
	case twoPhase:
		if p.wait != nil && p.dice.chance(0.7) {
			p.said(p.wait.Position, "")
			if err := p.wait.Checkpoint(ctx); err != nil {
				return err
			}
			p.wait = nil
		}
		p.said(last, "")
		prepared, err := p.shard.Prepare(ctx, last, []byte("state"))
		if err != nil {
			return err
		}
		p.wait = prepared
	case rude:
		return p.offend(ctx, b)
	}
	return nil
}

// offend tries what must be refused.
func (p *processor) offend(ctx context.Context, b *worker.Batch) error {
	beyond := record.At(b.Last().Sequence()+"0", 0)
	if err := p.shard.Checkpoint(ctx, beyond); err == nil {
		p.life.world.violate("I2", fmt.Sprintf("a checkpoint of %s at %v, which nobody was given, was accepted", p.shard.ID, beyond))
	}
	p.shard.Mark(beyond)
	if p.dice.chance(0.3) {
		return p.checkpoint(ctx, b.Last())
	}
	if !p.first.IsZero() {
		_ = p.checkpoint(ctx, p.first) // behind the stored one it is refused, or nothing is written
	}
	return nil
}

// Finish logs the end and says what was not said yet.
func (p *processor) Finish(ctx context.Context, reason worker.FinishReason) (err error) {
	p.life.enter("Finish")
	if p.life.isDead() {
		return errDead
	}
	p.log(invariant.Event{Kind: invariant.Finish, Note: reasons[reason]})
	defer func() { p.log(invariant.Event{Kind: invariant.Return, Err: text(err)}) }()
	w := p.life.world
	if w.trouble() && p.dice.chance(0.1) {
		return errApplication
	}
	if w.trouble() && p.dice.chance(w.plan.hangs) {
		p.life.sleep(p.dice.upTo(2 * w.plan.drain))
	}
	if p.life.isDead() {
		return errDead
	}
	if reason == worker.Moving && !p.given.IsZero() && p.habit != rude && p.habit != byKey {
		_ = p.checkpoint(ctx, p.given) // what failed is refused, and comes again elsewhere
	}
	if w.trouble() && p.dice.chance(0.1) { // an application that does not know its end
		at := p.given
		w.afterwards(p.life.dice.upTo(20*time.Second), func() {
			if !p.life.isDead() && !at.IsZero() {
				p.mark(at)
				ctx, cancel := context.WithTimeout(background, 5*time.Second)
				defer cancel()
				_ = p.checkpoint(ctx, at)
			}
		})
	}
	return nil
}

// handle is the function of a worker.ByKey.
func (p *processor) handle(ctx context.Context, _ *worker.Shard, r record.Record) (err error) {
	p.life.enter("ProcessRecords")
	if p.life.isDead() {
		return errDead
	}
	at := []record.Position{r.Position()}
	p.log(invariant.Event{Kind: invariant.Deliver, Records: at, Note: invariant.ByKey})
	defer func() {
		if r := recover(); r != nil {
			p.log(invariant.Event{Kind: invariant.Return, Records: at, Note: invariant.ByKey, Err: fmt.Sprint("panic: ", r)})
			panic(r)
		}
		p.log(invariant.Event{Kind: invariant.Return, Records: at, Note: invariant.ByKey, Err: text(err)})
	}()
	w := p.life.world
	if string(r.Data) == poisoned && w.plan.deadLetters {
		return errPoison
	}
	if w.plan.work > 0 && !w.isCalm() {
		p.life.wait(ctx, p.dice.upTo(w.plan.work))
	}
	if !w.trouble() {
		return nil
	}
	switch n := p.dice.n(400); {
	case n < 8:
		return errApplication
	case n < 10:
		panic(errApplication)
	case n < 14:
		p.life.wait(ctx, p.dice.upTo(20*time.Second))
	}
	return nil
}

// keyed logs the Finish of a worker.ByKey.
type keyed struct {
	worker.RecordProcessor
	p *processor
}

func (k keyed) Finish(ctx context.Context, reason worker.FinishReason) error {
	k.p.life.enter("Finish")
	if k.p.life.isDead() {
		return errDead
	}
	k.p.log(invariant.Event{Kind: invariant.Finish, Note: reasons[reason]})
	err := k.RecordProcessor.Finish(ctx, reason)
	k.p.log(invariant.Event{Kind: invariant.Return, Err: text(err)})
	return err
}

// deadLetter is Retry.DeadLetter of a life.
func (l *life) deadLetter(_ context.Context, s *worker.Shard, r record.Record, _ error) error {
	l.enter("DeadLetter")
	if l.isDead() {
		return errDead
	}
	w := l.world
	if w.trouble() && l.dice.chance(0.1) {
		return errApplication
	}
	e := invariant.Event{Tenure: l.tenureOf(s), Stream: s.Stream, Shard: s.ID, Records: []record.Position{r.Position()}, Note: invariant.DeadLetter}
	e.Kind = invariant.Deliver
	l.log(e)
	e.Kind = invariant.Return
	l.log(e)
	w.reach(SawDeadLetter, l)
	return nil
}

func (l *life) tenureOf(s *worker.Shard) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handles[s]
}
