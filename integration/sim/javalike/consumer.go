package javalike

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/shardsync"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A consumer is the life of one shard's processor (ShardConsumer.java). Its end is asked for; a call that is under way
// goes on.
type consumer struct {
	h      *holding
	tenure int
	row    lease.Lease
	stop   chan struct{}
	once   sync.Once
	done   chan struct{}
	given  record.Position // done
	saved  record.Position // and stored
}

func (c *consumer) end() {
	if c != nil {
		c.once.Do(func() { close(c.stop) })
	}
}

func (c *consumer) over() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// running reports whether the consumer has not come to its end.
func (c *consumer) running() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// schedule starts a consumer for each lease held, and ends those whose lease is not (Scheduler.java, each second).
func (w *Worker) schedule(ctx context.Context) {
	for _, h := range w.holdings() {
		row, _, ok := h.snapshot(ctx)
		w.mu.Lock()
		c := h.consumer
		switch {
		case c.running() && (!ok || c.h != h):
			c.end()
		case ok && !c.running() && !row.Finished() && ctx.Err() == nil:
			n := &consumer{h: h, row: row, stop: make(chan struct{}), done: make(chan struct{})}
			h.consumer = n
			w.loops.Go(func() {
				defer close(n.done)
				n.run(ctx)
			})
		}
		w.mu.Unlock()
	}
}

// pause waits, less if the consumer is to end.
func (c *consumer) pause(ctx context.Context, d time.Duration) bool {
	t := c.h.w.cfg.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.stop:
	case <-ctx.Done():
	}
	return false
}

// finishTime is how long a processor has to finish once its worker is to stop.
const finishTime = 10 * time.Second

func (c *consumer) run(ctx context.Context) {
	w := c.h.w
	stream := w.cfg.Streams[c.row.Stream]
	if stream == nil || !c.awaitParents(ctx) {
		return
	}
	row, err := w.get(ctx, c.row.Key) // the checkpoint from which to start: this read may be stale in Java
	if err != nil || row.Finished() || c.over() {
		return
	}
	held, _, ok := c.h.snapshot(ctx)
	if !ok {
		return
	}
	c.tenure = w.cfg.Tenure()
	start := w.startOf(row)
	c.log(stream, invariant.Event{Kind: invariant.Begin, Records: []record.Position{start}, Counter: held.Counter})
	children, ended := c.read(ctx, stream, start)
	if c.over() && !c.wantedNow(ctx) {
		return // leaseLost: nothing can be written any more
	}
	late, cancel := w.cfg.Clock.WithTimeout(context.WithoutCancel(ctx), finishTime, errSlow)
	defer cancel()
	if ended {
		c.shardEnded(ctx, stream, children)
		return
	}
	c.finish(late, stream, "moving")
	if c.wantedNow(late) {
		c.h.handOver(late)
	}
}

// startOf is where a processor begins with a row.
func (w *Worker) startOf(row lease.Lease) record.Position {
	if row.Checkpoint.Kind() == record.KindAtTimestamp && w.cfg.Start.Kind() == record.KindAtTimestamp {
		return w.cfg.Start
	}
	return row.Checkpoint
}

func (c *consumer) log(stream worker.Stream, e invariant.Event) {
	e.Tenure, e.Stream, e.Shard = c.tenure, stream.Name(), c.row.Shard
	c.h.w.log(e)
}

func (c *consumer) wantedNow(ctx context.Context) bool {
	_, wanted, ok := c.h.snapshot(ctx)
	return wanted && ok
}

// awaitParents waits until each parent that has a row is done (BlockOnParentShardTask.java).
func (c *consumer) awaitParents(ctx context.Context) bool {
	for {
		blocked := false
		for _, parent := range c.row.Parents {
			row, err := c.h.w.get(ctx, shardsync.Key(c.row.Stream, parent))
			blocked = blocked || err != nil && !errors.Is(err, lease.ErrNotFound) || err == nil && !row.Finished()
		}
		if !blocked {
			return true
		}
		if !c.pause(ctx, 10*time.Second) {
			return false
		}
	}
}

// read reads and hands over until the shard ends (true), the lease is wanted elsewhere, or the consumer is to end.
func (c *consumer) read(ctx context.Context, stream worker.Stream, start record.Position) (children []record.Shard, ended bool) {
	reader := stream.Open(c.row.Shard, start)
	defer reader.Close()
	idle := max(stream.Pace().Idle, time.Second)
	for !c.over() && ctx.Err() == nil && !c.wantedNow(ctx) {
		call, cancel := c.h.w.cfg.Clock.WithTimeout(ctx, 30*time.Second, errSlow)
		page, err := reader.Read(call)
		cancel()
		switch {
		case errors.Is(err, worker.ErrShardGone):
			return nil, true
		case err != nil:
			if !c.pause(ctx, time.Second) {
				return nil, false
			}
			continue
		}
		if records := c.behind(page.Records, start); len(records) > 0 {
			if !c.deliver(ctx, stream, records) {
				return nil, false
			}
		}
		if page.End {
			return page.Children, true
		}
		if len(page.Records) == 0 && !c.save(ctx, stream) { // callProcessRecordsEvenForEmptyRecordList
			return nil, false
		}
		if !c.pause(ctx, idle) {
			return nil, false
		}
	}
	return nil, false
}

// behind opens aggregates and leaves out what the checkpoint covers.
func (c *consumer) behind(page []record.Record, start record.Position) (records []record.Record) {
	for _, r := range page {
		subs, ok := record.Deaggregate(r)
		if !ok {
			subs = []record.Record{r}
		}
		for _, r := range subs {
			if start.Kind() != record.KindSequence || r.Position().Compare(start) > 0 {
				records = append(records, r)
			}
		}
	}
	return records
}

// deliver calls the processor and then checkpoints, mostly. KCL passes a batch over whose processing failed unless the
// application tries again, as here.
func (c *consumer) deliver(ctx context.Context, stream worker.Stream, records []record.Record) bool {
	w := c.h.w
	at := make([]record.Position, len(records))
	for i := range records {
		at[i] = records[i].Position()
	}
	for !c.over() {
		c.log(stream, invariant.Event{Kind: invariant.Deliver, Records: at})
		var err error
		if w.cfg.Process != nil {
			err = w.cfg.Process(ctx, records)
		}
		if err == nil {
			c.given = at[len(at)-1]
			c.log(stream, invariant.Event{Kind: invariant.Return})
			if w.cfg.Clock.Float64() < 0.7 {
				return c.save(ctx, stream)
			}
			return true
		}
		c.log(stream, invariant.Event{Kind: invariant.Return, Err: err.Error()})
		if !c.pause(ctx, time.Second) {
			break
		}
	}
	return false
}

// save checkpoints what was given. It is false once the lease is known to be lost (ShutdownException).
func (c *consumer) save(ctx context.Context, stream worker.Stream) bool {
	if c.given == c.saved {
		return true
	}
	c.log(stream, invariant.Event{Kind: invariant.Said, Records: []record.Position{c.given}})
	err := c.h.checkpoint(ctx, c.given, nil)
	if err == nil {
		c.saved = c.given
	}
	return !errors.Is(err, errGone) && !errors.Is(err, lease.ErrConflict) && !errors.Is(err, lease.ErrNotFound)
}

// finish is the processor's last call with a lease.
func (c *consumer) finish(ctx context.Context, stream worker.Stream, reason string) {
	c.log(stream, invariant.Event{Kind: invariant.Finish, Note: reason})
	c.save(ctx, stream)
	c.log(stream, invariant.Event{Kind: invariant.Return})
}

// shardEnded makes the rows of the children, lets the processor finish, and closes the shard (ShutdownTask.java).
func (c *consumer) shardEnded(ctx context.Context, stream worker.Stream, children []record.Shard) {
	ids := make([]string, len(children))
	for i := range children {
		ids[i] = children[i].ID
	}
	for !c.over() {
		if c.createChildren(ctx, stream, children) {
			c.log(stream, invariant.Event{Kind: invariant.Finish, Note: invariant.ShardEnd})
			c.log(stream, invariant.Event{Kind: invariant.Return})
			if err := c.h.checkpoint(ctx, record.ShardEnd, ids); err == nil || errors.Is(err, errGone) {
				return
			}
		}
		if c.wantedNow(ctx) { // else the next owner would wait for ever
			c.h.handOver(ctx)
			return
		}
		if !c.pause(ctx, 2*time.Second) {
			return
		}
	}
}

func (c *consumer) createChildren(ctx context.Context, stream worker.Stream, children []record.Shard) bool {
	w := c.h.w
	rows, err := w.list(ctx)
	if err != nil {
		return false
	}
	call, cancel := w.call(ctx)
	defer cancel()
	shards, _, err := stream.Shards(call, record.Position{})
	if err != nil {
		return false
	}
	create, ready := shardsync.Children(c.row, children, rows, shards)
	return w.create(ctx, create) && ready
}

// create makes rows; those that exist are fine.
func (w *Worker) create(ctx context.Context, rows []lease.Lease) bool {
	for _, row := range rows {
		call, cancel := w.call(ctx)
		row.StartTime = time.Time{} // which Java does not know
		err := w.cfg.Store.Create(call, row)
		cancel()
		if err != nil && !errors.Is(err, lease.ErrExists) {
			return false
		}
	}
	return true
}

func sortByKey(all []*holding) {
	slices.SortFunc(all, func(a, b *holding) int { return cmp.Compare(a.key, b.key) })
}
