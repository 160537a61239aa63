package invariant

import (
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// held is a story in which worker 1 has shard a with the records 1 to 9, of which its processor p was handed 1 to 4.
func held(s *story) (p int) {
	s.put("a", 1, 9).create("a", 1, "").take("a", 1)
	p = s.begin("a", 1)
	s.deliver(p, 1, 4)
	return p
}

// none is no position.
var none record.Position

// Each bad log breaks the promises named, which must be found, and no others.
var bad = map[string]struct {
	tell             func(s *story)
	rules            Rules
	invariant, words string
}{
	"a record is never processed": {func(s *story) { held(s) }, Rules{Complete: true}, "I1", "5 of 9 records were never processed"},
	"a record that failed is never processed": {func(s *story) {
		p := held(s)
		s.call(p, span(5, 9)...).back(p, "no")
	}, Rules{Complete: true}, "I1", "5 of 9 records"},
	"a shard is never begun": {func(s *story) { s.put("a", 1, 2) }, Rules{Complete: true}, "I1", "2 of 2 records"},
	"what was put after the start by LATEST is lost": {func(s *story) {
		s.put("a", 1, 2).wait(time.Second).createAt("a", 1, "", record.Latest, s.now).put("a", 3, 3)
	}, Rules{Complete: true, Start: record.Latest}, "I1", "1 of 3 records"},
	"the last checkpoint is never stored": {func(s *story) {
		s.saves(held(s), 4)
	}, Rules{Complete: true, Covered: true, Unacknowledged: true}, "I1", "5 of 9"},
	"all was processed and the checkpoint stayed": {func(s *story) {
		p := held(s)
		s.saves(p, 4).deliver(p, 5, 9)
	}, Rules{Complete: true, Covered: true}, "I1", "the checkpoint stayed"},
	"a shard's end is stored before its records are processed": {func(s *story) {
		p := held(s)
		s.call(p, span(5, 9)...).finish(p, ShardEnd).renew("a", 1, record.ShardEnd)
	}, Rules{}, "I1", "was not processed"},

	"a checkpoint beyond what was handed over": {func(s *story) {
		p := held(s)
		s.says(p, at(6), "").renew("a", 1, at(6))
	}, Rules{}, "I1 I2", "105 was never handed over"},
	"a checkpoint of what the owner before was handed": {func(s *story) {
		held(s)
		s.act(Crash, 1).wait(11*time.Second).take("a", 2)
		q := s.begin("a", 2)
		s.deliver(q, 1, 2).says(q, at(4), "").renew("a", 2, at(4))
	}, Rules{}, "I2", "handed no more than 102"},
	"a checkpoint that nobody asked for": {func(s *story) {
		p := held(s)
		s.saves(p, 2).renew("a", 1, at(3))
	}, Rules{}, "I2", "no processor had said"},
	"a mark of a batch that failed": {func(s *story) {
		p := held(s)
		s.call(p, span(5, 9)...).says(p, at(7), SaidMark).back(p, "no").wait(50*time.Second).renew("a", 1, at(7))
	}, Rules{}, "I2", "after the batch with it had failed"},
	"a mark that was sent after the batch had failed": {func(s *story) {
		p := held(s)
		s.call(p, span(5, 9)...).says(p, at(7), SaidMark).back(p, "no").wait(time.Second).renew("a", 1, at(7))
		s.log.events[len(s.log.events)-1].Sent = s.now
	}, Rules{}, "I2", "after the batch with it had failed"},
	"a prepared checkpoint beyond what was handed over": {func(s *story) {
		held(s)
		s.write(memory.OpRenew, "a", 1, func(l *lease.Lease) { l.Pending = at(5); l.Counter++ })
	}, Rules{}, "I2", "handed no more than"},
	"a shard's end is stored without Finish": {func(s *story) {
		p := held(s)
		s.finish(p, "moving").deliver(p, 5, 9).renew("a", 1, record.ShardEnd)
	}, Rules{}, "I2", "no Finish"},
	"a ByKey processor's mark passes a call under way": {func(s *story) {
		s.put("a", 1, 3).create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.log.events[len(s.log.events)-1].Note = ByKey
		for _, n := range []int{1, 2} {
			s.by(p, Event{Kind: Deliver, Records: span(n, n), Note: ByKey})
		}
		s.by(p, Event{Kind: Return, Records: span(2, 2), Note: ByKey})
		s.renew("a", 1, at(2))
	}, Rules{}, "I1", "was never processed"},

	"a record is left out": {func(s *story) {
		s.deliver(held(s), 6, 7)
	}, Rules{}, "I3", "leaves out 105"},
	"a record comes again": {func(s *story) {
		s.deliver(held(s), 4, 5)
	}, Rules{}, "I3", "had been handed all before"},
	"a batch out of order": {func(s *story) {
		p := held(s)
		s.call(p, at(5), at(7), at(6)).back(p, "")
	}, Rules{}, "I3", "had been handed all before"},
	"a sub-record is left out": {func(s *story) {
		s.add(Event{Kind: Put, Stream: "s", Shard: "a", Records: []record.Position{sub(1, 0), sub(1, 1), sub(1, 2)}})
		s.create("a", 1, "").take("a", 1)
		p := s.begin("a", 1)
		s.call(p, sub(1, 0), sub(1, 2))
	}, Rules{}, "I3", "leaves out 101/1"},
	"what failed is passed over": {func(s *story) {
		p := held(s)
		s.call(p, span(5, 6)...).back(p, "no").deliver(p, 7, 9)
	}, Rules{}, "I3", "leaves out 105"},
	"a start beyond the checkpoint": {func(s *story) {
		s.saves(held(s), 2).act(Crash, 1).wait(11*time.Second).take("a", 2).beginAt("a", 2, at(4))
	}, Rules{}, "I3", "beyond the checkpoint 102"},
	"a start before the checkpoint": {func(s *story) {
		s.saves(held(s), 3).act(Crash, 1).wait(11*time.Second).take("a", 2).beginAt("a", 2, at(2))
	}, Rules{}, "I3", "before the checkpoint 103"},
	"a start at LATEST in spite of the pin": {func(s *story) {
		s.createAt("a", 1, "", record.Latest, s.now).take("a", 1).beginAt("a", 1, record.Latest)
	}, Rules{}, "I3", "beyond the start"},
	"a processor for a finished shard": {func(s *story) {
		p := held(s)
		s.deliver(p, 5, 9).closes(p).wait(11*time.Second).take("a", 2).begin("a", 2)
	}, Rules{}, "I3", "finished shard"},
	"a record that nobody put": {func(s *story) {
		p := held(s)
		s.call(p, at(5), sub(5, 1))
	}, Rules{}, "I3", "nobody had put"},

	"a checkpoint goes back": {func(s *story) {
		p := held(s)
		s.saves(p, 4).says(p, at(3), "").renew("a", 1, at(3))
	}, Rules{}, "I4", "back to 103"},
	"a shard's end is undone": {func(s *story) {
		p := held(s)
		s.deliver(p, 5, 9).says(p, at(9), "").closes(p).renew("a", 1, at(9))
	}, Rules{}, "I4", "back to 109"},
	"the row of a finished shard is made again": {func(s *story) {
		p := held(s)
		s.deliver(p, 5, 9).closes(p).write(memory.OpDelete, "a", 1, func(l *lease.Lease) { *l = lease.Lease{} }).create("a", 2, "")
	}, Rules{}, "I4", "made the row of a finished shard again"},

	"a former owner's checkpoint is stored": {func(s *story) {
		p := held(s)
		s.act(Pause, 1).wait(11*time.Second).take("a", 2).says(p, at(4), "")
		q := s.begin("a", 2)
		s.deliver(q, 1, 4).says(q, at(4), "").renew("a", 1, at(4))
	}, Rules{}, "I5", "was accepted while \"w2\" held the lease"},
	"a twin's checkpoint is stored": {func(s *story) {
		s.start("w1", 4, "")
		s.saves(held(s), 3)
		s.names[4] = "w1"
		s.renew("a", 4, none)
	}, Rules{}, "I5", "while life 1 held the lease"},
	"a live owner's lease is taken": {func(s *story) {
		held(s)
		s.wait(9*time.Second).renew("a", 1, none).wait(3*time.Second).take("a", 2)
	}, Rules{}, "I5", "who had raised its counter 3s before"},
	"a live owner's lease is assigned before it could answer": {func(s *story) {
		held(s)
		s.ask("a", 3, 2).wait(time.Second).assign("a", 3, 2)
	}, Rules{}, "I5", "took the lease"},
	"a counter jumps": {func(s *story) {
		held(s)
		s.write(memory.OpRenew, "a", 1, func(l *lease.Lease) { l.Counter += 2 })
	}, Rules{}, "I5", "took the counter from"},
	"a renewal changes the owner": {func(s *story) {
		held(s)
		s.write(memory.OpRenew, "a", 1, func(l *lease.Lease) { l.Owner = "w2"; l.Counter++ })
	}, Rules{}, "I5", "changed the owner"},
	"a take moves the checkpoint": {func(s *story) {
		s.create("a", 1, "").write(memory.OpTake, "a", 1, func(l *lease.Lease) { l.Owner, l.Checkpoint = "w1", record.Latest; l.Counter++ })
	}, Rules{}, "I4 I5", "moved the checkpoint"},
	"a processor without a lease": {func(s *story) { s.create("a", 1, "").begin("a", 1) }, Rules{}, "I5", "never had the lease"},

	"a former owner goes on after its lease has expired": {func(s *story) {
		p := held(s)
		s.wait(11*time.Second).take("a", 2).deliver(p, 5, 5)
	}, Rules{}, "I6", "after \"w2\" had the lease"},
	"a former owner goes on after its release": {func(s *story) {
		p := held(s)
		s.release("a", 1).take("a", 2).deliver(p, 5, 5)
	}, Rules{}, "I6", "by release"},
	"who was robbed goes on for longer than a renewal takes": {func(s *story) {
		p := held(s)
		s.start("j", 4, ActorJava2)
		s.take("a", 4).wait(5*time.Second).deliver(p, 5, 5)
	}, Rules{}, "I6", "5s after"},
	"a pause does not excuse what comes long after it": {func(s *story) {
		p := held(s)
		s.add(Event{Kind: Pause, Worker: "w1", Life: 1, For: 12 * time.Second})
		s.wait(11*time.Second).take("a", 2).wait(5*time.Second).deliver(p, 5, 5)
	}, Rules{MidCall: true}, "I6", "after \"w2\" had the lease"},

	"a child begins at the present moment": {func(s *story) {
		held(s)
		s.open("b", 0, 255, "a").createAt("b", 1, "", record.AtTimestamp(s.now), s.now)
	}, Rules{}, "I1", "leaves out what came after its parent a"},

	"a child begins before its parent is done": {func(s *story) {
		held(s)
		s.open("b", 0, 255, "a").put("b", 10, 10).create("b", 1, "").take("b", 2)
		s.deliver(s.begin("b", 2), 10, 10)
	}, Rules{}, "I7", "while its parent a was at"},
	"a child begins before one of two parents is done, and nobody logs the table": {func(s *story) {
		s.put("a", 1, 1).open("b", 0, 127).open("c", 0, 255, "a", "b").put("c", 3, 3).put("b", 2, 2)
		s.deliver(s.begin("a", 1), 1, 1)
		s.deliver(s.begin("c", 1), 3, 3)
	}, Rules{}, "I7", "before 102 of its parent b was processed"},

	"an unfinished row is deleted": {func(s *story) {
		held(s)
		s.write(memory.OpDelete, "a", 2, func(l *lease.Lease) { *l = lease.Lease{} })
	}, Rules{}, "I8", "unfinished shard"},
	"a row is deleted before its child is under way": {func(s *story) {
		p := held(s)
		s.open("b", 0, 255, "a").deliver(p, 5, 9).create("b", 1, "").closes(p)
		s.write(memory.OpDelete, "a", 2, func(l *lease.Lease) { *l = lease.Lease{} })
	}, Rules{}, "I8", "before its child b was under way"},
	"a shard is done before its children have rows": {func(s *story) {
		p := held(s)
		s.open("b", 0, 127, "a").open("c", 128, 255, "a").deliver(p, 5, 9).create("b", 1, "").closes(p)
	}, Rules{}, "I8", "a row for its child c"},
	"a part of the hash key space is uncovered": {func(s *story) {
		p := held(s)
		s.deliver(p, 5, 9).closes(p).wait(2*time.Minute).act(Reached, 1)
	}, Rules{}, "I8", "covers the hash key"},

	"nobody takes over": {func(s *story) {
		held(s)
		s.act(Crash, 1).wait(16*time.Second).take("a", 2).begin("a", 2)
	}, Rules{Failover: 15 * time.Second}, "I9", "16s ago"},
	"nobody ever takes over": {func(s *story) {
		held(s)
		s.act(Crash, 1).wait(16*time.Second).act(Reached, 2)
	}, Rules{Failover: 15 * time.Second}, "I9", "not yet"},

	"a mark is forgotten at the release": {func(s *story) {
		p := held(s)
		s.says(p, at(3), SaidMark).finish(p, "moving").release("a", 1)
	}, Rules{}, "I10", "had marked 103"},

	"a lease that was asked for is released without a word to its processor": {func(s *story) {
		p := held(s)
		s.wait(time.Second).ask("a", 3, 2).renew("a", 1, none).wait(time.Second).release("a", 1).take("a", 2)
		s.finish(s.begin("a", 2), "moving").finish(p, "moving")
	}, Rules{}, "I10", "was not told that the shard moves"},
	"a worker stops without a word to a processor": {func(s *story) {
		held(s)
		s.wait(time.Second).act(Stop, 1).release("a", 1).act(Ended, 1).take("a", 2)
		s.finish(s.begin("a", 2), "moving")
	}, Rules{}, "I10", "was not told that the shard moves"},

	"leases are not spread": {func(s *story) {
		s.open("b", 0, 127).open("c", 128, 255).create("a", 1, "").create("b", 1, "").create("c", 1, "").take("a", 1).take("b", 1).take("c", 2)
		s.wait(time.Minute).act(Stop, 1)
	}, Rules{Settle: 30 * time.Second}, "I11", "from 0 to 2 leases"},
	"leases do not stay": {func(s *story) {
		held(s)
		s.wait(8*time.Second).renew("a", 1, none).wait(8*time.Second).renew("a", 1, none).wait(8*time.Second).renew("a", 1, none)
		s.wait(8*time.Second).ask("a", 2, 2)
	}, Rules{Settle: 30 * time.Second}, "I11", "moved the lease"},

	"a lease is nobody's": {func(s *story) {
		held(s)
		s.release("a", 1).act(Quiet, 1).wait(time.Minute).act(Stop, 1)
	}, Rules{Orphan: 30 * time.Second}, "I12", "no live worker"},
	"a lease is a dead worker's": {func(s *story) {
		held(s)
		s.act(Crash, 1).act(Quiet, 1).wait(time.Minute).act(Stop, 2)
	}, Rules{Orphan: 30 * time.Second}, "I12", "no live worker"},
	"a lease is one's who does nothing": {func(s *story) {
		s.create("a", 1, "").take("a", 1).act(Quiet, 1).wait(time.Minute).act(Reached, 1)
	}, Rules{Orphan: 30 * time.Second}, "I12", "no live worker"},

	"a stop takes too long": {func(s *story) {
		held(s)
		s.act(Stop, 1).wait(21*time.Second).release("a", 1).act(Ended, 1)
	}, Rules{Drain: 20 * time.Second}, "I13", "after 21s"},
	"a stop does not end": {func(s *story) {
		s.act(Stop, 1).wait(21*time.Second).act(Reached, 2)
	}, Rules{Drain: 20 * time.Second}, "I13", "has not ended"},
	"a worker ends with a lease": {func(s *story) {
		held(s)
		s.act(Stop, 1).wait(time.Second).act(Ended, 1)
	}, Rules{}, "I13", "has the lease still"},
	"a worker goes on after its end": {func(s *story) {
		p := held(s)
		s.act(Stop, 1).finish(p, "moving").release("a", 1).act(Ended, 1)
		s.put("a", 10, 10).call(p)
	}, Rules{}, "I13", "after it had ended"},

	"a failure is not reported": {func(s *story) {
		p := held(s)
		s.call(p, at(5)).back(p, "no").wait(6*time.Second).act(Reached, 2)
	}, Rules{Reported: 5 * time.Second}, "I14", "has told nothing"},
	"a record waits": {func(s *story) {
		p := held(s)
		s.wait(11*time.Second).put("a", 10, 10).wait(11*time.Second).deliver(p, 5, 10)
	}, Rules{Fresh: 20 * time.Second}, "I14", "only 22s after"},

	"the stream has forgotten a record": {func(s *story) {
		s.put("a", 1, 2)
		s.add(Event{Kind: Stored, Stream: "s", Shard: "a", Records: span(2, 2)})
	}, Rules{}, "I16", "101 was acknowledged"},
	"a sequence number is given twice": {func(s *story) { s.put("a", 1, 1).put("a", 1, 1) }, Rules{}, "I16", "two records"},
	"the stream's records are out of order": {func(s *story) {
		s.put("a", 1, 2)
		s.add(Event{Kind: Stored, Stream: "s", Shard: "a", Records: []record.Position{at(2), at(1)}})
	}, Rules{}, "I16", "holds 101 behind 102"},
}

func TestBrokenPromisesAreFound(t *testing.T) {
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			s := tell()
			c.tell(s)
			s.breaks(t, c.rules, c.invariant, c.words)
		})
	}
}
