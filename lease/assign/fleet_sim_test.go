package assign

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A simFleet is a lease table with workers that renew, report and let go as real ones do, and a leader that carries out
// what Lead says. A round takes 2 s; a lease asked for moves one round later; a report covers the 30 s before it.
type simFleet struct {
	rng      *rand.Rand
	now      time.Time
	cfg      Config
	seed     uint64
	leaders  []*Census // they take turns
	standbys []*Census // they only watch
	lag      int       // rounds by which the view of each further leader is older

	workers map[string]*simWorker
	leases  []lease.Lease
	kbps    []float64 // true throughput of each
	noise   float64   // of each lease's reported throughput and of each sample of CPU
	views   []simView

	round     int
	moves     int     // since last asked
	moved     float64 // KiB per second
	took      float64
	conflicts int
}

type simView struct {
	leases  []lease.Lease
	members []lease.Member
}

type simWorker struct {
	name     string
	size     float64 // what it can process, in KiB per second at 100%; 0: it does not measure
	idle     float64 // its utilisation without leases
	item     lease.Member
	sum      float64
	samples  int
	next     time.Time // report
	dead     bool
	stopping bool
}

const simRound = 2 * time.Second

func newSimFleet(seed uint64, cfg Config) *simFleet {
	return &simFleet{
		rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0), cfg: cfg, seed: seed,
		leaders: []*Census{{Duration: cfg.Duration}}, workers: make(map[string]*simWorker),
	}
}

func (s *simFleet) join(name string, size float64) *simWorker {
	w := &simWorker{name: name, size: size, next: s.now.Add(simRound)}
	s.workers[name] = w
	return w
}

// leave is a clean stop that hands nothing over: the item is gone, and the leases are free.
func (s *simFleet) leave(name string) {
	delete(s.workers, name)
	for i := range s.leases {
		if l := &s.leases[i]; l.Holder() == name {
			l.Owner, l.CheckpointOwner, l.Counter = "", "", l.Counter+1
		}
	}
}

// add makes n leases whose throughputs are drawn from a Pareto distribution with that tail, with this mean and none
// above most, a part of the whole.
func (s *simFleet) add(n int, tail, mean, most float64) {
	draws, total := make([]float64, n), mean*float64(n)
	for i := range draws {
		draws[i] = math.Pow(1-s.rng.Float64(), -1/tail)
	}
	for range 100 { // what is cut off the greatest is spread over all
		sum := 0.0
		for _, d := range draws {
			sum += d
		}
		for i := range draws {
			draws[i] = min(draws[i]*total/sum, most*total)
		}
	}
	for _, kbps := range draws {
		key := fmt.Sprintf("s%04d", len(s.leases))
		s.leases = append(s.leases, lease.Lease{Key: key, Shard: key, Checkpoint: record.TrimHorizon, ThroughputKBps: &kbps})
		s.kbps = append(s.kbps, kbps)
	}
}

// step lets 2 s pass and the leader act.
func (s *simFleet) step() {
	s.round++
	s.now = s.now.Add(simRound)
	s.live()
	s.views = append(s.views, s.view())
	turn := s.round % len(s.leaders)
	view := s.views[max(0, len(s.views)-1-turn*s.lag)]
	if len(s.views) > 10 {
		s.views = s.views[1:]
	}
	r := s.leaders[turn].Observe(view.leases, view.members, s.now, s.now)
	for other, c := range slices.Concat(s.leaders, s.standbys) {
		if other != turn {
			c.Observe(view.leases, view.members, s.now, s.now)
		}
	}
	s.carryOut(Lead(r, s.cfg, s.seed))
}

func (s *simFleet) view() simView {
	v := simView{leases: slices.Clone(s.leases)}
	for _, w := range s.workers {
		if !w.item.Updated.IsZero() {
			m := w.item
			if w.size > 0 {
				m.Metrics = map[string][]float64{"C": slices.Clone(w.item.Metrics["C"])}
			}
			v.members = append(v.members, m)
		}
	}
	slices.SortFunc(v.members, func(a, b lease.Member) int { return cmp.Compare(a.Worker, b.Worker) })
	return v
}

// live is what the workers do by themselves in a round.
func (s *simFleet) live() {
	load := s.loads()
	for i := range s.leases {
		l := &s.leases[i]
		w := s.workers[l.Holder()]
		if w == nil || w.dead {
			continue
		}
		l.Counter++
		kbps := s.kbps[i] * (1 + s.noise*(2*s.rng.Float64()-1))
		l.ThroughputKBps = &kbps
		l.CheckpointOwner = "" // it lets go of what it was asked for in the round before
	}
	for _, name := range s.names() {
		w := s.workers[name]
		if w.dead {
			continue
		}
		if w.size > 0 {
			w.sum += s.utilisation(w, load[name]) * (1 + s.noise*(2*s.rng.Float64()-1))
			w.samples++
		}
		if s.now.Before(w.next) {
			continue
		}
		w.next = s.now.Add(30 * time.Second)
		w.item.Worker, w.item.Updated = name, s.now
		if w.size > 0 {
			values := append(slices.Clone(w.item.Metrics["C"]), w.sum/float64(w.samples))
			w.item.Metrics = map[string][]float64{"C": values[max(0, len(values)-10):]}
			w.item.Limits = map[string]float64{"C": 100}
			w.sum, w.samples = 0, 0
		}
	}
}

func (s *simFleet) utilisation(w *simWorker, load float64) float64 {
	if w.size == 0 {
		return load
	}
	return w.idle + load/w.size*100
}

func (s *simFleet) loads() map[string]float64 {
	load := make(map[string]float64)
	for i := range s.leases {
		load[s.leases[i].Holder()] += s.kbps[i]
	}
	return load
}

func (s *simFleet) names() []string {
	names := make([]string, 0, len(s.workers))
	for name := range s.workers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *simFleet) carryOut(m Moves) {
	at := make(map[string]int, len(s.leases))
	for i := range s.leases {
		at[s.leases[i].Key] = i
	}
	for _, move := range m.Take {
		i := at[move.Lease.Key]
		l := &s.leases[i]
		if l.Counter != move.Lease.Counter || l.Owner != move.Lease.Owner {
			s.conflicts++
			continue
		}
		l.Owner, l.CheckpointOwner, l.Counter = move.To, "", l.Counter+1
		s.took += s.kbps[i]
	}
	for _, move := range m.Ask {
		i := at[move.Lease.Key]
		l := &s.leases[i]
		if l.CheckpointOwner != "" || l.Owner != move.Lease.Owner {
			s.conflicts++
			continue
		}
		l.Owner, l.CheckpointOwner = move.To, l.Owner
		s.moves++
		s.moved += s.kbps[i]
	}
}

// worst is how far the worker furthest off is from the mean utilisation of those that live.
func (s *simFleet) worst() float64 {
	load, mean, n := s.loads(), 0.0, 0.0
	for name, w := range s.workers {
		if !w.dead {
			mean, n = mean+s.utilisation(w, load[name]), n+1
		}
	}
	mean /= n
	worst := 0.0
	for name, w := range s.workers {
		if !w.dead {
			worst = max(worst, math.Abs(s.utilisation(w, load[name])-mean)/mean)
		}
	}
	return worst
}

func (s *simFleet) forget() { s.moves, s.moved, s.took = 0, 0, 0 }
