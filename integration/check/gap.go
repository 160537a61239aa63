package check

import (
	"slices"
	"time"
)

// A Gap is a time for which a shard stood still although it held records that nobody had been given.
type Gap struct {
	Shard    string
	From, To time.Time
}

// Length is how long it lasted.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }

// LongestGap is the longest standstill of any shard between two moments, zero if there was none. A shard stands still
// from the delivery of its newest record so far, or the arrival of the next one if that is later, until that next record
// is delivered for the first time. Repeats are no progress. What began before from counts from from on.
func LongestGap(stream Stream, log []Batch, from, to time.Time) Gap {
	var longest Gap
	for i := range stream.Shards {
		if g := stream.Shards[i].longestGap(log, from, to); g.Length() > longest.Length() {
			longest = g
		}
	}
	return longest
}

func (s *Shard) longestGap(log []Batch, from, to time.Time) Gap {
	index := make(map[string]int, len(s.Records))
	for n := range s.Records {
		index[s.Records[n].Position().String()] = n
	}
	longest := Gap{Shard: s.ID}
	reached, moved := -1, from
	for i := range log {
		b := &log[i]
		if b.Shard != s.ID || b.At.After(to) {
			continue
		}
		last := reached
		for _, p := range b.Records {
			if n, ok := index[p.String()]; ok {
				last = max(last, n)
			}
		}
		if last == reached {
			continue
		}
		begin := latest(from, moved, s.Records[reached+1].ArrivalTime)
		if g := (Gap{s.ID, begin, b.At}); g.Length() > longest.Length() {
			longest = g
		}
		reached, moved = last, b.At
	}
	return longest
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }
