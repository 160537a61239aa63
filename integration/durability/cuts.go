package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/localstream"
)

// A round of power cuts is one data directory, used by several servers one after the other: each next one has what a cut
// left to the one before.
const (
	generations = 3
	cutsOfEach  = 40
	between     = 10 // changes of the disk between two cuts, at most
)

func (p plan) powerCuts(ctx context.Context, v *verdict) error {
	var left atomic.Int64
	left.Store(int64(p.cuts))
	work := pool.New().WithContext(ctx).WithCancelOnError()
	for lane := range lanes {
		work.Go(func(ctx context.Context) error {
			rng := rand.New(rand.NewPCG(p.seed, uint64(lane)))
			for ctx.Err() == nil && left.Load() > 0 {
				r := &cutting{plan: p, v: v, rng: rng, left: &left, cast: newCast(p.fault)}
				if err := r.round(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// lanes is how many things go on at a time.
const lanes = 2

// A cutting is a round of power cuts.
type cutting struct {
	plan plan
	v    *verdict
	rng  *rand.Rand // of whoever holds mu
	left *atomic.Int64
	cast cast

	mu     sync.Mutex // held while a cut is judged: the disk stands still then
	wait   int        // changes of the disk until the next cut
	cuts   int        // of this generation
	enough chan struct{}
	next   *vfs.MemFS // what the last cut left, with what was found on it
	found  []int64
	failed bool
}

func (r *cutting) round(ctx context.Context) error {
	fs := vfs.NewCrashableMem()
	srv, a, err := open(fs)
	if err != nil {
		return err
	}
	if err := errors.Join(furnish(ctx, a), srv.Close()); err != nil {
		return err
	}
	for range generations {
		if err := r.generation(ctx, fs); err != nil {
			return err
		}
		if r.failed || r.next == nil || r.left.Load() <= 0 {
			break
		}
		fs = r.next
	}
	r.v.count(&r.v.Operations, r.cast.acts())
	return ctx.Err()
}

// generation starts a server, plays, and cuts the power until that is enough. What the last cut left is the round's next.
func (r *cutting) generation(ctx context.Context, fs *vfs.MemFS) error {
	d := newDisk(fs)
	r.enough, r.cuts, r.next = make(chan struct{}), 0, nil
	r.wait = 1 + r.rng.IntN(between)
	change := func(op errorfs.Op) error { r.change(ctx, d); return nil }
	d.before.Store(&change)
	srv, a, err := open(d.watched(r.plan.fault, r.tear))
	if err != nil {
		return err
	}
	playing, stop := context.WithCancel(ctx)
	failed := make(chan error, len(together))
	players := r.cast.play(playing, a, failed)
	select {
	case <-r.enough:
	case err = <-failed:
	case <-ctx.Done():
	}
	stop()
	d.before.Store(nil)
	players.Wait()
	err = errors.Join(err, srv.Close())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		r.cast.settle(r.found)
	}
	return err
}

// change is called before each change of the disk: now and then the power is cut there.
func (r *cutting) change(ctx context.Context, d *disk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wait--; r.wait > 0 || r.cuts >= cutsOfEach || ctx.Err() != nil {
		return
	}
	r.wait = 1 + r.rng.IntN(between)
	r.cuts++
	r.cut(ctx, d)
	if r.cuts == cutsOfEach || r.left.Load() <= 0 {
		r.cuts = cutsOfEach
		close(r.enough)
	}
}

// tear says where a write may be torn. What a cut leaves of what was not synced is drawn in blocks of 4 KiB.
func (r *cutting) tear(size int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return 1 + r.rng.IntN(size-1)
}

// cut cuts the power now, starts another server on what is left and judges what it has.
func (r *cutting) cut(ctx context.Context, d *disk) {
	l := r.cast.acknowledged()
	after := d.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: min(100, r.rng.IntN(150)), RNG: r.rng})
	l.upTo(r.cast)
	keep := after.CrashClone(vfs.CrashCloneCfg{})
	found, err := inspect(ctx, after, r.cast, l)
	if err != nil {
		r.failed = true
		r.v.found("power cut", err)
	} else {
		r.next, r.found = keep, found
	}
	r.left.Add(-1)
	if n := r.v.count(&r.v.PowerCuts, 1); n%1000 == 0 {
		r.v.say("    %d", n)
	}
}

// inspect starts a server on a file system and compares what it has with a ledger.
func inspect(ctx context.Context, fs vfs.FS, c cast, l *ledger) ([]int64, error) {
	srv, err := localstream.Open(dir, localstream.Options{FS: fs})
	if err != nil {
		return nil, err
	}
	found, err := c.audit(ctx, newAPI(srv.AWSConfig()), l)
	if err != nil {
		_ = srv.Close() // it may be broken
		return nil, err
	}
	return found, srv.Close()
}
