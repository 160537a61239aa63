package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A tap is the way of one life to a stream.
type tap struct {
	*life
	stream source
}

var _ worker.Stream = tap{}

var errTooFast = fmt.Errorf("simulated: %w", worker.ErrThrottled)

func ask[T any](ctx context.Context, t tap, op, shard string, do func() (T, error)) (T, error) {
	return send(ctx, request{life: t.life, to: toStream, op: op, key: shard}, errTooFast, do)
}

func (t tap) Name() string { return t.stream.Name() }

func (t tap) Identify(ctx context.Context) (worker.Identity, error) {
	return ask(ctx, t, "Identify", "", func() (worker.Identity, error) { return t.stream.Identify(background) })
}

func (t tap) Shards(ctx context.Context, at record.Position) ([]record.Shard, time.Time, error) {
	type listing struct {
		shards []record.Shard
		now    time.Time
	}
	l, err := ask(ctx, t, "Shards", "", func() (l listing, err error) {
		l.shards, l.now, err = t.stream.Shards(background, at)
		return l, err
	})
	return l.shards, l.now, err
}

func (t tap) Pace() worker.Pace {
	if t.world.plan.on[Push] {
		return worker.Pace{}
	}
	return worker.Pace{PerSecond: 5, Idle: t.world.plan.idle, Timeout: 30 * time.Second}
}

func (t tap) Open(shard string, at record.Position) worker.Reader {
	p := &poller{tap: t, shard: shard, inner: t.stream.Open(shard, at)}
	if t.world.plan.on[Push] {
		return &pusher{poller: p}
	}
	return p
}

// A poller reads page by page. A page whose answer is lost was not read: the next read asks for it again.
type poller struct {
	tap
	shard string
	inner worker.Reader
}

func (p *poller) Read(ctx context.Context) (record.Page, error) {
	return ask(ctx, p.tap, "Read", p.shard, func() (record.Page, error) { return p.inner.Read(background) })
}

func (p *poller) Close() { p.inner.Close() }

// A pusher is a subscription: a read waits for records, and gives an empty page now and then. It ends early, falls silent,
// and cannot always be had.
type pusher struct {
	*poller
	subscribed bool
}

var (
	errInUse   = errors.New("simulated: the consumer has a subscription to the shard already")
	errEnded   = errors.New("simulated: the subscription has ended")
	errSilence = errors.New("simulated: the subscription has been silent for too long")
)

// pushEvery is how long a subscription without records waits for an event.
const pushEvery = 5 * time.Second

func (p *pusher) Read(ctx context.Context) (record.Page, error) {
	noise := p.world.plan.noise
	if p.world.isCalm() {
		noise = 0
	}
	if !p.subscribed {
		if p.dice.chance(noise * 3) {
			p.world.faulty(Push)
			return record.Page{}, errInUse
		}
		p.subscribed = true
	}
	switch {
	case p.dice.chance(noise):
		p.world.faulty(Push)
		p.subscribed = false
		return record.Page{}, errEnded
	case p.dice.chance(noise):
		p.world.faulty(Push)
		p.subscribed = false
		p.wait(ctx, 15*time.Second)
		return record.Page{}, errSilence
	}
	for deadline := time.Now().Add(pushEvery); ; {
		news := p.world.news(p.stream.Name(), p.shard)
		page, err := p.poller.Read(ctx)
		if err != nil {
			p.subscribed = false
		}
		left := time.Until(deadline)
		if err != nil || len(page.Records) > 0 || page.End || left <= 0 || ctx.Err() != nil {
			return page, err
		}
		t := time.NewTimer(left)
		select {
		case <-news:
		case <-t.C:
		case <-ctx.Done():
		case <-p.died:
		}
		t.Stop()
		p.gate.pass()
	}
}
