package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A story puts together the one log of a run out of what the producer, the server, the proxies and the workers have
// written down. All of them have one clock.
type story struct {
	*account
	events []invariant.Event
	// Processors by life and session: a processor has another session after an error.
	tenures map[session]int
	made    int
	wrong   []string
}

type session struct {
	life int
	name string
}

// story makes the log. wrong is what cannot be told in it.
func (a *account) story() (events []invariant.Event, wrong []string) {
	s := &story{account: a, tenures: map[session]int{}, events: slices.Clone(a.played)}
	history := a.table.history()
	for _, err := range a.table.damaged {
		s.wrong = append(s.wrong, err.Error())
	}
	s.puts()
	s.written(history)
	s.shardsCame(history)
	for _, l := range s.lives {
		s.lived(l)
	}
	s.delivered()
	s.events = append(s.events, invariant.Event{At: s.over, Kind: invariant.Quiet})
	slices.SortStableFunc(s.events, func(a, b invariant.Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(urgency(a.Kind), urgency(b.Kind)))
	})
	return s.events, s.wrong
}

// urgency orders what happened at the same time: what causes comes first.
func urgency(k invariant.Kind) int {
	switch k {
	case invariant.Shard:
		return 0
	case invariant.Put:
		return 1
	default:
		return 2
	}
}

func (s *story) add(e invariant.Event) {
	e.Stream = name
	s.events = append(s.events, e)
}

// puts are all records: those that the stream holds, also if their answer got lost, and those that it should hold.
func (s *story) puts() {
	missing := map[string]bool{}
	for id := range s.outcome.Acknowledged {
		missing[id] = true
	}
	for _, sh := range s.outcome.Stream.Shards {
		for i := range sh.Records {
			r := &sh.Records[i]
			delete(missing, sh.ID+"/"+string(r.SequenceNumber))
			at := []record.Position{r.Position()}
			s.add(invariant.Event{At: r.ArrivalTime, Kind: invariant.Put, Shard: sh.ID, Records: at})
			s.add(invariant.Event{At: s.ended(), Kind: invariant.Stored, Shard: sh.ID, Records: at})
		}
	}
	for id := range missing {
		shard, number, _ := strings.Cut(id, "/")
		s.add(invariant.Event{At: s.began, Kind: invariant.Put, Shard: shard, Records: []record.Position{record.At(record.SequenceNumber(number), 0)}})
	}
}

func (s *story) ended() time.Time { return s.began.Add(s.took) }

// written are the writes of the lease table.
func (s *story) written(history []write) {
	rows := map[string]lease.Lease{}
	for _, w := range history {
		e := invariant.Event{
			At: w.at, Sent: w.sent, Kind: invariant.Write, Life: w.life, Shard: w.after.Shard, Op: w.op, Before: rows[w.after.Key],
		}
		if w.life > 0 {
			e.Worker = s.lives[w.life-1].name
		}
		if w.gone {
			delete(rows, w.after.Key)
		} else {
			e.After, rows[w.after.Key] = w.after, w.after
		}
		s.add(e)
	}
}

// shardsCame tells of the shards: they came no later than the first that was done about them.
func (s *story) shardsCame(history []write) {
	first := map[string]time.Time{}
	came := func(shard string, at time.Time) {
		if t, ok := first[shard]; !ok || at.Before(t) {
			first[shard] = at
		}
	}
	for _, w := range history {
		came(w.after.Shard, w.at)
	}
	for _, sh := range s.outcome.Stream.Shards {
		if len(sh.Records) > 0 {
			came(sh.ID, sh.Records[0].ArrivalTime)
		}
	}
	for _, sh := range s.shards {
		e := invariant.Event{Kind: invariant.Shard, Shard: aws.ToString(sh.ShardId), At: s.began}
		for _, parent := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
			if parent != nil {
				e.Parents = append(e.Parents, *parent)
			}
		}
		if t, ok := first[e.Shard]; ok && len(e.Parents) > 0 {
			e.At = t
		}
		var err error
		if e.Range.Start, err = record.ParseHashKey(aws.ToString(sh.HashKeyRange.StartingHashKey)); err == nil {
			e.Range.End, err = record.ParseHashKey(aws.ToString(sh.HashKeyRange.EndingHashKey))
		}
		if err != nil {
			s.wrong = append(s.wrong, fmt.Sprintf("shard %s: %v", e.Shard, err))
		}
		s.add(e)
	}
}

// lived is what a worker told.
func (s *story) lived(l *life) {
	add := func(at time.Time, k invariant.Kind, change func(*invariant.Event)) {
		e := l.event(at, k)
		change(&e)
		s.add(e)
	}
	nothing := func(*invariant.Event) {}
	add(l.begun, invariant.Start, nothing)
	if !l.asked.IsZero() {
		add(l.asked, invariant.Stop, nothing)
		if !slices.ContainsFunc(l.told, func(e fleet.Event) bool { return e.Name == "stopped" }) {
			s.wrong = append(s.wrong, fmt.Sprintf("%s was asked to stop and ended without a word", l.name))
		}
	}
	for _, told := range l.told {
		at := session{l.number, told.Session}
		switch told.Name {
		case "initialize":
			s.made++
			s.tenures[at] = s.made
			add(told.At, invariant.Begin, func(e *invariant.Event) { s.begin(e, told) })
		case "again":
			s.tenures[at] = s.tenures[session{l.number, told.Detail}]
		case "said":
			add(told.At, invariant.Said, func(e *invariant.Event) { s.of(e, told); e.Records = s.position(told.Detail) })
		case "returned", "finished":
			add(told.At, invariant.Return, func(e *invariant.Event) { s.of(e, told); e.Err = told.Detail })
		case "finish":
			add(told.At, invariant.Finish, func(e *invariant.Event) { s.of(e, told); e.Note = told.Detail })
		case "survived":
			add(told.At, invariant.Report, func(e *invariant.Event) { e.Shard, e.Err = told.Shard, told.Detail })
		case "stopped":
			add(told.At, invariant.Ended, nothing)
		}
	}
}

// of fills in the processor.
func (s *story) of(e *invariant.Event, told fleet.Event) {
	e.Shard, e.Tenure = told.Shard, s.tenures[session{e.Life, told.Session}]
}

func (s *story) begin(e *invariant.Event, told fleet.Event) {
	s.of(e, told)
	epoch, _, _ := strings.Cut(told.Session, ".")
	counter, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		s.wrong = append(s.wrong, fmt.Sprintf("session %q of %s: %v", told.Session, e.Worker, err))
	}
	e.Counter, e.Records = counter, s.position(told.Detail)
}

// position reads what Position.String wrote.
func (s *story) position(text string) []record.Position {
	at, subText, nested := strings.Cut(text, "/")
	var sub uint64
	var err error
	if nested {
		sub, err = strconv.ParseUint(subText, 10, 64)
	}
	p, e := record.ParsePosition(at, sub)
	if err := cmp.Or(err, e); err != nil {
		s.wrong = append(s.wrong, fmt.Sprintf("position %q: %v", text, err))
	}
	return []record.Position{p}
}

// delivered is what processors were handed.
func (s *story) delivered() {
	lives := map[string][]*life{} // a name has several lives, one after the other
	for _, l := range s.lives {
		lives[l.name] = append(lives[l.name], l)
	}
	for i := range s.outcome.Log {
		b := &s.outcome.Log[i]
		var of *life
		for _, l := range lives[b.Worker] {
			if l.begun.Before(b.At) {
				of = l
			}
		}
		if of == nil {
			s.wrong = append(s.wrong, fmt.Sprintf("a batch of %q, which never lived", b.Worker))
			continue
		}
		e := of.event(b.At, invariant.Deliver)
		e.Shard, e.Records, e.Tenure = b.Shard, b.Records, s.tenures[session{of.number, b.Session}]
		s.add(e)
	}
}
