package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// Reads of the table that are late, or never answered, as when a connection is lost without a word, delay a failover by no
// more than such a read is waited for.
func TestG5ReadsWithoutAnAnswerDelayAFailoverByLittle(t *testing.T) {
	for _, test := range []struct {
		op    string
		late  time.Duration // and answered then; 0 is never
		bound time.Duration // 12 s and a third of the lease, or what was late
	}{
		{memory.OpSurvey, 0, 15400 * time.Millisecond},
		{memory.OpSurvey, 3 * time.Second, 15 * time.Second},
		{memory.OpOwned, 0, 15400 * time.Millisecond},
		{memory.OpGet, 0, 15400 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(test.op, " late by ", test.late), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 6, memstream.Options{})
				var mu sync.Mutex
				var killed time.Time
				gets := map[string]bool{}
				met := 0
				meets := func(op, key string) bool {
					mu.Lock()
					defer mu.Unlock()
					since := time.Since(killed)
					switch {
					case killed.IsZero() || op != test.op || op != memory.OpGet && (since < 6*time.Second || since >= 7*time.Second) || gets[key]:
						return false
					case op == memory.OpGet: // the first of each row
						gets[key] = true
					}
					met++
					return true
				}
				f.store.Fault = func(ctx context.Context, op, key string) (bool, error) {
					if !meets(op, key) {
						return true, nil
					}
					var answer <-chan time.Time
					if test.late > 0 {
						answer = time.After(test.late)
					}
					select {
					case <-answer:
						return true, nil
					case <-ctx.Done():
						return false, context.Cause(ctx)
					}
				}
				a := f.start("a", nil)
				f.until("a leads", time.Second, func() bool { return a.Status().Leader == "a" })
				b, c := f.start("b", nil), f.start("c", nil)
				f.settled(time.Minute, 2, a, b, c)
				b.kill()
				mu.Lock()
				killed = time.Now()
				mu.Unlock()
				f.put(100)
				if took := f.all(time.Minute); took > test.bound {
					t.Errorf("the shards flow again after %v, want at most %v", took, test.bound)
				}
				mu.Lock()
				defer mu.Unlock()
				if met == 0 {
					t.Error("no read met the fault")
				}
			})
		})
	}
}
