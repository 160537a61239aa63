package calm

import (
	"errors"
	"slices"
	"testing"
)

func TestTheLeastDisturbedRoundsCount(t *testing.T) {
	var all []Round
	for i, stolen := range []float64{0.2, 0.01, 0.07, 0.3, 0, 0.06} {
		all = append(all, Round{i, stolen})
	}
	counted := least(all, 3)
	if want := []Round{{1, 0.01}, {4, 0}, {5, 0.06}}; !slices.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
	if got, want := Only([]string{"a", "b", "c", "d", "e", "f"}, counted), []string{"b", "e", "f"}; !slices.Equal(got, want) {
		t.Errorf("their values are %v, want %v", got, want)
	}
}

func TestDisturbedRoundsAreDoneAgain(t *testing.T) {
	for _, test := range []struct {
		n, most int
		limit   float64
		want    int
	}{
		{7, 14, 1, 7},   // nothing is more than everything
		{7, 14, -1, 14}, // everything is more than less than nothing
		{1, 2, -1, 2},
		{3, 0, -1, 3},
	} {
		var rounds []int
		counted, done, err := Rounds(test.n, test.most, test.limit, func(round int) error {
			rounds = append(rounds, round)
			return nil
		})
		if err != nil || len(counted) != test.n || done != test.want || len(rounds) != done || !slices.IsSorted(rounds) {
			t.Errorf("Rounds(%d, %d, %g) did %v, said %d, counted %v, error %v; want %d rounds", test.n, test.most, test.limit, rounds, done, counted, err, test.want)
		}
	}
	failed := errors.New("failed")
	if _, _, err := Rounds(3, 6, 1, func(int) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v, want %v", err, failed)
	}
}
