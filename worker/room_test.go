package worker_test

import (
	"testing"
	"time"

	"github.com/shoal-stream/shoal/worker/memstream"
)

// A leader that stops right after another worker did knows from its last survey of a worker that has gone since.
func TestWhoStopsGivesNothingToAWorkerThatHasJustGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const shards = 9
		f := newFleet(t, shards, memstream.Options{})
		leader := f.start("a", nil)
		pass(3 * time.Second)
		b, c := f.start("b", nil), f.start("c", nil)
		pass(30 * time.Second)
		if got := leader.Status().Leader; got != "a" {
			t.Fatalf("%q leads", got)
		}
		stop(t, b)
		stop(t, leader)
		for n := range shards {
			if row := f.store.Row(id(n)); row.Owner != "c" {
				t.Errorf("%s belongs to %q", row.Key, row.Owner)
			}
		}
		stop(t, c)
	})
}
