package main

import "testing"

func TestAResultFailsForEachThingThatMayNotBe(t *testing.T) {
	for _, c := range []struct {
		name    string
		r       *result
		repeats bool
		failed  int
	}{
		{"nothing", &result{}, false, 0},
		{"a record lost", &result{Lost: 1}, true, 1},
		{"a record out of order", &result{OutOfOrder: 1}, true, 1},
		{"a record repeated after a death", &result{Repeated: 1}, true, 0},
		{"a record repeated among the living", &result{Repeated: 1}, false, 1},
		{"everything", &result{Lost: 1, OutOfOrder: 1, Repeated: 1}, false, 3},
	} {
		if c.r.judge(c.repeats); len(c.r.Failed) != c.failed {
			t.Errorf("%s: failed %q, want %d reasons", c.name, c.r.Failed, c.failed)
		}
	}
}

func TestTheLineHasTheCasesInOrder(t *testing.T) {
	line, failed, err := results{"b": {Repeated: 2}, "a": {LongestGapMS: 7, Failed: []string{"x"}}}.json()
	want := `{"a":{"lost":0,"out_of_order":0,"repeated":0,"longest_gap_ms":7,"failed":["x"]},` +
		`"b":{"lost":0,"out_of_order":0,"repeated":2,"longest_gap_ms":0}}`
	if err != nil || failed != 1 || line != want {
		t.Errorf("%d failed, %v: %s", failed, err, line)
	}
}
