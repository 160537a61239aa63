package main

import (
	"math/bits"
	"slices"
)

// A found is what the exploration of a model found.
type found struct {
	states, transitions int
	depth               int      // steps to the state that is furthest from the beginning
	complete            bool     // every state was seen
	wrong               string   // the first thing that was wrong, "" if nothing
	trace               []string // the shortest way to it
}

// An explorer visits every state that a model can reach, breadth first, so that the first fault it finds is reached by no
// shorter way.
type explorer struct {
	m      *model
	keys   []key    // of the states, in the order in which they were found
	from   []uint32 // by which each was found first
	table  []uint32 // places in keys, plus one, by hash
	next   []uint32 // healthy steps: the states after them, for each state in turn
	starts []uint64 // where each state's begin in next
}

func newExplorer(m *model) *explorer {
	return &explorer{m: m, table: make([]uint32, 1<<16)}
}

func hash(k key) uint64 {
	h := k[0] * 0x9e3779b97f4a7c15
	h = bits.RotateLeft64(h, 29) ^ k[1]
	h *= 0xbf58476d1ce4e5b9
	h = bits.RotateLeft64(h, 31) ^ k[2]
	h *= 0x94d049bb133111eb
	return h ^ h>>32
}

// add returns the place of k, and whether it is new.
func (x *explorer) add(k key, from uint32) (uint32, bool) {
	if 2*len(x.keys) >= len(x.table) {
		x.grow()
	}
	mask := uint64(len(x.table) - 1)
	for h := hash(k) & mask; ; h = (h + 1) & mask {
		switch at := x.table[h]; {
		case at == 0:
			x.keys, x.from = append(x.keys, k), append(x.from, from)
			x.table[h] = uint32(len(x.keys))
			return uint32(len(x.keys) - 1), true
		case x.keys[at-1] == k:
			return at - 1, false
		}
	}
}

func (x *explorer) grow() {
	x.table = make([]uint32, 2*len(x.table))
	mask := uint64(len(x.table) - 1)
	for i, k := range x.keys {
		h := hash(k) & mask
		for x.table[h] != 0 {
			h = (h + 1) & mask
		}
		x.table[h] = uint32(i + 1)
	}
}

// explore visits at most most states.
func (x *explorer) explore(most int) (f found) {
	var first state
	x.add(first.canonical(), 0)
	level := 1 // the first state of the next depth
	for i := 0; i < len(x.keys); i++ {
		if i == level {
			f.depth, level = f.depth+1, len(x.keys)
		}
		if len(x.keys) > most {
			f.states = len(x.keys)
			return f
		}
		s := x.keys[i].unpack()
		x.starts = append(x.starts, uint64(len(x.next)))
		x.m.next(&s, func(p step, n *state, wrong string) {
			if f.wrong != "" {
				return
			}
			f.transitions++
			if wrong == "" {
				wrong = x.m.check(n)
			}
			if wrong != "" {
				f.trace, f.wrong = x.trace(uint32(i), true)
				return
			}
			at, _ := x.add(n.canonical(), uint32(i))
			if p.healthy && at != uint32(i) {
				x.next = append(x.next, at)
			}
		})
		if f.wrong != "" {
			f.states = len(x.keys)
			return f
		}
	}
	x.starts = append(x.starts, uint64(len(x.next)))
	f.states, f.complete = len(x.keys), true
	if at := x.stuck(); at >= 0 {
		f.trace, _ = x.trace(uint32(at), false)
		f.wrong = "the shard cannot be finished from here, though nothing goes wrong any more"
	}
	return f
}

// stuck is the first state from which no healthy steps lead to the end of the shard, -1 if there is none.
func (x *explorer) stuck() int {
	finish := make([]bool, len(x.keys))
	for i, k := range x.keys {
		s := k.unpack()
		finish[i] = s.checkpoint == end
	}
	for changed := true; changed; {
		changed = false
		for i := len(x.keys) - 1; i >= 0; i-- {
			if finish[i] {
				continue
			}
			for _, n := range x.next[x.starts[i]:x.starts[i+1]] {
				if finish[n] {
					finish[i], changed = true, true
					break
				}
			}
		}
	}
	return slices.Index(finish, false)
}

// trace is the steps to the state at a place, and where fails is set the one from there that is wrong, and what is. States are kept
// without regard to which of the two like workers is which, so this is one such run, told anew from the beginning.
func (x *explorer) trace(at uint32, fails bool) (steps []string, what string) {
	var path []uint32
	for ; at != 0; at = x.from[at] {
		path = append(path, at)
	}
	slices.Reverse(path)
	var s state
	follow := func(found func(n *state, wrong string) bool) {
		was, done := s, false
		x.m.next(&was, func(p step, n *state, wrong string) {
			if !done && found(n, wrong) {
				steps = append(steps, p.String())
				s, done = *n, true
			}
		})
	}
	for _, at := range path {
		follow(func(n *state, _ string) bool { return n.canonical() == x.keys[at] })
	}
	if fails {
		follow(func(n *state, wrong string) bool {
			if what = wrong; what == "" {
				what = x.m.check(n)
			}
			return what != ""
		})
	}
	return steps, what
}
