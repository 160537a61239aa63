package worker_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A handling is what handlers of ByKey did, in the order of time. It checks the checkpoints itself: none may pass a record
// that is not done.
type handling struct {
	f      *fleet
	mu     sync.Mutex
	busy   map[string]int // calls under way, by shard and key
	now    int
	most   int
	done   []handled
	places map[string]bool // of the records that are done
	checks map[string]int  // how many records of a shard lie before its checkpoint
	last   time.Time       // when the newest was done
	faults []string
}

type handled struct {
	worker, shard, key string
	at                 record.Position
}

func newHandling(f *fleet) *handling {
	h := &handling{f: f, busy: map[string]int{}, places: map[string]bool{}, checks: map[string]int{}}
	f.store.Written = h.written
	return h
}

// written checks a write to the table.
func (h *handling) written(op string, before, after lease.Lease) {
	if after.Checkpoint.Kind() != record.KindSequence && after.Checkpoint != record.ShardEnd || before.Checkpoint == after.Checkpoint {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.f.log.mu.Lock()
	defer h.f.log.mu.Unlock()
	if after.Checkpoint.Compare(before.Checkpoint) < 0 {
		h.faults = append(h.faults, fmt.Sprintf("%s: the checkpoint of %s went back to %v", op, after.Shard, after.Checkpoint))
	}
	put := h.f.log.put[after.Shard]
	for n := h.checks[after.Shard]; n < len(put) && record.At(put[n], 0).Compare(after.Checkpoint) <= 0; n++ {
		if !h.places[after.Shard+"/"+string(put[n])] {
			h.faults = append(h.faults, fmt.Sprintf("%s: the checkpoint of %s went past %v, which is not done", op, after.Shard, put[n]))
		}
		h.checks[after.Shard] = n + 1
	}
}

// inShard counts what was done in a shard.
func (h *handling) inShard(shard string, done []handled) (n int) {
	for _, d := range done {
		if d.shard == shard {
			n++
		}
	}
	return n
}

// count is how many different records are done.
func (h *handling) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.places)
}

// all waits until everything that was put is done.
func (h *handling) all(limit time.Duration) {
	h.f.t.Helper()
	h.f.log.mu.Lock()
	n := 0
	for _, put := range h.f.log.put {
		n += len(put)
	}
	h.f.log.mu.Unlock()
	h.f.until(fmt.Sprintf("all %d records done", n), limit, func() bool { return h.count() == n })
}

// byKey runs work for each record, and notes it once that is done.
func (h *handling) byKey(member string, n int, work func(ctx context.Context, r record.Record) error) func(*worker.Config) {
	return func(c *worker.Config) {
		c.NewProcessor = worker.ByKey(n, func(ctx context.Context, s *worker.Shard, r record.Record) error {
			looked()
			key := member + "/" + s.ID + "/" + r.PartitionKey
			h.mu.Lock()
			if h.busy[key]++; h.busy[key] > 1 {
				h.faults = append(h.faults, key+" is handled twice at once")
			}
			h.now++
			h.most = max(h.most, h.now)
			h.mu.Unlock()
			defer func() {
				h.mu.Lock()
				h.busy[key]--
				h.now--
				h.mu.Unlock()
			}()
			if err := work(ctx, r); err != nil {
				return err
			}
			h.mu.Lock()
			h.done = append(h.done, handled{member, s.ID, r.PartitionKey, r.Position()})
			h.places[s.ID+"/"+string(r.SequenceNumber)], h.last = true, time.Now()
			h.mu.Unlock()
			return nil
		})
	}
}

// verify checks that the first handlings of the records of each key came in order. It returns how many records came again.
func (h *handling) verify() (again int) {
	h.f.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fault := range h.faults {
		h.f.t.Error(fault)
	}
	seen, newest := map[string]bool{}, map[string]record.Position{}
	for _, d := range h.done {
		key, place := d.shard+"/"+d.key, d.shard+"/"+d.at.String()
		if seen[place] {
			again++
			continue
		}
		seen[place] = true
		if d.at.Compare(newest[key]) < 0 {
			h.f.t.Errorf("of %s record %v was first done after %v", key, d.at, newest[key])
		}
		newest[key] = d.at
	}
	return again
}

// putKeys stores n records of so many keys.
func (f *fleet) putKeys(n, keys int) {
	f.t.Helper()
	for i := range n {
		shard, seq, err := f.stream.Put(fmt.Sprint("key-", i%keys), []byte(fmt.Sprint("data-", i)))
		if err != nil {
			f.t.Fatal(err)
		}
		f.log.noted(shard, seq)
	}
}

func sleeping(d time.Duration) func(context.Context, record.Record) error {
	return func(ctx context.Context, _ record.Record) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
