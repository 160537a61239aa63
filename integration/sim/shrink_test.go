package sim

import (
	"slices"
	"testing"
	"time"
)

// A run that fails if a crash is on and plays 17 and 90 are played: all else goes.
func TestShrinkLeavesWhatAFailureNeeds(t *testing.T) {
	runs := 0
	try := func(o Options) (bool, int) {
		runs++
		p := plan{skip: o.Skip}
		return o.Seed == 7 && !slices.Contains(o.Off, Crash) && !p.skips(17) && !p.skips(90) && o.Faults >= 4*time.Minute, 120
	}
	got := Shrink(Options{Seed: 7, Faults: 20 * time.Minute}, []string{Crash, Slow, Twin}, 1000, try)
	if want := []string{Slow, Twin}; !slices.Equal(got.Off, want) || got.Faults != 5*time.Minute || got.Workers != 1 || got.Shards != 1 {
		t.Errorf("shrunk to %s, want -off %v -faults 5m -workers 1 -shards 1", got.Flags(), want)
	}
	if want := []Plays{{1, 17}, {18, 90}, {91, 121}}; !slices.Equal(got.Skip, want) {
		t.Errorf("the script is without %v, want %v", got.Skip, want)
	}
	if ok, _ := try(got); !ok {
		t.Error("what is left does not fail")
	}
	if runs > 200 {
		t.Errorf("%d runs", runs)
	}
}

func TestShrinkKeepsToItsBudget(t *testing.T) {
	runs := 0
	Shrink(Options{Seed: 7}, Faults, 20, func(Options) (bool, int) { runs++; return true, 1000 })
	if runs != 20 {
		t.Errorf("%d runs, want 20", runs)
	}
}

func TestFlagsSayWhatIsRun(t *testing.T) {
	for _, o := range []Options{
		{Seed: 7, Faults: defaultFaults},
		{Seed: 7, Server: true, Faults: 90 * time.Second, Off: []string{Slow, Twin}, Skip: []Plays{{3, 4}, {7, 13}}, Workers: 2, Shards: 1, Strict: true},
	} {
		skip, err := parsePlays(formatPlays(o.Skip))
		if err != nil || !slices.Equal(skip, o.Skip) {
			t.Errorf("%v came back as %v, %v", o.Skip, skip, err)
		}
	}
	long := Options{Seed: 7, Server: true, Faults: 90 * time.Second, Off: []string{Slow, Twin}, Skip: []Plays{{3, 4}, {7, 13}}, Workers: 2, Shards: 1, Strict: true}
	if got, want := long.Flags(), "-seed 7 -layer 2 -faults 1m30s -off slow,twin -skip 3,7-12 -workers 2 -shards 1 -strict"; got != want {
		t.Errorf("flags %q, want %q", got, want)
	}
	for _, bad := range []string{"x", "0", "3-1", "1,,2"} {
		if _, err := parsePlays(bad); err == nil {
			t.Errorf("-skip %q is taken", bad)
		}
	}
}
