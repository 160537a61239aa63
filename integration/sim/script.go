package sim

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// A drive plays one fault when its time comes.
type drive struct {
	name string
	next time.Time
	mean time.Duration
	pace *dice
	play func()
}

// Actors whose dice the script throws: pacing plus the number of a drive, scripted plus the number of a play. So a play is
// the same whatever was left out before it.
const (
	pacing   = 1 << 40
	scripted = 1 << 41
)

// script is the whole run: faults for a while, then quiet until all is done, then a clean stop of everybody.
func (w *world) script() {
	for i := range w.plan.workers {
		w.start(fmt.Sprintf("w%d", i+1))
	}
	w.play()
	w.quieten()
	w.settle()
	w.end()
}

// play plays faults and puts records until the time for faults is over.
func (w *world) play() {
	plays := map[string]func(){
		Crash: w.playCrash, Pause: w.playPause, Midcall: w.playMidcall, Clock: w.playClock,
		CutTable:  func() { w.playCut(toTable, []cutting{refused, silent}[w.dice.n(2)], CutTable) },
		CutStream: func() { w.playCut(toStream, []cutting{refused, silent}[w.dice.n(2)], CutStream) },
		OneWay:    func() { w.playCut(dest(w.dice.n(2)), oneWay, OneWay) },
		PowerCut:  w.playPowerCut, Throttle: w.playStorm, Race: w.playRace, Reshard: w.playReshard, Damage: w.playDamage, RowLoss: w.playRowLoss,
		TableLoss: w.playTableLoss, Fleet: w.playFleet, Twin: w.playTwin, Streams: w.playStreams,
	}
	var drives []*drive
	for _, name := range Faults { // in a fixed order
		if play := plays[name]; play != nil && w.plan.on[name] {
			drives = append(drives, &drive{name: name, mean: time.Duration(float64(time.Hour) / hourly[name]), play: play})
		}
	}
	drives = append(drives, &drive{name: "put", mean: w.plan.traffic, play: w.playPut})
	for i, d := range drives {
		d.pace = newDice(w.seed, pacing+uint64(i))
		d.next = time.Now().Add(d.pace.exponential(d.mean))
	}
	for end, n := w.started.Add(w.plan.faults), 1; ; n++ {
		first := slices.MinFunc(drives, func(a, b *drive) int { return a.next.Compare(b.next) })
		if first.next.After(end) {
			time.Sleep(time.Until(end))
			w.plays = n - 1
			return
		}
		time.Sleep(time.Until(first.next))
		synctest.Wait() // whoever has something to do at this moment has done it
		w.dice.restart(w.seed, scripted+uint64(n))
		if !w.plan.skips(n) {
			first.play()
		}
		first.next = time.Now().Add(first.pace.exponential(first.mean))
	}
}

// note logs that a fault was played.
func (w *world) note(name string, l *life, d time.Duration) {
	e := invariant.Event{Kind: invariant.Fault, Note: name, For: d}
	if l != nil {
		e.Worker, e.Life = l.name, l.id
	}
	w.add(e)
}

// any is one of the lives that work, nil if there are none.
func (w *world) any() *life {
	lives := w.healthy()
	if len(lives) == 0 {
		return nil
	}
	return lives[w.dice.n(len(lives))]
}

func (w *world) playPut() {
	for range 1 + w.dice.n(3)*w.dice.n(3) {
		w.put()
	}
}

// playCrash ends a worker, preferably the one that leads, and starts it again, at once or a little later.
func (w *world) playCrash() {
	l := w.any()
	if w.dice.chance(0.3) {
		w.mu.Lock()
		if leads := w.lifeNamed(w.watching.leader); leads != nil && leads.healthy() {
			l = leads
		}
		w.mu.Unlock()
	}
	if l == nil {
		return
	}
	l.crash()
	name := l.name
	if w.dice.chance(0.5) {
		name = w.newName()
	}
	w.comeBack(name, l)
}

// newName is a worker ID that was not used before.
func (w *world) newName() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names++
	return fmt.Sprintf("w%d", w.plan.workers+w.names)
}

// comeBack starts a worker a little later, once the life before has ended, unless the faults are over by then.
func (w *world) comeBack(name string, before *life) {
	later := w.dice.upTo(25 * time.Second)
	w.under.Go(func() {
		time.Sleep(later)
		select {
		case <-before.ended:
		case <-before.died:
		case <-w.quit:
		}
		if !w.isCalm() && !w.runs(name) {
			w.start(name)
		}
	})
}

// runs reports whether a worker of this name has not ended.
func (w *world) runs(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.lives, func(l *life) bool {
		select {
		case <-l.ended:
			return false
		default:
			return l.name == name && !l.isDead()
		}
	})
}

func (w *world) playPause() {
	if l := w.any(); l != nil {
		l.pause(w.dice.upTo(3 * w.plan.lease))
	}
}

func (w *world) playMidcall() {
	if l := w.any(); l != nil {
		l.mu.Lock()
		l.trap = true
		l.mu.Unlock()
	}
}

func (w *world) playClock() {
	if l := w.any(); l != nil {
		l.clock.set(w.skew())
		w.note(Clock, l, 0)
		w.reach(SawClockJump, l)
	}
}

func (w *world) playCut(to dest, how cutting, name string) {
	l := w.any()
	if l == nil || l.cutFrom(to) != open {
		return
	}
	d := w.dice.upTo(3 * w.plan.lease)
	l.setCut(to, how)
	w.note(name, l, d)
	time.AfterFunc(d, func() { l.setCut(to, open) })
}

func (w *world) playStorm() {
	ops := [][]string{
		{"", memory.OpRenew, memory.OpTake, memory.OpGet, memory.OpOwned, memory.OpSurvey, memory.OpBeat},
		{"", "Read", "Shards"},
	}
	to := dest(w.dice.n(2))
	s := storm{to: to, op: ops[to][w.dice.n(len(ops[to]))], share: 0.2 + 0.8*w.dice.float()}
	d := w.dice.between(time.Second, 2*time.Minute)
	s.until = time.Now().Add(d)
	w.mu.Lock()
	w.storms = append(slices.DeleteFunc(w.storms, func(s storm) bool { return time.Now().After(s.until) }), s)
	w.mu.Unlock()
	w.note(Throttle+" "+s.op, nil, d)
	w.afterwards(d, func() { w.reach(SawStorm, nil) })
}

func (w *world) playRace() {
	d := w.dice.between(time.Second, 3*time.Second)
	w.mu.Lock()
	w.race = time.Now().Add(d)
	w.mu.Unlock()
	w.note(Race, nil, d)
}

func (w *world) playReshard() {
	w.mu.Lock()
	s := w.streams[w.dice.n(len(w.streams))]
	w.mu.Unlock()
	for range 1 + w.dice.n(3) {
		w.reshard(s)
	}
}

// reshard splits a shard or merges two.
func (w *world) reshard(s source) {
	shards, _, err := s.Shards(background, record.Latest)
	if w.unserved(err) {
		return
	}
	slices.SortFunc(shards, func(a, b record.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	i := w.dice.n(len(shards))
	var parents []string
	switch {
	case len(shards) < w.plan.shards || len(shards) < 2 || len(shards) < 2*w.plan.shards && w.dice.chance(0.5):
		r := shards[i].Range
		if r.End.Hi-r.Start.Hi < 4 {
			return
		}
		_, _, err = s.Split(shards[i].ID, record.HashKey{Hi: r.Start.Hi + (r.End.Hi-r.Start.Hi)/2, Lo: 1})
		parents = []string{shards[i].ID}
	case i > 0:
		_, err = s.Merge(shards[i-1].ID, shards[i].ID)
		parents = []string{shards[i-1].ID, shards[i].ID}
	}
	if err == nil {
		err = w.listShards(s)
	}
	if w.unserved(err) {
		return
	}
	w.note(Reshard, nil, 0)
	for _, p := range parents {
		w.tell(s.Name(), p)
		w.reshardedWhileDead(p)
	}
}

// reshardedWhileDead sees that a parent's owner is dead.
func (w *world) reshardedWhileDead(parent string) {
	row := w.store.Row(parent)
	w.mu.Lock()
	l := w.lifeNamed(row.Holder())
	w.mu.Unlock()
	if l != nil && l.isDead() {
		w.reach(SawReshardFailover, l)
	}
}

// row is a random row of the table; false if there is none.
func (w *world) row() (key string, ok bool) {
	rows := w.rows()
	if len(rows) == 0 {
		return "", false
	}
	return rows[w.dice.n(len(rows))].Key, true
}

func (w *world) playDamage() {
	key, ok := w.row()
	if !ok {
		return
	}
	d := w.dice.between(time.Second, time.Minute)
	w.setDamaged(key, true)
	w.note(Damage+" "+key, nil, d)
	w.afterwards(d, func() { w.setDamaged(key, false) })
}

func (w *world) setDamaged(key string, is bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := map[string]bool{}
	for k := range w.damaged {
		next[k] = true
	}
	if next[key] = is; !is {
		delete(next, key)
	}
	w.damaged = next
}

// playRowLoss deletes a row by hand.
func (w *world) playRowLoss() {
	key, ok := w.row()
	if !ok {
		return
	}
	w.note(RowLoss+" "+key, nil, 0)
	w.removeRow(key)
}

func (w *world) removeRow(key string) {
	w.tableMu <- struct{}{}
	defer func() { <-w.tableMu }()
	_ = w.unserved(w.store.Delete(background, w.store.Row(key)))
}

// playTableLoss deletes all rows by hand.
func (w *world) playTableLoss() {
	w.note(TableLoss, nil, 0)
	rows := w.rows()
	for _, row := range rows {
		w.removeRow(row.Key)
	}
}

// playFleet changes the set of workers.
func (w *world) playFleet() {
	lives := w.healthy()
	w.note(Fleet, nil, 0)
	switch w.dice.n(4) {
	case 0: // one by one
		for i, l := range lives {
			w.afterwards(time.Duration(i)*20*time.Second, func() {
				if !w.isCalm() {
					l.stop()
					w.comeBack(l.name, l)
				}
			})
		}
	case 1: // all at once
		for _, l := range lives {
			l.stop()
			w.comeBack(l.name, l)
		}
	case 2: // more
		for range 1 + w.dice.n(3) {
			if len(w.healthy()) < 2*w.plan.workers {
				w.start(w.newName())
			}
		}
	case 3: // fewer
		for _, l := range lives[min(len(lives), 1+w.dice.n(w.plan.workers)):] {
			l.stop()
		}
	}
}

// playTwin starts a second process under a worker ID that is in use, for a while.
func (w *world) playTwin() {
	l := w.any()
	if l == nil {
		return
	}
	w.note(Twin, l, 0)
	twin := w.start(l.name)
	w.afterwards(w.dice.between(5*time.Second, 90*time.Second), twin.crash)
}

// playStreams adds or takes away a stream.
func (w *world) playStreams() {
	if !w.plan.several {
		return
	}
	w.mu.Lock()
	n, last := len(w.streams), w.streams[len(w.streams)-1].Name()
	was := w.read[last]
	w.mu.Unlock()
	w.note(Streams, nil, 0)
	if n < 3 && w.dice.chance(0.5) {
		w.addStream(fmt.Sprintf("s%d", n))
		return
	}
	if n > 1 {
		w.mu.Lock()
		w.read[last] = !was
		w.mu.Unlock()
	}
}

// quieten ends all faults and leaves the fleet with healthy workers.
func (w *world) quieten() {
	w.mu.Lock()
	w.calm, w.storms, w.race = true, nil, time.Time{}
	for _, s := range w.streams {
		w.read[s.Name()] = true
	}
	w.damaged = map[string]bool{}
	lives := slices.Clone(w.lives)
	w.mu.Unlock()
	if w.local != nil {
		w.local.settle()
	}
	for _, l := range lives {
		l.mu.Lock()
		l.trap = false
		l.cut = map[dest]cutting{}
		l.mu.Unlock()
		l.gate.open()
	}
	w.noJava = true // Java's own orphans are not Shoal's: a leader of Java may take minutes, or give leases to the dead
	for _, l := range lives {
		if l.java && l.healthy() {
			l.stop()
			<-l.ended
		}
	}
	for len(w.healthy()) < 2 {
		w.start(w.newName())
	}
	w.add(invariant.Event{Kind: invariant.Quiet})
}

// putToAll puts a record into each open shard: processors that tell late what is done then tell it of all before.
func (w *world) putToAll() {
	w.mu.Lock()
	streams := slices.Clone(w.streams)
	w.mu.Unlock()
	for _, s := range streams {
		shards, _, err := s.Shards(background, record.Latest)
		if err != nil {
			w.violate("I16", err.Error())
		}
		for _, sh := range shards {
			w.putTo(s, sh.Range.Start, "the last")
		}
	}
}

// settleIn is how long after the last fault everything must be done.
const settleIn = 6 * time.Minute

// settle waits until every record is covered by a checkpoint.
func (w *world) settle() {
	time.Sleep(settleIn / 6)
	w.putToAll()
	since := time.Now()
	for {
		left := w.lag()
		if len(left) == 0 {
			break
		}
		if time.Since(since) > settleIn {
			w.violate("I1", fmt.Sprintf("%v after the last fault records are not covered by a checkpoint: %v", settleIn, left))
			break
		}
		time.Sleep(2 * time.Second)
	}
}

// end stops everybody and waits until nothing is under way any more.
func (w *world) end() {
	w.mu.Lock()
	w.ending = true
	lives := slices.Clone(w.lives)
	w.mu.Unlock()
	for _, l := range lives {
		l.stop()
	}
	for _, l := range lives {
		<-l.ended
		l.exit()
	}
	close(w.quit)
	w.under.Wait()
	if w.local != nil {
		if err := w.local.close(); err != nil {
			w.violate("I16", err.Error())
		}
	}
}
