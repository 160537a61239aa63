package sim

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAWallClockThatJumpsLeavesTheMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := newHostClock(&gate{}, newDice(1, 1), 1, 0)
		before := c.now()
		if !before.Equal(began) {
			t.Errorf("the clock shows %v, want %v", before, began)
		}
		time.Sleep(10 * time.Second)
		c.set(1.05, -time.Hour)
		time.Sleep(20 * time.Second)
		after := c.now()
		if d := after.Sub(before); d != 31*time.Second {
			t.Errorf("%v have passed by the clock, want 10 s and 20 s at a rate of 1.05", d)
		}
		if want := began.Add(31*time.Second - time.Hour); after.Round(0).Sub(want) != 0 {
			t.Errorf("the clock shows %v, want %v", after, want)
		}
	})
}
