package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A handler makes the processors of all shards.
type handler struct {
	options
	log      *check.File
	sessions atomic.Int64
	batches  atomic.Int64
}

// A processor writes each batch down, then checkpoints it.
type processor struct {
	*handler
	shard   *worker.Shard
	key     string // of the lease, by which the harness goes
	session string
	waited  bool            // for the fault stall
	before  record.Position // for the fault repeat: the batch before
}

func (h *handler) newProcessor(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
	p := &processor{handler: h, shard: s, key: s.ID}
	if h.streams != "" {
		ids, err := fleet.Listed(h.streams)
		if err != nil {
			return nil, err
		}
		p.key = ids[s.Stream] + ":" + s.ID
	}
	p.renew()
	event("initialize", p.session, p.key, s.Start.String())
	s.Go(p.tellEnd)
	return p, nil
}

// renew begins a new session: the records behind the last that was done are due again.
func (p *processor) renew() {
	before := p.session
	p.session = fmt.Sprintf("%d.%d", p.shard.Epoch, p.sessions.Add(1))
	if before != "" {
		p.note("again", before)
	}
}

// note tells what only a journal has.
func (p *processor) note(name, detail string) {
	if p.journal {
		event(name, p.session, p.key, detail)
	}
}

// tellEnd tells when the lease is lost.
func (p *processor) tellEnd(ctx context.Context) error {
	<-ctx.Done()
	if cause := context.Cause(ctx); errors.Is(cause, lease.ErrLost) {
		event("leaseLost", "", p.key, cause.Error())
	}
	return ctx.Err()
}

// ProcessRecords notes the batch, works, and checkpoints.
func (p *processor) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	err := p.process(ctx, b)
	text := ""
	if err != nil {
		text = err.Error()
	}
	p.note("returned", text)
	if err != nil {
		p.renew()
	}
	return err
}

func (p *processor) process(ctx context.Context, b *worker.Batch) error {
	n := p.batches.Add(1)
	if p.fault == "stall" && !p.waited {
		pause(ctx, 2*max(p.lease, 3*time.Second))
	}
	p.waited = true
	entry := check.Batch{At: time.Now(), Worker: p.worker, Session: p.session, Shard: p.key}
	for i := range b.Records {
		entry.Records = append(entry.Records, b.Records[i].Position())
	}
	if p.fault == "reorder" {
		slices.Reverse(entry.Records)
	}
	if p.fault != "skip" || n%20 != 0 {
		if err := p.log.Add(entry); err != nil {
			return err
		}
	}
	if p.work > 0 {
		pause(ctx, p.work)
	}
	done := b.Last()
	if p.fault == "repeat" {
		done, p.before = p.before, done
		if done.IsZero() {
			return nil
		}
	}
	p.note("said", done.String())
	// Without the end of ctx, so that it is the table that a late checkpoint has to pass.
	if err := p.shard.Checkpoint(context.WithoutCancel(ctx), done); err != nil {
		event("notCheckpointed", p.session, p.key, err.Error())
		return err
	}
	return nil
}

// Finish has nothing to do: each batch is checkpointed.
func (p *processor) Finish(_ context.Context, reason worker.FinishReason) error {
	event("finish", p.session, p.key, reason.String())
	p.note("finished", "")
	return nil
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

var stdout sync.Mutex

// event tells what has happened, in one write.
func event(name, session, shard, detail string) {
	line, err := json.Marshal(struct {
		At      time.Time `json:"at"`
		Event   string    `json:"event"`
		Session string    `json:"session"`
		Shard   string    `json:"shard"`
		Detail  string    `json:"detail"`
	}{time.Now(), name, session, shard, detail})
	if err != nil {
		panic(err)
	}
	stdout.Lock()
	defer stdout.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n')) // the harness may have gone
}
