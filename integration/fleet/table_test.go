package fleet

import (
	"math/big"
	"slices"
	"testing"
)

func TestEvenWantsAllLeasesSharedByExactlyTheseWorkers(t *testing.T) {
	lease := func(owner, checkpointOwner, checkpoint string) Row {
		return Row{Owner: owner, CheckpointOwner: checkpointOwner, Checkpoint: checkpoint}
	}
	a, b := lease("a", "", "1"), lease("b", "", "1")
	for _, c := range []struct {
		name string
		rows []Row
		want bool
	}{
		{"two and two", []Row{a, a, b, b}, true},
		{"one more", []Row{a, b, b}, true},
		{"two more", []Row{a, b, b, b}, false},
		{"one has none", []Row{a}, false},
		{"somebody else has one", []Row{a, b, lease("c", "", "1")}, false},
		{"nobody has one", []Row{a, b, lease("", "", "1")}, false},
		{"finished ones do not count", []Row{a, b, lease("b", "", "SHARD_END"), lease("", "", "SHARD_END")}, true},
		{"a hand-over is not done yet", []Row{a, a, lease("b", "a", "1"), b}, false},
		{"no leases", nil, false},
	} {
		if got := Even(c.rows, "a", "b"); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestKeysAreThoseThatAWorkerHoldsAndKeeps(t *testing.T) {
	rows := []Row{
		{Key: "1", Owner: "a"}, {Key: "2", Owner: "b"}, {Key: "3", Owner: "a", CheckpointOwner: "b"},
		{Key: "4", Owner: "b", CheckpointOwner: "a"}, {Key: "5", Owner: "a", Checkpoint: shardEnd}, {Key: "6", Owner: "a"},
	}
	if got := Keys(rows, "a"); !slices.Equal(got, []string{"1", "6"}) {
		t.Errorf("got %v", got)
	}
}

func TestEachRoundPutsOneRecordIntoEachLane(t *testing.T) {
	for _, lanes := range []int{1, 8, 40} {
		width := new(big.Int).Lsh(big.NewInt(1), 128)
		width.Div(width, big.NewInt(int64(lanes)))
		seen := map[string]bool{}
		for round := range 16 {
			for lane := range lanes {
				key := hashKey(lane, lanes, round)
				n, ok := new(big.Int).SetString(key, 10)
				if !ok || n.Div(n, width).Int64() != int64(lane) {
					t.Errorf("%d lanes: key %s of lane %d in round %d lies elsewhere", lanes, key, lane, round)
				}
				seen[key] = true
			}
		}
		if len(seen) != 16*lanes {
			t.Errorf("%d lanes: %d different keys in 16 rounds, want %d", lanes, len(seen), 16*lanes)
		}
	}
}
