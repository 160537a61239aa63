package main

import (
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/record"
)

// A failover is the way of a shard from a worker that was killed to another one.
type failover struct {
	shard, worker string // who was killed
	life          int
	at            time.Time
	took          time.Duration // until another worker was handed records
	calm          time.Duration // the end of it, in which nothing was done to the fleet
	alone         bool          // nothing else was done to the fleet
}

func (f failover) String() string {
	how := ""
	if f.alone {
		how = ", alone"
	}
	return fmt.Sprintf("failover of %s from %s (life %d) in %d ms%s", f.shard, f.worker, f.life, f.took.Milliseconds(), how)
}

// failovers finds all failovers of a log. Where the first record that another worker was handed came to the stream only
// after the kill, the shard did not stand still before. A shard that its worker did not hold alone, or had not begun
// with, does not count, nor does one that came back to a worker of the same name.
func failovers(events []invariant.Event) []failover {
	w := walk{arrived: map[place]time.Time{}, holder: map[string]string{}, had: map[string]int{}, waits: map[string]*failover{}}
	for i := range events {
		w.event(&events[i])
	}
	return w.found
}

// A walk goes once through a log.
type walk struct {
	arrived map[place]time.Time
	holder  map[string]string    // by shard; "" if it is in a hand-over, or done
	had     map[string]int       // the life that was last handed records of a shard
	waits   map[string]*failover // by shard
	trouble time.Time            // until when something was done to the fleet
	found   []failover
}

// A place is that of a record.
type place struct {
	shard string
	at    record.Position
}

func (w *walk) event(e *invariant.Event) {
	switch e.Kind {
	case invariant.Put:
		w.arrived[place{e.Shard, e.Records[0]}] = e.At
	case invariant.Write:
		w.holder[e.Shard] = e.After.Owner
		if e.After.CheckpointOwner != "" || e.After.Finished() {
			w.holder[e.Shard] = ""
		}
		if e.After.Finished() {
			delete(w.waits, e.Shard)
		}
	case invariant.Crash:
		for shard, worker := range w.holder {
			if worker == e.Worker && w.had[shard] == e.Life {
				w.waits[shard] = &failover{shard: shard, worker: e.Worker, life: e.Life, at: e.At, alone: e.Note == aloneNote}
			}
		}
		w.disturb(e.At)
	case invariant.Shard, invariant.Start, invariant.Stop, invariant.Ended, invariant.Pause, invariant.Fault:
		w.disturb(e.At.Add(e.For))
	case invariant.Deliver:
		w.deliver(e)
	}
}

func (w *walk) disturb(until time.Time) {
	if until.After(w.trouble) {
		w.trouble = until
	}
}

func (w *walk) deliver(e *invariant.Event) {
	w.had[e.Shard] = e.Life
	f := w.waits[e.Shard]
	if f == nil || len(e.Records) == 0 {
		return
	}
	delete(w.waits, e.Shard)
	if e.Worker == f.worker {
		return
	}
	from := f.at
	if at := w.arrived[place{e.Shard, e.Records[0]}]; at.After(from) {
		from = at
	}
	f.took, f.calm = max(0, e.At.Sub(from)), e.At.Sub(from)
	if w.trouble.After(from) {
		f.calm = max(0, e.At.Sub(w.trouble))
	}
	w.found = append(w.found, *f)
}

// taken counts the stops during which another worker took a lease of the one that stood still.
func taken(events []invariant.Event) (stops int) {
	var still []*invariant.Event
	lost := map[*invariant.Event]bool{}
	for i := range events {
		switch e := &events[i]; e.Kind {
		case invariant.Pause:
			still = append(still, e)
		case invariant.Write:
			for _, p := range still {
				if e.At.Before(p.At.Add(p.For)) && e.Before.Holder() == p.Worker && e.After.Key != "" && e.After.Holder() != p.Worker {
					lost[p] = true
				}
			}
		}
	}
	return len(lost)
}
