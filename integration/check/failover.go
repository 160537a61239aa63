package check

import "time"

// Failover is how long the shards of a worker that crashed stood still: from the crash to the first delivery of each
// by another worker, the worst of them. Where that delivery's record came to the stream only after the crash, the shard
// did not stand still before, so the time counts from its arrival. Shards that nobody had afterwards do not count:
// their records are lost, or there were none.
func Failover(stream Stream, log []Batch, worker string, shards []string, crash time.Time) time.Duration {
	var worst time.Duration
	for i := range stream.Shards {
		s := &stream.Shards[i]
		for _, id := range shards {
			if id == s.ID {
				worst = max(worst, s.standstill(log, worker, crash))
			}
		}
	}
	return worst
}

// standstill is the time from the crash to the first delivery by another worker than that which crashed, 0 if there
// is none.
func (s *Shard) standstill(log []Batch, worker string, crash time.Time) time.Duration {
	for i := range log {
		b := &log[i]
		if b.Shard != s.ID || b.Worker == worker || b.At.Before(crash) || len(b.Records) == 0 {
			continue
		}
		from := crash
		for n := range s.Records {
			if r := &s.Records[n]; r.Position() == b.Records[0] && r.ArrivalTime.After(from) {
				from = r.ArrivalTime
			}
		}
		return max(0, b.At.Sub(from))
	}
	return 0
}
