package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/shoal-stream/shoal/internal/mutant"
)

// A planted fault is how one of internal/mutant was found.
type planted struct {
	Fault     string
	Found     bool
	Seeds     []int // tried in each search, in order of size
	Invariant string
}

// median is that of the searches' seeds.
func (p planted) median() int {
	if len(p.Seeds) == 0 {
		return 0
	}
	return p.Seeds[len(p.Seeds)/2]
}

// by is the invariant that found it.
func (p planted) by() string {
	if !p.Found {
		return "NOT FOUND"
	}
	return p.Invariant
}

// mutants plants each fault, one in each process, and prints the table of how they were found.
func (r *run) mutants(ctx context.Context) (bool, error) {
	var parts [][]string
	for _, f := range mutant.All() {
		parts = append(parts, []string{"-test.run", "TestMutants$", "-searches", strconv.Itoa(r.size.searches), "-plant", f.String()})
	}
	lines, _, err := r.fleets(ctx, mutated, parts)
	if err != nil {
		return false, err
	}
	var all []planted
	fmt.Printf("           %-22s %6s  %s\n", "planted fault", "seeds", "found by")
	for _, line := range lines {
		var p planted
		if err := json.Unmarshal(line, &p); err != nil {
			return false, fmt.Errorf("figures of planted faults: %w", err)
		}
		r.verdict.Mutants.Planted++
		if p.Found {
			r.verdict.Mutants.Found++
		}
		all = append(all, p)
		fmt.Printf("           %-22s %6d  %s\n", p.Fault, p.median(), p.by())
	}
	if r.table != "" {
		if err := writeTable(r.table, all); err != nil {
			return false, err
		}
	}
	return r.verdict.Mutants.Found == r.verdict.Mutants.Planted, nil
}

// Between these lines of a document is the table of planted faults.
const tableBegins, tableEnds = "<!-- planted faults: go run ./integration/reliability -only mutants -full -table docs/reliability.md -->\n", "<!-- end -->\n"

// writeTable puts the table into the document at path.
func writeTable(path string, all []planted) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the document for the table: %w", err)
	}
	next, err := withTable(text, all)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, next, 0o644); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// withTable is a document with the table in place of what is between its lines.
func withTable(text []byte, all []planted) ([]byte, error) {
	before, rest, begins := bytes.Cut(text, []byte(tableBegins))
	_, after, ends := bytes.Cut(rest, []byte(tableEnds))
	if !begins || !ends {
		return nil, fmt.Errorf("has no lines %q and %q", tableBegins, tableEnds)
	}
	out := bytes.NewBuffer(slices.Concat(before, []byte(tableBegins)))
	fmt.Fprintf(out, "| planted fault | seeds until it was found: median | least to most | found by |\n| --- | ---: | ---: | --- |\n")
	for _, p := range all {
		fmt.Fprintf(out, "| `%s` | %d | %d to %d | %s |\n", p.Fault, p.median(), slices.Min(p.Seeds), slices.Max(p.Seeds), p.by())
	}
	out.WriteString(tableEnds)
	out.Write(after)
	return out.Bytes(), nil
}
