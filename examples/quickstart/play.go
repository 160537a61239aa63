package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/worker"
)

const (
	streamName   = "earthquakes"
	streamShards = 4
	alertWorkers = 3
	statWorkers  = 2
	// patience is how long after the last event the applications may take to have processed it.
	patience = 30 * time.Second
)

// A play is the course of events.
type play struct {
	client *kinesis.Client
	feed   *feed
	alerts *fleet
	stats  *fleet
	totals totals
	screen *screen
	began  time.Time
	cancel context.CancelCauseFunc

	crashed   *member
	crashedAt time.Time
	orphans   []string // the shards that it had
}

func newPlay(cfg aws.Config, pace time.Duration, screen *screen) (*play, error) {
	events, err := readEvents()
	if err != nil {
		return nil, err
	}
	p := &play{client: kinesis.NewFromConfig(cfg), screen: screen}
	p.feed = &feed{client: p.client, events: events, pace: pace, shards: map[string]int{}}
	p.alerts = &fleet{application: "alerts", aws: cfg, screen: screen, delivered: map[delivered]bool{}}
	p.alerts.processors = func(m *member) newProcessor { return worker.Stateless(alerts(m.tell)) }
	p.stats = &fleet{application: "stats", aws: cfg, screen: screen, delivered: map[delivered]bool{}}
	p.stats.processors = func(*member) newProcessor {
		return func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return newStats(s, &p.totals), nil
		}
	}
	return p, nil
}

// run plays everything, until both applications have processed all events or time is up. Then it stops the workers.
func (p *play) run(ctx context.Context) (err error) {
	ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.cancel(nil)
	p.alerts.failed, p.stats.failed = p.cancel, p.cancel
	p.screen.announce("a stream of %d shards, %d events, two applications", streamShards, len(p.feed.events))
	if err := p.createStream(ctx); err != nil {
		return err
	}
	defer func() {
		p.screen.announce("all workers stop")
		p.alerts.stop()
		p.stats.stop()
		if err == nil {
			err = context.Cause(ctx)
		}
	}()
	if err := errors.Join(p.start(ctx, p.alerts, alertWorkers), p.start(ctx, p.stats, statWorkers)); err != nil {
		return err
	}
	p.screen.watch(p.status)
	p.began = time.Now()
	fed := make(chan error, 1)
	go func() { fed <- p.feed.run(ctx) }()
	err = p.acts(ctx)
	if err != nil {
		p.cancel(err)
	}
	if e := <-fed; err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return p.await(ctx)
}

func (p *play) start(ctx context.Context, f *fleet, workers int) error {
	for range workers {
		if _, err := f.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// acts are what happens while the events flow.
func (p *play) acts(ctx context.Context) error {
	for _, act := range []struct {
		at   float64 // of the feed's time
		does func(context.Context) error
	}{
		{0.20, p.crash},
		{0.30, p.split},
		{0.50, p.merge},
		{0.70, p.join},
	} {
		if err := pause(ctx, time.Until(p.began.Add(time.Duration(act.at*float64(p.feed.pace))))); err != nil {
			return err
		}
		if err := act.does(ctx); err != nil {
			return err
		}
	}
	return nil
}

// crash kills the worker of alerts that has the busiest shard.
func (p *play) crash(ctx context.Context) error {
	for {
		busiest := p.feed.busiest()
		if m := p.alerts.owner(busiest); m != nil {
			p.orphans = m.shards()
			p.crashed, p.crashedAt = m, m.crash()
			p.screen.announce("%s crashes; it had %s, the busiest, and releases nothing", m.id, short(busiest))
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil { // on its way from one worker to another
			return err
		}
	}
}

// join adds a worker to alerts.
func (p *play) join(ctx context.Context) error {
	m, err := p.alerts.start(ctx)
	if err == nil {
		p.screen.announce("%s joins", m.id)
	}
	return err
}

// await returns when both applications have processed what was put, or have had time enough.
func (p *play) await(ctx context.Context) error {
	p.screen.announce("all %d events are in the stream", p.feed.count())
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if min(p.alerts.processed(), p.stats.processed()) >= p.feed.count() {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	p.screen.announce("time is up")
	return nil
}

// status is the line that shows how far everything is: the events put, and for each application its workers, the events
// it has processed and those it has yet to.
func (p *play) status() string {
	put := p.feed.count()
	text := fmt.Sprintf("put %d/%d", put, len(p.feed.events))
	for _, f := range []*fleet{p.alerts, p.stats} {
		workers := 0
		for _, m := range f.all() {
			if !m.isDead() {
				workers++
			}
		}
		done := f.processed()
		text += fmt.Sprintf(" │ %s×%d: %d, %d behind", f.application, workers, done, max(0, put-done))
	}
	return text
}

// pause waits for d; it returns the cause if ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
