package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
)

// A campaign is one run of the program.
type campaign struct {
	site               *fleet.Site
	trials, javaTrials int
	fault              string
	verbose            bool
	printing           sync.Mutex
}

func (c *campaign) line(format string, args ...any) {
	c.printing.Lock()
	defer c.printing.Unlock()
	fmt.Printf(format+"\n", args...)
}

func (c *campaign) detail(format string, args ...any) {
	if c.verbose {
		c.line(format, args...)
	}
}

// A figure sums up the trials of one kind of worker.
type figure struct {
	Trials   int   `json:"trials"`
	MedianMS int64 `json:"median_ms"`
	WorstMS  int64 `json:"worst_ms"`
}

func figureOf(times []time.Duration) figure {
	if len(times) == 0 {
		return figure{}
	}
	times = slices.Sorted(slices.Values(times))
	n := len(times)
	return figure{n, ((times[(n-1)/2] + times[n/2]) / 2).Milliseconds(), times[n-1].Milliseconds()}
}

// A result gathers the trials of a scenario.
type result struct {
	scenario
	mu        sync.Mutex
	took      map[bool][]time.Duration            // by whether the workers were Java's
	more      map[string]map[bool][]time.Duration // further times
	bad, said counts                              // of Go's and of Java's fleets
	failed    []string
	notOver   []string // trials of Java's fleets that did not come to their end: a figure too, and no fault of ours
}

type counts struct{ lost, outOfOrder, repeated int }

// A trial is one run of a scenario.
type trial struct {
	c    *campaign
	r    *result
	java bool
	name string
}

// took notes what a trial has measured.
func (t *trial) took(d time.Duration) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	t.r.took[t.java] = append(t.r.took[t.java], d)
	if !t.java && d > t.r.bound {
		t.r.failed = append(t.r.failed, fmt.Sprintf("%s: %v, more than %v", t.name, d, t.r.bound))
	}
}

// also notes a further time.
func (t *trial) also(what string, d time.Duration) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	if t.r.more[what] == nil {
		t.r.more[what] = map[bool][]time.Duration{}
	}
	t.r.more[what][t.java] = append(t.r.more[what][t.java], d)
}

// judge adds what became of the records. Of Java's it only counts.
func (t *trial) judge(o fleet.Outcome) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	into := &t.r.bad
	if t.java {
		into = &t.r.said
	}
	into.lost += o.Lost()
	into.outOfOrder += o.OutOfOrder()
	into.repeated += o.Verdict.Repeated
	if t.java {
		return
	}
	if o.Lost() > 0 || o.OutOfOrder() > 0 || !t.r.repeats && o.Verdict.Repeated > 0 {
		t.r.failed = append(t.r.failed, fmt.Sprintf("%s: %d lost, %d out of order, %d repeated", t.name, o.Lost(), o.OutOfOrder(), o.Verdict.Repeated))
	}
}

func (t *trial) fail(err error) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	into := &t.r.failed
	if t.java {
		into = &t.r.notOver
	}
	*into = append(*into, fmt.Sprintf("%s: %v", t.name, err))
}

// runAll runs all trials, some at a time. Trials of Java's fleets come first: they take longest.
func (c *campaign) runAll(ctx context.Context, chosen []scenario, lanes int) results {
	var rs results
	var trials []*trial
	for _, s := range chosen {
		rs = append(rs, &result{scenario: s, took: map[bool][]time.Duration{}, more: map[string]map[bool][]time.Duration{}})
	}
	for n := range max(c.trials, c.javaTrials) {
		for _, r := range rs {
			if n < c.javaTrials {
				trials = append(trials, &trial{c, r, true, fmt.Sprintf("java-%s-%d", r.name, n+1)})
			}
		}
	}
	for n := range c.trials {
		for _, r := range rs {
			trials = append(trials, &trial{c, r, false, fmt.Sprintf("%s-%d", r.name, n+1)})
		}
	}
	slots := make(chan struct{}, lanes)
	var group sync.WaitGroup
	for _, t := range trials {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			start := time.Now()
			ctx, cancel := context.WithTimeoutCause(ctx, trialLimit, fmt.Errorf("not over within %v", trialLimit))
			defer cancel()
			err := t.run(ctx)
			if err != nil {
				t.fail(err)
			}
			c.line("%s: %.0f s, error %v", t.name, time.Since(start).Seconds(), err)
		})
	}
	group.Wait()
	return rs
}

const trialLimit = 20 * time.Minute

// results are in the order of the scenarios.
type results []*result

// json is one line with everything, and how many scenarios failed.
func (rs results) json(c *campaign) (line string, failed int, err error) {
	type javaFigure struct {
		figure
		Lost     int      `json:"lost"`
		Repeated int      `json:"repeated"`
		NotOver  []string `json:"not_over,omitempty"`
	}
	type summary struct {
		figure
		BoundMS    int64             `json:"bound_ms"`
		Lost       int               `json:"lost"`
		OutOfOrder int               `json:"out_of_order"`
		Repeated   int               `json:"repeated"`
		More       map[string]figure `json:"more,omitempty"`
		Java       *javaFigure       `json:"java,omitempty"`
		Failed     []string          `json:"failed,omitempty"`
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for i, r := range rs {
		s := summary{
			figure: figureOf(r.took[false]), BoundMS: r.bound.Milliseconds(), Failed: r.failed,
			Lost: r.bad.lost, OutOfOrder: r.bad.outOfOrder, Repeated: r.bad.repeated, More: map[string]figure{},
		}
		for what, times := range r.more {
			s.More[what] = figureOf(times[false])
			if c.javaTrials > 0 {
				s.More["java_"+what] = figureOf(times[true])
			}
		}
		if c.javaTrials > 0 {
			s.Java = &javaFigure{figureOf(r.took[true]), r.said.lost, r.said.repeated, r.notOver}
		}
		text, err := json.Marshal(s)
		if err != nil {
			return "", 0, err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:%s", r.name, text)
		failed += min(1, len(r.failed))
	}
	out.WriteByte('}')
	return out.String(), failed, nil
}
