package storage

import (
	"bytes"
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

// A crashRun is a store on a file system whose power may be cut, with writers that note what was acknowledged. Updates
// of a writer are of three kinds by turns: one writes a key by Set and a count that it reads first, one appends two
// bodies, and one does all of that.
type crashRun struct {
	store *Store
	fs    *vfs.MemFS
	acked [crashWriters]atomic.Int64 // highest update acknowledged, by writer
	begun [crashWriters]atomic.Int64
	tick  chan struct{} // one for each acknowledgement, while somebody listens
}

func countKey(w int) []byte        { return fmt.Appendf(nil, "count/%d", w) }
func setKey(w int, n int64) []byte { return fmt.Appendf(nil, "set/%d/%06d", w, n) }
func appendKey(w int, n int64, nth int) []byte {
	return fmt.Appendf(nil, "append/%d/%06d/%d", w, n, nth)
}

// sets and appends tell what the n-th update of a writer does.
func sets(n int64) bool    { return n%3 != 1 }
func appends(n int64) bool { return n%3 != 2 }

// appended is the nth body of an update: now and then one that is not gathered with others.
func appended(w int, n int64, nth int) []byte {
	size := 100*w + 10*nth
	if n%8 == 7 {
		size += gatherBytes
	}
	return bytes.Repeat([]byte{byte(w), byte(n), byte(nth)}, size)
}

func (r *crashRun) write(ctx context.Context, w int) error {
	n := r.begun[w].Add(1)
	block := NewBlock(len(appended(w, n, 0)), len(appended(w, n, 1)))
	copy(block.Body(0), appended(w, n, 0))
	copy(block.Body(1), appended(w, n, 1))
	block.Seal()
	err := r.store.Update(ctx, func(tx *Tx) error {
		if sets(n) {
			old, _, err := tx.Get(countKey(w))
			if err != nil {
				return err
			}
			if before := lastSet(n - 1); before > 0 && string(old) != fmt.Sprint(before) {
				return fmt.Errorf("writer %d reads count %q, want %d", w, old, before)
			}
			tx.Set(countKey(w), fmt.Append(nil, n))
			tx.Set(setKey(w, n), []byte("x"))
		}
		if appends(n) {
			a, b := appendKey(w, n, 0), appendKey(w, n, 1)
			tx.Append(block, Entry{a, turned(a)}, Entry{b, turned(b)})
		}
		return nil
	})
	if err == nil {
		block.Free()
		r.acked[w].Store(n)
		select {
		case r.tick <- struct{}{}:
		case <-ctx.Done():
		}
	}
	return err
}

// lastSet is the last update up to n that sets, 0 if there is none.
func lastSet(n int64) int64 {
	for n > 0 && !sets(n) {
		n--
	}
	return n
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
	for w := range acked {
		if err := checkWriter(s, w, acked[w], r.begun[w].Load()); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return r.goOn(s, disk, rng)
}

// goOn writes to what a cut has left, cuts the power again and makes sure that both the old and the new are there.
func (r *crashRun) goOn(s *Store, disk *vfs.MemFS, rng *rand.Rand) error {
	if rng.IntN(4) > 0 {
		return s.Close()
	}
	before, err := keys(s)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	if err := s.Update(context.Background(), func(tx *Tx) error { appendBody(tx, []byte("more"), []byte("body")); return nil }); err != nil {
		return errors.Join(err, s.Close())
	}
	disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open("data", Options{FS: disk}); err != nil {
		return fmt.Errorf("opening after the second cut: %w", err)
	}
	defer s.Close()
	if body, _, err := readBody(s, []byte("more")); err != nil || string(body) != "body" {
		return fmt.Errorf("after the second cut: body %q, %w", body, err)
	}
	if after, err := keys(s); err != nil || after != before+1 {
		return fmt.Errorf("after the second cut: %d keys, want %d, %w", after, before+1, err)
	}
	return nil
}

func keys(s *Store) (n int, err error) {
	it, err := s.Iter(nil, nil)
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n, it.Close()
}

// checkWriter makes sure that updates 1 to n of a writer are there and nothing of the later ones, for some n that is
// at least what was acknowledged.
func checkWriter(s *Store, w int, acked, begun int64) error {
	n := int64(0) // updates found
	for i := int64(1); i <= begun+1; i++ {
		found, err := checkUpdate(s, w, i)
		switch {
		case err != nil:
			return err
		case found && n != i-1:
			return fmt.Errorf("writer %d: update %d is there, %d is not", w, i, n+1)
		case found:
			n = i
		}
	}
	if n < acked {
		return fmt.Errorf("writer %d: %d updates acknowledged, %d found", w, acked, n)
	}
	want := ""
	if last := lastSet(n); last > 0 {
		want = fmt.Sprint(last)
	}
	if value, _, err := s.Get(countKey(w)); err != nil || string(value) != want {
		return fmt.Errorf("writer %d: count %q, want %q, %w", w, value, want, err)
	}
	return nil
}

// checkUpdate tells whether an update is there; one that is there in part is an error.
func checkUpdate(s *Store, w int, n int64) (bool, error) {
	parts, found := 0, 0
	if sets(n) {
		_, ok, err := s.Get(setKey(w, n))
		if err != nil {
			return false, err
		}
		parts++
		if ok {
			found++
		}
	}
	for nth := range 2 {
		if !appends(n) {
			break
		}
		body, ok, err := readBody(s, appendKey(w, n, nth))
		if err != nil {
			return false, err
		}
		parts++
		if ok {
			found++
			if !bytes.Equal(body, appended(w, n, nth)) {
				return false, fmt.Errorf("writer %d, update %d: wrong body of %d bytes", w, n, len(body))
			}
		}
	}
	if found != 0 && found != parts {
		return false, fmt.Errorf("writer %d: update %d is torn: %d of %d parts", w, n, found, parts)
	}
	return found > 0, nil
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
		r.store.log.most = 256 << 10 // many segments
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
