package worker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A leader whose heartbeats are answered only just after its trust in the lock has lapsed leads, as nobody else has come.
// What it does as leader must go on.
func TestALeaderWhoseTrustLapsesForAMomentGoesOnLeading(t *testing.T) {
	const trust = 9 * time.Second // in a heartbeat: its duration less a tenth
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		var mu sync.Mutex
		var last time.Time // when the last heartbeat was sent that was answered; zero while all are
		f.store.Fault = func(ctx context.Context, op, _ string) (bool, error) {
			mu.Lock()
			lapse := last.Add(trust)
			slow := !last.IsZero()
			mu.Unlock()
			if op != memory.OpBeat || !slow {
				return true, nil
			}
			sent := time.Now()
			if sent.Add(2 * time.Second).Before(lapse) {
				return false, errors.New("refused")
			}
			select {
			case <-ctx.Done():
				return false, context.Cause(ctx)
			case <-time.After(time.Until(lapse.Add(400 * time.Millisecond))):
			}
			mu.Lock()
			last = sent
			mu.Unlock()
			return true, nil
		}
		w := f.start("a", nil)
		f.settled(time.Minute, 2, w)
		mu.Lock()
		last = time.Now()
		mu.Unlock()
		for range 20 {
			pass(40 * time.Second)
			if err := f.store.Delete(t.Context(), *f.row(id(1))); err != nil {
				t.Fatal(err)
			}
			f.until("the row is made again", 2*time.Minute, func() bool { return f.row(id(1)).Key != "" })
		}
		stop(t, w)
	})
}
