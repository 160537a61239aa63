package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/integration/sim/javalike"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/metrics"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// A world is one run: the streams and the table that a fleet shares, its workers, and the log of what happened.
type world struct {
	plan    plan
	seed    uint64
	dice    *dice // of the script
	log     *invariant.Log
	started time.Time
	store   tableStore
	local   *local // the server of layer 2, else nil
	strict  bool
	journal *journal       // nil if nobody asked for it
	under   sync.WaitGroup // what is under way behind its sender's back
	noJava  bool           // only workers of Shoal start from now on
	quit    chan struct{}  // closed at the end of the run
	plays   int            // of the script

	tableMu    chan struct{} // has room for one: makes writes of the table one at a time, so that what follows tells whose it is
	writer     request
	writerLate bool

	mu       sync.Mutex // guards what follows; held around memory only
	ending   bool
	streams  []source
	read     map[string]bool // names of the streams that the application is told to read
	byRow    map[string]string
	closed   map[string]bool // names of shards that were split or merged
	shards   map[string]bool // those that the log has, by stream and shard
	lives    []*life
	tenures  int
	names    int // given to workers beyond the first ones
	actors   uint64
	calm     bool // no faults any more
	storms   []storm
	race     time.Time
	formers  map[string][]former
	damaged  map[string]bool // replaced, never changed
	met      map[string]int  // requests that met a fault, by its name
	reached  map[string]int
	waiting  map[string]chan struct{} // readers that wait for news, by stream and shard
	watching watching
	totals   Totals
	faults   []Violation
}

func newWorld(o Options) *world {
	d := newDice(o.Seed, 0)
	w := &world{
		seed: o.Seed, dice: d, log: &invariant.Log{}, started: time.Now(), tableMu: make(chan struct{}, 1), quit: make(chan struct{}),
		read: map[string]bool{}, shards: map[string]bool{}, closed: map[string]bool{}, byRow: map[string]string{}, formers: map[string][]former{}, damaged: map[string]bool{},
		met: map[string]int{}, reached: map[string]int{}, waiting: map[string]chan struct{}{}, watching: newWatching(), actors: 1,
	}
	w.plan, w.strict = makePlan(o, d), o.Strict
	if o.Journal {
		w.journal = &journal{}
	}
	w.openTable(o)
	for i := range w.plan.streams {
		w.addStream(fmt.Sprintf("s%d", i))
	}
	return w
}

func (w *world) add(e invariant.Event) {
	e.At = time.Now()
	w.log.Add(e)
}

func (w *world) count(f func(*Totals)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.totals)
}

// reach notes that a rare situation came to pass. l may be nil.
func (w *world) reach(name string, l *life) {
	w.mu.Lock()
	w.reached[name]++
	first := w.reached[name] == 1
	w.mu.Unlock()
	if !first {
		return
	}
	e := invariant.Event{Kind: invariant.Reached, Note: name}
	if l != nil {
		e.Worker, e.Life = l.name, l.id
	}
	w.add(e)
}

// violate notes what must never be, where no event of the log tells it.
func (w *world) violate(invariant, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, Violation{Invariant: invariant, What: what, At: time.Since(w.started)})
}

// actor is the random source of a new actor.
func (w *world) actor() *dice {
	w.mu.Lock()
	w.actors++
	n := w.actors
	w.mu.Unlock()
	return newDice(w.seed, n)
}

func (w *world) nextTenure() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tenures++
	return w.tenures
}

func (w *world) isCalm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calm
}

// trouble reports whether processors may fail now.
func (w *world) trouble() bool { return w.plan.on[Processor] && !w.isCalm() }

func (w *world) markClosed(shard string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed[shard] = true
}

// isClosed reports whether a shard of that name has been split or merged.
func (w *world) isClosed(shard string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed[shard]
}

// addStream makes a stream that the application reads.
func (w *world) addStream(name string) source {
	s := w.newSource(name)
	id, err := s.Identify(background)
	if err != nil {
		panic(err)
	}
	w.mu.Lock()
	w.streams = append(w.streams, s)
	w.read[name] = true
	w.byRow[fmt.Sprintf("%s:%s:%d", id.Account, id.Name, id.Epoch)] = name
	w.mu.Unlock()
	if err := w.listShards(s); err != nil {
		panic(err)
	}
	return s
}

// listShards looks for shards of a stream that are new.
func (w *world) listShards(s source) error {
	shards, _, err := s.Shards(background, record.Position{})
	if err != nil {
		return fmt.Errorf("list the shards of %s: %w", s.Name(), err)
	}
	for _, sh := range shards {
		w.addShard(s, sh)
	}
	return nil
}

func (w *world) addShard(s source, sh record.Shard) {
	w.mu.Lock()
	known := w.shards[s.Name()+"/"+sh.ID]
	w.shards[s.Name()+"/"+sh.ID] = true
	w.mu.Unlock()
	for _, p := range sh.Parents {
		w.markClosed(p)
	}
	if known {
		return
	}
	w.add(invariant.Event{Kind: invariant.Shard, Stream: s.Name(), Shard: sh.ID, Parents: sh.Parents, Range: sh.Range})
}

// streamOf is the name of the stream that rows with this identifier belong to.
func (w *world) streamOf(row string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if row == "" {
		return w.streams[0].Name()
	}
	return w.byRow[row]
}

// news gives a channel that is closed when something comes into a shard.
func (w *world) news(stream, shard string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := stream + "/" + shard
	if w.waiting[key] == nil {
		w.waiting[key] = make(chan struct{})
	}
	return w.waiting[key]
}

func (w *world) tell(stream, shard string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := stream + "/" + shard
	if c := w.waiting[key]; c != nil {
		close(c)
		delete(w.waiting, key)
	}
}

// put stores one record.
func (w *world) put() {
	w.mu.Lock()
	s := w.streams[w.dice.n(len(w.streams))]
	w.mu.Unlock()
	data := "data"
	if w.plan.deadLetters && !w.isCalm() && w.dice.chance(0.01) {
		data = poisoned
	}
	w.putTo(s, record.HashKey{Hi: w.dice.uint64(), Lo: w.dice.uint64()}, data)
}

func (w *world) putTo(s source, h record.HashKey, data string) {
	shard, seq, err := s.PutTo(h, fmt.Sprint("k", h.Lo%20), []byte(data))
	if w.unserved(err) {
		return
	}
	w.add(invariant.Event{Kind: invariant.Put, Stream: s.Name(), Shard: shard, Records: []record.Position{record.At(seq, 0)}})
	w.tell(s.Name(), shard)
}

// start begins a life of a worker.
func (w *world) start(name string) *life {
	w.mu.Lock()
	id := len(w.lives) + 1
	w.mu.Unlock()
	l := &life{world: w, id: id, name: name, dice: w.actor(), died: make(chan struct{}), ended: make(chan struct{}),
		cut: map[dest]cutting{}, handles: map[*worker.Shard]int{}}
	rate, offset := 1.0, time.Duration(0)
	if w.plan.on[Clock] && !w.isCalm() {
		rate, offset = w.skew()
	}
	l.clock = newHostClock(&l.gate, w.actor(), rate, offset)
	cfg := worker.Config{
		Application: "sim", WorkerID: name, Leases: table{l}, NewProcessor: l.newProcessor, Start: w.plan.start,
		LeaseDuration: w.plan.lease, Clock: l.clock.clock(), Metrics: metrics.New(metrics.Config{Source: metrics.None, Clock: l.clock.clock()}),
		DrainTimeout: w.plan.drain, MaxBatchRecords: 1 + l.dice.n(20), MemoryBudget: 1 << 20,
	}
	if w.plan.several {
		cfg.StreamsFunc = l.streamsNow
		if w.plan.readFormer {
			cfg.ReadFormer = l.formerStream
		}
	} else {
		cfg.Streams = []worker.Stream{tap{l, w.streams[0]}}
	}
	if w.plan.deadLetters {
		cfg.Retry = worker.Retry{Attempts: 3, DeadLetter: l.deadLetter, MaxBackoff: 5 * time.Second}
	}
	if w.journal != nil {
		cfg.Logger = zap.New(w.journal.of(l))
	}
	if w.plan.java != "" && !w.noJava && l.dice.chance(0.5) {
		w.startJava(l)
		return l
	}
	cfg.Compatible2X = w.plan.java == invariant.ActorJava2
	made, err := worker.New(cfg)
	if err != nil {
		panic(err)
	}
	l.worker = made
	ctx, cancel := context.WithCancel(background)
	l.cancel = cancel
	w.mu.Lock()
	w.lives = append(w.lives, l)
	w.mu.Unlock()
	l.log(invariant.Event{Kind: invariant.Start})
	go func() {
		defer close(l.ended)
		err := made.Run(ctx)
		l.log(invariant.Event{Kind: invariant.Ended, Err: text(err)})
		if err != nil && l.healthy() {
			w.supervise(l)
		}
	}()
	return l
}

// supervise starts a worker that has ended by itself again, as whatever runs programs does.
func (w *world) supervise(l *life) {
	l.mu.Lock()
	l.stopping = true // there is nothing left of it to be healthy
	l.mu.Unlock()
	w.under.Go(func() {
		select {
		case <-time.After(5 * time.Second):
		case <-w.quit:
			return
		}
		w.mu.Lock()
		ending := w.ending
		w.mu.Unlock()
		if !ending && !w.runs(l.name) {
			w.start(l.name)
		}
	})
}

// streamsNow is Config.StreamsFunc of a life.
func (l *life) streamsNow(context.Context) ([]worker.Stream, error) {
	l.enter("StreamsFunc")
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	var streams []worker.Stream
	for _, s := range w.streams {
		if w.read[s.Name()] {
			streams = append(streams, tap{l, s})
		}
	}
	return streams, nil
}

// formerStream is Config.ReadFormer of a life.
func (l *life) formerStream(id worker.Identity) worker.Stream {
	l.enter("ReadFormer")
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.streams {
		if s.Name() == id.Name {
			return tap{l, s}
		}
	}
	return nil
}

// skew is the rate and the offset of a machine's clock.
func (w *world) skew() (rate float64, offset time.Duration) {
	rate = 1
	switch w.dice.n(3) {
	case 0:
		rate += (w.dice.float() - 0.5) * 400e-6
	case 1:
		rate += (w.dice.float() - 0.5) * 0.1
	}
	switch w.dice.n(4) {
	case 0:
		offset = time.Duration(w.dice.n(7200)-3600) * time.Second
	case 1:
		offset = time.Duration(w.dice.n(60)-30) * time.Second
	}
	return rate, offset
}

// healthy are the lives that work.
func (w *world) healthy() []*life {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lives []*life
	for _, l := range w.lives {
		if l.healthy() {
			lives = append(lives, l)
		}
	}
	return lives
}

// afterwards does something later, at the latest at the end of the run.
func (w *world) afterwards(d time.Duration, f func()) {
	w.under.Add(1)
	time.AfterFunc(d, func() {
		defer w.under.Done()
		f()
	})
}

// lag counts the records that no checkpoint covers yet, by shard. A record put to a stream that is not read is not
// counted.
func (w *world) lag() map[string]int {
	rows := w.rows()
	at := map[string]lease.Lease{}
	for _, row := range rows {
		at[w.streamOf(row.Stream)+"/"+row.Shard] = row
	}
	return w.watching.open(w.log.Events(), at, func(stream string) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.read[stream]
	})
}

// startJava begins a life of a worker as Java's.
func (w *world) startJava(l *life) {
	made := javalike.New3X
	if w.plan.java == invariant.ActorJava2 {
		made = javalike.New2X
	}
	l.java = true
	j := made(javalike.Config{
		ID: l.name, Life: l.id, Store: table{l}, Streams: map[string]worker.Stream{"": tap{l, w.streams[0]}}, Start: w.plan.start,
		Duration: w.plan.lease, Clock: l.clock.clock(), Log: func(e invariant.Event) { l.log(e) }, Tenure: w.nextTenure,
		Process: func(ctx context.Context, records []record.Record) error {
			l.enter("ProcessRecords")
			if l.isDead() {
				return errDead
			}
			if w.plan.work > 0 {
				l.wait(ctx, l.dice.upTo(w.plan.work))
			}
			if w.trouble() && l.dice.chance(0.02) {
				return errApplication
			}
			return nil
		},
	})
	ctx, cancel := context.WithCancel(background)
	l.cancel = cancel
	w.mu.Lock()
	w.lives = append(w.lives, l)
	w.mu.Unlock()
	l.log(invariant.Event{Kind: invariant.Start, Note: j.Actor()})
	go func() {
		defer close(l.ended)
		j.Run(ctx)
		l.log(invariant.Event{Kind: invariant.Ended})
	}()
}
