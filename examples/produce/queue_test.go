package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestTheOrderOfEachKeySurvivesRefusals(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var in strings.Builder
	want := map[string][]string{}
	for i := range 5000 {
		key := fmt.Sprint("k", rng.IntN(1+rng.IntN(40)))
		line := fmt.Sprintf(`{"a":{"key":%q},"n":%d}`, key, i)
		fmt.Fprintln(&in, line)
		want[key] = append(want[key], line)
	}
	q := newQueue(strings.NewReader(in.String()), "a.key")
	got := map[string][]string{}
	for {
		batch, err := q.batch(1 + rng.IntN(30))
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) == 0 {
			break
		}
		acknowledged := make([]bool, len(batch))
		most := rng.Float64()
		for i, e := range batch {
			if acknowledged[i] = rng.Float64() < most; acknowledged[i] {
				got[*e.PartitionKey] = append(got[*e.PartitionKey], string(e.Data))
			}
		}
		q.done(acknowledged)
	}
	if q.waiting != 0 || len(got) != len(want) {
		t.Fatalf("%d lines wait, %d keys were put, want 0 and %d", q.waiting, len(got), len(want))
	}
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			t.Errorf("the %d records of %s were not put in their order", len(want[key]), key)
		}
	}
}

func TestABatchKeepsToTheServicesLimits(t *testing.T) {
	var in strings.Builder
	for i := range 600 {
		fmt.Fprintf(&in, `{"k":"%03d"}`+"\n", i)
	}
	batch, err := newQueue(strings.NewReader(in.String()), "k").batch(1000)
	if err != nil || len(batch) != maxBatchRecords {
		t.Errorf("%d records, %v; want %d", len(batch), err, maxBatchRecords)
	}
	in.Reset()
	for i := range 8 {
		fmt.Fprintf(&in, `{"k":"%d","x":"%s"}`+"\n", i, strings.Repeat("x", 1_000_000))
	}
	batch, err = newQueue(strings.NewReader(in.String()), "k").batch(1000)
	if err != nil || len(batch) != 5 {
		t.Errorf("%d records of 1 MB, %v; want 5", len(batch), err)
	}
}

func TestBadLinesAreNamed(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no JSON", "{\"k\":1}\n\nnonsense\n", "line 3"},
		{"no object", "[1]\n", "want a JSON object"},
		{"field missing", "{\"j\":1}\n", `"k" is missing`},
		{"field null", "{\"k\":null}\n", `"k" is missing`},
		{"key empty", "{\"k\":\"\"}\n", "want a key of 1 to 256"},
		{"key too long", "{\"k\":\"" + strings.Repeat("é", 257) + "\"}\n", "257 characters"},
		{"line too long", "{\"k\":1}\n{\"k\":\"" + strings.Repeat("x", maxLine) + "\"}\n", "line 2 is longer"},
	} {
		if _, err := newQueue(strings.NewReader(c.in), "k").batch(10); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestAKeyIsAFieldAsText(t *testing.T) {
	for _, c := range []struct{ line, field, want string }{
		{`{"k":"a\u00e9"}`, "k", "aé"},
		{`{"k":17}`, "k", "17"},
		{"no JSON", "", "7c1f7bb3f8bee22bcdd6e8ae693ebb2e"},
		{`{"a":{"b":{"c":"x"}}}`, "a.b.c", "x"},
		{`{"k":"` + strings.Repeat("é", 256) + `"}`, "k", strings.Repeat("é", 256)},
	} {
		if got, err := newQueue(nil, c.field).keyOf([]byte(c.line)); err != nil || got != c.want {
			t.Errorf("%s of %.40s = %.40q, %v", c.field, c.line, got, err)
		}
	}
}
