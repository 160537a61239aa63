package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/aws/smithy-go"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/sourcegraph/conc/pool"
)

// How the disk fails at one of its operations.
const (
	failOnce = iota // with an input/output error
	failTorn        // the same, and of a write half is written
	failFull        // no room for a while
	failures
)

// fullFor is how many operations a full disk refuses before there is room again.
const fullFor = 12

// A failing is a server on a disk that fails at one of its operations.
type failing struct {
	plan   plan
	kind   int
	at     int64 // the operation that fails, from 1 on
	disk   *disk
	cast   cast
	done   atomic.Int64 // operations of the disk
	failed atomic.Int64 // of them
}

// diskErrors counts the disk's operations in a run without a failure, and then has them fail one at a time.
func (p plan) diskErrors(ctx context.Context, v *verdict) error {
	whole := &failing{plan: p, at: -1}
	if err := whole.run(ctx, v); err != nil {
		return err
	}
	positions := whole.done.Load()
	work := pool.New().WithContext(ctx).WithCancelOnError().WithMaxGoroutines(lanes)
	for i := range p.errors {
		f := &failing{plan: p, kind: i % failures, at: 1 + int64(i/failures)*positions/int64((p.errors+failures-1)/failures)}
		work.Go(func(ctx context.Context) error { return f.run(ctx, v) })
	}
	return work.Wait()
}

// answer decides about an operation of the disk.
func (f *failing) answer(op errorfs.Op) error {
	n := f.done.Add(1)
	switch {
	case f.at < 0 || n < f.at:
		return nil
	case f.kind == failFull && f.failed.Load() < fullFor && takesRoom(op):
		f.failed.Add(1)
		return syscall.ENOSPC
	case f.kind != failFull && n == f.at:
		f.failed.Add(1)
		if f.kind == failTorn && op.Kind == errorfs.OpFileWrite && !strings.Contains(op.Path, "SYNCED") {
			return errTorn
		}
		return syscall.EIO
	}
	return nil
}

func takesRoom(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpMkdirAll, errorfs.OpLink:
		return true
	}
	return false
}

// run plays on a new disk that fails, starts another server half way, and at last looks with a good disk at what is there.
func (f *failing) run(ctx context.Context, v *verdict) error {
	f.disk, f.cast = newDisk(vfs.NewCrashableMem()), newCast(f.plan.fault)
	answer := f.answer
	f.disk.before.Store(&answer)
	finding := func(err error) {
		v.found(fmt.Sprintf("disk error %d of kind %d", f.at, f.kind), err)
	}
	furnished := false
	rng := rand.New(rand.NewPCG(f.plan.seed, uint64(f.at)))
	for range 2 {
		if f.failed.Load() > 0 { // another process comes after a failure: the first may have ended without closing
			f.disk = newDisk(f.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng}))
			f.disk.before.Store(&answer)
		}
		ready, err := f.serve(ctx)
		furnished = furnished || ready
		if err != nil {
			finding(err)
		}
		if f.failed.Load() > 0 && err != nil {
			break
		}
	}
	f.disk.before.Store(nil)
	if f.at >= 0 {
		if f.failed.Load() == 0 {
			return nil // this run had fewer operations
		}
		v.count(&v.DiskErrors, 1)
	}
	v.count(&v.Operations, f.cast.acts())
	after := f.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	if !furnished {
		srv, a, err := open(after)
		if err == nil {
			err = errors.Join(furnish(ctx, a), srv.Close())
		}
		if err != nil {
			finding(fmt.Errorf("a new directory afterwards: %w", err))
			return nil
		}
	}
	if _, err := inspect(ctx, after, f.cast, f.cast.acknowledged().upTo(f.cast)); err != nil {
		finding(fmt.Errorf("afterwards: %w", err))
	}
	return ctx.Err()
}

// serve runs a server for a while. Errors are fine if they say what happened; what is not is returned. After an error that
// leaves the server able to read it plays on.
func (f *failing) serve(ctx context.Context) (furnished bool, err error) {
	srv, a, err := open(f.disk.watched(f.plan.fault, nil))
	if err != nil {
		return false, explained(err)
	}
	defer func() {
		if closing := srv.Close(); closing != nil {
			err = errors.Join(err, explained(closing))
		}
	}()
	call, cancel := bounded(ctx)
	defer cancel()
	if err := furnish(call, a); err != nil {
		return false, explained(hung(call, err))
	}
	found, err := f.cast.audit(ctx, a, f.cast.acknowledged().upTo(f.cast)) // there was a server before, perhaps
	var bad finding
	switch {
	case errors.As(err, &bad):
		return true, err
	case err != nil:
		return true, explained(err)
	}
	f.cast.settle(found)
	for i := range 2 * len(alone) {
		actor := f.cast[alone[i%len(alone)]]
		before := f.failed.Load()
		err := actor.step(ctx, a)
		if err == nil {
			continue
		}
		if err := explained(err); err != nil {
			return true, fmt.Errorf("%s: %w", actor.name, err)
		}
		found, reading := f.cast.audit(ctx, a, f.cast.acknowledged().upTo(f.cast))
		switch {
		case errors.As(reading, &bad) || errors.Is(reading, errHangs):
			return true, fmt.Errorf("after an error of %s: %w", actor.name, reading)
		case reading != nil:
			return true, explained(reading) // the server is at its end
		case f.failed.Load() == before:
			return true, fmt.Errorf("%s: an error without a failure of the disk: %w", actor.name, err)
		}
		f.cast.settle(found)
	}
	return true, nil
}

// explained is nil for an error that says what is wrong with the disk.
func explained(err error) error {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		if strings.Contains(err.Error(), cause.Error()) {
			return nil
		}
	}
	var answer smithy.APIError
	if errors.As(err, &answer) && answer.ErrorFault() == smithy.FaultServer && strings.Contains(err.Error(), "storage: ") {
		return nil
	}
	return fmt.Errorf("not explained by the disk: %w", err)
}
