package workertest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/workertest"
)

// careful makes each record's effect come about before it checkpoints the batch.
func careful(p *workertest.Process) worker.Config {
	return worker.Config{NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
		for _, r := range b.Records {
			if err := p.Effect(ctx, string(r.Data)); err != nil {
				return err
			}
		}
		return b.Checkpoint(ctx)
	})}
}

// sums are a table with one row for each shard: how many records it had, and up to where. One transaction changes both.
type sums struct {
	mu   sync.Mutex
	rows map[string]sum
}

type sum struct {
	n    int
	upTo record.Position
}

func newSums() *sums { return &sums{rows: map[string]sum{}} }

func (s *sums) position(shard string) record.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[shard].upTo
}

// summing counts the records of each shard exactly once: the position is stored with the sum, a tenure begins there, and
// a transaction is refused whose sum does not go on from where the row is. Without compare it is not.
func summing(p *workertest.Process, compare bool) worker.Config {
	db := workertest.Shared(p, newSums)
	return worker.Config{
		StartAt: func(_ context.Context, _, shard string) (record.Position, error) { return db.position(shard), nil },
		NewProcessor: func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			at := db.position(s.ID)
			return funcs{process: func(ctx context.Context, b *worker.Batch) error {
				refused, from := false, at // the request carries from: it may arrive late
				err := p.Call(ctx, func() []string {
					db.mu.Lock()
					defer db.mu.Unlock()
					row := db.rows[s.ID]
					if compare && row.upTo != from {
						refused = row.upTo != b.Last() // else it is this very batch, whose answer was lost
						return nil
					}
					db.rows[s.ID] = sum{n: row.n + len(b.Records), upTo: b.Last()}
					return ids(b.Records)
				})
				if err == nil && refused {
					err = fmt.Errorf("somebody else has gone on: %w", worker.ErrRestart)
				}
				if err == nil {
					at = b.Last()
				}
				return err
			}}, nil
		},
	}
}

func TestACarefulProcessorPasses(t *testing.T) {
	workertest.Run(t, workertest.Options{}, careful)
}

func TestAProcessorOfAggregatesPasses(t *testing.T) {
	workertest.Run(t, workertest.Options{Aggregated: true}, careful)
}

func TestSumsThatAreComparedAreExactlyOnce(t *testing.T) {
	workertest.Run(t, workertest.Options{ExactlyOnce: true}, func(p *workertest.Process) worker.Config { return summing(p, true) })
}

func TestByKeyPasses(t *testing.T) {
	workertest.Run(t, workertest.Options{}, func(p *workertest.Process) worker.Config {
		return worker.Config{NewProcessor: worker.ByKey(8, func(ctx context.Context, _ *worker.Shard, r record.Record) error {
			return p.Effect(ctx, string(r.Data))
		})}
	})
}

func TestRecordsThatAreDroppedHaveNoEffect(t *testing.T) {
	record := func(i int) workertest.Record {
		return workertest.Record{ID: fmt.Sprint("order ", i), Key: fmt.Sprint(i % 3), Data: fmt.Append(nil, i), Dropped: i%5 == 0}
	}
	workertest.Run(t, workertest.Options{Record: record}, stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
		for _, r := range b.Records {
			var n int
			if fmt.Sscan(string(r.Data), &n); n%5 == 0 {
				continue
			}
			if err := p.Effect(ctx, fmt.Sprint("order ", n)); err != nil {
				return err
			}
		}
		return b.Checkpoint(ctx)
	}))
}

// A fault that never happens tests nothing. In 64 histories the rarest happens some 14 times.
func TestEveryFaultHappens(t *testing.T) {
	r := workertest.Examine(t, workertest.Options{Histories: 64}, careful)
	for _, name := range []string{
		"crashes", "pauses", "stops", "cut-offs", "splits", "merges", "hand-overs", "lost leases", "restarts of a shard",
		"redeliveries after an error", "failed calls", "lost answers of calls", "requests that arrived late", "slow calls",
		"failed reads", "failed table calls", "lost answers of the table", "slow table calls",
	} {
		if r.Faults[name] == 0 {
			t.Errorf("no %s in %s", name, r)
		}
	}
	if len(r.Problems) > 0 || r.Histories != 64 || r.Records != 64*200 {
		t.Error(r)
	}
	sum := 0
	for _, cause := range []string{"crash", "lost lease", "hand-over", "restart", "retry", "late request"} {
		if r.Repeats[cause] == 0 {
			t.Errorf("no repeat after: %s", cause)
		}
		sum += r.Repeats[cause]
	}
	if sum != r.Repeated {
		t.Errorf("%d repeats by cause, %d in all", sum, r.Repeated)
	}
}

func TestASeedGivesTheSameHistory(t *testing.T) {
	o := workertest.Options{Seed: 3, Histories: 1}
	first := workertest.Examine(t, o, faulty[0].start)
	again := workertest.Examine(t, o, faulty[0].start)
	if len(first.Problems) == 0 || len(again.Problems) == 0 || first.Problems[0].Kind != again.Problems[0].Kind || first.Problems[0].Record != again.Problems[0].Record {
		t.Errorf("first\n%s\nthen\n%s", first, again)
	}
}

// What is shared outlives processes, not histories, and is closed at the end.
func TestSharedLivesAsLongAsAHistory(t *testing.T) {
	made, closed := 0, 0
	starts := 0
	workertest.Run(t, workertest.Options{Histories: 3}, func(p *workertest.Process) worker.Config {
		starts++
		workertest.Shared(p, func() *closer { made++; return &closer{&closed} })
		return careful(p)
	})
	if made != 3 || closed != 3 || starts <= 6 {
		t.Errorf("made %d and closed %d times over %d starts, want 3 of each over more", made, closed, starts)
	}
}

type closer struct{ closed *int }

func (c *closer) Close() error { *c.closed++; return nil }
