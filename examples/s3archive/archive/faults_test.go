package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/examples/s3archive/format"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/workertest"
)

// A farShelf is a process's way to a shelf: calls take time, fail, and arrive late. The effect of a record is that a new
// object has it.
type farShelf struct {
	*shelf
	p      *workertest.Process
	format format.Format
}

func (s farShelf) Create(ctx context.Context, key string, body io.ReaderAt, size int64, m Meta) (existing *Meta, err error) {
	b, err := io.ReadAll(io.NewSectionReader(body, 0, size))
	if err != nil {
		return nil, err
	}
	var found *Meta
	var broken error
	err = s.p.Call(ctx, func() (ids []string) {
		found, broken = s.shelf.Create(ctx, key, bytes.NewReader(b), size, m)
		if found != nil || broken != nil {
			return nil
		}
		for content, err := range s.format.Decode(bytes.NewReader(b), size) {
			if err != nil {
				broken = err
			}
			ids = append(ids, string(content))
		}
		return ids
	})
	if err != nil {
		return nil, err
	}
	return found, broken
}

func TestEveryRecordIsInOneObjectWhateverAFleetGoesThrough(t *testing.T) {
	for _, aggregated := range []bool{false, true} {
		t.Run(fmt.Sprint("aggregated: ", aggregated), func(t *testing.T) {
			o := workertest.Options{
				ExactlyOnce: true, Aggregated: aggregated, Histories: 12,
				Record: func(i int) workertest.Record {
					return workertest.Record{Key: fmt.Sprint("key-", i%11), Data: fmt.Appendf(nil, `{"n":%d}`, i)}
				},
			}
			workertest.Run(t, o, func(p *workertest.Process) worker.Config {
				cfg := config(t, farShelf{workertest.Shared(p, newShelf), p, mustFormat(t, "jsonl", format.Gzip)})
				cfg.MaxAge, cfg.MaxRecords = 5*time.Second, 15
				a, err := New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				return worker.Config{NewProcessor: a.NewProcessor, IdleCall: time.Second}
			})
		})
	}
}

// The test above would see what an archiver does that takes an object that is there for its own.
func TestAnArchiverThatDoesNotTakeOverObjectsIsFound(t *testing.T) {
	r := workertest.Examine(t, workertest.Options{ExactlyOnce: true, Histories: 60}, func(p *workertest.Process) worker.Config {
		cfg := config(t, farShelf{workertest.Shared(p, newShelf), p, mustFormat(t, "jsonl", format.Gzip)})
		cfg.MaxAge, cfg.MaxRecords, cfg.NoAdopt = 5*time.Second, 15, true
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return worker.Config{NewProcessor: a.NewProcessor, IdleCall: time.Second}
	})
	if len(r.Problems) == 0 {
		t.Errorf("nothing was found: %s", r)
	}
	if testing.Verbose() {
		t.Log("\n" + r.String())
	}
}
