package clock

import (
	"testing"
	"time"
)

func TestCoarsePausesEndTogetherAndHardlyLater(t *testing.T) {
	start := time.Now()
	for _, pause := range []time.Duration{10 * time.Second, 17 * time.Second, 30 * time.Second, 40 * time.Second, time.Hour} {
		ends := map[int64]int{}
		const begun = 4096
		for i := range begun { // spread over an eighth of the pause
			now := start.Add(time.Duration(i) * pause / 8 / begun)
			got := Coarse(now, pause)
			if got < pause || got-pause > pause/512 {
				t.Fatalf("a pause of %v became %v, want at most a 512th more", pause, got)
			}
			ends[now.UnixNano()+int64(got)]++
		}
		if len(ends) > 1024/8+1 {
			t.Errorf("%d pauses of %v ended at %d moments, want at most %d", begun, pause, len(ends), 1024/8+1)
		}
	}
}

func TestShortPausesStayAsTheyAre(t *testing.T) {
	for _, pause := range []time.Duration{0, 1, time.Millisecond, 3333 * time.Millisecond, coarseFrom - 1} {
		if got := Coarse(time.Now(), pause); got != pause {
			t.Errorf("a pause of %v became %v", pause, got)
		}
	}
}
