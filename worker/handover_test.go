package worker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A worker that stops while one of its processors takes its time: its other shards flow again at once.
func TestG5OneSlowFinishDoesNotHoldUpTheOtherShards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 12, memstream.Options{})
		var slow atomic.Value
		slow.Store("")
		a := f.start("a", config(finishing(func(s *worker.Shard, _ worker.FinishReason) error {
			if s.ID == slow.Load() {
				pass(15 * time.Second)
			}
			return nil
		})))
		b, c := f.start("b", nil), f.start("c", nil)
		f.until("four shards each", time.Minute, func() bool {
			return len(a.Status().Shards) == 4 && len(b.Status().Shards) == 4 && len(c.Status().Shards) == 4
		})
		f.put(200)
		f.all(5 * time.Second)
		slow.Store(a.Status().Shards[0].Shard)
		stopped := make(chan struct{})
		go func() { a.halt(); close(stopped) }()
		f.until("all but one shard with b and c", 5*time.Second, func() bool {
			return len(b.Status().Shards)+len(c.Status().Shards) == 11
		})
		<-stopped
		f.until("all shards with b and c", 5*time.Second, func() bool {
			return len(b.Status().Shards)+len(c.Status().Shards) == 12
		})
		stop(t, b, c)
		if n := f.verify(); n != 0 {
			t.Errorf("%d records were repeated", n)
		}
	})
}

// A worker that stops while a lease it asked for is on its way: the lease does not wait for its expiry.
func TestG5ALeaseThatComesTooLateIsPassedOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		a := f.start("a", config(finishing(func(*worker.Shard, worker.FinishReason) error {
			pass(2 * time.Second)
			return nil
		})))
		f.until("both shards with a", 10*time.Second, func() bool { return len(a.Status().Shards) == 2 })
		b := f.start("b", nil)
		f.until("b has asked for one", 10*time.Second, func() bool {
			for i := range 2 {
				if row := f.row(id(i)); row.Owner == "b" && row.CheckpointOwner == "a" {
					return true
				}
			}
			return false
		})
		if err, took := b.halt(); err != nil || took > 5*time.Second {
			t.Errorf("the stop took %v, error %v", took, err)
		}
		f.until("both shards with a again", 5*time.Second, func() bool {
			return len(a.Status().Shards) == 2 && f.row(id(0)).Owner == "a" && f.row(id(1)).Owner == "a"
		})
		stop(t, a)
	})
}
