package main

import (
	"context"
	"maps"
	"sync"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

// saveEvery is after how many records stats saves its counts; it also does when nothing has come for a while.
const saveEvery = 100

// stats is an application with state: its processors count the quakes of their shards and add what they have to the
// totals from time to time. Only then is it marked as done, so a worker that dies takes no counts with it: its records
// come again.
type stats struct {
	shard   *worker.Shard
	totals  *totals
	unsaved map[string]tally // by network
	records int              // so many are in unsaved
	last    record.Position  // the last of them
}

// A tally sums up quakes.
type tally struct {
	count      int
	magnitudes float64
}

func newStats(s *worker.Shard, t *totals) *stats {
	return &stats{shard: s, totals: t, unsaved: map[string]tally{}}
}

// ProcessRecords gets an empty batch when nothing has come for worker.Config.IdleCall.
func (s *stats) ProcessRecords(_ context.Context, b *worker.Batch) error {
	quakes := make([]quake, len(b.Records))
	for i, r := range b.Records {
		var err error
		if quakes[i], err = parseQuake(r.Data); err != nil {
			return err // nothing is counted yet: the batch may come again
		}
	}
	for _, q := range quakes {
		t := s.unsaved[q.Network]
		s.unsaved[q.Network] = tally{t.count + 1, t.magnitudes + q.Magnitude}
	}
	s.records += len(quakes)
	s.last = b.Last()
	if s.records >= saveEvery || len(quakes) == 0 {
		s.save()
	}
	return nil
}

// Finish is called while the shard is still ours, be it that it ends or that it moves to another worker.
func (s *stats) Finish(context.Context, worker.FinishReason) error {
	s.save()
	return nil
}

// save adds the counts to the totals and then marks their records as done, which costs no call of its own: the next
// renewal of the lease carries the mark.
func (s *stats) save() {
	if s.records == 0 {
		return
	}
	s.totals.add(s.unsaved)
	s.shard.Mark(s.last)
	clear(s.unsaved)
	s.records = 0
}

// totals stands for the database in which a real application would keep its counts.
type totals struct {
	mu       sync.Mutex
	networks map[string]tally
}

func (t *totals) add(counts map[string]tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.networks == nil {
		t.networks = map[string]tally{}
	}
	for network, c := range counts {
		sum := t.networks[network]
		t.networks[network] = tally{sum.count + c.count, sum.magnitudes + c.magnitudes}
	}
}

func (t *totals) all() map[string]tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.networks)
}
