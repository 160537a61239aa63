package workertest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A session is the lifetime of one of the application's processors. It stands between the worker and the processor: the
// calls of a process that stands still wait, those of one that has crashed do not come through.
type session struct {
	worker.RecordProcessor
	p     *Process
	shard string
	ctx   context.Context
	n     int // counts the sessions of a history

	mu       sync.Mutex // guards what follows
	call     string     // that is running, "" if none
	finished bool       // Finish is over: that of a move, or one of a shard's end that returned nil
	ended    time.Time  // when ctx ended, zero while it lasts
	end      string     // why
}

// soon is how long after the end of its context a processor may take to return, and to begin its last call. The worker's
// own margins are of this size: a tenth of a lease, and of a drain.
const soon = time.Second

type newProcessor = func(context.Context, *worker.Shard) (worker.RecordProcessor, error)

// newSession makes the application's processor.
func (p *Process) newSession(ctx context.Context, shard *worker.Shard, make newProcessor) (worker.RecordProcessor, error) {
	if err := p.ready(); err != nil {
		return nil, err
	}
	s := &session{p: p, shard: shard.ID, ctx: ctx}
	context.AfterFunc(ctx, s.noteEnd)
	p.h.book.begins(s, shard.Start)
	p.mu.Lock()
	p.sessions[s.shard] = s
	p.mu.Unlock()
	err := s.run("NewProcessor", func() (err error) {
		s.RecordProcessor, err = make(ctx, shard)
		return err
	})
	if err == nil && s.RecordProcessor == nil {
		return nil, errors.New("NewProcessor returned neither a processor nor an error")
	}
	return s, err
}

// ready waits while the process stands still, and is an error once it has crashed.
func (p *Process) ready() error {
	p.gate()
	if p.dead() {
		return errCrashed
	}
	return nil
}

// ProcessRecords hands a batch through. Now and then it lets the worker start the shard again from its checkpoint in
// place of that, as it does after a panic or where a lease is lost and won back.
func (s *session) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	p := s.p
	if err := p.ready(); err != nil {
		return err
	}
	if p.h.plan.restarts && p.h.trouble.Load() && p.dice("batch", s.shard).IntN(15) == 0 {
		p.h.count("restarts of a shard")
		p.h.book.noteShard(p, s.shard, "is started again from its checkpoint")
		return fmt.Errorf("workertest: %w", worker.ErrRestart)
	}
	p.reach(beforeRecords)
	if p.dead() {
		return errCrashed
	}
	p.h.book.handed(s, b)
	if b.Attempt > 1 {
		p.h.count("redeliveries after an error")
	}
	err := s.run("ProcessRecords", func() error { return s.RecordProcessor.ProcessRecords(ctx, b) })
	if err != nil && !p.dead() {
		p.h.book.returned(s, b, err)
	}
	p.reach(afterRecords)
	return err
}

// Finish hands through.
func (s *session) Finish(ctx context.Context, reason worker.FinishReason) error {
	s.p.reach(inFinish)
	if err := s.p.ready(); err != nil {
		return err
	}
	err := s.run("Finish("+reason.String()+")", func() error { return s.RecordProcessor.Finish(ctx, reason) })
	if !s.p.dead() {
		s.p.h.book.finished(s, reason, err)
	}
	s.mu.Lock()
	s.finished = err == nil || reason == worker.Moving
	s.mu.Unlock()
	return err
}

// run makes a call of the application's code, and looks at how it returns.
func (s *session) run(call string, f func() error) error {
	s.set(call)
	defer s.set("")
	defer func() {
		if v := recover(); v != nil {
			s.panicked(call, v, debug.Stack())
			panic(v)
		}
	}()
	err := f()
	if late := s.sinceEnd(); late > soon && !s.p.dead() {
		s.p.h.book.problem(Problem{Kind: "context ignored", Count: 1, Text: fmt.Sprintf("  %s returned %v after its context had ended (%s).\n  %s", s.where(call), late.Round(time.Millisecond), s.why(), adviceContext)})
	}
	s.p.gate() // a process that stands still does not go on
	return err
}

const adviceContext = "Whatever a processor waits for, it must also wait for ctx.Done(): until it returns, its shard cannot\n  be given away in order."

func (s *session) panicked(call string, v any, stack []byte) {
	s.p.h.book.problem(Problem{Kind: "panic", Count: 1, Text: fmt.Sprintf("  %s panicked: %v\n%s", s.where(call), v, tidy(string(stack)))})
}

// where names a call.
func (s *session) where(call string) string {
	return fmt.Sprintf("%s of %s in %s", call, s.shard, s.p)
}

func (s *session) set(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call = call
}

// running is the call that the application's code is in, "" if it is in none.
func (s *session) running() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.call
}

// noteEnd notes the end of the context.
func (s *session) noteEnd() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = time.Now()
	switch cause := context.Cause(s.ctx); {
	case s.p.dead():
		s.end = "crash"
	case errors.Is(cause, lease.ErrLost):
		s.end = "lost lease"
		s.p.h.count("lost leases")
	case s.finished:
		s.end = "hand-over"
		s.p.h.count("hand-overs")
	default:
		s.end = "restart"
	}
}

// endedAt is when the context ended, zero while it lasts.
func (s *session) endedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// sinceEnd is for how long the process could have noticed that, 0 while the context lasts.
func (s *session) sinceEnd() time.Duration {
	at := s.endedAt()
	if at.IsZero() {
		return 0
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.resumed.After(at) {
		at = s.p.resumed
	}
	return time.Since(at)
}

// endedBefore reports whether the context had ended before a moment, and by more than the margin where no other worker
// had the lease then.
func (s *session) endedBefore(begun time.Time, other bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.IsZero() || !s.ended.Before(begun) {
		return false
	}
	return other || s.end == "lost lease" && begun.Sub(s.ended) > soon
}

// why is why the session ended, for people; "" while it lasts.
func (s *session) why() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// begins notes a new session.
func (b *book) begins(s *session, at record.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions++
	s.n = b.sessions
	b.event(event{p: s.p, shard: s.shard, begin: true, about: aboutShard, text: fmt.Sprintf("%s begins with it %s", s.p, b.behind(s.shard, at))})
}
