package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestADamagedAggregateIsAnOrdinaryRecordAndCostsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{})
		whole := aggregate(record.HashKey{}, "a", "b", "c")
		damaged := strings.Replace(whole, "b", "x", 1) // its checksum is wrong now
		for _, data := range []string{"one", whole, damaged, whole[:len(whole)-1], "two", whole} {
			f.putData(id(0), data)
		}
		var got []string
		a := f.start("a", processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
			for _, r := range b.Records {
				got = append(got, string(r.Data))
			}
			return next()
		}))
		f.until("the page is processed", 10*time.Second, func() bool { return len(got) > 0 })
		stop(t, a)
		want := []string{"one", "a", "b", "c", damaged, whole[:len(whole)-1], "two", "a", "b", "c"}
		if !slices.Equal(got, want) {
			t.Errorf("handed over %q, want %q", got, want)
		}
		f.verify()
	})
}

func TestARestartResumesAtTheExactSubRecordOfAnAggregate(t *testing.T) {
	datas := []string{"a0", "a1", "a2", "a3"}
	for done := range datas {
		t.Run(fmt.Sprintf("checkpoint at %d", done), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{})
				f.putData(id(0), "before")
				f.putData(id(0), aggregate(record.HashKey{}, datas...))
				f.putData(id(0), "after")
				first := true
				a := f.start("a", processing(func(ctx context.Context, s *worker.Shard, b *worker.Batch, _ func() error) error {
					if !first {
						return nil
					}
					first = false
					return s.Checkpoint(ctx, b.Records[1+done].Position())
				}))
				f.until("a checkpoint", 10*time.Second, func() bool { return f.row(id(0)).Checkpoint.Kind() == record.KindSequence })
				if sub := f.row(id(0)).Checkpoint.Sub(); sub != uint64(done) {
					t.Errorf("the row's sub-sequence number is %d, want %d", sub, done)
				}
				a.crash()
				var got []string
				b := f.start("b", processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
					for _, r := range b.Records {
						got = append(got, string(r.Data))
					}
					return next()
				}))
				f.until("the rest", 30*time.Second, func() bool { return len(got) > 0 })
				stop(t, b)
				if want := append(slices.Clone(datas[done+1:]), "after"); !slices.Equal(got, want) {
					t.Errorf("the next owner got %v, want %v", got, want)
				}
			})
		})
	}
}

func TestForeignSubRecordsAreDeliveredAndCountedOrDroppedByOption(t *testing.T) {
	for _, drop := range []bool{false, true} {
		t.Run(fmt.Sprintf("DropForeign %t", drop), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				f.putData(id(0), aggregate(record.MaxHashKey, "foreign-1", "foreign-2"))
				f.putData(id(0), aggregate(record.HashKey{}, "own"))
				var got []string
				a := f.start("a", config(func(c *worker.Config) { c.DropForeign = drop },
					processing(func(_ context.Context, _ *worker.Shard, b *worker.Batch, next func() error) error {
						for _, r := range b.Records {
							got = append(got, string(r.Data))
						}
						return next()
					})))
				f.until("the page is processed", 10*time.Second, func() bool { return len(got) > 0 })
				if n := a.Status().Shards[0].Foreign; n != 2 {
					t.Errorf("Status counts %d foreign sub-records, want 2", n)
				}
				stop(t, a)
				want := []string{"foreign-1", "foreign-2", "own"}
				if drop {
					want = want[2:]
				}
				if !slices.Equal(got, want) {
					t.Errorf("handed over %v, want %v", got, want)
				}
			})
		})
	}
}
