package assign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A table is a fleet's lease table with workers that carry out their plans at once, one after the other, from listings
// that may be old.
type table struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	rows    map[string]lease.Lease
	order   []string
	workers map[string]*actor
	moves   int
	stale   bool // listings are up to one round old
	before  []lease.Lease
}

type actor struct {
	name  string
	max   int
	watch Watch
	fresh bool
}

const (
	duration = 10 * time.Second
	pass     = 2 * time.Second
)

func newTable(t *testing.T, seed uint64, leases int) *table {
	tb := &table{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(0, 0),
		rows: make(map[string]lease.Lease), workers: make(map[string]*actor),
	}
	for i := range leases {
		key := fmt.Sprintf("shardId-%012d", i)
		tb.rows[key] = lease.Lease{Key: key, Shard: key, Checkpoint: record.TrimHorizon}
		tb.order = append(tb.order, key)
	}
	tb.before = tb.list()
	return tb
}

func (tb *table) list() []lease.Lease {
	rows := make([]lease.Lease, 0, len(tb.order))
	for _, key := range tb.order {
		rows = append(rows, tb.rows[key])
	}
	return rows
}

func (tb *table) join(name string, most int) {
	tb.workers[name] = &actor{name: name, max: most, fresh: true}
}

// round lets time pass, live holders renew and let go of what was asked for, and then each worker look and act.
func (tb *table) round() {
	tb.now = tb.now.Add(pass)
	for key, l := range tb.rows {
		if l.Finished() || tb.workers[l.Holder()] == nil {
			continue
		}
		l.Counter++
		if l.CheckpointOwner != "" && tb.rng.IntN(3) > 0 { // the holder finishes, in this round or a later one
			l.CheckpointOwner = ""
		}
		tb.rows[key] = l
	}
	start := tb.list()
	names := make([]string, 0, len(tb.workers))
	for name := range tb.workers {
		names = append(names, name)
	}
	tb.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		rows := tb.list()
		if tb.stale {
			rows = [][]lease.Lease{rows, start, tb.before}[tb.rng.IntN(3)]
		}
		tb.act(tb.workers[name], rows)
	}
	tb.before = start
}

func (tb *table) act(w *actor, rows []lease.Lease) {
	held := make(map[string]bool)
	for key, l := range tb.rows {
		held[key] = l.Holder() == w.name && !l.Finished()
	}
	s := Snapshot{
		Worker: w.name, Leases: rows, Held: held, Fresh: w.fresh, Duration: duration, MaxLeases: w.max, Seed: tb.rng.Uint64(),
	}
	w.fresh = false
	w.watch.Observe(&s, tb.now)
	p := Decide(s)
	for _, seen := range p.Take {
		if l := tb.rows[seen.Key]; l.Counter == seen.Counter && l.Owner == seen.Owner {
			l.Owner, l.CheckpointOwner = w.name, ""
			l.Counter++
			tb.rows[seen.Key] = l
			tb.moves++
		}
	}
	for _, seen := range p.Ask {
		if l := tb.rows[seen.Key]; l.Owner == seen.Owner && l.CheckpointOwner == "" {
			l.Owner, l.CheckpointOwner = w.name, l.Owner
			tb.rows[seen.Key] = l
			tb.moves++
		}
	}
	if len(p.Twins) > 0 {
		tb.t.Errorf("worker %s thinks it has a twin at %v", w.name, p.Twins)
	}
}

// spread is the least and the most leases that a worker has or is to get, and how many nobody has.
func (tb *table) spread() (least, most, free int) {
	counts := make(map[string]int)
	for name := range tb.workers {
		counts[name] = 0
	}
	for _, l := range tb.rows {
		if tb.workers[l.Owner] == nil || l.CheckpointOwner != "" && tb.workers[l.CheckpointOwner] == nil {
			free++
			continue
		}
		counts[l.Owner]++
	}
	least = len(tb.rows)
	for _, n := range counts {
		least, most = min(least, n), max(most, n)
	}
	return least, most, free
}

// settle runs the fleet until nothing has moved for a hundred rounds, sees that it is balanced then, and returns the
// round of the last move, which must not come after limit.
func (tb *table) settle(limit int) (last int) {
	tb.t.Helper()
	for round := 1; round <= last+100; round++ {
		moves := tb.moves
		tb.round()
		if tb.moves != moves {
			last = round
		}
		if last > limit {
			least, most, free := tb.spread()
			tb.t.Fatalf("still moving in round %d; now %d to %d leases, %d free", round, least, most, free)
		}
	}
	if least, most, free := tb.spread(); most-least > 1 || free > 0 {
		tb.t.Fatalf("at rest after round %d with %d to %d leases, %d free", last, least, most, free)
	}
	return last
}

func TestFleetsComeToBalanceAndThenStayPut(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			tb := newTable(t, seed, 1+rng.IntN(60))
			tb.stale = seed%2 == 1
			for i := range 1 + rng.IntN(12) {
				tb.join(fmt.Sprintf("w%02d", i), 0)
			}
			tb.settle(30)
			for i := range rng.IntN(6) { // some come
				tb.join(fmt.Sprintf("x%02d", i), 0)
			}
			for name := range tb.workers { // and some die
				if len(tb.workers) > 1 && rng.IntN(4) == 0 {
					delete(tb.workers, name)
				}
			}
			tb.settle(30)
		})
	}
}

func TestWorkersThatSeeTheSameMoveNoLeaseTooMany(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		workers := 2 + rng.IntN(8)
		counts := make([]int, workers)
		var rows []lease.Lease
		for i := range workers + rng.IntN(100) {
			owner := i // each has one at least, so that all know each other
			if i >= workers {
				owner = int(float64(workers) * rng.Float64() * rng.Float64())
			}
			counts[owner]++
			key := fmt.Sprintf("s%03d", i)
			rows = append(rows, lease.Lease{Key: key, Shard: key, Owner: fmt.Sprint("w", owner), Checkpoint: record.TrimHorizon})
		}
		asked := make(map[string]bool)
		for w := range workers {
			held := make(map[string]bool)
			for _, l := range rows {
				held[l.Key] = l.Owner == fmt.Sprint("w", w)
			}
			p := Decide(Snapshot{Worker: fmt.Sprint("w", w), Leases: rows, Held: held, Duration: duration, Seed: rng.Uint64()})
			for _, l := range p.Ask {
				if asked[l.Key] {
					t.Errorf("seed %d: two ask for %s", seed, l.Key)
				}
				asked[l.Key] = true
				counts[w]++
				for from := range workers {
					if l.Owner == fmt.Sprint("w", from) {
						counts[from]--
					}
				}
			}
		}
		if most, least := slices.Max(counts), slices.Min(counts); most-least > 1 {
			t.Errorf("seed %d: after one round the workers have %v", seed, counts)
		}
		var needed int
		before := make(map[string]int)
		for _, l := range rows {
			before[l.Owner]++
		}
		for w, n := range counts {
			needed += max(0, n-before[fmt.Sprint("w", w)])
		}
		if len(asked) != needed {
			t.Errorf("seed %d: %d moves, %d would do", seed, len(asked), needed)
		}
	}
}
