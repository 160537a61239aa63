package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestTroubleWithReadsEndsNothingSkipsNothingAndRepeatsNothing(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
	throttle := func(context.Context) error { return fmt.Errorf("rate exceeded: %w", worker.ErrThrottled) }
	broken := func(context.Context) error { return errors.New("500 internal failure") }
	expired := func(context.Context) error { return errors.New("iterator expired") }
	for _, c := range []struct {
		name  string
		fail  func(context.Context) error
		fails func(read int) bool // read counts from 1
	}{
		{"the first read is throttled", throttle, func(n int) bool { return n == 1 }},
		{"every third read is throttled", throttle, func(n int) bool { return n%3 == 0 }},
		{"a storm of throttles", throttle, func(n int) bool { return n > 5 && n < 25 }},
		{"every second read is a server error", broken, func(n int) bool { return n%2 == 0 }},
		{"an outage", broken, func(n int) bool { return n > 7 && n < 20 }},
		{"iterators expire all the time", expired, func(n int) bool { return n%4 == 1 }},
		{"a read that never answers", hang, func(n int) bool { return n == 3 || n == 9 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var reads tally
				f := newFleet(t, 2, memstream.Options{PageRecords: 7, Fault: func(ctx context.Context, call memstream.Call) error {
					if call.Op == "Read" && c.fails(reads.add(call.Shard)) {
						return c.fail(ctx)
					}
					return nil
				}})
				f.put(100)
				pass(time.Second)
				f.split(id(0))
				f.put(100)
				a := f.start("a", nil)
				f.all(10 * time.Minute)
				if a.Status().LastError == nil {
					t.Error("Status tells of no error")
				}
				stop(t, a)
				f.once()
				if n := f.tenureCount(); n != 4 {
					t.Errorf("%d processors for 4 shards: trouble with reads must not restart a shard", n)
				}
			})
		})
	}
}

func TestAHungReadIsGivenUpAfterThePacesTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var reads tally
		f := newFleet(t, 1, memstream.Options{
			Pace: worker.Pace{PerSecond: 5, Idle: time.Second, Timeout: 7 * time.Second},
			Fault: func(ctx context.Context, call memstream.Call) error {
				if call.Op == "Read" && reads.add("") == 1 {
					<-ctx.Done()
					return context.Cause(ctx)
				}
				return nil
			},
		})
		f.put(10)
		a := f.start("a", nil)
		if took := f.all(time.Minute); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("the records came after %v, want the timeout of 7s and a pause", took)
		}
		stop(t, a)
		f.once()
	})
}

func TestAShardIsReadAtItsPaceAndNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var reads, calls tally
		f := newFleet(t, 3, memstream.Options{PageRecords: 10, Fault: func(_ context.Context, c memstream.Call) error {
			if n := reads.add(c.Op + c.Shard + time.Now().Format(time.TimeOnly)); n > 5 && c.Op == "Read" {
				t.Errorf("read %d of %s within one second", n, c.Shard)
			}
			calls.add(c.Op + c.Shard)
			return nil
		}})
		f.store.Fault = func(_ context.Context, op, _ string) (bool, error) { calls.add(op); return true, nil }
		f.putIn(id(0), 500)
		a := f.start("a", nil)
		if took := f.all(time.Minute); took > 11*time.Second {
			t.Errorf("50 pages took %v, want 5 a second: no idle time while behind", took)
		}
		pass(5 * time.Second)
		before := calls.all()
		pass(100 * time.Second)
		for name, want := range map[string]int{"Read" + id(0): 100, "Read" + id(2): 100, "List": 5, "Survey": 115, "Owned": 225, "Renew": 95, "Beat": 33, "PutMember": 11, "Leader": 0, "Shards": 6, "Get": 0, "Take": 0} {
			if n := calls.of(name) - before[name]; n > want+want/20+1 || n < want/2 {
				t.Errorf("%d calls of %s in 100 idle seconds, want about %d", n, name, want)
			}
		}
		stop(t, a)
		f.once()
	})
}

func TestTheFirstRecordsComeSoonFromAnyNumberOfShards(t *testing.T) {
	for _, c := range []struct {
		shards int
		within time.Duration
	}{{4, time.Second}, {100, 1500 * time.Millisecond}, {1000, 3 * time.Second}, {2500, 6 * time.Second}} {
		t.Run(fmt.Sprint(c.shards, " shards"), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				stream, table := latency(5 * time.Millisecond)
				f := newFleet(t, c.shards, memstream.Options{Fault: stream})
				f.store.Fault = table
				shards, _, _ := f.stream.Shards(t.Context(), record.Position{})
				for _, s := range shards {
					if _, _, err := f.stream.PutTo(s.Range.Start, "key", nil); err != nil {
						t.Fatal(err)
					}
				}
				var seen atomic.Int64
				a := f.start("a", func(c *worker.Config) {
					c.NewProcessor = worker.Stateless(func(_ context.Context, b *worker.Batch) error {
						seen.Add(int64(len(b.Records)))
						return nil
					})
				})
				took := f.until("a record of every shard", time.Minute, func() bool { return seen.Load() == int64(c.shards) })
				if took > c.within {
					t.Errorf("the last first record came after %v, want within %v", took, c.within)
				}
				stop(t, a)
			})
		})
	}
}
