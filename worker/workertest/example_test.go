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
	return nil // not b.Checkpoint(ctx): the batch is in the buffer, and not done
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

// A processor that buffers, and its test. A version that calls b.Checkpoint at the end of ProcessRecords, as is easily
// written, checkpoints what is only in memory. Run finds that in its first history and says:
//
//	LOST (seed 1)
//	  "record-131" was checkpointed 32.010s after the start by worker-3, and never took effect.
//	      25.907s  "record-131" is put into shardId-000000000000
//	      31.983s  worker-3 begins with it behind "record-130"
//	      32.002s  worker-3 is handed 21 records, "record-131" to "record-151"
//	      32.010s  worker-3 checkpoints 21 records, "record-131" to "record-151"
//	      48.213s  worker-3 crashes after ProcessRecords has returned
//	      54.250s  worker-1 begins with it behind "record-199"
//	  68 more of this kind in this history.
//	  A checkpoint says that a record and all before it are done: checkpoint, or mark, a record after its effect.
//	  Replay: go test -run '^TestUploader$' -workertest.seed=1
func Example() {
	_ = []testing.InternalTest{{Name: "TestUploader", F: testUploader}} // go test makes such a list of the functions Test…
}
