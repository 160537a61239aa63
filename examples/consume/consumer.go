package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A consumer makes the processors of all shards.
type consumer struct {
	worker   string
	log      *check.File // nil if none is wanted
	each     bool        // checkpoint after each batch
	sessions atomic.Int64
	records  atomic.Int64
}

// A processor writes down what it is given, and only then says that it is done.
type processor struct {
	*consumer
	shard   *worker.Shard
	session string          // the unbroken run for the log
	last    record.Position // the last record that is done
}

func (c *consumer) newProcessor(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
	p := &processor{consumer: c, shard: s}
	p.renew()
	return p, nil
}

// renew begins a new run: the records behind the last that was done are due again.
func (p *processor) renew() { p.session = fmt.Sprintf("%d.%d", p.shard.Epoch, p.sessions.Add(1)) }

// ProcessRecords is where an application would do its work.
func (p *processor) ProcessRecords(ctx context.Context, b *worker.Batch) (err error) {
	defer func() {
		if err != nil {
			p.renew()
		}
	}()
	if err := p.note(b); err != nil {
		return err
	}
	if !p.each {
		p.shard.Mark(b.Last()) // the next renewal of the lease carries it
	} else if err := b.Checkpoint(ctx); err != nil {
		return err
	}
	p.last = b.Last()
	p.records.Add(int64(len(b.Records)))
	return nil
}

// Finish checkpoints what is done. At the shard's end that is not needed: the worker marks the shard itself.
func (p *processor) Finish(ctx context.Context, reason worker.FinishReason) error {
	if reason == worker.ShardEnd || p.last.IsZero() {
		return nil
	}
	return p.shard.Checkpoint(ctx, p.last)
}

// note writes the batch to the log.
func (p *processor) note(b *worker.Batch) error {
	if p.log == nil {
		return nil
	}
	entry := check.Batch{At: time.Now(), Worker: p.worker, Session: p.session, Shard: b.Shard.ID}
	for i := range b.Records {
		entry.Records = append(entry.Records, b.Records[i].Position())
	}
	return p.log.Add(entry)
}
