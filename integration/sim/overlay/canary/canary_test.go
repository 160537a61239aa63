// Package canary is a small program in which chance decides nearly everything: if it repeats from a seed, so does the rest.
package canary

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/integration/sim/overlay/bubble"
)

var seed = flag.Uint64("seed", 1, "`seed` of the bubble")

const (
	actors = 20
	steps  = 100
	crowd  = 600 // more goroutines than a run queue holds
)

// A trace is a hash of what happened, in the order in which it did.
type trace struct {
	mu  sync.Mutex
	sum hash.Hash
	n   int
}

func (t *trace) add(args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.sum, args...)
	t.n++
}

// act does what the order of things matters for: selects with several ready cases, maps, timers that are due at once, a
// lock that is asked for by all, random numbers, goroutines that come and go, a system call.
func (t *trace) act(ctx context.Context, me int, ready []chan int, lock *sync.Mutex) {
	seen := map[string]int{}
	for step := range steps {
		for _, c := range ready {
			select {
			case c <- me:
			default:
			}
		}
		select {
		case n := <-ready[0]:
			t.add(me, "first", n)
		case n := <-ready[1]:
			t.add(me, "second", n)
		case n := <-ready[2]:
			t.add(me, "third", n)
		case <-ctx.Done():
			return
		}
		seen[fmt.Sprint(me, step%7)]++
		for key := range seen {
			t.add(me, key)
			break
		}
		lock.Lock()
		t.add(me, "locked", rand.IntN(1000))
		lock.Unlock()
		if step%10 == me%10 {
			_, _ = os.Stat("/")
			runtime.Gosched()
		}
		var done sync.WaitGroup
		done.Go(func() { t.add(me, "child") })
		time.AfterFunc(time.Millisecond, func() { t.add(me, "timer") })
		time.Sleep(time.Millisecond)
		done.Wait()
	}
}

func (t *trace) run(ctx context.Context) {
	ready := make([]chan int, 3)
	for i := range ready {
		ready[i] = make(chan int, actors)
	}
	var lock sync.Mutex
	var all sync.WaitGroup
	for me := range actors {
		all.Go(func() { t.act(ctx, me, ready, &lock) })
	}
	all.Wait()
	start := make(chan struct{})
	for me := range crowd {
		all.Go(func() {
			<-start
			t.add(me, "in the crowd")
		})
	}
	synctest.Wait()
	close(start)
	all.Wait()
}

// TestEverythingHappens prints the hash of a trace, which repeats where the runtime allows it.
func TestEverythingHappens(t *testing.T) {
	bubble.Seed(*seed)
	defer bubble.Seed(0)
	tr := &trace{sum: sha256.New()}
	synctest.Test(t, func(t *testing.T) { tr.run(t.Context()) })
	if want := actors*steps*5 + crowd; tr.n < want-actors || tr.n > want {
		t.Fatalf("%d events; want about %d: some actor has not come to its end", tr.n, want)
	}
	fmt.Printf("trace seed=%d hash=%x events=%d\n", *seed, tr.sum.Sum(nil)[:8], tr.n)
}
