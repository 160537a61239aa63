package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/sourcegraph/conc/pool"
)

// A relic is a data directory that nobody uses any more, and what must be in it.
type relic struct {
	fs     *vfs.MemFS
	cast   cast
	ledger *ledger
	files  map[string][]byte
}

// A tally counts what became of damaged files by their kind.
type tally struct {
	mu    sync.Mutex
	kinds map[string]*[2]int // damaged, and refused
}

func (t *tally) add(kind string, refused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds[kind] == nil {
		t.kinds[kind] = new([2]int)
	}
	t.kinds[kind][0]++
	if refused {
		t.kinds[kind][1]++
	}
}

// kindOf is the kind of a file of the data directory.
func kindOf(path string) string {
	name := path[strings.LastIndex(path, "/")+1:]
	switch {
	case strings.HasPrefix(path, dir+"/records/"):
		return "segment"
	case strings.HasSuffix(name, ".log"):
		return "log of the database"
	case strings.HasSuffix(name, ".sst"):
		return "table of the database"
	case strings.HasPrefix(name, "marker."):
		return "marker of the database"
	case strings.Contains(name, "-"):
		return name[:strings.Index(name, "-")]
	}
	return name
}

// damage turns single bits in files of a directory, cuts files off and removes them: a server that is started on it either
// has all that was acknowledged, or refuses with the file's name, the directory's where the file is gone.
func (p plan) damage(ctx context.Context, v *verdict) error {
	relics := make([]*relic, 6)
	building := pool.New().WithContext(ctx).WithCancelOnError()
	for i := range relics {
		building.Go(func(ctx context.Context) (err error) {
			relics[i], err = bury(ctx, p.fault, 1+i%3, i%2 == 0)
			return err
		})
	}
	if err := building.Wait(); err != nil {
		return err
	}
	for _, r := range relics {
		v.count(&v.Operations, r.cast.acts())
	}
	kinds := &tally{kinds: map[string]*[2]int{}}
	work := pool.New().WithContext(ctx).WithCancelOnError().WithMaxGoroutines(lanes)
	for i := range p.flips {
		work.Go(func(ctx context.Context) error {
			return relics[i%len(relics)].damage(ctx, v, kinds, i/len(relics), rand.New(rand.NewPCG(p.seed, uint64(i))), p.fault == faultForgetful)
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds.kinds)) {
		n := kinds.kinds[kind]
		v.say("    %-24s %4d damaged, %4d refused by name", kind, n[0], n[1])
		v.Refused += n[1]
	}
	return nil
}

// bury makes a directory with as many servers one after the other; the last is closed, or its power is cut.
func bury(ctx context.Context, fault string, servers int, closed bool) (*relic, error) {
	r := &relic{fs: vfs.NewCrashableMem(), cast: newCast(fault), files: map[string][]byte{}}
	for i := range servers {
		srv, a, err := open(r.fs)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			err = furnish(ctx, a)
		}
		for j := 0; j < 4*len(alone) && err == nil; j++ {
			err = r.cast[alone[j%len(alone)]].step(ctx, a)
		}
		r.ledger = r.cast.acknowledged()
		if i == servers-1 && !closed && err == nil {
			err = r.rest(ctx, a)
			cut := r.fs.CrashClone(vfs.CrashCloneCfg{})
			err = errors.Join(err, srv.Close())
			r.fs = cut
		} else {
			err = errors.Join(err, srv.Close())
		}
		if err != nil {
			return nil, err
		}
	}
	r.ledger.upTo(r.cast)
	return r, r.list(dir)
}

// rest waits until SYNCED knows of all that was acknowledged before: it has been written twice, because of two more
// operations, and what it says at the second time was gathered after the first.
func (r *relic) rest(ctx context.Context, a api) error {
	const counter = 2
	known := func() ([]byte, error) { return contents(r.fs.CrashClone(vfs.CrashCloneCfg{}), dir+"/SYNCED") }
	ctx, cancel := bounded(ctx)
	defer cancel()
	for range 2 {
		before, err := known()
		if err != nil {
			return err
		}
		if err := r.cast[counter].step(ctx, a); err != nil {
			return err
		}
		for now := before; bytes.Equal(now, before); {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("SYNCED is not written: %w", context.Cause(ctx))
			}
			if now, err = known(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *relic) list(dir string) error {
	names, err := r.fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := r.fs.PathJoin(dir, name)
		info, err := r.fs.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			if err := r.list(path); err != nil {
				return err
			}
			continue
		}
		b, err := contents(r.fs, path)
		if err != nil {
			return err
		}
		if name != "LOCK" {
			r.files[path] = b
		}
	}
	return nil
}

func contents(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func overwrite(fs vfs.FS, path string, b []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// damage damages one of the files in a copy.
func (r *relic) damage(ctx context.Context, v *verdict, kinds *tally, i int, rng *rand.Rand, forgetful bool) error {
	paths := slices.Sorted(maps.Keys(r.files))
	path := paths[i%len(paths)]
	fs := r.fs.CrashClone(vfs.CrashCloneCfg{})
	what, removed, err := spoil(fs, path, r.files[path], rng)
	if err != nil {
		return err
	}
	name := fs.PathBase(path)
	if removed {
		name = dir // there is none to be named
	}
	if forgetful {
		if err := forget(fs); err != nil {
			return err
		}
	}
	_, err = inspect(ctx, fs, r.cast, r.ledger)
	var bad finding
	switch {
	case err == nil:
	case errors.As(err, &bad) || errors.Is(err, errHangs):
		v.found(what, err)
	case !strings.Contains(err.Error(), name):
		v.found(what, fmt.Errorf("the file is not named: %w", err))
	}
	kinds.add(kindOf(path), err != nil)
	v.count(&v.Flips, 1)
	return ctx.Err()
}

// spoil turns a bit of a file, cuts the file off, or removes it.
func spoil(fs vfs.FS, path string, b []byte, rng *rand.Rand) (what string, removed bool, err error) {
	if len(b) == 0 || rng.IntN(12) == 0 {
		return path + " removed", true, fs.Remove(path)
	}
	at := rng.IntN(len(b))
	if rng.IntN(2) == 0 { // near the end, where damage looks like a write cut short
		at = len(b) - 1 - rng.IntN(min(len(b), 200))
	}
	if rng.IntN(4) == 0 {
		return fmt.Sprintf("%s cut off at %d of %d", path, at, len(b)), false, overwrite(fs, path, b[:at])
	}
	b = bytes.Clone(b)
	b[at] ^= 1 << rng.IntN(8)
	return fmt.Sprintf("a bit of byte %d of %d of %s", at, len(b), path), false, overwrite(fs, path, b)
}

// forget has the directory's SYNCED know of nothing, as that of a new directory.
func forget(fs vfs.FS) error {
	fresh := vfs.NewMem()
	srv, _, err := open(fresh)
	if err != nil {
		return err
	}
	b, err := contents(fresh, dir+"/SYNCED")
	if err := errors.Join(err, srv.Close()); err != nil {
		return err
	}
	return overwrite(fs, dir+"/SYNCED", b)
}
