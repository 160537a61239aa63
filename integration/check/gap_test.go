package check

import (
	"strings"
	"testing"
	"time"
)

func TestTheLongestGapIsAStandstillWithRecordsWaiting(t *testing.T) {
	second := func(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }
	for _, c := range []struct {
		name     string
		arrivals map[string]float64 // of shard a's records, in seconds after noon; else at noon
		log      string             // a batch each second from noon on
		from, to float64
		want     time.Duration
	}{
		{"a steady flow", nil, "w/1 a: 1\nw/1 a: 2\nw/1 a: 3\nw/1 a: 4", 0, 9, time.Second},
		{"a standstill", nil, "w/1 a: 1 2\nw/1 b:\nw/1 b:\nw/1 b:\nw/2 a: 3 4", 0, 9, 4 * time.Second},
		{"repeats are no progress", nil, "w/1 a: 1 2\nw/1 b:\nw/2 a: 1 2\nw/2 a: 2\nw/2 a: 2 3", 0, 9, 4 * time.Second},
		{"nothing was there", map[string]float64{"3": 3.5, "4": 3.6}, "w/1 a: 1 2\nw/1 b:\nw/1 b:\nw/1 b:\nw/2 a: 3 4", 0, 9, 500 * time.Millisecond},
		{"the oldest record counts", map[string]float64{"3": 1, "4": 3.6}, "w/1 a: 1 2\nw/1 b:\nw/1 b:\nw/1 b:\nw/2 a: 3 4", 0, 9, 3 * time.Second},
		{"it began before", nil, "w/1 a: 1 2\nw/1 b:\nw/1 b:\nw/1 b:\nw/2 a: 3 4", 2.5, 9, 1500 * time.Millisecond},
		{"it ended later", nil, "w/1 a: 1\nw/1 a: 2\nw/1 b:\nw/1 b:\nw/2 a: 3 4", 0, 2, time.Second},
		{"the worst of two", nil, "w/1 a: 1\nw/1 a: 2\nw/1 a: 3 4\nw/1 b: 1", 0, 9, 3 * time.Second},
		{"the first delivery is late", nil, "w/1 b:\nw/1 b:\nw/1 a: 1 2 3 4", 0, 9, 2 * time.Second},
		{"nobody had it", nil, "w/1 b:", 0, 9, 0},
	} {
		stream := Stream{Shards: []Shard{shard("a", "1 2 3 4"), shard("b", "1")}}
		for i := range stream.Shards[0].Records {
			r := &stream.Shards[0].Records[i]
			r.ArrivalTime = second(c.arrivals[r.Position().String()])
		}
		got := LongestGap(stream, batches(c.log), second(c.from), second(c.to))
		if got.Length() != c.want {
			t.Errorf("%s: %v, want %v", c.name, got.Length(), c.want)
		}
		if c.want > 0 && !strings.Contains("ab", got.Shard) {
			t.Errorf("%s: shard %q", c.name, got.Shard)
		}
	}
}
