package main

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
)

// processors is what the machine's processors did, in shares of their time or in ticks since the start: a round in which
// they were away from here says little.
type processors struct {
	total  float64
	idle   float64 // with and without a disk to wait for
	stolen float64 // with other machines on the same hardware
}

// readProcessors reads the ticks since the start; on systems that do not tell there are none.
func readProcessors() (p processors) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 { // the name; those for guests are counted already
			continue
		}
		p.total += ticks
		switch i {
		case 4, 5:
			p.idle += ticks
		case 8:
			p.stolen += ticks
		}
	}
	return p
}

// since is the shares of the time from an earlier reading on.
func (p processors) since(earlier processors) processors {
	total := max(1, p.total-earlier.total)
	return processors{1, (p.idle - earlier.idle) / total, (p.stolen - earlier.stolen) / total}
}

// mostStolen is the share of the processors' time with other machines from which on a round is done again.
const mostStolen = 0.05

// calm does n rounds, and up to as many more for those that other machines disturbed. It returns the n rounds that were
// disturbed least, in their order.
func calm(n int, do func(round int) error) ([]int, error) {
	var rounds []int
	var stolen []float64
	for round, quiet := 0, 0; quiet < n && round < 2*n; round++ {
		before := readProcessors()
		if err := do(round); err != nil {
			return nil, err
		}
		stolen = append(stolen, readProcessors().since(before).stolen)
		rounds = append(rounds, round)
		if stolen[round] <= mostStolen {
			quiet++
		}
	}
	return least(rounds, stolen, n), nil
}

// least are the n rounds of which the least was stolen, in their order.
func least(rounds []int, stolen []float64, n int) []int {
	rounds = slices.Clone(rounds)
	slices.SortStableFunc(rounds, func(a, b int) int { return cmp.Compare(stolen[a], stolen[b]) })
	rounds = rounds[:min(n, len(rounds))]
	slices.Sort(rounds)
	return rounds
}
