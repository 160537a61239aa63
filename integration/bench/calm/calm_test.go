package calm

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
		waited := 0
		counted, done, err := Rounds(test.n, test.most, test.limit, func() { waited++ }, func(round int) error {
			rounds = append(rounds, round)
			return nil
		})
		if waited != done {
			t.Errorf("waited %d times for %d rounds", waited, done)
		}
		if err != nil || len(counted) != test.n || done != test.want || len(rounds) != done || !slices.IsSorted(rounds) {
			t.Errorf("Rounds(%d, %d, %g) did %v, said %d, counted %v, error %v; want %d rounds", test.n, test.most, test.limit, rounds, done, counted, err, test.want)
		}
	}
	failed := errors.New("failed")
	if _, _, err := Rounds(3, 6, 1, nil, func(int) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v, want %v", err, failed)
	}
}

func TestPatienceComesToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		var busy atomic.Bool
		p := Patience{Left: time.Minute, Waiting: func(float64) { told++ }, look: func() float64 {
			time.Sleep(probe)
			if busy.Load() {
				return 0.5
			}
			return 0.01
		}}
		took := func(ctx context.Context) time.Duration {
			began := time.Now()
			p.Wait(ctx, 0.02)
			return time.Since(began)
		}
		if d := took(t.Context()); d != probe || told != 0 {
			t.Errorf("waited %v, told %d times, with nobody else there", d, told)
		}
		busy.Store(true)
		time.AfterFunc(20*time.Second, func() { busy.Store(false) })
		if d := took(t.Context()); d < 20*time.Second || d > 20*time.Second+pause+2*probe || told != 1 {
			t.Errorf("waited %v, told %d times, for somebody who had gone after 20 s", d, told)
		}
		busy.Store(true)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if d := took(ended); d != 0 {
			t.Errorf("waited %v after the end", d)
		}
		if d := took(t.Context()); d < 30*time.Second || d > time.Minute {
			t.Errorf("waited %v with patience for less than 40 s", d)
		}
		if d := took(t.Context()); d != 0 {
			t.Errorf("waited %v without patience", d)
		}
	})
}

func TestALookSeesTheProcessors(t *testing.T) {
	if stolen := stolenNow(); stolen < 0 || stolen > 1 {
		t.Errorf("%g of the processors' time is elsewhere", stolen)
	}
}
