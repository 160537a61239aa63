package sim

import (
	"context"
	"errors"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// What a fleet shares, as the script sees it, without the faults of the network: in memory in layer 1, on a server in
// layer 2.

// A tableStore is the lease table.
type tableStore interface {
	lease.Store
	// Row is a row as it is, or the zero Lease.
	Row(key string) lease.Lease
}

// A source is a stream.
type source interface {
	Name() string
	Identify(ctx context.Context) (worker.Identity, error)
	Shards(ctx context.Context, at record.Position) ([]record.Shard, time.Time, error)
	Open(shard string, at record.Position) worker.Reader
	PutTo(h record.HashKey, partitionKey string, data []byte) (shard string, seq record.SequenceNumber, err error)
	Split(shard string, at record.HashKey) (lower, upper string, err error)
	Merge(a, b string) (child string, err error)
}

// openTable makes the table, and in layer 2 the server that it is on.
func (w *world) openTable(o Options) {
	if o.Server {
		w.local = newLocal(w.actor())
		table := newLocalTable(w.local, w.sender, w.writtenBy)
		if err := errors.Join(w.local.start(), table.Open(background)); err != nil {
			panic(err)
		}
		w.local.setNoise(w.plan.noise / 4)
		w.store = table
		return
	}
	store := memory.New()
	store.Written = w.written
	w.store = store
}

// rows are those of the table, past all faults.
func (w *world) rows() []lease.Lease {
	if table, ok := w.store.(*localTable); ok {
		return table.known()
	}
	rows, err := w.store.List(background)
	if err != nil {
		panic(err)
	}
	return rows
}

// unserved reports whether the script's own call has failed, which may only be in layer 2.
func (w *world) unserved(err error) bool {
	if err != nil && w.local == nil {
		panic(err)
	}
	return err != nil
}

// newSource makes a stream.
func (w *world) newSource(name string) source {
	if w.local == nil {
		return memstream.New(name, w.plan.shards, memstream.Options{})
	}
	defer w.local.quiet()()
	s, err := newLocalSource(w.local, name, w.plan.shards)
	if err != nil {
		panic(err)
	}
	return s
}
