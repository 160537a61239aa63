package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// newWorker makes a worker that archives: this is all that it takes.
func (c *connection) newWorker(log *zap.Logger, hooks worker.Hooks) (*worker.Worker, error) {
	c.config.Logger = log
	a, err := archive.New(c.config)
	if err != nil {
		return nil, err
	}
	start, err := c.s.position(c.since)
	if err != nil {
		return nil, err
	}
	return worker.New(worker.Config{
		Application:   c.s.application(),
		Streams:       []worker.Stream{kinesisstream.New(c.kinesis, c.s.stream, kinesisstream.Options{Pace: c.pace})},
		Leases:        dynamo.New(c.tables, c.s.application()),
		NewProcessor:  a.NewProcessor,
		Start:         start,
		WorkerID:      c.s.worker,
		LeaseDuration: c.s.lease,
		IdleCall:      time.Second, // tells that the last aggregate is whole
		Logger:        log,
		Hooks:         hooks,
	})
}

// work archives until ctx ends.
func (c *connection) work(ctx context.Context, out io.Writer) error {
	var w atomic.Pointer[worker.Worker]
	screen := newProgress(out, func() []worker.Status {
		if w := w.Load(); w != nil {
			return []worker.Status{w.Status()}
		}
		return nil
	})
	defer screen.stop()
	log, err := screen.logger()
	if err != nil {
		return fmt.Errorf("make a logger: %w", err)
	}
	if err := c.prepare(ctx, log); err != nil {
		return err
	}
	c.config.Hooks = screen.hooks()
	made, err := c.newWorker(log, worker.Hooks{})
	if err != nil {
		return err
	}
	w.Store(made)
	screen.say("%s archives %s into %s, as %s", c.s.application(), c.s.stream, c.s.bucket, made.ID())
	return made.Run(ctx)
}
