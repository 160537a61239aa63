package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const crashWriters = 4

// A crashRun is a store on a file system whose power may be cut, with writers that note what was acknowledged. Each
// update of a writer writes three keys: one by Set, one by Append, and a count that it reads first.
type crashRun struct {
	store *Store
	fs    *vfs.MemFS
	acked [crashWriters]atomic.Int64 // highest update acknowledged, by writer
	begun [crashWriters]atomic.Int64
	tick  chan struct{} // one for each acknowledgement, while somebody listens
}

func countKey(w int) []byte        { return fmt.Appendf(nil, "count/%d", w) }
func setKey(w int, n int64) []byte { return fmt.Appendf(nil, "set/%d/%06d", w, n) }
func appendKey(w int, n int64) []byte {
	return fmt.Appendf(nil, "append/%d/%06d", w, n)
}

func (r *crashRun) write(ctx context.Context, w int) error {
	n := r.begun[w].Add(1)
	err := r.store.Update(ctx, func(tx *Tx) error {
		old, _, err := tx.Get(countKey(w))
		if err != nil {
			return err
		}
		if want := fmt.Sprint(n - 1); string(old) != want && n > 1 {
			return fmt.Errorf("writer %d reads count %q, want %s", w, old, want)
		}
		tx.Set(countKey(w), fmt.Append(nil, n))
		tx.Set(setKey(w, n), []byte("x"))
		appendBody(tx, appendKey(w, n), make([]byte, 100*w), []byte("tail"))
		return nil
	})
	if err == nil {
		r.acked[w].Store(n)
		select {
		case r.tick <- struct{}{}:
		case <-ctx.Done():
		}
	}
	return err
}

// cut cuts the power at this moment and checks what a new store finds.
func (r *crashRun) cut(rng *rand.Rand) error {
	var acked [crashWriters]int64
	for w := range acked {
		acked[w] = r.acked[w].Load()
	}
	disk := r.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	s, err := Open("data", Options{FS: disk})
	if err != nil {
		return fmt.Errorf("opening after the cut: %w", err)
	}
	defer s.Close()
	for w := range acked {
		if err := checkWriter(s, w, acked[w], r.begun[w].Load()); err != nil {
			return err
		}
	}
	return nil
}

// checkWriter makes sure that updates 1 to n of a writer are there and nothing of the later ones, for some n that is
// at least what was acknowledged.
func checkWriter(s *Store, w int, acked, begun int64) error {
	value, _, err := s.Get(countKey(w))
	if err != nil {
		return err
	}
	var n int64
	_, _ = fmt.Sscan(string(value), &n)
	if n < acked {
		return fmt.Errorf("writer %d: %d updates acknowledged, %d found", w, acked, n)
	}
	for i := int64(1); i <= begun+1; i++ {
		_, set, err1 := s.Get(setKey(w, i))
		body, appended, err2 := readBody(s, appendKey(w, i))
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if set != (i <= n) || appended != set || appended && len(body) != 100*w+4 {
			return fmt.Errorf("writer %d, %d updates found: update %d is torn: set %t, append %t of %d bytes", w, n, i, set, appended, len(body))
		}
	}
	return nil
}

// crash runs rounds of stores, each with so many power cuts under load, and returns how many cuts lost something.
func crash(t *testing.T, rounds, cuts int, noSync bool) (losses int, first error) {
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		r := &crashRun{fs: vfs.NewCrashableMem(), tick: make(chan struct{})}
		var err error
		if r.store, err = Open("data", Options{FS: r.fs, noSync: noSync}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range crashWriters {
			writers.Go(func() {
				for ctx.Err() == nil {
					if err := r.write(ctx, w); err != nil && ctx.Err() == nil {
						t.Errorf("writer %d: %v", w, err)
						return
					}
				}
			})
		}
		for range cuts {
			for range rng.IntN(8) {
				<-r.tick
			}
			if err := r.cut(rng); err != nil {
				losses++
				if first == nil {
					first = fmt.Errorf("seed %d: %w", seed, err)
				}
			}
		}
		stop()
		writers.Wait()
		if err := r.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return losses, first
}

func TestG8PowerCutsLoseNothingAcknowledgedAndTearNothing(t *testing.T) {
	if losses, err := crash(t, 20, 25, false); err != nil {
		t.Fatalf("%d of 500 power cuts lost data; the first: %v", losses, err)
	}
}

func TestMissingSyncIsFoundByThePowerCuts(t *testing.T) {
	losses, err := crash(t, 2, 25, true)
	if losses == 0 {
		t.Fatal("50 power cuts without syncs, and the checker found nothing lost")
	}
	t.Logf("%d of 50 cuts lost data; the first: %v", losses, err)
}
