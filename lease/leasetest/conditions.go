package leasetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/shoal-stream/shoal/lease"
)

// testConditions tries each conditional write with each way in which its condition can fail, and once with it holding.
func testConditions(t *testing.T, s lease.Store) {
	held := lease.Lease{Owner: "me"}
	handed := lease.Lease{Owner: "you", CheckpointOwner: "me"}
	free := lease.Lease{}
	type call func(ctx context.Context, l lease.Lease) (lease.Lease, error)
	renew := func(worker string) call {
		return func(ctx context.Context, l lease.Lease) (lease.Lease, error) {
			return s.Renew(ctx, l, worker, lease.Change{Checkpoint: seq(4)})
		}
	}
	take := func(ctx context.Context, l lease.Lease) (lease.Lease, error) { return s.Take(ctx, l, "she") }
	retake := func(ctx context.Context, l lease.Lease) (lease.Lease, error) { return s.Take(ctx, l, "me") }
	ask := func(ctx context.Context, l lease.Lease) (lease.Lease, error) { return s.Ask(ctx, l, "she") }
	release := func(worker, next string) call {
		return func(ctx context.Context, l lease.Lease) (lease.Lease, error) { return s.Release(ctx, l, worker, next) }
	}
	assign := func(worker string) call {
		return func(ctx context.Context, l lease.Lease) (lease.Lease, error) { return s.Assign(ctx, l, worker) }
	}
	drop := func(ctx context.Context, l lease.Lease) (lease.Lease, error) { return lease.Lease{}, s.Delete(ctx, l) }

	newer := func(l lease.Lease) lease.Lease { l.Counter--; return l } // the row has moved on since it was seen
	by := func(owner, ckp string) func(lease.Lease) lease.Lease {      // the row was seen with these
		return func(l lease.Lease) lease.Lease { l.Owner, l.CheckpointOwner = owner, ckp; return l }
	}
	// after is what a write is to make of the row; nil: the condition must fail and the row stay.
	after := func(owner, ckp string, beats, switches int64) func(lease.Lease) lease.Lease {
		return func(l lease.Lease) lease.Lease {
			l.Owner, l.CheckpointOwner, l.Counter, l.OwnerSwitches = owner, ckp, l.Counter+beats, l.OwnerSwitches+switches
			return l
		}
	}
	checkpoint := func(l lease.Lease) lease.Lease {
		c := lease.Change{Checkpoint: seq(4)}
		l = c.Apply(l)
		l.Counter++
		return l
	}
	for i, test := range []struct {
		name  string
		row   lease.Lease
		seen  func(lease.Lease) lease.Lease
		write call
		after func(lease.Lease) lease.Lease
	}{
		{"renew by the owner", held, nil, renew("me"), checkpoint},
		{"renew by the holder in a hand-over", handed, nil, renew("me"), checkpoint},
		{"renew by one who does not know of the hand-over", handed, by("me", ""), renew("me"), checkpoint},
		{"renew by another", held, nil, renew("you"), nil},
		{"renew of a free row", free, nil, renew("me"), nil},
		{"renew too late", held, newer, renew("me"), nil},

		{"take a free row", free, nil, take, after("she", "", 1, 0)},
		{"take from an owner", held, nil, take, after("she", "", 1, 1)},
		{"take from oneself", held, nil, retake, after("me", "", 1, 0)},
		{"take amid a hand-over", handed, nil, take, after("she", "", 1, 1)},
		{"take too late", held, newer, take, nil},
		{"take from one who gave it away", held, by("you", ""), take, nil},
		{"take for free what has an owner", held, by("", ""), take, nil},
		{"take from an owner what is free", free, by("me", ""), take, nil},

		{"ask an owner", held, nil, ask, after("she", "me", 0, 0)},
		{"ask an owner who has renewed since", held, newer, ask, after("she", "me", 0, 0)},
		{"ask amid a hand-over", handed, nil, ask, nil},
		{"ask one who gave it away", held, by("you", ""), ask, nil},
		{"ask for a free row", free, nil, ask, nil},
		{"ask the former owner of a free row", free, by("me", ""), ask, nil},

		{"assign a free row", free, nil, assign("she"), after("she", "", 1, 0)},
		{"assign an owner's", held, nil, assign("she"), after("she", "", 1, 1)},
		{"assign to its owner", held, nil, assign("me"), after("me", "", 1, 0)},
		{"assign what was renewed since", held, newer, assign("she"), after("she", "", 1, 1)},
		{"assign amid a hand-over to a third", handed, nil, assign("she"), after("she", "", 1, 1)},
		{"assign amid a hand-over to the next", handed, nil, assign("you"), after("you", "", 1, 0)},
		{"assign amid a hand-over to the holder", handed, nil, assign("me"), after("me", "", 1, 1)},
		{"assign not knowing of the hand-over", handed, by("you", ""), assign("she"), nil},
		{"assign not knowing that the hand-over is over", held, by("me", "you"), assign("she"), nil},
		{"assign what was given away", held, by("you", ""), assign("she"), nil},
		{"assign for free what has an owner", held, by("", ""), assign("she"), nil},
		{"assign as an owner's what is free", free, by("me", ""), assign("she"), nil},

		{"release for anybody", held, nil, release("me", ""), after("", "", 1, 0)},
		{"release to another", held, nil, release("me", "you"), after("you", "", 1, 1)},
		{"release in a hand-over", handed, nil, release("me", "she"), after("you", "", 1, 0)},
		{"release too late", held, newer, release("me", ""), nil},
		{"release in a hand-over too late", handed, newer, release("me", ""), nil},
		{"release not knowing of the hand-over", handed, by("me", ""), release("me", ""), nil},
		{"release in a hand-over that is none", held, by("you", "me"), release("me", ""), nil},
		{"release what is another's", held, nil, release("you", ""), nil},

		{"delete", held, nil, drop, after("", "", 0, 0)},
		{"delete too late", held, newer, drop, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.row.Key = fmt.Sprint("row", i)
			before := put(t, s, test.row)
			seen := before.Clone()
			if test.seen != nil {
				seen = test.seen(seen)
			}
			got, err := test.write(t.Context(), seen)
			switch {
			case test.after == nil:
				if !errors.Is(err, lease.ErrConflict) {
					t.Errorf("it = %v, want ErrConflict", err)
				}
				same(t, "the row", get(t, s, before.Key), before)
			case err != nil:
				t.Errorf("it = %v", err)
			case got.Key == "": // deleted
				if _, err := s.Get(t.Context(), before.Key); !errors.Is(err, lease.ErrNotFound) {
					t.Errorf("Get after it = %v, want ErrNotFound", err)
				}
			default:
				want := test.after(before.Clone())
				same(t, "the row returned", got, want)
				same(t, "the row stored", get(t, s, before.Key), want)
			}
			seen.Key = "nobody's"
			if _, err := test.write(t.Context(), seen); !errors.Is(err, lease.ErrNotFound) && !(seen.Owner == "" && errors.Is(err, lease.ErrConflict)) {
				t.Errorf("on a row that is not there it = %v, want ErrNotFound", err)
			}
		})
	}
}
