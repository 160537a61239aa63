package sim

import (
	"slices"
	"time"
)

// Shrink looks for a smaller run that fails still: with fewer kinds of faults, in a shorter time, with fewer workers and
// shards, and with as little of the script as it finds. try runs a seed with options; it reports whether that fails in
// the same way and how many plays the script had. Shrink calls it at most budget times.
func Shrink(o Options, on []string, budget int, try func(Options) (fails bool, plays int)) Options {
	_, plays := try(o)
	s := &shrinker{best: o, plays: plays, left: budget - 1, try: try}
	for _, name := range on {
		s.better(func(o *Options) { o.Off = append(slices.Clone(o.Off), name) })
	}
	if s.best.Faults == 0 {
		s.best.Faults = defaultFaults
	}
	for s.best.Faults > time.Minute && s.better(func(o *Options) { o.Faults = (o.Faults / 2).Truncate(time.Second) }) {
	}
	for n := range 2 {
		s.better(func(o *Options) { o.Workers = 2 - n })
		s.better(func(o *Options) { o.Shards = 2 - n })
	}
	s.script()
	return s.best
}

type shrinker struct {
	best  Options
	plays int // of the script of best
	left  int // calls of try
	try   func(Options) (bool, int)
}

// better makes a change to the best options so far and keeps it if the run fails still.
func (s *shrinker) better(change func(*Options)) bool {
	if s.left <= 0 {
		return false
	}
	s.left--
	o := s.best
	change(&o)
	fails, plays := s.try(o)
	if fails {
		s.best, s.plays = o, plays
	}
	return fails
}

// script leaves parts of the script out, large ones first, then smaller ones.
func (s *shrinker) script() {
	gone := make([]bool, s.plays+1) // by a play's number
	for _, p := range s.best.Skip {
		for n := p.From; n < min(p.To, len(gone)); n++ {
			gone[n] = true
		}
	}
	for size := (len(gone) + 1) / 2; size > 0; size /= 2 {
		for from := 1; from < len(gone); from += size {
			to := min(from+size, len(gone))
			if !slices.Contains(gone[from:to], false) {
				continue
			}
			without := slices.Clone(gone)
			for n := from; n < to; n++ {
				without[n] = true
			}
			if s.better(func(o *Options) { o.Skip = skipped(without) }) {
				gone = without
			}
		}
	}
}

// skipped are the ranges of the plays that are gone.
func skipped(gone []bool) (skip []Plays) {
	for n := 1; n < len(gone); n++ {
		switch {
		case !gone[n]:
		case len(skip) > 0 && skip[len(skip)-1].To == n:
			skip[len(skip)-1].To++
		default:
			skip = append(skip, Plays{n, n + 1})
		}
	}
	return skip
}
