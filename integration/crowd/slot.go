package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/integration/invariant"
)

// A slot is the place of a worker: when one is gone another takes the place.
type slot struct {
	*crowd
	number int
	random *rand.Rand
	plan   []deed
	life   *life
	made   int // workers of different names
}

// A deed is something that is done to a worker.
type deed uint8

const (
	killed   deed = iota // and another one takes the place after a while
	returned             // killed, and back at once under the same name
	alone                // killed, while nothing else is done to the fleet
	paused               // for longer than its leases last
	left                 // stopped cleanly, and another one takes the place
)

// plan deals the deeds out to the workers, in random order. One in four of the kills is of a worker that comes back.
func (c *crowd) plan() [][]deed {
	var all []deed
	for i := range c.size.kills - c.size.alone {
		all = append(all, map[bool]deed{true: returned, false: killed}[i%4 == 3])
	}
	for d, n := range map[deed]int{alone: c.size.alone, paused: c.size.stops, left: c.size.leaves} {
		all = append(all, slices.Repeat([]deed{d}, n)...)
	}
	slices.Sort(all)
	c.random(0).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	plans := make([][]deed, workers)
	for i, d := range all {
		plans[i%workers] = append(plans[i%workers], d)
	}
	return plans
}

// run starts the first worker and does to the slot what is planned.
func (s *slot) run(ctx context.Context) error {
	if err := s.start(ctx, ""); err != nil {
		return err
	}
	for i, d := range s.plan {
		play := s.timing.play
		if d == alone {
			play = s.timing.playAlone
		}
		err := play(ctx, s.timing.due(s.random, i, len(s.plan)), func(ctx context.Context) error { return s.do(ctx, d) })
		if err != nil {
			return err
		}
	}
	return nil
}

// start starts a worker with a proxy of its own, under a new name unless one is given.
func (s *slot) start(ctx context.Context, again string) error {
	if again == "" {
		s.made++
		again = fmt.Sprintf("w%d-%d", s.number, s.made)
	}
	l, err := s.newLife(again, s.number)
	if err != nil {
		return err
	}
	s.life = l
	l.worker, err = s.fleet.Go(ctx, again, "-endpoint", l.proxy.URL, "-work", work.String(), "-batch", fmt.Sprint(batch), "-journal")
	return err
}

func (s *slot) do(ctx context.Context, d deed) error {
	if d == alone {
		return s.killAlone(ctx)
	}
	select {
	case s.away <- struct{}{}:
		defer func() { <-s.away }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	switch d {
	case killed, returned:
		return s.kill(ctx, d == returned)
	case paused:
		return s.pause(ctx)
	default:
		return s.leave(ctx)
	}
}

// aim waits, two times out of three, for the moment between work and checkpoint. When none comes soon, any will do.
func (s *slot) aim(ctx context.Context) error {
	if s.random.IntN(3) == 0 {
		return nil
	}
	_, err := s.life.worker.Aim(ctx, 1500*time.Millisecond)
	return err
}

// between is a random time.
func (s *slot) between(from, to time.Duration) time.Duration {
	return from + time.Duration(s.random.Int64N(int64(to-from)))
}

// kill kills the worker.
func (s *slot) kill(ctx context.Context, back bool) error {
	if err := s.killNow(ctx, ""); err != nil {
		return err
	}
	if back {
		return s.start(ctx, s.life.name)
	}
	if err := fleet.Sleep(ctx, s.between(200*time.Millisecond, 2500*time.Millisecond)); err != nil {
		return err
	}
	return s.start(ctx, "")
}

func (s *slot) killNow(ctx context.Context, note string) error {
	if err := s.aim(ctx); err != nil {
		return err
	}
	s.life.worker.Kill()
	e := s.life.event(time.Now(), invariant.Crash)
	e.Note = note
	s.happened(e, func(n *counts) { n.kills++ })
	return nil
}

// Before the worker is killed that is killed alone, what was done to the fleet is to be forgotten; and then its shards get
// time to move. The whole takes about aloneTime.
const (
	settleTime = leaseTime + time.Second
	moveLimit  = 5 * leaseTime
	aloneTime  = settleTime + leaseTime + 2*time.Second
)

// killAlone kills the worker once it has shards, and waits until others have them.
func (s *slot) killAlone(ctx context.Context) error {
	if err := fleet.Sleep(ctx, settleTime-time.Second); err != nil {
		return err
	}
	if err := s.holds(ctx, true); err != nil {
		return err
	}
	if err := s.killNow(ctx, aloneNote); err != nil {
		return err
	}
	if err := s.holds(ctx, false); err != nil {
		return err
	}
	return s.start(ctx, "")
}

// holds waits until the worker has leases or has none, for a while, and for the first records after.
func (s *slot) holds(ctx context.Context, some bool) error {
	for began := time.Now(); time.Since(began) < moveLimit; {
		rows, err := s.fleet.Rows(ctx)
		if err != nil {
			return err
		}
		if fleet.Held(rows)[s.life.name] > 0 == some {
			break
		}
		if err := fleet.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fleet.Sleep(ctx, time.Second)
}

// pause stops the worker for longer than its leases last.
func (s *slot) pause(ctx context.Context) error {
	if err := s.aim(ctx); err != nil {
		return err
	}
	d := s.between(leaseTime+500*time.Millisecond, leaseTime+2500*time.Millisecond)
	from := time.Now()
	if err := s.life.worker.PauseNow(); err != nil {
		return err
	}
	if err := fleet.Sleep(ctx, d); err != nil {
		return err
	}
	to, err := s.life.worker.Resume()
	e := s.life.event(from, invariant.Pause)
	e.For = to.Sub(from)
	s.happened(e, func(n *counts) { n.stops++ })
	return err
}

// leave stops the worker as a deployment does, while the server is there to be told.
func (s *slot) leave(ctx context.Context) error {
	s.server.RLock()
	defer s.server.RUnlock()
	if _, err := s.life.worker.Stop(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.counts.leaves++
	s.mu.Unlock()
	return s.start(ctx, "")
}
