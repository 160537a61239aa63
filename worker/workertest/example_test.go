package workertest_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/workertest"
)

// An uploader gathers records and uploads them a hundred at a time, with whatever uploads them.
type uploader struct {
	shard  *worker.Shard
	upload func(ctx context.Context, object []byte) error
	buffer bytes.Buffer
	n      int
	last   record.Position
}

func newUploader(upload func(context.Context, []byte) error) func(context.Context, *worker.Shard) (worker.RecordProcessor, error) {
	return func(_ context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
		return &uploader{shard: s, upload: upload}, nil
	}
}

func (u *uploader) ProcessRecords(ctx context.Context, b *worker.Batch) error {
	for _, r := range b.Records {
		if r.Position().Compare(u.last) <= 0 {
			continue // it comes again after an error and is in the buffer already
		}
		u.buffer.Write(r.Data)
		u.buffer.WriteByte('\n')
		u.n++
		u.last = r.Position()
		if u.n >= 100 {
			if err := u.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil // with b.Checkpoint(ctx) here the test says which records were lost, and how
}

func (u *uploader) flush(ctx context.Context) error {
	if u.n == 0 {
		return nil
	}
	if err := u.upload(ctx, bytes.Clone(u.buffer.Bytes())); err != nil {
		return err
	}
	u.buffer.Reset()
	u.n = 0
	return u.shard.Checkpoint(ctx, u.last)
}

func (u *uploader) Finish(ctx context.Context, _ worker.FinishReason) error { return u.flush(ctx) }

// testUploader is what TestUploader would be in a program's own tests. The stand-in for the object store says which
// records are in an object: those whose lines are in it.
func testUploader(t *testing.T) {
	workertest.Run(t, workertest.Options{}, func(p *workertest.Process) worker.Config {
		upload := func(ctx context.Context, object []byte) error {
			var ids []string
			for line := range bytes.Lines(object) {
				ids = append(ids, string(bytes.TrimSuffix(line, []byte("\n"))))
			}
			return p.Effect(ctx, ids...)
		}
		return worker.Config{NewProcessor: newUploader(upload)}
	})
}

// A processor that buffers, and its test. A version of it that calls b.Checkpoint in ProcessRecords, as is easily written,
// checkpoints what is only in memory. Run fails the test and says so:
//
//	CHECKPOINTED TOO EARLY (seed 1)
//	  "record-0" was checkpointed by worker-2 14.541s before it took effect.
//	  …
//	LOST (seed 1)
//	  "record-60" was checkpointed 12.114s after the start by worker-2, and never took effect.
//	      11.004s  "record-60" is put into shardId-000000000000
//	      12.110s  worker-2 is handed 24 records, "record-60" to "record-83"
//	      12.114s  worker-2 checkpoints 24 records, "record-60" to "record-83"
//	      18.482s  worker-2 crashes
//	      28.921s  worker-1 begins with it behind "record-83"
//	  A checkpoint says that a record and all before it are done: checkpoint, or mark, a record after its effect.
//	  Replay: go test -run '^TestUploader$' -workertest.seed=1
func Example() {
	var t *testing.T // the test's own, in a function TestUploader(t *testing.T)
	_ = func() { testUploader(t) }
}
