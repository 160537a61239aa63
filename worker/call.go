package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sourcegraph/conc/panics"

	"github.com/shoal-stream/shoal/internal/mutant"
)

// guard runs f and turns a panic into an error with f's own stack that wraps errPanic.
func guard(f func() error) (err error) {
	if r := panics.Try(func() { err = f() }); r != nil && !mutant.Planted(mutant.PanicIsSuccess) {
		return fmt.Errorf("%w: %.256s\n%s", errPanic, fmt.Sprint(r.Value), r.Stack)
	}
	return err
}

// A crew is a number of goroutines that somebody waits for, who may stop waiting. Its zero value is ready.
type crew struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to 0; nil while nobody waits
}

// start runs f in a goroutine of the crew.
func (c *crew) start(f func()) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	go func() {
		defer c.leave()
		f()
	}()
}

func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// wait returns once no goroutine of the crew runs, or false as soon as giveUp is closed.
func (c *crew) wait(giveUp <-chan struct{}) bool {
	c.mu.Lock()
	if c.n == 0 {
		c.mu.Unlock()
		return true
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-giveUp:
		return false
	}
}

// aside runs f in a goroutine of its own and waits for it: what it needs of the stack does not stay with a goroutine that
// then waits for long.
func aside(f func()) {
	var one crew
	one.start(f)
	one.wait(nil)
}

// call runs one call of the application's code in a goroutine of its own, so that a call that never returns does not
// take the worker with it. It waits for the call to return, or until the worker ends without it: then the error wraps
// ErrAbandoned, and only that goroutine stays behind.
func (t *tenure) call(op string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- guard(f) }()
	started := t.w.clock.Now()
	if t.w.cfg.ProcessTimeout > 0 {
		stop := t.w.clock.AfterFunc(t.w.cfg.ProcessTimeout, func() { t.slow(op, t.w.clock.Since(started)) })
		defer stop()
	}
	select {
	case err := <-done:
		return err
	case <-t.w.abandon:
	}
	select {
	case err := <-done:
		return err
	default:
		return &ShardError{Stream: t.stream.Name(), Shard: t.shardID, Op: op, Err: ErrAbandoned}
	}
}

// ended reports whether err is no more than the end of ctx.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}
