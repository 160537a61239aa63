package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
)

// A result is what one case has shown. Where a case runs several fleets, counts are sums and the gap is the longest.
type result struct {
	Lost         int              `json:"lost"`
	OutOfOrder   int              `json:"out_of_order"`
	Repeated     int              `json:"repeated"`
	LongestGapMS int64            `json:"longest_gap_ms"`
	More         map[string]int64 `json:"more,omitempty"` // further figures
	Failed       []string         `json:"failed,omitempty"`

	mu sync.Mutex // a case may run fleets side by side
}

// add takes in the outcome of a fleet; the gap counts from a moment on.
func (r *result) add(o fleet.Outcome, from time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Lost += o.Lost()
	r.OutOfOrder += o.OutOfOrder()
	r.Repeated += o.Verdict.Repeated
	r.LongestGapMS = max(r.LongestGapMS, o.LongestGap(from).Length().Milliseconds())
}

// figure notes a further figure.
func (r *result) figure(name string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.More == nil {
		r.More = map[string]int64{}
	}
	r.More[name] = n
}

// millis notes a duration in milliseconds.
func (r *result) millis(name string, d time.Duration) { r.figure(name+"_ms", d.Milliseconds()) }

// want notes a failure unless ok.
func (r *result) want(ok bool, format string, args ...any) {
	if ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Failed = append(r.Failed, fmt.Sprintf(format, args...))
}

// judge adds what every case has to show.
func (r *result) judge(repeats bool) {
	r.want(r.Lost == 0, "%d records lost", r.Lost)
	r.want(r.OutOfOrder == 0, "%d records out of order", r.OutOfOrder)
	r.want(repeats || r.Repeated == 0, "%d records repeated though nobody died", r.Repeated)
}

// results are by the cases' names.
type results map[string]*result

// json is one line with the results in order, and how many failed.
func (rs results) json() (line string, failed int, err error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(rs)) {
		if i > 0 {
			out.WriteByte(',')
		}
		text, err := json.Marshal(rs[name])
		if err != nil {
			return "", 0, err
		}
		fmt.Fprintf(&out, "%q:%s", name, text)
		failed += min(1, len(rs[name].Failed))
	}
	out.WriteByte('}')
	return out.String(), failed, nil
}

// runAll runs cases, some at a time.
func (c *campaign) runAll(ctx context.Context, chosen []testCase, lanes int) results {
	rs := results{}
	slots := make(chan struct{}, lanes)
	var group sync.WaitGroup
	for _, t := range chosen {
		r := &result{}
		rs[t.name] = r
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			start := time.Now()
			ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("case %s is not over within %v", t.name, c.limit))
			defer cancel()
			if err := t.run(c, ctx, r); err != nil {
				r.want(false, "%v", err)
			} else {
				r.judge(t.repeats)
			}
			text, err := json.Marshal(r)
			c.out.line("case %s, %s: %.0f s: %s", t.name, t.what, time.Since(start).Seconds(), cmp.Or(string(text), fmt.Sprint(err)))
		})
	}
	group.Wait()
	return rs
}

// A printer keeps the lines of cases that run at once whole.
type printer struct {
	mu      sync.Mutex
	verbose bool
}

func (p *printer) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Printf(format+"\n", args...)
}

// detail prints only if wanted.
func (p *printer) detail(format string, args ...any) {
	if p.verbose {
		p.line(format, args...)
	}
}
