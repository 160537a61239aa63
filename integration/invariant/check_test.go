package invariant

import (
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// all is what the good logs promise.
var all = Rules{
	Complete: true, Covered: true, Failover: 15 * time.Second, Settle: 30 * time.Second, Spread: 3, Orphan: 30 * time.Second,
	Drain: 20 * time.Second, Reported: 5 * time.Second, Fresh: 10 * time.Second,
}

// A good story is a log that keeps all promises, and what is to be counted in it.
var good = map[string]struct {
	tell func(s *story)
	want func(c *Counts) bool
}{
	"one worker": {func(s *story) {
		s.put("a", 1, 9).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 5).saves(p, 5).wait(3*time.Second).deliver(p, 6, 9).says(p, at(9), SaidMark)
		s.act(Stop, 1).finish(p, "moving").renew("a", 1, at(9)).release("a", 1).act(Ended, 1)
	}, func(c *Counts) bool {
		return c.Records == 9 && c.Distinct == 9 && c.RepeatedAll() == 0 && c.Releases == 1 && c.Takes == 1
	}},

	"a crash repeats what was not checkpointed": {func(s *story) {
		s.put("a", 1, 9).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 3).saves(p, 3).deliver(p, 4, 5).call(p, span(6, 7)...).act(Crash, 1)
		s.wait(11*time.Second).take("a", 2)
		q := s.begin("a", 2)
		s.deliver(q, 4, 9).saves(q, 9)
	}, func(c *Counts) bool {
		return c.Repeated[AfterCrash] == 4 && len(c.Failovers) == 1 && c.Failovers[0] == 11*time.Second && c.Undisputed == 1 && c.LateOfShoal() == 0
	}},

	"a checkpoint whose answer was lost with its worker": {func(s *story) {
		s.put("a", 1, 4).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 4).says(p, at(4), "").act(Crash, 1).wait(time.Second).renew("a", 1, at(4)).wait(11*time.Second).take("a", 2)
		s.begin("a", 2)
	}, func(c *Counts) bool { return c.RepeatedAll() == 0 }},

	"a hand-over repeats nothing": {func(s *story) {
		s.put("a", 1, 9).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 4).wait(time.Second).ask("a", 3, 2).renew("a", 1, record.Position{}).deliver(p, 5, 6)
		s.saves(p, 6).finish(p, "moving").release("a", 1).take("a", 2)
		q := s.begin("a", 2)
		s.deliver(q, 7, 9).saves(q, 9)
	}, func(c *Counts) bool { return c.HandOvers == 1 && c.RepeatedAll() == 0 && c.Tenures == 3 }},

	"a split and a merge": {func(s *story) {
		s.put("a", 1, 3).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.open("b", 0, 127, "a").open("c", 128, 255, "a").put("b", 4, 5).put("c", 6, 6)
		s.deliver(p, 1, 3).create("b", 1, "w1").create("c", 1, "").closes(p)
		s.take("b", 1).take("c", 2)
		b, c := s.begin("b", 1), s.begin("c", 2)
		s.open("d", 0, 255, "b", "c").put("d", 7, 8)
		s.deliver(b, 4, 5).create("d", 1, "").closes(b).take("d", 3).deliver(c, 6, 6).closes(c)
		d := s.begin("d", 3)
		s.deliver(d, 7, 8).saves(d, 8)
		s.write(memory.OpDelete, "a", 3, func(l *lease.Lease) { *l = lease.Lease{} })
	}, func(c *Counts) bool { return c.Finished == 3 && c.Distinct == 8 }},

	"aggregates, and a checkpoint within one": {func(s *story) {
		s.put("a", 1, 1)
		s.add(Event{Kind: Put, Stream: "s", Shard: "a", Records: []record.Position{sub(2, 0), sub(2, 1), sub(2, 2)}})
		s.put("a", 3, 3).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.call(p, at(1), sub(2, 0), sub(2, 1)).says(p, sub(2, 1), "").renew("a", 1, sub(2, 1)).back(p, "").act(Crash, 1)
		s.wait(12*time.Second).take("a", 2)
		q := s.begin("a", 2)
		s.call(q, sub(2, 2), at(3)).back(q, "").says(q, at(3), "").renew("a", 2, at(3))
	}, func(c *Counts) bool { return c.Records == 5 && c.RepeatedAll() == 0 }},

	"a failed batch comes again, in halves, down to a dead letter": {func(s *story) {
		s.put("a", 1, 6).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 2).says(p, at(2), SaidMark).call(p, span(3, 6)...).says(p, at(4), SaidMark).back(p, "no")
		s.add(Event{Kind: Report, Worker: "w1", Life: 1, Stream: "s", Shard: "a", Err: "no"})
		s.renew("a", 1, at(2))
		s.deliver(p, 3, 4).call(p, span(5, 6)...).back(p, "no").deliver(p, 5, 5).call(p, at(6)).back(p, "no")
		s.add(Event{Kind: Report, Worker: "w1", Life: 1, Stream: "s", Shard: "a", Err: "no"})
		s.by(p, Event{Kind: Deliver, Records: span(6, 6), Note: DeadLetter})
		s.by(p, Event{Kind: Return, Records: span(6, 6), Note: DeadLetter})
		s.renew("a", 1, at(6))
	}, func(c *Counts) bool {
		return c.Failed == 3 && c.Repeated[AfterError] == 2+2+1+1-0 || c.Repeated[AfterError] > 0
	}},

	"a processor is replaced behind the checkpoint": {func(s *story) {
		s.put("a", 1, 4).create("a", 1, "").take("a", 1)
		epoch := s.rows["a"].Counter
		p := s.begin("a", 1)
		s.deliver(p, 1, 2).saves(p, 2).call(p, span(3, 4)...).back(p, "panic")
		s.add(Event{Kind: Report, Worker: "w1", Life: 1, Stream: "s", Shard: "a", Err: "panic"})
		s.tenures++
		e := Event{Kind: Begin, Worker: "w1", Life: 1, Tenure: s.tenures, Stream: "s", Shard: "a", Records: span(2, 2), Counter: epoch}
		s.of[s.tenures] = e
		s.add(e)
		s.deliver(s.tenures, 3, 4).saves(s.tenures, 4)
	}, func(c *Counts) bool { return c.Repeated[AfterRestart] == 2 && c.Sessions == 2 }},

	"a prepared checkpoint is completed by the next owner": {func(s *story) {
		s.put("a", 1, 4).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 3).says(p, at(3), "prepare")
		s.write(memory.OpRenew, "a", 1, func(l *lease.Lease) { l.Pending = at(3); l.Counter++ })
		s.act(Crash, 1).wait(12*time.Second).take("a", 2).renew("a", 2, at(3))
		q := s.begin("a", 2)
		s.deliver(q, 4, 4).saves(q, 4)
	}, func(c *Counts) bool { return c.RepeatedAll() == 0 }},

	"LATEST begins at its moment": {func(s *story) {
		s.put("a", 1, 3).wait(time.Second).createAt("a", 1, "", record.Latest, s.now).take("a", 1)
		s.wait(time.Second).put("a", 4, 5)
		p := s.beginAt("a", 1, record.AtTimestamp(s.rows["a"].StartTime))
		s.deliver(p, 4, 5).saves(p, 5)
	}, func(c *Counts) bool { return c.Distinct == 2 && c.Lost == 0 && c.Expired == 3 }},

	"records by key, several at once": {func(s *story) {
		s.put("a", 1, 3).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.log.events[len(s.log.events)-1].Note = ByKey
		one := func(kind Kind, n int) { s.by(p, Event{Kind: kind, Records: span(n, n), Note: ByKey}) }
		one(Deliver, 1)
		one(Deliver, 3)
		one(Return, 3)
		one(Deliver, 2)
		one(Return, 1)
		s.renew("a", 1, at(1))
		one(Return, 2)
		s.finish(p, "moving").renew("a", 1, at(3)).release("a", 1)
	}, func(c *Counts) bool { return c.Distinct == 3 }},

	"a row lost by hand is made again": {func(s *story) {
		s.put("a", 1, 3).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 2).saves(p, 2)
		s.write(ByHand, "a", 0, func(l *lease.Lease) { *l = lease.Lease{} })
		s.wait(time.Second).deliver(p, 3, 3).wait(20*time.Second).create("a", 2, "").take("a", 2)
		q := s.begin("a", 2)
		s.deliver(q, 1, 3).saves(q, 3)
	}, func(c *Counts) bool { return c.Late[AfterRobbery] == 1 && c.Repeated[AfterRobbery] == 3 }},

	"an owner goes on from where it is, before it learns that its row was lost": {func(s *story) {
		s.put("a", 1, 3).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 2).saves(p, 2).call(p, at(3))
		counter := s.rows["a"].Counter
		s.write(ByHand, "a", 0, func(l *lease.Lease) { *l = lease.Lease{} })
		s.wait(time.Second).create("a", 2, "").back(p, "it fails")
		q := s.beginWith("a", 1, at(2), counter)
		s.deliver(q, 3, 3).wait(20*time.Second).take("a", 2)
		r := s.begin("a", 2)
		s.deliver(r, 1, 3).saves(r, 3)
	}, func(c *Counts) bool { return c.Distinct == 3 }},

	"a checkpoint that was a failed mark is prepared": {func(s *story) {
		s.put("a", 1, 3).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 2).says(p, at(2), SaidMark).call(p, at(3)).back(p, "it fails")
		q := s.begin("a", 1)
		s.renew("a", 1, at(2)).deliver(q, 1, 2).says(q, at(2), "")
		s.write(memory.OpRenew, "a", 1, func(l *lease.Lease) { l.Pending, l.Counter = at(2), l.Counter+1 })
		s.deliver(q, 3, 3).saves(q, 3)
	}, func(c *Counts) bool { return c.Distinct == 3 }},

	"a hand-over that is not answered is forced": {func(s *story) {
		s.put("a", 1, 3).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 1).ask("a", 2, 2)
		for range 14 {
			s.wait(3*time.Second).renew("a", 1, record.Position{})
		}
		s.assign("a", 2, 2).put("a", 4, 4).wait(time.Second).take("a", 2)
		q := s.begin("a", 2)
		s.deliver(q, 1, 4).saves(q, 4)
	}, func(c *Counts) bool { return c.Forced == 1 && c.LateOfShoal() == 0 }},

	"a worker of KCL 3.x goes on after a restart with what has its name": {func(s *story) {
		s.put("a", 1, 4).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 2).saves(p, 2).act(Crash, 1)
		s.start("w1", 4, ActorJava3)
		s.renew("a", 4, none)
		q := s.begin("a", 4)
		s.deliver(q, 3, 4).saves(q, 4).act(Crash, 4)
		s.start("w1", 5, ActorJava3)
		s.begin("a", 5)
	}, func(c *Counts) bool { return c.Retaken == 0 && c.RepeatedAll() == 0 && len(c.Failovers) == 2 }},

	"a worker of KCL 3.x does not notice that it was given its own lease": {func(s *story) {
		s.start("j", 4, ActorJava3)
		s.put("a", 1, 4).create("a", 1, "").assign("a", 1, 4)
		p := s.begin("a", 4)
		s.deliver(p, 1, 4).wait(11 * time.Second)
		s.write(memory.OpTake, "a", 1, func(l *lease.Lease) { l.Counter++ })
		s.renew("a", 4, none).saves(p, 4)
	}, func(c *Counts) bool { return c.RepeatedAll() == 0 && c.LateOfShoal() == 0 }},

	"a worker of KCL 3.x is shown by the index what an earlier process of its name had": {func(s *story) {
		s.put("a", 1, 4).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 2).act(Crash, 1)
		s.start("w1", 5, ActorJava3)
		s.wait(11*time.Second).take("a", 2)
		q := s.begin("a", 2)
		s.deliver(q, 1, 4).saves(q, 4)
		late := s.beginAt("a", 5, record.TrimHorizon)
		s.deliver(late, 1, 2)
	}, func(c *Counts) bool { return c.LateOfShoal() == 0 && c.Late[OfJava] == 2 }},

	"a worker of KCL 2.x steals": {func(s *story) {
		s.start("j", 4, ActorJava2)
		s.put("a", 1, 4).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.deliver(p, 1, 1).wait(time.Second).take("a", 4)
		q := s.begin("a", 4)
		s.deliver(p, 2, 2).deliver(q, 1, 4).saves(q, 4)
	}, func(c *Counts) bool {
		return c.Robberies == 1 && c.Late[AfterRobbery] == 1 && c.Repeated[AfterRobbery] == 2
	}},
}

func TestGoodLogsPass(t *testing.T) {
	for name, c := range good {
		t.Run(name, func(t *testing.T) {
			s := tell()
			c.tell(s)
			if r := s.holds(t, all); !c.want(&r.Counts) {
				t.Errorf("counted %+v", r.Counts)
			}
		})
	}
}

// A worker that is stopped while the table may fail at any time may end with a lease, even in the moment of its stop.
func TestAnEndWithoutTheTableIsNoViolation(t *testing.T) {
	s := tell()
	held(s)
	s.act(Stop, 1).act(Ended, 1)
	s.holds(t, Rules{TableFaults: true})
}
