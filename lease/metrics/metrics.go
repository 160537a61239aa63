// Package metrics measures how busy a worker's machine is, for the item that the worker shows its fleet.
//
//	reporter := metrics.New(metrics.Config{})
//	go reporter.Run(ctx)                     // samples each second
//	member := reporter.Report("worker-1", time.Now())
//	err := store.PutMember(ctx, member)      // every half minute
//
// The sources, their order and their arithmetic are those of Java KCL 3.5.1 (WorkerMetricsSelector.java), so that in a
// mixed fleet a Go worker reports a metric exactly where a Java worker beside it does: a leader of KCL compares only
// workers that report the same metric. That is why the few files behind them are read here: what libraries measure is
// another quantity, the whole machine's or without a container's quota and processors. A worker that can measure nothing
// reports nothing, and is judged by the throughput of its leases.
package metrics

import (
	"context"
	"io/fs"
	"math"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
)

// A Source says where the utilisation comes from.
type Source int

const (
	// KCL measures the CPU where Java KCL does, in this order: the task metadata of ECS, the control group of a
	// container in Kubernetes, the processors of an EC2 instance. Elsewhere there is no metric.
	KCL Source = iota
	// Anywhere is for fleets without Java workers: as KCL, then the control group of any container that has a limit, then
	// the processors of any Linux machine.
	Anywhere
	// None measures nothing.
	None
)

// CPU is the short name of the metric that a Reporter reports.
const CPU = "C"

// A Config says what a Reporter measures. Its zero value is ready.
type Config struct {
	// Source is where the utilisation comes from, unless Utilisation is set.
	Source Source
	// Utilisation, if set, is called each second for the utilisation of this worker in percent, 100 being all that it can
	// do. It is reported as CPU, so that it is comparable with what other workers measure. It must return soon after the
	// end of its context.
	Utilisation func(ctx context.Context) (float64, error)
	// Limit is the greatest utilisation wanted, in percent; 100 if zero. A worker above it gives leases away though others
	// are as busy.
	Limit float64
	// OnError, if set, is called with what made a sample fail. A worker whose samples all fail from one report to the
	// next is given no leases.
	OnError func(error)

	// Clock is what paces the samples.
	Clock clock.Clock
	// Files is the root of the file system; that of the machine if nil.
	Files fs.FS
	// HTTP carries the requests to the metadata services; connections without a proxy if nil.
	HTTP http.RoundTripper
	// Getenv reads the environment; os.Getenv if nil.
	Getenv func(string) string
}

// As Java KCL has them (WorkerMetricStatsManager.java).
const (
	sampleEvery = time.Second
	samplesKept = 300
	averages    = 10
)

// A Reporter samples the utilisation and sums it up. It is made by New; its methods are safe for concurrent use.
type Reporter struct {
	cfg    Config
	client *http.Client

	mu       sync.Mutex // guards what follows
	measures bool       // a source was found
	tries    int        // samples since the last report, failed ones included
	samples  []float64  // since the last report
	values   []float64  // of the last reports
}

// New makes a Reporter that measures nothing until it runs.
func New(cfg Config) *Reporter {
	if cfg.Limit == 0 {
		cfg.Limit = 100
	}
	if cfg.Files == nil {
		cfg.Files = os.DirFS("/")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Transport{}
	}
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	return &Reporter{cfg: cfg, client: &http.Client{Transport: cfg.HTTP}}
}

// Run finds the source and samples it each second until ctx ends. Where there is none it returns at once.
func (r *Reporter) Run(ctx context.Context) {
	defer r.client.CloseIdleConnections()
	capture := r.find(ctx)
	if capture == nil {
		return
	}
	r.mu.Lock()
	r.measures = true
	r.mu.Unlock()
	// Workers that start together had better not sample together.
	pause := time.Duration(r.cfg.Clock.Float64() * float64(sampleEvery))
	for r.cfg.Clock.Sleep(ctx, pause) == nil {
		r.sample(ctx, capture)
		pause = sampleEvery
	}
}

func (r *Reporter) sample(ctx context.Context, capture capture) {
	value, err := capture(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil && r.cfg.OnError != nil {
		r.cfg.OnError(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if err != nil {
		return
	}
	if len(r.samples) == samplesKept {
		r.samples = slices.Delete(r.samples, 0, 1)
	}
	r.samples = append(r.samples, min(max(value, 0), 100))
}

// Report is the item of the worker at that time of its wall clock: the averages of the samples from one report to the
// next, the oldest of at most 10 first. -1 stands for a time in which every sample failed.
func (r *Reporter) Report(worker string, now time.Time) lease.Member {
	m := lease.Member{
		Worker: worker, Updated: now.Truncate(time.Second),
		Metrics: map[string][]float64{}, Limits: map[string]float64{},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tries > 0 {
		if len(r.values) == averages {
			r.values = slices.Delete(r.values, 0, 1)
		}
		r.values = append(r.values, average(r.samples))
		r.tries, r.samples = 0, r.samples[:0]
	}
	if r.measures && len(r.values) > 0 {
		m.Metrics[CPU] = slices.Clone(r.values)
		m.Limits[CPU] = r.cfg.Limit
	}
	return m
}

// average is the mean to six decimals, -1 if there is nothing.
func average(samples []float64) float64 {
	if len(samples) == 0 {
		return -1
	}
	sum := 0.0
	for _, s := range samples {
		sum += s
	}
	return math.Round(sum/float64(len(samples))*1e6) / 1e6
}
