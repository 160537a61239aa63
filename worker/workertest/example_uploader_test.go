package workertest_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/workertest"
)

func TestTheUploaderOfTheExamplePasses(t *testing.T) { testUploader(t) }

// eager is the uploader with the checkpoint where it does not belong.
type eager struct{ *uploader }

func (e eager) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	if err := e.uploader.ProcessRecords(ctx, b); err != nil {
		return err
	}
	return b.Checkpoint(ctx)
}

func TestTheEagerUploaderOfTheExampleIsFound(t *testing.T) {
	r := workertest.Examine(t, workertest.Options{}, func(p *workertest.Process) worker.Config {
		upload := func(ctx context.Context, object []byte) error {
			return p.Effect(ctx, strings.Fields(string(bytes.TrimSpace(object)))...)
		}
		return worker.Config{NewProcessor: func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			u, err := newUploader(upload)(ctx, s)
			return eager{u.(*uploader)}, err
		}}
	})
	for _, kind := range []string{"lost", "checkpointed too early"} {
		if !slices.ContainsFunc(r.Problems, func(p workertest.Problem) bool { return p.Kind == kind }) {
			t.Errorf("want a problem %q; got\n%s", kind, r)
		}
	}
	if testing.Verbose() {
		t.Log("\n" + r.String())
	}
}
