package invariant

import (
	"fmt"
	"testing"
	"time"
)

// long is a log of n events and a few more: 4 workers with 16 shards, renewals, checkpoints, calls of 10 records, a crash now and then.
func long(n int) []Event {
	s := tell()
	s.log.events = s.log.events[:0]
	type hand struct{ life, p, done int }
	var hands [16]hand
	life, put := 1, 0
	s.start("w1", 1, "")
	for i := range hands {
		shard := fmt.Sprint("shard-", i)
		s.open(shard, byte(i*16), byte(i*16+15)).create(shard, 1, "").take(shard, 1)
		hands[i] = hand{life: 1, p: s.begin(shard, 1)}
	}
	for len(s.log.events) < n {
		if s.wait(time.Second); len(s.log.events)%1000 < 40 {
			s.act(Crash, life).wait(11 * time.Second)
			life++
			s.start("w1", life, "")
			for i := range hands {
				shard := fmt.Sprint("shard-", i)
				s.take(shard, life)
				hands[i].life, hands[i].p = life, s.begin(shard, life)
			}
		}
		for i := range hands {
			h, shard := &hands[i], fmt.Sprint("shard-", i)
			s.put(shard, put+1, put+10).deliver(h.p, put+1, put+10)
			if h.done++; h.done%3 == 0 {
				s.saves(h.p, put+10)
			} else {
				s.says(h.p, at(put+10), SaidMark).renew(shard, h.life, at(put+10))
			}
		}
		put += 10
	}
	return s.log.Events()
}

func BenchmarkCheck(b *testing.B) {
	log := long(100_000)
	if r := Check(log, all); !r.OK() {
		b.Fatal(r.Violations[0])
	}
	for b.Loop() {
		Check(log, all)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(len(log)), "ns/event")
}
