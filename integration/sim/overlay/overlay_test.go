package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestATextThatIsNotThereOnceIsNamedWithTheVersionOfGo(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte("one two two three"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := patch(dir, "go1.99", []edit{
		{"a.go", "fits", "one", "1"},
		{"a.go", "doubtful", "two", "2"},
		{"a.go", "missing", "four", "4"},
	})
	if err == nil {
		t.Fatal("patched all the same")
	}
	for _, want := range []string{`go1.99, runtime/a.go: the text of the edit "doubtful" is there 2 times; want once`, `"missing" is there 0 times`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "fits") {
		t.Errorf("error %q names an edit that fits", err)
	}
}

// The whole way: this Go's runtime is patched and built, and a program that leaves everything to chance does the same
// in three processes with one seed, and something else with another.
func TestABubbleRepeatsFromItsSeed(t *testing.T) {
	binary, err := build(t.Context(), t.TempDir(), "./canary", "")
	if err != nil {
		t.Fatal(err)
	}
	var traces []string
	for _, seed := range []uint64{1, 1, 1, 2} {
		trace, err := runOnce(t.Context(), binary, ".", "EverythingHappens", seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, trace, _ = strings.Cut(trace, "hash=")
		traces = append(traces, trace)
	}
	if traces[0] != traces[1] || traces[1] != traces[2] || traces[2] == traces[3] {
		t.Errorf("%s: seeds 1, 1, 1, 2 gave %q; want three equal and one other", runtime.Version(), traces)
	}
}

func TestAReplayCountsWhatIsEqual(t *testing.T) {
	var out bytes.Buffer
	calls := make(map[uint64]int)
	r := replay{first: 7, runs: 4, lanes: 1, out: &out}
	ok, err := r.compare(func(seed uint64) (string, error) {
		calls[seed]++
		switch {
		case seed == 8 && calls[seed] == 2:
			return "trace other\n", nil
		case seed == 9:
			return "", errors.New("a checker failed")
		}
		return "trace same\n", nil
	})
	if err != nil || ok {
		t.Fatalf("ok %v, error %v; want two seeds of four to be told as different", ok, err)
	}
	want := "seed 8 does not repeat:\ntrace same\ntrace other\nseed 9: a checker failed\nseed 9: a checker failed\n{\"runs\":4,\"equal\":2}\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
