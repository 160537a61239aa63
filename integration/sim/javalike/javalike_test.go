package javalike

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

const duration = 10 * time.Second

// A site is a stream and a table with workers of both kinds.
type site struct {
	t      *testing.T
	stream *memstream.Stream
	store  *memory.Store
	log    invariant.Log

	mu      sync.Mutex // one write of the table at a time
	writer  string
	life    int
	count   sync.Mutex // guards what follows
	tenures int
	lives   int
}

func newSite(t *testing.T, shards int) *site {
	s := &site{t: t, stream: memstream.New("s", shards, memstream.Options{}), store: memory.New()}
	s.store.Written = func(op string, before, after lease.Lease) {
		shard := after.Shard
		if shard == "" {
			shard = before.Shard
		}
		s.add(invariant.Event{Kind: invariant.Write, Worker: s.writer, Life: s.life, Stream: "s", Shard: shard, Op: op, Before: before, After: after})
	}
	s.listed(map[string]bool{})
	return s
}

func (s *site) add(e invariant.Event) {
	e.At = time.Now()
	s.log.Add(e)
}

// listed logs the shards that are not in known.
func (s *site) listed(known map[string]bool) {
	shards, _, err := s.stream.Shards(context.Background(), record.Position{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, sh := range shards {
		if !known[sh.ID] {
			s.add(invariant.Event{Kind: invariant.Shard, Stream: "s", Shard: sh.ID, Parents: sh.Parents, Range: sh.Range})
		}
		known[sh.ID] = true
	}
}

func (s *site) put(n int) {
	for i := range n {
		shard, seq, err := s.stream.Put(fmt.Sprint("key-", i, time.Now()), []byte("data"))
		if err != nil {
			s.t.Fatal(err)
		}
		s.add(invariant.Event{Kind: invariant.Put, Stream: "s", Shard: shard, Records: []record.Position{record.At(seq, 0)}})
	}
}

func (s *site) tenure() int { return s.next(&s.tenures) }

func (s *site) next(of *int) int {
	s.count.Lock()
	defer s.count.Unlock()
	*of++
	return *of
}

// A process is a worker that runs.
type process struct {
	s      *site
	id     string
	life   int
	cancel context.CancelFunc
	ended  chan struct{}
	table  *table
}

func (s *site) process(id, note string, run func(ctx context.Context, p *process)) *process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{s: s, id: id, life: s.next(&s.lives), cancel: cancel, ended: make(chan struct{})}
	p.table = &table{Store: s.store, p: p}
	p.log(invariant.Event{Kind: invariant.Start, Note: note})
	go func() {
		defer close(p.ended)
		run(ctx, p)
	}()
	return p
}

func (p *process) log(e invariant.Event) {
	e.Worker, e.Life = p.id, p.life
	p.s.add(e)
}

func (p *process) stop() {
	p.log(invariant.Event{Kind: invariant.Stop})
	p.cancel()
	<-p.ended
	p.log(invariant.Event{Kind: invariant.Ended})
}

// kill cuts the process off from the table and ends it.
func (p *process) kill() {
	p.s.mu.Lock()
	p.table.dead = true
	p.s.mu.Unlock()
	p.log(invariant.Event{Kind: invariant.Crash})
	p.cancel()
	<-p.ended
}

func (s *site) java(id string, of func(Config) *Worker) *process {
	note := of(Config{}).Actor()
	return s.process(id, note, func(ctx context.Context, p *process) {
		of(Config{
			ID: id, Life: p.life, Store: p.table, Streams: map[string]worker.Stream{"": s.stream}, Duration: duration, Clock: clock.Clock{},
			Log: s.add, Tenure: s.tenure,
		}).Run(ctx)
	})
}

func (s *site) shoal(id string, beside2X bool) *process {
	return s.process(id, "", func(ctx context.Context, p *process) {
		w, err := worker.New(worker.Config{
			Application: "app", WorkerID: id, Streams: []worker.Stream{s.stream}, Leases: p.table, LeaseDuration: duration, Compatible2X: beside2X,
			NewProcessor: func(_ context.Context, sh *worker.Shard) (worker.RecordProcessor, error) {
				g := &goProcessor{p: p, tenure: s.tenure(), shard: sh}
				g.log(invariant.Event{Kind: invariant.Begin, Records: []record.Position{sh.Start}, Counter: int64(sh.Epoch)})
				return g, nil
			},
		})
		if err == nil {
			err = w.Run(ctx)
		}
		if err != nil && !p.table.isDead() {
			s.t.Errorf("worker %s: %v", id, err)
		}
	})
}

type goProcessor struct {
	p      *process
	tenure int
	shard  *worker.Shard
}

func (g *goProcessor) log(e invariant.Event) {
	e.Tenure, e.Stream, e.Shard = g.tenure, "s", g.shard.ID
	g.p.log(e)
}

func (g *goProcessor) ProcessRecords(ctx context.Context, b *worker.Batch) (err error) {
	at := make([]record.Position, len(b.Records))
	for i := range b.Records {
		at[i] = b.Records[i].Position()
	}
	g.log(invariant.Event{Kind: invariant.Deliver, Records: at})
	defer func() {
		e := invariant.Event{Kind: invariant.Return}
		if err != nil {
			e.Err = err.Error()
		}
		g.log(e)
	}()
	g.log(invariant.Event{Kind: invariant.Said, Records: []record.Position{b.Last()}})
	return b.Checkpoint(ctx)
}

func (g *goProcessor) Finish(_ context.Context, reason worker.FinishReason) error {
	g.log(invariant.Event{Kind: invariant.Finish, Note: reason.String()})
	g.log(invariant.Event{Kind: invariant.Return})
	return nil
}

// A table is one process's way to the table. It tells the log whose writes they are, and ends with the process.
type table struct {
	lease.Store
	p    *process
	dead bool // guarded by site.mu
}

func (t *table) isDead() bool {
	t.p.s.mu.Lock()
	defer t.p.s.mu.Unlock()
	return t.dead
}

func (t *table) write(do func() error) error {
	s := t.p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.dead {
		return fmt.Errorf("the process is dead")
	}
	s.writer, s.life = t.p.id, t.p.life
	return do()
}

func (t *table) row(do func() (lease.Lease, error)) (row lease.Lease, err error) {
	err = t.write(func() error { row, err = do(); return err })
	return row, err
}

func (t *table) Create(ctx context.Context, l lease.Lease) error {
	return t.write(func() error { return t.Store.Create(ctx, l) })
}
func (t *table) Delete(ctx context.Context, seen lease.Lease) error {
	return t.write(func() error { return t.Store.Delete(ctx, seen) })
}
func (t *table) Describe(ctx context.Context, key string, children []string, r *record.HashKeyRange) error {
	return t.write(func() error { return t.Store.Describe(ctx, key, children, r) })
}
func (t *table) Renew(ctx context.Context, held lease.Lease, id string, c lease.Change) (lease.Lease, error) {
	return t.row(func() (lease.Lease, error) { return t.Store.Renew(ctx, held, id, c) })
}
func (t *table) Take(ctx context.Context, seen lease.Lease, id string) (lease.Lease, error) {
	return t.row(func() (lease.Lease, error) { return t.Store.Take(ctx, seen, id) })
}
func (t *table) Ask(ctx context.Context, seen lease.Lease, id string) (lease.Lease, error) {
	return t.row(func() (lease.Lease, error) { return t.Store.Ask(ctx, seen, id) })
}
func (t *table) Assign(ctx context.Context, seen lease.Lease, id string) (lease.Lease, error) {
	return t.row(func() (lease.Lease, error) { return t.Store.Assign(ctx, seen, id) })
}
func (t *table) Release(ctx context.Context, held lease.Lease, id, next string) (lease.Lease, error) {
	return t.row(func() (lease.Lease, error) { return t.Store.Release(ctx, held, id, next) })
}

// traffic puts records and splits or merges shards while it plays for some minutes.
func (s *site) traffic(minutes int, between func(minute int)) {
	known := map[string]bool{}
	shards, _, _ := s.stream.Shards(context.Background(), record.Position{})
	for _, sh := range shards {
		known[sh.ID] = true
	}
	for m := range minutes {
		between(m)
		switch m {
		case 4:
			r := shards[0].Range
			if _, _, err := s.stream.Split(shards[0].ID, record.HashKey{Hi: r.Start.Hi/2 + r.End.Hi/2, Lo: 1}); err != nil {
				s.t.Fatal(err)
			}
		case 8:
			if _, err := s.stream.Merge(shards[1].ID, shards[2].ID); err != nil {
				s.t.Fatal(err)
			}
		}
		s.listed(known)
		for range 12 {
			s.put(20)
			time.Sleep(5 * time.Second)
		}
	}
	s.add(invariant.Event{Kind: invariant.Quiet})
	time.Sleep(6 * time.Minute)
	synctest.Wait()
}

// owners counts the unfinished leases of each worker.
func (s *site) owners() map[string]int {
	rows, err := s.store.List(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	n := map[string]int{}
	for i := range rows {
		if !rows[i].Finished() {
			n[rows[i].Holder()]++
		}
	}
	return n
}

func (s *site) judge(processes ...*process) invariant.Counts {
	for _, p := range processes {
		p.stop()
	}
	r := invariant.Check(s.log.Events(), invariant.Rules{Lease: duration, Complete: true, Covered: true, Orphan: 90 * time.Second, Drain: 20 * time.Second})
	for _, v := range r.Violations {
		s.t.Error(v)
	}
	s.t.Logf("%+v", r.Counts)
	return r.Counts
}

func TestWorkersOf3XShareAndLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 6)
		a := s.java("j1", New3X)
		time.Sleep(time.Minute)
		b, c := s.java("j2", New3X), s.java("j3", New3X)
		s.traffic(14, func(minute int) {
			if minute == 6 {
				a.kill() // it led
				a = s.java("j4", New3X)
			}
		})
		if n := s.owners(); len(n) != 3 {
			t.Errorf("leases by owner: %v, want all three to have some", n)
		}
		if n := s.judge(a, b, c); n.HandOvers == 0 || n.Finished != 3 {
			t.Errorf("%d hand-overs and %d finished shards, want some and 3", n.HandOvers, n.Finished)
		}
	})
}

func TestWorkersOf2XStealTheirShareAndLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 6)
		a := s.java("j1", New2X)
		time.Sleep(time.Minute)
		b := s.java("j2", New2X)
		s.traffic(14, func(minute int) {
			if minute == 6 {
				a.kill()
				a = s.java("j3", New2X)
			}
		})
		if n := s.owners(); n["j2"] != n["j3"] {
			t.Errorf("leases by owner: %v, want as many of each", n)
		}
		if n := s.judge(a, b); n.Robberies == 0 || n.HandOvers != 0 {
			t.Errorf("%d robberies and %d hand-overs, want some and none", n.Robberies, n.HandOvers)
		}
	})
}

func TestShoalBesideWorkersOf3X(t *testing.T) {
	for _, first := range []string{"java", "shoal"} {
		t.Run(first+" leads", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 6)
				var j, g *process
				if first == "java" {
					j = s.java("j1", New3X)
					time.Sleep(time.Minute)
					g = s.shoal("g1", false)
				} else {
					g = s.shoal("g1", false)
					time.Sleep(time.Minute)
					j = s.java("j1", New3X)
				}
				s.traffic(14, func(minute int) {
					switch minute {
					case 6:
						j.kill()
						j = s.java("j2", New3X)
					case 10:
						g.kill()
						g = s.shoal("g2", false)
					}
				})
				if n := s.owners(); n["j2"] == 0 || n["g2"] == 0 {
					t.Errorf("leases by owner: %v, want both to have some", n)
				}
				if n := s.judge(j, g); n.HandOvers == 0 {
					t.Error("there was no hand-over")
				}
			})
		})
	}
}

func TestShoalBesideWorkersOf2X(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 6)
		j := s.java("j1", New2X)
		time.Sleep(time.Minute)
		g := s.shoal("g1", true)
		s.traffic(14, func(minute int) {
			switch minute {
			case 6:
				j.kill()
				j = s.java("j2", New2X)
			case 10:
				g.kill()
				g = s.shoal("g2", true)
			}
		})
		if n := s.owners(); n["j2"] == 0 || n["g2"] == 0 {
			t.Errorf("leases by owner: %v, want both to have some", n)
		}
		if n := s.judge(j, g); n.Robberies == 0 {
			t.Error("nobody was robbed")
		}
	})
}
