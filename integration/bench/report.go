package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/integration/bench/calm"
	"github.com/shoal-stream/shoal/integration/bench/job"
)

// measured is what one round of one contender gave.
type measured job.Figures

// line is the named figures in words.
func (m measured) line(names []string) string {
	var words []string
	for _, n := range names {
		if v, ok := m[n]; ok {
			words = append(words, fmt.Sprintf("%s %s", n, number(v)))
		}
	}
	return strings.Join(words, "  ")
}

// results are the rounds of each contender.
type results map[string][]measured

// A spread is a median with what was about it.
type spread struct{ median, low, high float64 }

func spreadOf(v []float64) spread {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return spread{}
	}
	return spread{median: (v[(len(v)-1)/2] + v[len(v)/2]) / 2, low: v[0], high: v[len(v)-1]}
}

// An outcome is a ratio as it was found.
type outcome struct {
	ratio
	spread
}

func (o outcome) missed() bool {
	return o.least > 0 && o.median < o.least || o.most > 0 && o.median > o.most
}

func (o outcome) target() string {
	verdict := "met"
	if o.missed() {
		verdict = "MISSED"
	}
	switch {
	case o.least > 0:
		return fmt.Sprintf("at least %g: %s", o.least, verdict)
	case o.most > 0:
		return fmt.Sprintf("at most %g: %s", o.most, verdict)
	}
	return ""
}

// taken are the rounds that count, of how many that were done.
type taken struct {
	counted []calm.Round
	done    int
}

// words say how many there were, and what disturbed those that count.
func (t taken) words() string {
	text := fmt.Sprintf("rounds: %d", len(t.counted))
	if t.done > len(t.counted) {
		text += fmt.Sprintf(" of %d", t.done)
	}
	var stolen []float64
	for _, round := range t.counted {
		stolen = append(stolen, 100*round.Stolen)
	}
	at := spreadOf(stolen)
	return text + fmt.Sprintf(", with %s%% to %s%% of the processors' time elsewhere", number(at.low), number(at.high))
}

// A section is what a scenario gave.
type section struct {
	scenario
	job     job.Job
	rounds  taken
	results results
	ratios  []outcome
}

// A report gathers sections.
type report struct {
	sections []section
	leftOut  []string // contenders, with the reason
	profile  profile
}

func (r *report) leaveOut(name string, why error) {
	text := fmt.Sprintf("%s: %v", name, why)
	fmt.Println("left out:", text)
	r.leftOut = append(r.leftOut, text)
}

// add makes the ratios of a scenario, each the median of the rounds' that count.
func (r *report) add(s scenario, j job.Job, took taken, found results) error {
	for name, all := range found {
		found[name] = calm.Only(all, took.counted)
	}
	sec := section{scenario: s, job: j, rounds: took, results: found}
	for _, want := range s.ratios {
		rounds, ok := found[want.of]
		if !ok {
			continue // left out
		}
		var values []float64
		for i, m := range rounds {
			v, ok := m[want.figure]
			if !ok {
				return fmt.Errorf("%s has no figure %s", want.of, want.figure)
			}
			if other := want.over + want.minus; other != "" {
				if len(found[other]) <= i {
					continue // left out
				}
				by := found[other][i][want.figure]
				if want.over != "" {
					v /= by
				} else {
					v -= by
				}
			}
			values = append(values, v)
		}
		if len(values) > 0 {
			sec.ratios = append(sec.ratios, outcome{want, spreadOf(values)})
		}
	}
	r.sections = append(r.sections, sec)
	return nil
}

// print writes the ratios with their targets and, as the last line, all by name.
func (r *report) print(w io.Writer) (missed bool, err error) {
	values := map[string]float64{}
	fmt.Fprintln(w)
	r.profile.print(w)
	for _, why := range r.leftOut {
		fmt.Fprintln(w, "left out:", why)
	}
	for _, s := range r.sections {
		fmt.Fprintf(w, "%s: %s\n", s.name, s.rounds.words())
		for _, o := range s.ratios {
			fmt.Fprintf(w, "  %-32s %9s  (%s to %s)  %s\n", o.name, number(o.median), number(o.low), number(o.high), o.target())
			values[o.name] = math.Round(o.median*1000) / 1000
			missed = missed || o.missed()
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return missed, err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return missed, err
}

// number has three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
