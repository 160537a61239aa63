package invariant

import (
	"slices"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A coverage says which part of a stream's hash key space has an unfinished lease.
type coverage struct {
	begun bool      // all of it had once
	gap   time.Time // since when a part has none, zero if all have
	where record.HashKey
}

// coverageChanged looks for gaps after a row came, went, or was finished (I8).
func (c *checker) coverageChanged(s *stream) {
	c.shaped = c.now
	if c.rules.StreamsLeave {
		return
	}
	if !s.covers.begun && s.share() < 0.999 {
		return
	}
	where, ok := s.hole()
	switch {
	case !ok:
		c.covered(s)
		s.covers = coverage{begun: true}
	case s.covers.begun && s.covers.gap.IsZero():
		s.covers.gap, s.covers.where = c.now, where
	}
}

// covered checks that a gap did not last too long.
func (c *checker) covered(s *stream) {
	if s.covers.gap.IsZero() || !c.anybody() {
		return
	}
	if lasted := c.now.Sub(c.calm(s.covers.gap)); lasted > c.rules.slow(c.rules.Gap) {
		c.violate("I8", "stream %s: no unfinished lease covers the hash key %v for %v", s.name, s.covers.where, c.now.Sub(s.covers.gap))
	}
}

func (s *shard) hashKeys() (r record.HashKeyRange, ok bool) {
	switch {
	case !covers(&s.row):
		return r, false
	case s.row.Range != nil:
		return *s.row.Range, true
	default:
		return s.keys, s.listed
	}
}

// share is the sum of what the unfinished rows cover, about.
func (s *stream) share() float64 {
	sum := 0.0
	for _, sh := range s.shards {
		if r, ok := sh.hashKeys(); ok {
			sum += float64(r.End.Hi-r.Start.Hi)/(1<<63)/2 + 1.0/(1<<63)
		}
	}
	return sum
}

// hole is the first point that no unfinished row covers.
func (s *stream) hole() (at record.HashKey, found bool) {
	var ranges []record.HashKeyRange
	for _, sh := range s.shards {
		if r, ok := sh.hashKeys(); ok {
			ranges = append(ranges, r)
		}
	}
	slices.SortFunc(ranges, func(a, b record.HashKeyRange) int { return a.Start.Compare(b.Start) })
	for _, r := range ranges {
		if at.Compare(r.Start) < 0 {
			return at, true
		}
		if at.Compare(r.End) > 0 {
			continue
		}
		if r.End == record.MaxHashKey {
			return at, false
		}
		at = r.End.Next()
	}
	return at, true
}
