package main

import (
	"testing"
	"time"
)

func TestAFigureIsMedianAndWorst(t *testing.T) {
	for _, c := range []struct {
		times []time.Duration
		want  figure
	}{
		{nil, figure{}},
		{[]time.Duration{7 * time.Second}, figure{1, 7000, 7000}},
		{[]time.Duration{9 * time.Second, time.Second, 2 * time.Second}, figure{3, 2000, 9000}},
		{[]time.Duration{4 * time.Second, time.Second, 9 * time.Second, 2 * time.Second}, figure{4, 3000, 9000}},
	} {
		if got := figureOf(c.times); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.times, got, c.want)
		}
	}
}

func TestATimeBeyondTheBoundFailsTheScenarioUnlessItIsJavas(t *testing.T) {
	r := &result{scenario: scenario{name: "s", bound: time.Second}, took: map[bool][]time.Duration{}}
	for _, java := range []bool{true, false} {
		(&trial{r: r, java: java}).took(time.Second)
		(&trial{r: r, java: java}).took(time.Minute)
	}
	if len(r.failed) != 1 || len(r.took[true]) != 2 || len(r.took[false]) != 2 {
		t.Errorf("failed %q, took %v", r.failed, r.took)
	}
}
