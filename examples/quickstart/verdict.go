package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/integration/check"
)

// failoverBound is the longest that the shards of a crashed worker may stand still: its lease of 10 s, and as much as
// half of that until another worker has noticed and started.
const failoverBound = 15 * time.Second

// A result is the verdict on everything. Its JSON form is what -json prints.
type result struct {
	Put          int                `json:"put"`
	Applications map[string]outcome `json:"applications"`
	OK           bool               `json:"ok"`
}

// An outcome is the verdict on one application.
type outcome struct {
	check.Verdict
	FailoverMS int64 `json:"failover_ms"` // 0 where no worker crashed
	Workers    int   `json:"workers"`
}

// judge reads the stream back and compares it with what the processors were given. No worker is asked.
func judge(ctx context.Context, p *play) (result, error) {
	stream, err := check.Read(ctx, p.client, streamName)
	if err != nil {
		return result{}, fmt.Errorf("read the stream back: %w", err)
	}
	r := result{Put: p.feed.count(), Applications: map[string]outcome{}}
	r.OK = stream.Len() == len(p.feed.events)
	for _, f := range []*fleet{p.alerts, p.stats} {
		log := f.deliveries.Batches()
		o := outcome{Verdict: check.Check(stream, log), Workers: len(f.all())}
		if p.crashed != nil && p.crashed.fleet == f {
			failover := check.Failover(stream, log, p.crashed.id, p.orphans, p.crashedAt)
			o.FailoverMS = failover.Milliseconds()
			r.OK = r.OK && failover <= failoverBound
		}
		r.OK = r.OK && o.OK()
		r.Applications[f.application] = o
	}
	return r, nil
}

// print shows what stats found and the verdict, a column for each application.
func (r result) print(out io.Writer, p *play, asJSON bool) error {
	p.totals.print(out)
	names := slices.Sorted(maps.Keys(r.Applications))
	fmt.Fprintf(out, "%-23s", "")
	for _, name := range names {
		fmt.Fprintf(out, "%9s", name)
	}
	for _, row := range []struct {
		head  string
		value func(o outcome) any
	}{
		{"expected", func(o outcome) any { return o.Expected }},
		{"processed", func(o outcome) any { return o.Processed }},
		{"lost", func(o outcome) any { return o.Lost }},
		{"repeated", func(o outcome) any { return o.Repeated }},
		{"out of order", func(o outcome) any { return o.OutOfOrder }},
		{"parents before children", func(o outcome) any { return o.family() }},
		{"failover time", func(o outcome) any { return o.failover() }},
		{"workers", func(o outcome) any { return o.Workers }},
	} {
		fmt.Fprintf(out, "\n%-23s", row.head)
		for _, name := range names {
			fmt.Fprintf(out, "%9v", row.value(r.Applications[name]))
		}
	}
	fmt.Fprintf(out, "\n\n%s\n", r.sentence())
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	return nil
}

func (o outcome) family() string {
	if o.ChildrenBeforeParents > 0 {
		return "no"
	}
	return "yes"
}

func (o outcome) failover() string {
	if o.FailoverMS == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", float64(o.FailoverMS)/1000)
}

// sentence is the verdict in words.
func (r result) sentence() string {
	repeated := 0
	for _, o := range r.Applications {
		switch {
		case !o.OK():
			return "FAILED: records were lost or out of order."
		case o.FailoverMS > failoverBound.Milliseconds():
			return fmt.Sprintf("FAILED: the shards of the crashed worker stood still for more than %v.", failoverBound)
		}
		repeated += o.Repeated
	}
	switch {
	case !r.OK:
		return fmt.Sprintf("FAILED: the stream does not hold exactly the %d events that were put.", r.Put)
	case repeated > 0:
		return "Nothing was lost, all in order. What was repeated had not been checkpointed when its worker died."
	default:
		return "Nothing was lost, nothing repeated, all in order."
	}
}

// print shows count and mean magnitude of each network, four to a line.
func (t *totals) print(out io.Writer) {
	networks := t.all()
	names := slices.SortedFunc(maps.Keys(networks), func(a, b string) int {
		return cmp.Or(cmp.Compare(networks[b].count, networks[a].count), cmp.Compare(a, b))
	})
	fmt.Fprintln(out, "Earthquakes by sensor network, with their mean magnitude:")
	for i, name := range names {
		n := networks[name]
		fmt.Fprintf(out, "  %-2s %3d  M %.1f ", name, n.count, n.magnitudes/float64(n.count))
		if i%4 == 3 || i == len(names)-1 {
			fmt.Fprintln(out)
		}
	}
	fmt.Fprintln(out)
}
