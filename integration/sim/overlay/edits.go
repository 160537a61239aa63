package main

// An edit replaces one text of a file of the runtime, which must be there exactly once.
type edit struct {
	file     string // in the package runtime
	why      string
	old, new string
}

// edits make one bubble of testing/synctest repeat itself. They are known to fit Go 1.26.
//
// A bubble has a virtual clock of its own, but what the runtime leaves to chance it draws from generators that every
// thread seeds anew: which ready case a select takes, in which order equal timers fire, where a map is read first, where
// a goroutine that becomes runnable is queued. Here all these draws, as far as a goroutine of a bubble can see them, come
// from one generator of the bubble. What is left is the order in which goroutines run. With one processor (GOMAXPROCS=1)
// that is the run queue's, so goroutines must not be moved out of it by anything that depends on real time: not by
// preemption, not by a system call that takes long, not by goroutines of the runtime itself, not by the collector's
// assists (GOGC=off).
//
// With detSeed 0 nothing is changed but that the scheduler queues at random, as under the race detector.
var edits = []edit{
	{
		"synctest.go", "a generator in each bubble",
		"	active  int // other sources of activity\n}",
		`	active  int // other sources of activity

	det uint64 // the state of the seeded generator
}

// detSeed is the seed of bubbles to come; 0 leaves them to chance.
//
//go:linkname detSeed
var detSeed uint64

// detCur is the bubble whose timers fire now, outside of any goroutine.
var detCur *synctestBubble

// detBubble is the bubble in whose name this thread runs, if bubbles are seeded.
//
//go:nosplit
func detBubble() *synctestBubble {
	if detSeed == 0 {
		return nil
	}
	if gp := getg().m.curg; gp != nil {
		return gp.bubble
	}
	return detCur
}

// detNext is splitmix64.
//
//go:nosplit
func (b *synctestBubble) detNext() uint64 {
	b.det += 0x9e3779b97f4a7c15
	z := b.det
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

//go:nosplit
func detrandn(n uint32) uint32 {
	if b := detBubble(); b != nil {
		return uint32((b.detNext() >> 32) * uint64(n) >> 32)
	}
	return cheaprandn(n)
}
`,
	},
	{
		"synctest.go", "seeded when the bubble begins",
		"	bubble.now = synctestBaseTime\n",
		"	bubble.now = synctestBaseTime\n	bubble.det = detSeed\n",
	},
	{
		"synctest.go", "timers that fire draw from their bubble",
		"			gp.m.curg = nil\n			gp.bubble.timers.check(bubble.now, bubble)\n",
		"			gp.m.curg = nil\n			detCur = bubble\n			gp.bubble.timers.check(bubble.now, bubble)\n			detCur = nil\n",
	},
	{
		"rand.go", "maps hash with the same key in every process",
		"	globalRand.state.Init(*seed)\n",
		"	for i := range seed {\n		seed[i] = byte(i*7 + 1)\n	}\n	globalRand.state.Init(*seed)\n",
	},
	{
		"rand.go", "maps, math/rand and sync.Pool under the race detector",
		"func rand() uint64 {\n",
		"func rand() uint64 {\n	if b := detBubble(); b != nil {\n		return b.detNext()\n	}\n",
	},
	{
		"select.go", "which ready case a select takes",
		"j := cheaprandn(uint32(norder + 1))",
		"j := detrandn(uint32(norder + 1))",
	},
	{
		"time.go", "the order of equal timers",
		"t.rand = cheaprand()",
		"t.rand = detrandn(1<<32 - 1)",
	},
	{
		"proc.go", "runnable goroutines are queued at random, as under the race detector",
		"const randomizeScheduler = raceenabled\n",
		"var randomizeScheduler = true\n",
	},
	{
		"proc.go", "which comes next; a goroutine of the runtime never comes before one of a bubble",
		"	if randomizeScheduler && next && randn(2) == 0 {",
		"	if detSeed != 0 && gp.bubble == nil {\n		next = false\n	}\n	if randomizeScheduler && next && detrandn(2) == 0 {",
	},
	{
		"proc.go", "a full queue is moved in order: this may happen outside of any bubble",
		"	if randomizeScheduler {\n		for i := uint32(1); i <= n; i++ {",
		"	if randomizeScheduler && detSeed == 0 {\n		for i := uint32(1); i <= n; i++ {",
	},
	{
		"proc.go", "and comes back in order",
		"	if randomizeScheduler {\n		off := func(o uint32) uint32 {",
		"	if randomizeScheduler && detSeed == 0 {\n		off := func(o uint32) uint32 {",
	},
	{
		"proc.go", "no look at the global queue out of turn",
		"	if pp.schedtick%61 == 0 && !sched.runq.empty() {\n",
		"	if detSeed == 0 && pp.schedtick%61 == 0 && !sched.runq.empty() {\n",
	},
	{
		"proc.go", "runtime.Gosched keeps goroutines of a bubble in their one queue",
		"		runqput(pp, gp, true)\n	} else {\n		lock(&sched.lock)\n		globrunqput(gp)",
		"		runqput(pp, gp, true)\n	} else if detSeed != 0 && gp.bubble != nil {\n		runqput(pp, gp, false)\n	} else {\n		lock(&sched.lock)\n		globrunqput(gp)",
	},
	{
		"proc.go", "no preemption by the clock",
		"		} else if pd.schedwhen+forcePreemptNS <= now {\n",
		"		} else if detSeed == 0 && pd.schedwhen+forcePreemptNS <= now {\n",
	},
	{
		"proc.go", "nobody else runs while a goroutine of a bubble is in a system call",
		"		// Retake the P if it's there for more than 1 sysmon tick (at least 20us).\n",
		"		if detSeed != 0 && thread.gp.bubble != nil {\n			thread.resume()\n			goto done\n		}\n\n		// Retake the P if it's there for more than 1 sysmon tick (at least 20us).\n",
	},
}
