package workertest_test

import (
	"context"

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
