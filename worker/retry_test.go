package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/shoal-stream/shoal/checkpoint"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func retry(r worker.Retry) func(*worker.Config) {
	return func(c *worker.Config) { c.Retry = r }
}

func TestAFailedBatchIsTriedForEverWithGrowingPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		f.put(30)
		var at []time.Time
		a := f.start("a", processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
			if f.log.count() != 10 || len(at) == 60 {
				return next()
			}
			at = append(at, time.Now())
			if b.Attempt != len(at) || len(b.Records) != 10 {
				t.Errorf("attempt %d says it is %d of %d records", len(at), b.Attempt, len(b.Records))
			}
			return errTest
		}))
		f.until("some attempts", time.Minute, func() bool { return len(at) > 3 })
		if s := a.Status().Shards[0]; s.FailingSince != at[0] || !errors.Is(s.LastError, errTest) {
			t.Errorf("Status: failing since %v with %v, want %v with the processor's error", s.FailingSince, s.LastError, at[0])
		}
		f.all(time.Hour)
		if s := a.Status().Shards[0]; !s.FailingSince.IsZero() {
			t.Errorf("Status: failing since %v after a success", s.FailingSince)
		}
		stop(t, a)
		f.once()
		for i := range at[1:] {
			pause, most := at[i+1].Sub(at[i]), min(100*time.Millisecond<<min(i, 20), 30*time.Second)
			if pause < most/2 || pause > most {
				t.Errorf("pause %d was %v, want %v to %v", i+1, pause, most/2, most)
			}
		}
	})
}

// poison is a step that fails on batches with a record of these data, logging what it processed.
func poison(tried *tally, bad ...string) step {
	return func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
		for _, r := range b.Records {
			if slices.Contains(bad, string(r.Data)) {
				if len(b.Records) == 1 {
					tried.add(string(r.Data))
				}
				return fmt.Errorf("cannot bear %s", r.Data)
			}
		}
		return next()
	}
}

func TestBisectionFindsExactlyThePoisonRecords(t *testing.T) {
	for _, bad := range [][]string{
		{"data-500"}, {"data-0"}, {"data-999"}, {"data-0", "data-1"}, {"data-3", "data-4", "data-77", "data-500", "data-998", "data-999"},
	} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				at := f.putIn(id(0), 1000)
				f.log.put = nil // written would count the dead letters as skipped
				var tried tally
				var dead []string
				deadRefusals := 2
				a := f.start("a", config(processing(poison(&tried, bad...)), retry(worker.Retry{
					MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, Attempts: 3,
					DeadLetter: func(_ context.Context, s *worker.Shard, r record.Record, cause error) error {
						if deadRefusals > 0 {
							deadRefusals--
							return errTest
						}
						dead = append(dead, string(r.Data))
						if want := "cannot bear " + string(r.Data); cause.Error() != want || s.ID != id(0) {
							t.Errorf("dead letter of %s with %v, want %s", s.ID, cause, want)
						}
						return nil
					},
				})))
				f.until("everything else processed", time.Minute, func() bool { return f.log.count() == 1000-len(bad) && len(dead) == len(bad) })
				time.Sleep(5 * time.Second) // a renewal carries what was buried last
				if got := f.row(id(0)).Checkpoint; got != at[999] {
					t.Errorf("the checkpoint is %v, want the last record", got)
				}
				stop(t, a)
				f.once()
				if !slices.Equal(dead, bad) {
					t.Errorf("dead letters %v, want %v", dead, bad)
				}
				for i, data := range bad {
					want := 3
					if i == 0 {
						want += 2 // refused dead letters are retried, the record with them
					}
					if n := tried.of(data); n != want {
						t.Errorf("%s was tried alone %d times, want %d", data, n, want)
					}
				}
			})
		})
	}
}

// A processor that has not said that the records before a poison record are done gets them again after a crash.
func TestADeadLetterDoesNotCheckpointWhatIsStillBuffered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.putIn(id(0), 10)
		f.log.put = nil
		buried := 0
		a := f.start("a", config(f.logOnly("a"), processing(poison(new(tally), "data-5")), retry(worker.Retry{
			Attempts:   1,
			DeadLetter: func(context.Context, *worker.Shard, record.Record, error) error { buried++; return nil },
		})))
		f.until("all processed", time.Minute, func() bool { return f.log.count() == 9 && buried == 1 })
		pass(10 * time.Second)
		if got := f.row(id(0)).Checkpoint; got != record.TrimHorizon {
			t.Errorf("the checkpoint is %v though the processor never said a word", got)
		}
		a.crash()
	})
}

func TestFinishWaitsForTheGoroutinesOfAShard(t *testing.T) {
	for _, reason := range []worker.FinishReason{worker.ShardEnd, worker.Moving} {
		t.Run(reason.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				last := f.putIn(id(0), 10)[9]
				var finished, ended atomic.Bool
				a := f.start("a", config(
					processing(func(_ context.Context, s *worker.Shard, b *worker.Batch, next func() error) error {
						if s.ID == id(0) {
							s.Go(func(ctx context.Context) error {
								<-ctx.Done() // which is after Finish
								if !finished.Load() {
									t.Error("the context ended before Finish returned")
								}
								time.Sleep(3 * time.Second)
								ended.Store(true)
								return context.Cause(ctx)
							})
						}
						return next()
					}),
					finishing(func(s *worker.Shard, got worker.FinishReason) error {
						if s.ID == id(0) {
							finished.Store(true)
							if got != reason {
								t.Errorf("Finish(%v), want %v", got, reason)
							}
						}
						return nil
					})))
				f.all(10 * time.Second)
				if reason == worker.ShardEnd {
					f.split(id(0))
					f.until("the shard is done", 20*time.Second, func() bool { return f.row(id(0)).Finished() })
					if !ended.Load() {
						t.Error("the shard was marked as done while a goroutine of it ran")
					}
					stop(t, a)
				} else {
					if err, took := a.halt(); err != nil || took != 3*time.Second {
						t.Errorf("Run = %v after %v, want nil after the 3s of the goroutine", err, took)
					}
					if row := f.row(id(0)); row.Checkpoint != last {
						t.Errorf("checkpoint %v, want %v", row.Checkpoint, last)
					}
				}
				if n := f.tenureCount(); n > 3 {
					t.Errorf("%d processors: the end of the context was taken for an error", n)
				}
			})
		})
	}
}

// What a goroutine still had in hand at the end of the shard failed, so it comes again.
func TestAnErrorOfAGoroutineAtTheEndOfItsShardRepeatsTheShardFromTheCheckpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.putIn(id(0), 10)
		pass(time.Second)
		f.split(id(0))
		deliveries := 0
		a := f.start("a", config(f.logOnly("a"), processing(func(_ context.Context, s *worker.Shard, b *worker.Batch, next func() error) error {
			if s.ID != id(0) {
				return next()
			}
			if deliveries += len(b.Records); deliveries == 10 {
				s.Go(func(ctx context.Context) error {
					time.Sleep(time.Second)
					return errTest
				})
			}
			return next()
		}), finishing(func(s *worker.Shard, _ worker.FinishReason) error {
			time.Sleep(2 * time.Second)
			return nil
		})))
		f.until("the shard is done", time.Minute, func() bool { return f.row(id(0)).Finished() })
		if deliveries != 20 {
			t.Errorf("%d records were handed over, want the 10 twice", deliveries)
		}
		stop(t, a)
	})
}

func TestAProcessorThatKeepsFailingIsReportedAndThenMovesToAnotherWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		core, logs := observer.New(zap.ErrorLevel)
		f := newFleet(t, 2, memstream.Options{})
		a := f.start("a", config(func(c *worker.Config) { c.Logger = zap.New(core) },
			processing(func(_ context.Context, s *worker.Shard, _ *worker.Batch, next func() error) error { return errTest })))
		f.until("a has both", 10*time.Second, func() bool { return len(a.Status().Shards) == 2 })
		b := f.start("b", nil)
		f.until("one each", 20*time.Second, func() bool { return len(a.Status().Shards) == 1 && len(b.Status().Shards) == 1 })
		failing := a.Status().Shards[0].Shard
		f.putIn(failing, 10)
		began := time.Now()
		reported := func() bool { return logs.FilterMessage("processor keeps failing").Len() > 0 }
		if took := f.until("it is reported", 2*time.Minute, reported); took < time.Minute || took > 95*time.Second {
			t.Errorf("reported after %v, want after a minute", took)
		}
		f.all(6 * time.Minute)
		if took := time.Since(began); took < 5*time.Minute || took > 5*time.Minute+40*time.Second {
			t.Errorf("moved after %v, want after five minutes", took)
		}
		if n := logs.FilterMessage("processor keeps failing").Len(); n != 1 {
			t.Errorf("reported %d times, want once", n)
		}
		if row := f.row(failing); row.Owner != "b" {
			t.Errorf("the shard went to %q, want b", row.Owner)
		}
		stop(t, a, b)
		f.verify()
	})
}

func TestAProcessorThatKeepsFailingStaysWhereNobodyElseIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		f.put(10)
		began := time.Now()
		a := f.start("a", processing(func(_ context.Context, _ *worker.Shard, _ *worker.Batch, next func() error) error {
			if time.Since(began) < 20*time.Minute {
				return errTest
			}
			return next()
		}))
		f.all(21 * time.Minute)
		if n := f.tenureCount(); n != 1 {
			t.Errorf("%d tenures, want 1", n)
		}
		stop(t, a)
		f.once()
	})
}

func TestAStopInterruptsBackOff(t *testing.T) {
	long := retry(worker.Retry{MinBackoff: 10 * time.Minute, MaxBackoff: 10 * time.Minute})
	for name, change := range map[string]func(*worker.Config){
		"of ProcessRecords": processing(func(context.Context, *worker.Shard, *worker.Batch, func() error) error { return errTest }),
		"of a panic":        processing(func(context.Context, *worker.Shard, *worker.Batch, func() error) error { panic("x") }),
		"of NewProcessor": func(c *worker.Config) {
			c.NewProcessor = func(context.Context, *worker.Shard) (worker.RecordProcessor, error) { return nil, errTest }
		},
		"of a NewProcessor without result": func(c *worker.Config) {
			c.NewProcessor = func(context.Context, *worker.Shard) (worker.RecordProcessor, error) { return nil, nil }
		},
		"of StartAt": func(c *worker.Config) {
			c.StartAt = func(context.Context, string, string) (record.Position, error) { return record.Position{}, errTest }
		},
		"of Finish at the end of a shard": finishing(func(_ *worker.Shard, reason worker.FinishReason) error {
			if reason == worker.ShardEnd {
				return errTest
			}
			return nil
		}),
		"of a dead letter": config(processing(func(context.Context, *worker.Shard, *worker.Batch, func() error) error { return errTest }),
			func(c *worker.Config) {
				c.Retry.Attempts = 1
				c.Retry.DeadLetter = func(context.Context, *worker.Shard, record.Record, error) error { return errTest }
			}),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				f.put(1)
				pass(time.Second)
				f.split(id(0))
				a := f.start("a", config(long, change))
				pass(time.Minute)
				if s := a.Status().Shards; len(s) != 1 || s[0].FailingSince.IsZero() {
					t.Errorf("Status %+v, want one shard that fails", s)
				}
				if err, took := a.halt(); err != nil || took > 0 {
					t.Errorf("Run = %v after %v, want nil at once", err, took)
				}
				if row := f.row(id(0)); row.Owner != "" || row.Finished() {
					t.Errorf("the row is %+v, want it released and not done", row)
				}
			})
		})
	}
}

// The same batch comes again after an error, so a processor that checkpoints record by record meets positions that are
// stored already. They must not make it fail for ever.
func TestAProcessorThatCheckpointsRecordByRecordGetsPastAFailure(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return errTest },
		"a panic":  func() error { panic("x") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				at := f.putIn(id(0), 20)
				failed := false
				a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
					for i, r := range b.Records {
						if r.Position() == at[12] && !failed {
							failed = true
							return fail()
						}
						f.log.add("a", 0, s.ID, b.Records[i:i+1])
						if err := s.Checkpoint(ctx, r.Position()); err != nil {
							return err
						}
					}
					return nil
				}))
				f.all(20 * time.Second)
				f.until("the last is checkpointed", time.Second, func() bool { return f.row(id(0)).Checkpoint == at[19] })
				if s := a.Status().Shards[0]; !s.FailingSince.IsZero() {
					t.Errorf("failing since %v with %v", s.FailingSince, s.LastError)
				}
				stop(t, a)
			})
		})
	}
}

// A new processor has not been given what its predecessor was.
func TestANewProcessorCannotCheckpointWhatOnlyItsPredecessorWasGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 10})
		at := f.putIn(id(0), 30)
		crashed, failed := false, false
		var early error
		a := f.start("a", config(f.logOnly("a"), processing(func(_ context.Context, s *worker.Shard, b *worker.Batch, next func() error) error {
			switch {
			case !crashed && b.Last() == at[29]:
				crashed = true
				return worker.ErrRestart
			case crashed && !failed:
				failed = true
				s.Go(func(ctx context.Context) error {
					time.Sleep(time.Millisecond) // by then the batch has failed
					early = s.Checkpoint(ctx, at[15])
					return nil
				})
				return errTest
			}
			return next()
		})))
		f.all(time.Minute)
		stop(t, a)
		if !errors.Is(early, checkpoint.ErrRange) {
			t.Errorf("a checkpoint beyond what the new processor was given returned %v, want ErrRange", early)
		}
	})
}
