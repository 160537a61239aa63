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
