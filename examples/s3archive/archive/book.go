package archive

import (
	"slices"

	"github.com/shoal-stream/shoal/record"
)

// A book decides, for one tenure of a shard, which records go into which object and which checkpoint may be stored.
// It does no I/O and has no clock. T is what the caller keeps about a record.
//
// The objects of a shard form chains, one for each output: an object is named by its first record, and the next one of
// the chain begins with the next record of the output. The store lets a name be made once. So whoever begins at a
// boundary of every chain finds the objects that others have made from there, one after the other, and takes over their
// ends, whatever the ends are:
//
//	          checkpoint
//	              ▼
//	output A  ────┤ a1 a2 a3 ├─┤ a4 a5 ├─┤ a6 …        an object is made, or it is there already: settled tells its end
//	output B  ────┤ b1 ├─┤ b2 b3 b4 b5 ├─┤ b6 …
//	                        ▲         ▲
//	                       cut     adopted end: no checkpoint before the cut is behind it
//
// A checkpoint is allowed where no object of any chain lies on both sides of it.
type book[T any] struct {
	chains map[string]*chain[T]
	// seen is the last record that was handed in, whatever became of it.
	seen record.Position
	// cutAt is the last record before the newest cut, zero if nothing was handed in before it.
	cutAt record.Position
	// stored is the last checkpoint that was given out.
	stored record.Position
}

// A chain is one output of the shard. Records wait in open, are cut into flying, and leave it when they are in objects.
type chain[T any] struct {
	open, flying []entry[T]
	// end is the last record of the newest object: records up to it are in objects.
	end record.Position
}

type entry[T any] struct {
	at    record.Position
	value T
}

func newBook[T any](start record.Position) *book[T] {
	return &book[T]{chains: map[string]*chain[T]{}, seen: start, stored: start}
}

// add takes in the next record of a chain. It reports false if the record is in an object already.
func (b *book[T]) add(name string, at record.Position, v T) bool {
	b.seen = at
	c := b.chains[name]
	if c == nil {
		c = &chain[T]{}
		b.chains[name] = c
	}
	if at.Compare(c.end) <= 0 {
		return false
	}
	c.open = append(c.open, entry[T]{at, v})
	return true
}

// pass notes a record that goes into no object.
func (b *book[T]) pass(at record.Position) { b.seen = at }

// cut ends the objects of all chains here. last, if not zero, is the last record that may be in them: records behind it
// stay open. No object may be flying.
func (b *book[T]) cut(last record.Position) {
	if last.IsZero() || last.Compare(b.seen) > 0 {
		last = b.seen
	}
	b.cutAt = last
	for _, c := range b.chains {
		n, _ := slices.BinarySearchFunc(c.open, last, func(e entry[T], p record.Position) int {
			if e.at.Compare(p) <= 0 {
				return -1
			}
			return 1
		})
		c.flying, c.open = c.open[:n:n], slices.Clip(c.open[n:])
	}
}

// flying are the chains that have records which were cut and are not in objects yet. The next object of each begins
// with the first of them.
func (b *book[T]) flying() []string {
	var names []string
	for name, c := range b.chains {
		if len(c.flying) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// settle notes that the object which begins with the first flying record of the chain exists and ends at end, whoever
// made it. It returns the records that the chain is rid of.
func (b *book[T]) settle(name string, end record.Position) (done []entry[T]) {
	c := b.chains[name]
	if end.Compare(c.end) > 0 {
		c.end = end
	}
	for _, part := range []*[]entry[T]{&c.flying, &c.open} {
		n := 0
		for n < len(*part) && (*part)[n].at.Compare(end) <= 0 {
			n++
		}
		done = append(done, (*part)[:n]...)
		if *part = (*part)[n:]; len(*part) == 0 {
			*part = nil // let go of what the array still holds
		}
	}
	return done
}

// checkpoint is where the shard may be checkpointed now, if anywhere new: when nothing flies, at the newest cut, unless
// an object of somebody else reaches beyond it.
func (b *book[T]) checkpoint() (record.Position, bool) {
	if b.cutAt.Compare(b.stored) <= 0 || b.cutAt.Kind() != record.KindSequence {
		return record.Position{}, false
	}
	for _, c := range b.chains {
		if len(c.flying) > 0 || c.end.Compare(b.cutAt) > 0 {
			return record.Position{}, false
		}
	}
	return b.cutAt, true
}

// store notes that the checkpoint at p was stored, and forgets the chains that have nothing to say any more.
func (b *book[T]) store(p record.Position) {
	b.stored = p
	for name, c := range b.chains {
		if len(c.open) == 0 && len(c.flying) == 0 && c.end.Compare(p) <= 0 {
			delete(b.chains, name)
		}
	}
}

// behind reports whether something was handed in that no checkpoint covers.
func (b *book[T]) behind() bool { return b.seen.Compare(b.stored) > 0 }
