package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// A figure is one result with its target, if it has one: a least or a most value.
type figure struct {
	name        string
	value       float64
	least, most float64
}

func (f figure) missed() bool {
	return f.least > 0 && f.value < f.least || f.most > 0 && f.value > f.most
}

func (f figure) target() string {
	verdict := "met"
	if f.missed() {
		verdict = "MISSED"
	}
	switch {
	case f.least > 0:
		return fmt.Sprintf("at least %g: %s", f.least, verdict)
	case f.most > 0:
		return fmt.Sprintf("at most %g: %s", f.most, verdict)
	}
	return ""
}

// A report gathers what the parts found.
type report struct {
	lines   []string
	figures []figure
}

func (r *report) note(line string) { r.lines = append(r.lines, line) }

func (r *report) add(f figure) { r.figures = append(r.figures, f) }

// servers compares medians over the rounds. Ratios are taken within a round, where the machine was the same.
func (r *report) servers(all []*server, results map[string][]*measurement) {
	r.note(fmt.Sprintf("%-12s %12s %9s %9s %12s %16s %16s", "server", "writes/s", "p50 ms", "p99 ms", "reads/s", "CPU s/M written", "CPU s/M read"))
	for _, s := range all {
		m := results[s.name]
		r.note(fmt.Sprintf("%-12s %12.0f %9.1f %9.1f %12.0f %16.1f %16.1f", s.name, of(m, (*measurement).writeRate), of(m, (*measurement).putP50),
			of(m, (*measurement).putP99), of(m, (*measurement).readRate), of(m, (*measurement).putCost), of(m, (*measurement).getCost)))
	}
	ours, null := results["localstream"], results["null"]
	r.add(figure{name: "writes_vs_null", value: ratio(ours, null, (*measurement).writeRate), least: 0.70})
	r.add(figure{name: "reads_vs_null", value: ratio(ours, null, (*measurement).readRate), least: 0.90})
	r.add(figure{name: "put_p99_vs_null", value: ratio(ours, null, (*measurement).putP99), most: 2.5})
	if theirs := results["kinesalite"]; theirs != nil {
		r.add(figure{name: "writes_vs_kinesalite", value: ratio(ours, theirs, (*measurement).writeRate), least: 9})
		r.add(figure{name: "reads_vs_kinesalite", value: ratio(ours, theirs, (*measurement).readRate)})
	}
}

func (m *measurement) putCost() float64 { return m.putCPU.Seconds() / float64(m.written) * 1e6 }
func (m *measurement) getCost() float64 { return m.getCPU.Seconds() / float64(m.read) * 1e6 }

func of(all []*measurement, f func(*measurement) float64) float64 {
	var values []float64
	for _, m := range all {
		values = append(values, f(m))
	}
	return median(values)
}

// ratio is the median of the rounds' ratios.
func ratio(a, b []*measurement, f func(*measurement) float64) float64 {
	var values []float64
	for i := range a {
		values = append(values, f(a[i])/f(b[i]))
	}
	return median(values)
}

func (r *report) memory(written int, peak int64) {
	r.note(fmt.Sprintf("memory: %d MiB written and read, peak resident memory %d MiB", written>>20, peak>>20))
	r.add(figure{name: "written_mib", value: float64(written >> 20)})
	r.add(figure{name: "peak_rss_mib", value: float64(peak >> 20), most: 400})
}

func (r *report) print(w io.Writer) (missed bool, err error) {
	fmt.Fprintln(w)
	for _, line := range r.lines {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w)
	values := map[string]float64{}
	for _, f := range r.figures {
		fmt.Fprintf(w, "%-24s %9.2f  %s\n", f.name, f.value, f.target())
		values[f.name] = float64(int(f.value*1000+0.5)) / 1000
		missed = missed || f.missed()
	}
	text, err := json.Marshal(values)
	if err != nil {
		return missed, err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return missed, err
}
