package assign

import (
	"math"
	"slices"
	"time"
)

// idle is the utilisation, in percent, below which a metric tells more of the machine than of the leases.
const idle = 5

// spread bounds how far a worker's cost of a unit of load may be from the fleet's.
const spread = 8

// measure gives every host its gauges: one for each metric that at least one other reports too, or its load compared
// with the average. A metric counts as its worker would show it if all that has been moved showed already.
func (f *field) measure() {
	if len(f.hosts) == 0 {
		return
	}
	total := 0.0
	for _, h := range f.hosts {
		total += h.load
	}
	for _, i := range f.free {
		total += f.loads[i]
	}
	average := total / float64(len(f.hosts))
	if average == 0 {
		average = perLease
	}
	f.exact = true
	if !f.even {
		for _, metric := range f.metrics() {
			f.gauge(metric, average)
		}
	}
	for _, h := range f.hosts {
		if len(h.gauges) == 0 {
			h.gauges = []gauge{{at: h.load / average, per: 1 / average, limit: math.Inf(+1)}}
		}
	}
}

// metrics are the names of what at least two workers report.
func (f *field) metrics() []string {
	reporters := make(map[string]int)
	for _, m := range f.r.Alive {
		for name := range m.Metrics {
			reporters[name]++
		}
	}
	names := make([]string, 0, len(reporters))
	for name, n := range reporters {
		if n > 1 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// A reading is what one worker reports of one metric, beside the load to which that belongs.
type reading struct {
	h     *host
	value float64 // the moving average
	load  float64 // what of the worker's load is in it
	limit float64
	rate  float64 // what a unit of load costs; 0 where that cannot be told yet
}

// gauge adds the gauge of one metric to those that report it. Every worker's own rate, its value by its load, says what
// a lease costs there: so machines of different sizes come to be busy alike. The level 1 is where all would have the
// same value; a worker that does not report counts for it as an average one.
func (f *field) gauge(metric string, average float64) {
	readings := f.readings(metric)
	known, ease, greatest := 0, 0.0, 0.0
	for k := range readings {
		r := &readings[k]
		if r.load >= average/4 && r.value > 0 {
			r.rate = r.value / r.load
			known++
			ease += 1 / r.rate
			greatest = max(greatest, r.rate)
		}
	}
	if known == 0 {
		return
	}
	mean := float64(known) / ease // harmonic: the rate of all of them together when they are even
	even := mean * average
	if even < idle {
		return
	}
	f.exact = false
	for _, r := range readings {
		if r.rate == 0 {
			// Nothing is known of it but that it is there. It begins with what is right for the smallest.
			r.rate = greatest
		}
		r.rate = min(max(r.rate, mean/spread), mean*spread)
		at := max(0, r.value+r.rate*(r.h.load-r.load))
		r.h.gauges = append(r.h.gauges, gauge{at: at / even, per: r.rate / even, limit: r.limit / even})
	}
}

func (f *field) readings(metric string) []reading {
	shown := f.shown()
	readings := make([]reading, 0, len(f.hosts))
	for k, m := range f.r.Alive {
		values, ok := m.Metrics[metric]
		if !ok {
			continue
		}
		r := reading{h: f.hosts[k], value: f.average(values), load: max(shown[m.Worker], 0), limit: 100}
		if limit := m.Limits[metric]; limit > 0 {
			r.limit = limit
		}
		readings = append(readings, r)
	}
	return readings
}

// average is the moving average of values, of which the negative ones do not count.
func (f *field) average(values []float64) float64 {
	average, first := 0.0, true
	for _, v := range values {
		switch {
		case v < 0:
		case first:
			average, first = v, false
		default:
			average += f.cfg.Alpha * (v - average)
		}
	}
	return average
}

// shown is the load of each worker that its reports show: what it holds, less what came since the last of them or in
// part, and with what left likewise.
func (f *field) shown() map[string]float64 {
	shown := make(map[string]float64, len(f.hosts))
	for i := range f.r.Leases {
		if l := f.lease(i); !l.Finished() {
			shown[l.Holder()] += f.loads[i]
		}
	}
	for _, s := range f.r.shifts {
		if s.to != s.from {
			ago := f.r.now.Sub(s.at)
			shown[s.to] -= (s.kbps + perLease) * f.unseen(f.r.reports[s.to], ago)
			shown[s.from] += (s.kbps + perLease) * f.unseen(f.r.reports[s.from], ago)
		}
	}
	return shown
}

// unseen is the part of a change, that long ago, which a worker's reports do not show yet. The first report after it
// covers it in part, and each has the weight Alpha in the moving average.
func (f *field) unseen(reports []time.Duration, ago time.Duration) float64 {
	part := 1.0
	for k, at := range reports {
		switch {
		case at >= ago:
		case k > 0 && reports[k-1] > ago:
			part *= 1 - f.cfg.Alpha*float64(ago-at)/float64(reports[k-1]-at)
		default:
			part *= 1 - f.cfg.Alpha
		}
	}
	return part
}
