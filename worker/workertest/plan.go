package workertest

import (
	"cmp"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// A plan is what a seed says a history shall be: it is drawn before anything runs.
type plan struct {
	workers, shards, page, batch int

	// What goes wrong all the time: about half of it in each history, so that each of the rest is also seen alone.
	slowTable, brokenTable, brokenStream, slowCalls, failedCalls, lateRequests, restarts bool

	steps []step
	calm  time.Duration // when all that ends
}

// A step is one thing that is done to the fleet.
type step struct {
	at  time.Duration
	do  string
	arg uint64 // which of the workers, or shards; how many records
	d   time.Duration
}

// The steps by name; what they do is in history.step.
const (
	doPut        = "put"
	doStart      = "start"
	doCrash      = "crash"
	doCrashQuick = "crash and restart"
	doCrashAt    = "crash at a point"
	doStop       = "stop"
	doReplace    = "replace"
	doStopAll    = "stop of all"
	doPause      = "pause"
	doPauseAt    = "pause at a point"
	doCut        = "cut"
	doSplit      = "split"
	doMerge      = "merge"
)

// newPlan draws the plan of a seed for so many records.
func newPlan(seed uint64, records int) plan {
	r := rand.New(rand.NewPCG(seed, 0x5ea5))
	coin := func() bool { return r.IntN(2) == 0 }
	seconds := func(from, to int) time.Duration {
		return time.Duration(from)*time.Second + time.Duration(r.IntN((to-from)*1000))*time.Millisecond
	}
	p := plan{
		workers: 2 + r.IntN(2), shards: 1 + r.IntN(3), page: []int{3, 10, 30, 1000}[r.IntN(4)], batch: []int{1, 7, 100, 10_000}[r.IntN(4)],
		slowTable: coin(), brokenTable: coin(), brokenStream: coin(), slowCalls: coin(), failedCalls: coin(),
		lateRequests: coin(), restarts: coin(), calm: seconds(35, 55),
	}
	add := func(at time.Duration, do string, d time.Duration) {
		p.steps = append(p.steps, step{at: at, do: do, arg: r.Uint64(), d: d})
	}
	kinds := []string{doCrash, doCrashAt, doCrashAt, doCrashAt, doCrashQuick, doStop, doReplace, doStopAll, doPause, doPauseAt, doPauseAt, doCut, doSplit, doMerge, doSplit}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for _, do := range kinds[:3+r.IntN(5)] {
		at := 2*time.Second + time.Duration(r.Int64N(int64(p.calm-4*time.Second)))
		switch do {
		case doCrash, doCrashAt, doStop:
			add(at, do, 0)
			add(at+seconds(0, 12), doStart, 0)
		case doReplace: // a rolling deployment
			for i := range 3 {
				add(at+time.Duration(i)*seconds(1, 4), doReplace, 0)
			}
		case doStopAll:
			add(at, doStopAll, 0)
			add(at+seconds(1, 8), doStart, 0)
			add(at+seconds(1, 8), doStart, 0)
		case doPause, doPauseAt, doCut:
			add(at, do, seconds(2, 25))
		default:
			add(at, do, 0)
		}
	}
	for left := records; left > 0; {
		n := min(left, 1+r.IntN(max(2, records/8)))
		p.steps = append(p.steps, step{at: time.Duration(r.Int64N(int64(p.calm))), do: doPut, arg: uint64(n)})
		left -= n
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return p
}

// dice are a random source that depends on the seed, a name and a number alone.
func (h *history) dice(name string, n uint64) *rand.Rand {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name)) // never fails
	return rand.New(rand.NewPCG(h.seed+n<<32, hash.Sum64()))
}
