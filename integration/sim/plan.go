package sim

import (
	"slices"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/record"
)

// The faults by name. Each seed switches a random half of them off, so that none drowns the others.
const (
	Crash      = "crash"       // a worker ends without a word and is started again a little later
	Pause      = "pause"       // a worker stands still for up to three lease durations
	Midcall    = "midcall"     // a worker stands still right before a request or within a call of its processor
	Clock      = "clock"       // clocks are off, jump, and go too fast or too slow
	CutTable   = "cut-table"   // a worker does not reach the table
	CutStream  = "cut-stream"  // a worker does not reach the stream
	OneWay     = "one-way"     // requests arrive, answers do not
	Slow       = "slow"        // requests take up to 30 s, so that later ones come first
	Throttle   = "throttle"    // for a while, most requests of a kind are refused for lack of capacity
	Lost       = "lost"        // requests are lost
	LostAnswer = "lost-answer" // requests are carried out and their answers are lost
	Duplicate  = "duplicate"   // requests arrive twice
	Late       = "late"        // an attempt that its sender gave up is carried out later, even after the sender's death
	Race       = "race"        // requests of several workers arrive at one instant
	Stale      = "stale"       // reads that may be stale show what was up to 2 s ago
	Iterator   = "iterator"    // reads fail as with an expired iterator
	Push       = "push"        // readers are subscriptions that end early, fall silent, or cannot be had
	Reshard    = "reshard"     // shards are split and merged
	Damage     = "damage"      // a row cannot be read for a while
	RowLoss    = "row-loss"    // a row is deleted by hand
	TableLoss  = "table-loss"  // the table is emptied: deleted and made anew
	Fleet      = "fleet"       // workers come and go: one by one, all at once
	Twin       = "twin"        // two processes run under one worker ID
	Streams    = "streams"     // a stream is added and removed at run time
	PowerCut   = "power-cut"   // the server's power goes in the middle of a write to its disk (layer 2)
	Processor  = "processor"   // processors fail, panic, are slow, hang, ignore their context
)

// Faults are all of them.
var Faults = []string{Crash, Pause, Midcall, Clock, CutTable, CutStream, OneWay, Slow, Throttle, Lost, LostAnswer, Duplicate, Late, Race,
	Stale, Iterator, Push, Reshard, Damage, RowLoss, TableLoss, Fleet, Twin, Streams, PowerCut, Processor}

// hourly is how often a fault is played in an hour of a fleet in which it is on. Those that are not here come with
// requests, or with processors.
var hourly = map[string]float64{
	Crash: 90, Pause: 90, Midcall: 30, Clock: 20, CutTable: 30, CutStream: 30, OneWay: 30, Throttle: 12, Race: 20,
	Reshard: 15, Damage: 4, RowLoss: 3, TableLoss: 1, Fleet: 6, Twin: 4, Streams: 4, PowerCut: 25,
}

// A plan is what a seed makes of a run.
type plan struct {
	on          map[string]bool
	java        string // which workers of Java take part, as an invariant.Start says, "" if none
	workers     int
	shards      int // at the start, of each stream
	streams     int
	several     bool // lease rows name their stream
	readFormer  bool // streams are read on that are not named any more
	lease       time.Duration
	faults      time.Duration // for how long there are faults
	traffic     time.Duration // mean time between two records
	start       record.Position
	noise       float64 // share of the requests that meet one of the faults that come with requests, each
	idle        time.Duration
	latency     float64       // share of the reads that take time
	work        time.Duration // the most that a batch takes, without trouble
	drain       time.Duration // how long workers wait for their processors to finish
	hangs       float64       // share of these that do not, for up to twice that
	deadLetters bool          // poison records are given to a dead-letter function
	skip        []Plays       // what is left out of the script
}

// skips reports whether the script leaves its n-th play out.
func (p *plan) skips(n int) bool {
	return slices.ContainsFunc(p.skip, func(s Plays) bool { return s.From <= n && n < s.To })
}

func makePlan(o Options, d *dice) plan {
	p := plan{on: map[string]bool{}, lease: 10 * time.Second, faults: o.Faults, skip: o.Skip}
	names := slices.Clone(Faults)
	shuffle(d, names)
	for _, name := range names[:len(names)/2] {
		p.on[name] = true
	}
	for _, name := range []string{Crash, Pause} { // what the rest is mostly about is on more often
		if d.chance(0.5) {
			p.on[name] = true
		}
	}
	p.on[PowerCut] = o.Server
	for _, name := range o.Off {
		delete(p.on, name)
	}
	p.workers = 2 + d.n(3)
	p.streams = 1
	p.shards = 2 + d.n(5)
	if p.several = d.chance(0.25); p.several {
		p.streams = 1 + d.n(2)
		p.shards = 1 + d.n(3)
		p.readFormer = o.Seed%2 == 1
	}
	if o.Workers > 0 {
		p.workers = o.Workers
	}
	if o.Shards > 0 {
		p.shards = o.Shards
	}
	if !p.several && !o.Server && o.Seed%3 != 0 {
		p.java = []string{invariant.ActorJava3, invariant.ActorJava2}[o.Seed%3-1]
		for _, name := range []string{TableLoss, RowLoss, Twin, Streams} { // Java has no answer to these
			delete(p.on, name)
		}
	}
	p.traffic = d.between(500*time.Millisecond, 6*time.Second)
	p.start = record.TrimHorizon
	p.noise = []float64{0.01, 0.02, 0.04}[d.n(3)]
	p.latency = []float64{0.1, 0.5, 1}[d.n(3)]
	p.work = []time.Duration{0, 0, 2 * time.Second}[d.n(3)]
	p.deadLetters = p.on[Processor] && d.chance(0.5)
	p.idle = d.between(3*time.Second, 8*time.Second)
	p.drain, p.hangs = 20*time.Second, 0.02
	if p.on[Processor] && d.chance(0.3) { // longer than a leader waits
		p.drain, p.hangs = 70*time.Second, 0.2
	}
	return p
}
