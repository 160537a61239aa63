package main

import "testing"

func TestTheLeaseProtocolHoldsInEveryStateOfASmallModel(t *testing.T) {
	f := newExplorer(bound{1, 1, 1, false}.model(noFault)).explore(most)
	if f.wrong != "" || !f.complete || f.states < 200_000 {
		t.Errorf("%d states, complete %t: %s\n%q", f.states, f.complete, f.wrong, f.trace)
	}
}

// Each fault has a shortest way to it, which is told from the beginning and ends with what is wrong.
func TestFaultsOfTheProtocolAreFound(t *testing.T) {
	for fault, steps := range map[fault]int{
		takeUnchecked: 5, noDeadline: 7, takenAtSight: 5, forcedTooEarly: 7, releaseUnchecked: 9, lostIsDone: 9,
	} {
		f := newExplorer(planted.model(fault)).explore(mostForFault)
		if f.wrong == "" || len(f.trace) != steps {
			t.Errorf("%v: %q after %q; want something wrong after %d steps", fault, f.wrong, f.trace, steps)
		}
	}
}

// A state survives packing whatever its fields hold, and looks the same in the mirror of its mirror.
func TestAStateIsPackedWhole(t *testing.T) {
	x := newExplorer(bound{2, 2, 2, true}.model(noFault))
	x.explore(20_000)
	for _, k := range x.keys {
		s := k.unpack()
		if s.pack() != k {
			t.Fatalf("%+v is packed to %x, from %x", s, s.pack(), k)
		}
		m := s.mirrored()
		if m.canonical() != k {
			t.Fatalf("the mirror image of %+v has another key", s)
		}
		x.m.next(&s, func(p step, n *state, _ string) {
			n.sort()
			if n.pack().unpack() != *n {
				t.Fatalf("%v leads to %+v, of which the key holds %+v", p, *n, n.pack().unpack())
			}
		})
	}
}
