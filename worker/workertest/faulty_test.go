package workertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/workertest"
)

// ids are the IDs of records.
func ids(records []record.Record) []string {
	var all []string
	for i := range records {
		all = append(all, string(records[i].Data))
	}
	return all
}

// stateless configures a process whose processors are one function.
func stateless(f func(p *workertest.Process, ctx context.Context, b *worker.Batch) error) func(*workertest.Process) worker.Config {
	return func(p *workertest.Process) worker.Config {
		return worker.Config{NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error { return f(p, ctx, b) })}
	}
}

// funcs is a processor of two functions.
type funcs struct {
	process func(ctx context.Context, b *worker.Batch) error
	finish  func(ctx context.Context, reason worker.FinishReason) error
}

func (f funcs) ProcessRecords(ctx context.Context, b *worker.Batch) error { return f.process(ctx, b) }
func (f funcs) Finish(ctx context.Context, reason worker.FinishReason) error {
	if f.finish == nil {
		return nil
	}
	return f.finish(ctx, reason)
}

// stateful configures a process whose processors are made by a function.
func stateful(f func(p *workertest.Process, ctx context.Context, s *worker.Shard) funcs) func(*workertest.Process) worker.Config {
	return func(p *workertest.Process) worker.Config {
		return worker.Config{NewProcessor: func(ctx context.Context, s *worker.Shard) (worker.RecordProcessor, error) {
			return f(p, ctx, s), nil
		}}
	}
}

// faulty are processors with one fault each, as people make them, and what is to be said of them.
var faulty = []struct {
	name  string
	o     workertest.Options
	start func(*workertest.Process) worker.Config
	kind  string
	text  string // that the report has
}{
	{
		name: "checkpoints before the effect",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			if err := b.Checkpoint(ctx); err != nil {
				return err
			}
			return p.Effect(ctx, ids(b.Records)...)
		}),
		kind: "checkpointed too early", text: "A crash between the two loses it",
	},
	{
		name: "takes the error of a write for nothing",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			_ = p.Effect(ctx, ids(b.Records)...)
			return b.Checkpoint(ctx)
		}),
		kind: "lost", text: "never took effect",
	},
	{
		name: "does not flush at the end of a shard",
		start: stateful(func(p *workertest.Process, _ context.Context, s *worker.Shard) funcs {
			var buffer []string
			return funcs{process: func(ctx context.Context, b *worker.Batch) error {
				if b.Attempt == 1 {
					buffer = append(buffer, ids(b.Records)...)
				}
				if len(buffer) < 20 {
					return nil
				}
				if err := p.Effect(ctx, buffer...); err != nil {
					return err
				}
				buffer = nil
				return b.Checkpoint(ctx)
			}}
		}),
		kind: "lost", text: "When Finish returns nil for the end of a shard",
	},
	{
		name: "empties its buffer before the flush has succeeded",
		start: stateful(func(p *workertest.Process, _ context.Context, s *worker.Shard) funcs {
			var buffer []string
			flush := func(ctx context.Context) error {
				full := buffer
				buffer = nil
				return p.Effect(ctx, full...)
			}
			return funcs{process: func(ctx context.Context, b *worker.Batch) error {
				if b.Attempt == 1 {
					buffer = append(buffer, ids(b.Records)...)
				}
				if len(buffer) >= 10 || b.Attempt > 1 {
					if err := flush(ctx); err != nil {
						return err
					}
					return b.Checkpoint(ctx)
				}
				return nil
			}, finish: func(ctx context.Context, _ worker.FinishReason) error { return flush(ctx) }}
		}),
		kind: "lost",
	},
	{
		name: "begins all records of a batch at once",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			errs := make([]error, len(b.Records))
			var wg sync.WaitGroup
			for i, r := range b.Records {
				wg.Go(func() { errs[i] = p.Effect(ctx, string(r.Data)) })
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				return err
			}
			return b.Checkpoint(ctx)
		}),
		kind: "out of order", text: "of the same key, which was put later",
	},
	{
		name: "writes with a context that does not end",
		start: stateful(func(p *workertest.Process, _ context.Context, s *worker.Shard) funcs {
			return funcs{process: func(_ context.Context, b *worker.Batch) error {
				for _, r := range b.Records {
					time.Sleep(5 * time.Second)
					if err := p.Effect(context.Background(), string(r.Data)); err != nil {
						return err
					}
					s.Mark(r.Position())
				}
				return nil
			}}
		}),
		o: workertest.Options{Records: 60}, kind: "late effect", text: "after its context had ended",
	},
	{
		name: "waits without its context",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			for {
				if err := p.Effect(context.WithoutCancel(ctx), ids(b.Records)...); err == nil {
					break
				}
				time.Sleep(40 * time.Second)
			}
			return b.Checkpoint(ctx)
		}),
		kind: "context ignored", text: "it must also wait for ctx.Done()",
	},
	{
		name: "flushes in a goroutine of its own that Finish does not wait for",
		start: stateful(func(p *workertest.Process, ctx context.Context, s *worker.Shard) funcs {
			batches := make(chan *worker.Batch, 1000)
			go func() {
				for {
					select {
					case <-ctx.Done():
						return
					case b := <-batches:
						for p.Effect(ctx, ids(b.Records)...) != nil && ctx.Err() == nil {
							time.Sleep(time.Second)
						}
						if ctx.Err() == nil {
							s.Mark(b.Last())
						}
					}
				}
			}()
			return funcs{process: func(_ context.Context, b *worker.Batch) error { batches <- b; return nil }}
		}),
		kind: "lost", text: "flush before",
	},
	{
		name: "leaves a goroutine behind",
		start: stateful(func(p *workertest.Process, _ context.Context, s *worker.Shard) funcs {
			batches := make(chan *worker.Batch)
			done := make(chan error)
			go func() {
				for b := range batches {
					done <- p.Effect(context.Background(), ids(b.Records)...)
				}
			}()
			return funcs{process: func(ctx context.Context, b *worker.Batch) error {
				batches <- b
				if err := <-done; err != nil {
					return err
				}
				return b.Checkpoint(ctx)
			}}
		}),
		kind: "goroutine left behind", text: "faulty_test.go",
	},
	{
		name: "never returns",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			if err := p.Effect(ctx, ids(b.Records)...); err != nil {
				select {}
			}
			return b.Checkpoint(ctx)
		}),
		kind: "context ignored", text: "ended without a processor that did not return",
	},
	{
		name: "panics at what comes again",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			if b.Attempt > 1 {
				panic("has come before")
			}
			if err := p.Effect(ctx, ids(b.Records)...); err != nil {
				return err
			}
			return b.Checkpoint(ctx)
		}),
		kind: "panic", text: "has come before",
	},
	{
		name: "panics beside the processor",
		start: stateful(func(p *workertest.Process, _ context.Context, s *worker.Shard) funcs {
			return funcs{process: func(ctx context.Context, b *worker.Batch) error {
				if err := p.Effect(ctx, ids(b.Records)...); err != nil {
					s.Go(func(context.Context) error { panic("beside") })
					return err
				}
				return b.Checkpoint(ctx)
			}}
		}),
		kind: "panic", text: "beside",
	},
	{
		name: "fails for ever at one record",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			for _, r := range b.Records {
				if string(r.Data) == "record-50" {
					return errors.New("cannot read record")
				}
				if err := p.Effect(ctx, string(r.Data)); err != nil {
					return err
				}
			}
			return b.Checkpoint(ctx)
		}),
		kind: "stuck", text: "cannot read record",
	},
	{
		name: "is not idempotent where it should be",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			if err := p.Effect(ctx, ids(b.Records)...); err != nil {
				return err
			}
			return b.Checkpoint(ctx)
		}),
		o: workertest.Options{ExactlyOnce: true}, kind: "repeated", text: "took effect 2 times",
	},
	{
		name: "adds up at a hand-over and does not say so",
		start: stateful(func(p *workertest.Process, _ context.Context, s *worker.Shard) funcs {
			var buffer []string
			return funcs{process: func(_ context.Context, b *worker.Batch) error {
				buffer = append(buffer, ids(b.Records)...)
				return nil
			}, finish: func(ctx context.Context, _ worker.FinishReason) error { return p.Effect(ctx, buffer...) }}
		}),
		o: workertest.Options{ExactlyOnce: true}, kind: "repeated", text: "the second after: hand-over",
	},
	{
		name:  "keeps the position beside the sums, and does not compare it",
		start: func(p *workertest.Process) worker.Config { return summing(p, false) },
		o:     workertest.Options{ExactlyOnce: true}, kind: "repeated", text: "same transaction and compares",
	},
	{
		name: "tells of records that there are not",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			if err := p.Effect(ctx, strings.ToUpper(string(b.Records[0].Data))); err != nil {
				return err
			}
			return b.Checkpoint(ctx)
		}),
		kind: "unexpected effect", text: "the ID of no record",
	},
	{
		name: "stores what it should leave out", start: careful,
		o: workertest.Options{Record: func(i int) workertest.Record {
			return workertest.Record{Key: "k", Data: fmt.Append(nil, i), Dropped: i%10 == 9}
		}},
		kind: "unexpected effect", text: "was to be dropped",
	},
	{
		name: "leaves out what it should store",
		start: stateless(func(p *workertest.Process, ctx context.Context, b *worker.Batch) error {
			for _, r := range b.Records {
				if strings.HasSuffix(string(r.Data), "7") {
					continue
				}
				if err := p.Effect(ctx, string(r.Data)); err != nil {
					return err
				}
			}
			return b.Checkpoint(ctx)
		}),
		kind: "lost",
	},
	{
		name:  "has a configuration that the worker refuses",
		start: func(*workertest.Process) worker.Config { return worker.Config{LeaseDuration: time.Hour} },
		kind:  "configuration", text: "LeaseDuration",
	},
	{
		name: "has two records of one ID", start: careful,
		o:    workertest.Options{Record: func(i int) workertest.Record { return workertest.Record{Key: "k", Data: []byte("same")} }},
		kind: "records", text: "records 0 and 1 the same ID",
	},
	{
		name: "has records without a key", start: careful,
		o:    workertest.Options{Record: func(i int) workertest.Record { return workertest.Record{Data: fmt.Append(nil, i)} }},
		kind: "records", text: "partition key of 0 characters",
	},
}

func TestEachFaultIsFoundAndSaid(t *testing.T) {
	for _, c := range faulty {
		t.Run(c.name, func(t *testing.T) {
			r := workertest.Examine(t, c.o, c.start)
			i := slices.IndexFunc(r.Problems, func(p workertest.Problem) bool {
				return p.Kind == c.kind && strings.Contains(p.Text, c.text)
			})
			if i < 0 {
				t.Fatalf("want a problem %q with %q; got\n%s", c.kind, c.text, r)
			}
			first := slices.IndexFunc(r.Problems, func(p workertest.Problem) bool { return p.Kind == c.kind })
			if replay := fmt.Sprintf("-workertest.seed=%d\n", r.Problems[first].Seed); !strings.Contains(r.String(), replay) {
				t.Errorf("the report does not have %q:\n%s", replay, r)
			}
			if testing.Verbose() {
				t.Log("\n" + r.String())
			}
		})
	}
}
