package leasetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

var errBroken = errors.New("connection reset")

// A Faulty is a Store whose first write of a held row, a Renew or Release, first Describe, or first conditional write of
// what a fleet shares fails with an error that leaves open whether it was applied.
type Faulty struct {
	lease.Store
	// Applied tells that the write is applied, and its answer lost.
	Applied bool

	once sync.Once
}

// Renew fails the first time.
func (f *Faulty) Renew(ctx context.Context, held lease.Lease, worker string, c lease.Change) (lease.Lease, error) {
	return f.write(func() (lease.Lease, error) { return f.Store.Renew(ctx, held, worker, c) })
}

// Release fails the first time.
func (f *Faulty) Release(ctx context.Context, held lease.Lease, worker, next string) (lease.Lease, error) {
	return f.write(func() (lease.Lease, error) { return f.Store.Release(ctx, held, worker, next) })
}

// Describe fails the first time.
func (f *Faulty) Describe(ctx context.Context, key string, children []string, r *record.HashKeyRange) error {
	return f.do(func() error { return f.Store.Describe(ctx, key, children, r) })
}

// Assign fails the first time.
func (f *Faulty) Assign(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	return f.write(func() (lease.Lease, error) { return f.Store.Assign(ctx, seen, worker) })
}

// DeleteMember fails the first time.
func (f *Faulty) DeleteMember(ctx context.Context, seen lease.Member) error {
	return f.do(func() error { return f.Store.DeleteMember(ctx, seen) })
}

// PutLeader fails the first time.
func (f *Faulty) PutLeader(ctx context.Context, seen, next lease.Lock) error {
	return f.do(func() error { return f.Store.PutLeader(ctx, seen, next) })
}

// Beat fails the first time.
func (f *Faulty) Beat(ctx context.Context, held, next lease.Lock) error {
	return f.do(func() error { return f.Store.Beat(ctx, held, next) })
}

// DeleteLeader fails the first time.
func (f *Faulty) DeleteLeader(ctx context.Context, held lease.Lock) error {
	return f.do(func() error { return f.Store.DeleteLeader(ctx, held) })
}

// PutMigration fails the first time.
func (f *Faulty) PutMigration(ctx context.Context, seen, next lease.Migration) error {
	return f.do(func() error { return f.Store.PutMigration(ctx, seen, next) })
}

func (f *Faulty) do(do func() error) error {
	_, err := f.write(func() (lease.Lease, error) { return lease.Lease{}, do() })
	return err
}

func (f *Faulty) write(do func() (lease.Lease, error)) (lease.Lease, error) {
	first := false
	f.once.Do(func() { first = true })
	if !first {
		return do()
	}
	if f.Applied {
		if _, err := do(); err != nil {
			return lease.Lease{}, err
		}
	}
	return lease.Lease{}, errBroken
}

// testKeeper sees that a keeper on this store settles each of its writes, refused and applied with the answer lost.
func testKeeper(t *testing.T, s lease.Store) {
	for name, test := range map[string]struct {
		row  lease.Lease
		do   func(ctx context.Context, k *lease.Keeper) error
		want func(l lease.Lease) bool
	}{
		"checkpoint": {lease.Lease{Owner: "me"},
			func(ctx context.Context, k *lease.Keeper) error { return k.Save(ctx, lease.Change{Checkpoint: seq(7)}) },
			func(l lease.Lease) bool { return l.Holder() == "me" && l.Checkpoint == seq(7) }},
		"prepared checkpoint": {lease.Lease{Owner: "me"},
			func(ctx context.Context, k *lease.Keeper) error {
				return k.Save(ctx, lease.Change{Pending: record.At("7", 2), PendingState: []byte("x")})
			},
			func(l lease.Lease) bool { return l.Pending == record.At("7", 2) && string(l.PendingState) == "x" }},
		"prepared checkpoint without state": {lease.Lease{Owner: "me"},
			func(ctx context.Context, k *lease.Keeper) error { return k.Save(ctx, lease.Change{Pending: seq(7)}) },
			func(l lease.Lease) bool { return l.Pending == seq(7) && l.PendingState == nil }},
		"checkpoint in a hand-over": {lease.Lease{Owner: "you", CheckpointOwner: "me"},
			func(ctx context.Context, k *lease.Keeper) error { return k.Save(ctx, lease.Change{Checkpoint: seq(7)}) },
			func(l lease.Lease) bool { return l.Holder() == "me" && l.Owner == "you" && l.Checkpoint == seq(7) }},
		"end": {lease.Lease{Owner: "me"},
			func(ctx context.Context, k *lease.Keeper) error {
				return k.Save(ctx, lease.Change{Checkpoint: record.ShardEnd, Children: []string{"c"}})
			},
			func(l lease.Lease) bool { return l.Finished() && len(l.Children) == 1 }},
		"release": {lease.Lease{Owner: "me"},
			func(ctx context.Context, k *lease.Keeper) error { return k.Release(ctx, "") },
			func(l lease.Lease) bool { return l.Holder() == "" }},
		"release in a hand-over": {lease.Lease{Owner: "you", CheckpointOwner: "me"},
			func(ctx context.Context, k *lease.Keeper) error { return k.Release(ctx, "") },
			func(l lease.Lease) bool { return l.Holder() == "you" }},
	} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %v", name, applied), func(t *testing.T) {
				test.row.Key = fmt.Sprint(name, applied)
				held := put(t, s, test.row)
				k := lease.NewKeeper(lease.KeeperConfig{
					Store: &Faulty{Store: s, Applied: applied}, Worker: "me", Duration: time.Minute,
				}, held, time.Now())
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				var ran error
				wg.Go(func() { ran = k.Run(ctx) })
				if err := test.do(ctx, k); err != nil {
					t.Errorf("the keeper gives %v", err)
				}
				cancel()
				wg.Wait()
				if ran != nil {
					t.Errorf("Run = %v, want nil", ran)
				}
				l := get(t, s, held.Key)
				if !test.want(l) {
					t.Errorf("the row is %s", show(l))
				}
				same(t, "the keeper believes in", k.Lease(), l)
			})
		}
	}
}
