package main

import (
	"maps"
	"math"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A phase is what was counted in a time.
type phase struct {
	name                 string
	took                 time.Duration
	calls, reads, writes map[string]float64 // by operation
	said                 float64            // checkpoints and marks
	cpu                  float64            // seconds of this process
}

func (p phase) rate(n float64) float64 { return n / p.took.Seconds() }

func (p phase) writeUnits() float64 { return p.rate(total(p.writes)) }
func (p phase) readUnits() float64  { return p.rate(total(p.reads)) }

// kcl is what KCL would write per lease and second: its renewals, and each checkpoint by itself. It has no Mark.
func (p phase) kcl(leases int) float64 { return kclWrites + p.rate(p.said)/float64(leases) }

func total(by map[string]float64) float64 {
	sum := 0.0
	for _, n := range by {
		sum += n
	}
	return sum
}

func sum(phases []phase, of func(phase) float64) float64 {
	n := 0.0
	for _, p := range phases {
		n += of(p)
	}
	return n
}

// operations are those that any phase has used, by name.
func operations(phases []phase) []string {
	used := map[string]bool{}
	for _, p := range phases {
		for op := range p.calls {
			used[op] = true
		}
	}
	return slices.Sorted(maps.Keys(used))
}

func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// A meter counts what the table is asked.
type meter struct {
	mu   sync.Mutex
	now  phase
	from time.Time
	cpu  float64
}

// units is for dynamo.Config.Units.
func (m *meter) units(op string, read, write float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now.calls == nil {
		return
	}
	m.now.calls[op]++
	m.now.reads[op] += read
	m.now.writes[op] += write
}

// say counts a checkpoint or a mark.
func (m *meter) say() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.said++
}

func (m *meter) start(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = phase{name: name, calls: map[string]float64{}, reads: map[string]float64{}, writes: map[string]float64{}}
	m.from, m.cpu = time.Now(), processCPU()
}

func (m *meter) stop() phase {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.now
	m.now = phase{}
	p.took, p.cpu = time.Since(m.from), processCPU()-m.cpu
	return p
}

// processCPU is the CPU time that this process has used, in seconds.
func processCPU() float64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return math.NaN()
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}
