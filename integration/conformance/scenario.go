package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A step is one call and the answer that AWS gives.
type step struct {
	service, op string
	in          obj
	want        any           // of the output, if the call is to succeed
	code        string        // of the error, if it is to fail
	message     any           // of the error: a string or a matcher
	members     any           // of the error besides its message, if the client shows them
	note        string        // tells apart steps of one operation
	until       bool          // asked again until the answer is as wanted, for a while
	wait        time.Duration // how long to wait before it
}

func kinesisCall(op string, in obj) step { return step{service: "kinesis", op: op, in: in} }
func tablesCall(op string, in obj) step  { return step{service: "dynamodb", op: op, in: in} }

// gives says what the output must be.
func (s step) gives(want any) step { s.want = want; return s }

// fails says what the error must be.
func (s step) fails(code string, message any) step { s.code, s.message = code, message; return s }

// holding says what the error's further members must be.
func (s step) holding(members any) step { s.members = members; return s }

// becomes says what the output must be sooner or later.
func (s step) becomes(want any) step { s.want, s.until = want, true; return s }

// named tells a step from others of its operation.
func (s step) named(note string) step { s.note = note; return s }

// after waits first.
func (s step) after(d time.Duration) step { s.wait = d; return s }

func (s step) String() string {
	if s.note == "" {
		return s.service + " " + s.op
	}
	return s.service + " " + s.op + ", " + s.note
}

// settle is how long an answer may take to become what it should, and pace the time between questions.
const (
	settle = 5 * time.Second
	pace   = 200 * time.Millisecond
)

// steps runs all steps against a server of its own through a client. The CLI takes a process for each call; it has two
// drivers at once, one for each service.
func (c *campaign) steps(ctx context.Context, name string, r *result, start func(url string) (driver, error)) (err error) {
	s, err := c.serve(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	parts := [][]step{allSteps()}
	if name == "awscli" {
		parts = [][]step{streamSteps(), tablesSteps()}
	}
	results, errs := make([]result, len(parts)), make([]error, len(parts))
	var group sync.WaitGroup
	for i, part := range parts {
		group.Go(func() { errs[i] = c.playAll(ctx, name, s.url, part, &results[i], start) })
	}
	group.Wait()
	for _, part := range results {
		r.Passed += part.Passed
		r.Failed += part.Failed
	}
	return errors.Join(errs...)
}

// playAll plays steps one after another through a driver of their own.
func (c *campaign) playAll(ctx context.Context, name, url string, steps []step, r *result, start func(url string) (driver, error)) (err error) {
	d, err := start(url)
	if err != nil {
		return fmt.Errorf("start the client: %w", err)
	}
	defer func() { err = errors.Join(err, d.close()) }()
	p := &player{driver: d, vars: obj{"$start": time.Now()}, shows: name != "awscli"}
	unknown := map[string]bool{}
	for _, s := range steps {
		reply, verdict, err := p.play(ctx, s)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", s, err)
		case reply.Unknown != "":
			if !unknown[s.op+reply.Unknown] {
				c.out.line("%s: not asked: %s: unknown to it: %s", name, s.op, reply.Unknown)
			}
			unknown[s.op+reply.Unknown] = true
		case verdict != nil:
			r.Failed++
			c.out.line("%s: FAILED: %s: %s\n    sent %s\n    got  %s", name, s, oneLine(verdict), show(p.sent), reply)
		default:
			r.Passed++
			if c.out.verbose {
				c.out.line("%s: passed: %s", name, s)
			}
		}
	}
	return nil
}

// A player takes one client through steps.
type player struct {
	driver driver
	vars   obj
	shows  bool // the client shows request ids and all members of errors
	sent   any
}

// play makes the call of a step and judges its answer. The error is that the run cannot go on.
func (p *player) play(ctx context.Context, s step) (got reply, verdict, err error) {
	if err := pause(ctx, s.wait); err != nil {
		return got, nil, err
	}
	in, err := resolve(p.vars, s.in)
	p.sent = in
	if err != nil {
		return got, err, nil
	}
	deadline := time.Now().Add(settle)
	for {
		input, err := decoded(in)
		if err != nil {
			return got, nil, err
		}
		got, err = p.driver.call(ctx, request{Service: s.service, Op: s.op, Input: input})
		if err != nil || got.Unknown != "" {
			return got, nil, err
		}
		verdict = p.judge(s, got)
		if verdict == nil || !s.until || time.Now().After(deadline) {
			return got, verdict, nil
		}
		if err := pause(ctx, pace); err != nil {
			return got, nil, err
		}
	}
}

// decoded is a request's input with the types that JSON gives.
func decoded(in any) (out obj, err error) {
	text, err := json.Marshal(in)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	return out, err
}

// judge compares what the client got with what is wanted.
func (p *player) judge(s step, got reply) error {
	switch {
	case got.Broken != "":
		return fmt.Errorf("the client cannot read the answer: %s", got.Broken)
	case p.shows && got.RequestID == "":
		return errors.New("the answer has no request id")
	case s.code == "" && got.Error != nil:
		return fmt.Errorf("it fails with %s: %s", got.Error.Type, got.Error.Message)
	case s.code == "":
		return match(p.vars, s.want, got.Output, true)
	case got.Error == nil:
		return fmt.Errorf("it succeeds; want %s", s.code)
	case got.Error.Type != s.code:
		return fmt.Errorf("it fails with %s: %s; want %s", got.Error.Type, got.Error.Message, s.code)
	}
	err := match(p.vars, s.message, got.Error.Message, true)
	if err != nil {
		err = fmt.Errorf("the message %w", err)
	}
	if s.members != nil && p.shows {
		err = errors.Join(err, match(p.vars, s.members, got.Error.Members, true))
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
