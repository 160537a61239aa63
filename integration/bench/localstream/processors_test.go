package main

import (
	"errors"
	"slices"
	"testing"
)

func TestTheLeastDisturbedRoundsCount(t *testing.T) {
	got := least([]int{0, 1, 2, 3, 4, 5}, []float64{0.2, 0.01, 0.07, 0.3, 0, 0.06}, 3)
	if want := []int{1, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestCalmDoesEveryRoundAndNoMoreThanTwice(t *testing.T) {
	for _, n := range []int{1, 7} {
		var done []int
		counted, err := calm(n, func(round int) error {
			done = append(done, round)
			return nil
		})
		if err != nil || len(counted) != n || len(done) < n || len(done) > 2*n || !slices.IsSorted(done) {
			t.Errorf("calm(%d) counted %v of %v, error %v", n, counted, done, err)
		}
	}
	failed := errors.New("failed")
	if _, err := calm(3, func(int) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v, want %v", err, failed)
	}
}
