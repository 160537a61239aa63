package javalike

import (
	"context"
	"errors"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A holding is a lease in the worker's memory (DynamoDBLeaseRenewer.java). One write of it is under way at a time.
type holding struct {
	w    *Worker
	key  string
	busy chan struct{} // one slot: whoever has it may use what follows

	row     lease.Lease
	renewed time.Time // when the last renewal had its answer
	wanted  time.Time // since when the lease is being handed over, zero if it is not
	gone    bool      // dropped from memory

	consumer *consumer // nil while there is none; guarded by Worker.mu
}

var errGone = errors.New("javalike: the lease is not held")

// hold takes a row into memory.
func (w *Worker) hold(row lease.Lease) {
	h := &holding{w: w, key: row.Key, busy: make(chan struct{}, 1), row: row, renewed: w.cfg.Clock.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.held[row.Key]; old != nil {
		h.consumer = old.consumer // a consumer with the token of before: the scheduler ends it
	}
	w.held[row.Key] = h
}

func (w *Worker) holdings() []*holding {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*holding, 0, len(w.held))
	for _, h := range w.held {
		all = append(all, h)
	}
	sortByKey(all)
	return all
}

func (w *Worker) holds(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held[key] != nil
}

// drop forgets the lease: nothing is written. h.busy is held.
func (h *holding) drop() {
	h.gone = true
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.w.held[h.key] == h {
		delete(h.w.held, h.key)
	}
	h.consumer.end()
}

// lock waits until no write is under way.
func (h *holding) lock(ctx context.Context) error {
	select {
	case h.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h *holding) unlock() { <-h.busy }

// expired reports whether the lease was not renewed for its duration, by the worker's own clock. Java asks this before
// writes and each second for its consumers, not before each delivery.
func (h *holding) expired() bool { return h.w.cfg.Clock.Since(h.renewed) > h.w.cfg.Duration }

// snapshot is what is known of the row; ok is false once the lease is not held.
func (h *holding) snapshot(ctx context.Context) (row lease.Lease, wanted, ok bool) {
	if h.lock(ctx) != nil {
		return row, false, false
	}
	defer h.unlock()
	return h.row, !h.wanted.IsZero(), !h.gone && !h.expired()
}

// renewAll renews each lease that is held, the finished ones too.
func (w *Worker) renewAll(ctx context.Context) {
	for _, h := range w.holdings() {
		h.renew(ctx)
	}
}

// renew raises the counter. A lost answer is found by a read; who finds another's counter drops the lease.
func (h *holding) renew(ctx context.Context) {
	if h.lock(ctx) != nil {
		return
	}
	defer h.unlock()
	if h.gone {
		return
	}
	if h.expired() {
		h.drop()
		return
	}
	call, cancel := h.w.call(ctx)
	row, err := h.w.cfg.Store.Renew(call, h.row, h.w.cfg.ID, lease.Change{})
	cancel()
	switch {
	case err == nil:
		h.adopt(row)
	case errors.Is(err, lease.ErrNotFound):
		h.drop()
	case errors.Is(err, lease.ErrConflict):
		row, err := h.w.get(ctx, h.key)
		if err == nil && row.Owner == h.w.cfg.ID && row.Counter == h.row.Counter+1 {
			h.adopt(row)
			return
		}
		h.drop()
	}
}

// adopt takes in the row that a renewal of this worker left. h.busy is held.
func (h *holding) adopt(row lease.Lease) {
	h.row, h.renewed = row, h.w.cfg.Clock.Now()
	if h.w.three && row.CheckpointOwner == h.w.cfg.ID && row.Owner != h.w.cfg.ID && h.wanted.IsZero() {
		h.wanted = h.renewed
	}
}

// checkpoint stores p. A lost answer is not looked for: the next renewal may find it.
func (h *holding) checkpoint(ctx context.Context, p record.Position, children []string) error {
	if err := h.lock(ctx); err != nil {
		return err
	}
	defer h.unlock()
	if h.gone || h.expired() {
		return errGone
	}
	call, cancel := h.w.call(ctx)
	defer cancel()
	row, err := h.w.cfg.Store.Renew(call, h.row, h.w.cfg.ID, lease.Change{Checkpoint: p, Children: children})
	if err == nil {
		h.adopt(row)
	} else if errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrNotFound) {
		h.drop()
	}
	return err
}

// handOver gives the lease to whoever was named, once the processor has finished or its time has run out.
func (h *holding) handOver(ctx context.Context) {
	if h.lock(ctx) != nil {
		return
	}
	defer h.unlock()
	if h.gone {
		return
	}
	call, cancel := h.w.call(ctx)
	defer cancel()
	_, _ = h.w.cfg.Store.Release(call, h.row, h.w.cfg.ID, "") // tried once; else the lease has to expire
	h.drop()
}

// overdue hands over what a processor does not finish in time (LeaseGracefulShutdownHandler.java).
func (w *Worker) overdue(ctx context.Context) {
	for _, h := range w.holdings() {
		if h.lock(ctx) != nil {
			return
		}
		late := !h.wanted.IsZero() && w.cfg.Clock.Since(h.wanted) > handoffTimeout
		h.unlock()
		if late {
			h.handOver(ctx)
		}
	}
}

// resume takes up the leases in the worker's name, as a restart does, also those that have expired.
func (w *Worker) resume(ctx context.Context) {
	rows, err := w.list(ctx)
	if err != nil {
		return
	}
	for _, row := range rows {
		if row.Owner != w.cfg.ID || row.CheckpointOwner != "" {
			continue
		}
		call, cancel := w.call(ctx)
		row, err = w.cfg.Store.Renew(call, row, w.cfg.ID, lease.Change{})
		cancel()
		if err == nil {
			w.hold(row)
		}
	}
}
