package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// lives is how often a store is opened, written to and closed in a life of a directory.
const lives = 2

// A life is a directory, and how many updates of it were acknowledged.
type life struct{ acked atomic.Int64 }

// live opens a store, makes sure that what was acknowledged is there, writes and closes it. It returns the first error.
func (l *life) live(fs vfs.FS) (err error) {
	s, err := Open("data", Options{FS: fs})
	if err != nil {
		return err
	}
	for i := int64(0); i < l.acked.Load() && err == nil; i++ {
		var body []byte
		var ok bool
		if body, ok, err = readBody(s, fmt.Append(nil, i)); err == nil && (!ok || string(body) != "body") {
			err = fmt.Errorf("WRONG: %d of %d: %t, %q", i, l.acked.Load(), ok, body)
		}
	}
	for i := 0; i < 3 && err == nil; i++ {
		key := fmt.Append(nil, l.acked.Load())
		err = s.Update(context.Background(), func(tx *Tx) error {
			appendBody(tx, key, []byte("body"))
			if i == 1 {
				tx.Set([]byte("set"), key)
			}
			return nil
		})
		if err == nil {
			l.acked.Add(1)
		}
	}
	if closing := s.Close(); err == nil {
		err = closing
	}
	return err
}

// counted is a file system that calls f with the number of each operation that changes it, before the operation.
func counted(fs vfs.FS, f func(n int64, op errorfs.Op) error) vfs.FS {
	var n atomic.Int64
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpLock {
			return nil
		}
		return f(n.Add(1), op)
	}))
}

// TestG8PowerCutsAtAnyStepOfAStart cuts the power before each change that stores make on disk while they are opened,
// used a little and closed.
func TestG8PowerCutsAtAnyStepOfAStart(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	disk, used, cuts := vfs.NewCrashableMem(), new(life), 0
	var mu sync.Mutex // guards rng and cuts
	watched := counted(disk, func(n int64, op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		for _, percent := range []int{0, 50, 50, 50} {
			after := new(life)
			after.acked.Store(used.acked.Load())
			left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			cuts++
			if err := after.live(left); err != nil {
				t.Errorf("power cut before operation %d, %v: %v", n, op, err)
			}
		}
		return nil
	})
	for range lives {
		if err := used.live(watched); err != nil {
			t.Fatal(err)
		}
	}
	if cuts < 100 {
		t.Errorf("only %d power cuts", cuts)
	}
}

// TestADiskThatFailsAtAnyStepIsAnError has each change fail once that stores make on disk, with an error or for want of
// room by turns. Another process finds everything afterwards.
func TestADiskThatFailsAtAnyStepIsAnError(t *testing.T) {
	for at := int64(1); ; at++ {
		failure := []syscall.Errno{syscall.EIO, syscall.ENOSPC}[at%2]
		var failed atomic.Bool
		disk, used := vfs.NewCrashableMem(), new(life)
		broken := counted(disk, func(n int64, _ errorfs.Op) error {
			if n == at {
				failed.Store(true)
				return failure
			}
			return nil
		})
		var err error
		for i := 0; i < lives && err == nil; i++ {
			err = used.live(broken)
		}
		if err != nil && !strings.Contains(err.Error(), failure.Error()) {
			t.Errorf("%v at operation %d: %v", failure, at, err)
		}
		left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
		if err := used.live(left); err != nil {
			t.Errorf("after %v at operation %d: %v", failure, at, err)
		}
		if !failed.Load() {
			if at < 50 {
				t.Errorf("only %d operations", at)
			}
			return
		}
	}
}
