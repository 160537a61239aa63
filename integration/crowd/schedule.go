package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/fleet"
)

// A schedule says when faults come, each kind of them and those of each worker at their own pace. Now and then the fleet is
// left alone but for one fault; what is due meanwhile comes later by as much.
type schedule struct {
	began time.Time
	span  time.Duration // over which faults are spread

	gate sync.RWMutex // held to read by each fault, and to write by the one that is alone
	solo sync.Mutex   // held by the one that is to be alone

	mu    sync.Mutex
	stood time.Duration // for which the fleet was left alone
}

// due is the moment of the ith of n faults, not counting the times in which the fleet was left alone.
func (s *schedule) due(random *rand.Rand, i, n int) time.Duration {
	return time.Duration(float64(s.span) * (float64(i) + random.Float64()) / float64(n))
}

// left is how long it is until then, as it looks now.
func (s *schedule) left(due time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.began.Add(s.stood + due))
}

// play plays a fault when it is due.
func (s *schedule) play(ctx context.Context, due time.Duration, f func(context.Context) error) error {
	return s.when(ctx, due, s.gate.RLocker(), f)
}

// playAlone plays a fault when it is due and all others are over, while nothing else is done.
func (s *schedule) playAlone(ctx context.Context, due time.Duration, f func(context.Context) error) error {
	return s.when(ctx, due, &s.solo, func(ctx context.Context) error {
		from := time.Now()
		s.gate.Lock()
		defer s.gate.Unlock()
		err := f(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stood += time.Since(from)
		return err
	})
}

// when calls f, with the lock held, when it is due: while it waits for the lock that may come to be later.
func (s *schedule) when(ctx context.Context, due time.Duration, lock sync.Locker, f func(context.Context) error) error {
	for {
		if err := fleet.Sleep(ctx, s.left(due)); err != nil {
			return err
		}
		lock.Lock()
		if s.left(due) <= 0 {
			defer lock.Unlock()
			return f(ctx)
		}
		lock.Unlock()
	}
}
