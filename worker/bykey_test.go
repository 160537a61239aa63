package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestByKeyIsFortyTimesAsFastAsOneByOneWithSixtyFourWays(t *testing.T) {
	const n = 6400
	took := map[int]time.Duration{}
	for _, ways := range []int{1, 64} {
		bubble(t, func(t *testing.T) {
			f := newFleet(t, 1, memstream.Options{PageRecords: 1000})
			f.putKeys(n, 200)
			h := newHandling(f)
			a := f.start("a", h.byKey("a", ways, sleeping(10*time.Millisecond)))
			began := time.Now()
			h.all(10 * time.Minute)
			took[ways] = h.last.Sub(began)
			stop(t, a)
			if again := h.verify(); again != 0 || h.most != ways {
				t.Errorf("%d records came again, up to %d at once; want none and %d", again, h.most, ways)
			}
		})
	}
	if ratio := float64(took[1]) / float64(took[64]); ratio < 40 {
		t.Errorf("64 ways took %v, one %v: %.1f times as fast; want 40", took[64], took[1], ratio)
	} else {
		t.Logf("64 ways are %.1f times as fast as one", ratio)
	}
}

func TestTheCheckpointStaysAtTheLowestRecordThatIsNotDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 1000})
		f.putKeys(1000, 1000)
		at := f.log.put[id(0)]
		release := make(chan struct{})
		h := newHandling(f)
		a := f.start("a", h.byKey("a", 8, func(ctx context.Context, r record.Record) error {
			if string(r.Data) == "data-20" {
				<-release
			}
			return nil
		}))
		pass(20 * time.Second)
		if got := f.row(id(0)).Checkpoint; got != record.At(at[19], 0) {
			t.Errorf("the checkpoint is %v, want that before the record that is not done, %v", got, at[19])
		}
		if n := h.count(); n != 20+8*16-1 {
			t.Errorf("%d records are done, want those before and 16 for each way from the lowest on", n)
		}
		close(release)
		h.all(time.Second)
		pass(5 * time.Second)
		if got := f.row(id(0)).Checkpoint; got != record.At(at[999], 0) {
			t.Errorf("the checkpoint is %v at the end, want that of the last record", got)
		}
		stop(t, a)
		if again := h.verify(); again != 0 {
			t.Errorf("%d records came again", again)
		}
	})
}

func TestARecordThatFailsHoldsUpItsKeyOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 1000})
		f.putKeys(100, 10)
		h := newHandling(f)
		var tries []time.Time
		var mu sync.Mutex
		a := f.start("a", h.byKey("a", 3, func(_ context.Context, r record.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if string(r.Data) == "data-4" && len(tries) < 8 {
				tries = append(tries, time.Now())
				return errTest
			}
			return nil
		}))
		pass(time.Second)
		mu.Lock()
		if n := h.count(); n != 47 || len(tries) == 8 { // of 4+48, without the 5 of the key
			t.Errorf("%d records are done after %d tries of the one that fails, want 47", n, len(tries))
		}
		mu.Unlock()
		if s := a.Status().Shards[0]; !errors.Is(s.LastError, errTest) {
			t.Errorf("Status has the error %v, want the handler's", s.LastError)
		}
		h.all(time.Minute)
		stop(t, a)
		if again := h.verify(); again != 0 {
			t.Errorf("%d records came again", again)
		}
		for i := range tries[1:] {
			pause, most := tries[i+1].Sub(tries[i]), 100*time.Millisecond<<i
			if pause < most/2 || pause > most {
				t.Errorf("pause %d was %v, want %v to %v", i+1, pause, most/2, most)
			}
		}
	})
}

func TestPoisonRecordsOfByKeyGoToTheDeadLetterFunction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 100})
		f.putKeys(500, 7)
		at := f.log.put[id(0)]
		h := newHandling(f)
		f.store.Written = nil // it would take the dead letters for skipped
		var mu sync.Mutex
		tried, dead, refusals := map[string]int{}, []string{}, 2
		a := f.start("a", config(h.byKey("a", 16, func(_ context.Context, r record.Record) error {
			if strings.HasSuffix(string(r.Data), "99") {
				mu.Lock()
				defer mu.Unlock()
				tried[string(r.Data)]++
				return fmt.Errorf("cannot bear %s", r.Data)
			}
			return nil
		}), retry(worker.Retry{
			MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, Attempts: 3,
			DeadLetter: func(_ context.Context, s *worker.Shard, r record.Record, cause error) error {
				mu.Lock()
				defer mu.Unlock()
				if string(r.Data) == "data-99" && refusals > 0 {
					refusals--
					return errTest
				}
				dead = append(dead, string(r.Data))
				if want := "cannot bear " + string(r.Data); cause.Error() != want || s.ID != id(0) {
					t.Errorf("dead letter of %s with %v, want %s", s.ID, cause, want)
				}
				return nil
			},
		})))
		f.until("everything else is done", time.Minute, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return h.count() == 495 && len(dead) == 5
		})
		pass(5 * time.Second)
		if got := f.row(id(0)).Checkpoint; got != record.At(at[499], 0) {
			t.Errorf("the checkpoint is %v, want the last record", got)
		}
		stop(t, a)
		h.verify()
		for data, n := range tried {
			want := 3
			if data == "data-99" {
				want += 2 // refused dead letters are retried, the record with them
			}
			if n != want {
				t.Errorf("%s was tried %d times, want %d", data, n, want)
			}
		}
	})
}

func TestAHandlerOfByKeyThatBreaksStartsTheShardFromItsCheckpoint(t *testing.T) {
	for name, crash := range map[string]func() error{
		"a panic":    func() error { panic("out of cheese") },
		"ErrRestart": func() error { return fmt.Errorf("anew: %w", worker.ErrRestart) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 1, memstream.Options{PageRecords: 100})
				f.putKeys(600, 50)
				h := newHandling(f)
				var crashes atomic.Int32
				a := f.start("a", h.byKey("a", 10, func(ctx context.Context, r record.Record) error {
					if string(r.Data) == "data-300" && crashes.Add(1) <= 3 {
						time.Sleep(5 * time.Millisecond)
						return crash()
					}
					return sleeping(time.Millisecond)(ctx, r)
				}))
				h.all(time.Minute)
				stop(t, a)
				if again := h.verify(); again > 3*160 || crashes.Load() < 4 {
					t.Errorf("%d records came again after %d crashes, want at most the window", again, crashes.Load())
				}
			})
		})
	}
}

func TestACleanStopOfByKeyHandsOverAndNothingComesTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{PageRecords: 300})
		f.putKeys(3000, 90)
		h := newHandling(f)
		rng := newDice(3)
		work := func(ctx context.Context, r record.Record) error {
			return sleeping(time.Duration(rng.n(200))*time.Millisecond)(ctx, r)
		}
		for i := 0; h.count() < 3000; i++ {
			name := fmt.Sprint("w", i)
			a := f.start(name, h.byKey(name, 20, work))
			pass(time.Duration(500+rng.n(3000)) * time.Millisecond)
			if err, took := a.halt(); err != nil || took > 2*time.Second {
				t.Errorf("Run = %v after %v", err, took)
			}
		}
		if again := h.verify(); again != 0 {
			t.Errorf("%d records came again", again)
		}
	})
}

func newDice(seed uint64) *dice { return &dice{r: rand.New(rand.NewPCG(seed, 1))} }

func TestAStopDoesNotWaitForAKeyThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 1000})
		f.putKeys(1000, 10)
		h := newHandling(f)
		fail := true
		work := func(ctx context.Context, r record.Record) error {
			if fail && r.PartitionKey == "key-3" {
				return errTest
			}
			return sleeping(10*time.Millisecond)(ctx, r)
		}
		a := f.start("a", config(retry(worker.Retry{MinBackoff: time.Hour, MaxBackoff: time.Hour}), h.byKey("a", 4, work)))
		pass(10 * time.Second)
		if err, took := a.halt(); err != nil || took > time.Second {
			t.Errorf("Run = %v after %v", err, took)
		}
		fail = false
		b := f.start("b", h.byKey("b", 4, work))
		h.all(time.Minute)
		stop(t, b)
		h.verify()
	})
}

func TestAShardOfByKeyEndsOnceAllItsRecordsAreDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 1000})
		f.putKeys(400, 40)
		f.split(id(0))
		f.putKeys(400, 40)
		h := newHandling(f)
		failures := 5
		var mu sync.Mutex
		a := f.start("a", h.byKey("a", 5, func(ctx context.Context, r record.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if string(r.Data) == "data-390" && failures > 0 {
				failures--
				return errTest
			}
			return nil
		}))
		h.all(time.Minute)
		f.until("the parent is done", time.Minute, func() bool { return f.row(id(0)).Finished() })
		stop(t, a)
		if again := h.verify(); again != 0 {
			t.Errorf("%d records came again", again)
		}
		child := slices.IndexFunc(h.done, func(d handled) bool { return d.shard != id(0) })
		if n := h.inShard(id(0), h.done[:child]); n != 400 {
			t.Errorf("%d records of the parent were done before its children began, want all 400", n)
		}
	})
}

// A shard that is to move while its last records are being handed over must not be taken for done.
func TestAShardThatMovesAtItsEndIsNotDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 1, memstream.Options{PageRecords: 1000})
		f.putKeys(1000, 1)
		f.split(id(0))
		h := newHandling(f)
		work := sleeping(50 * time.Millisecond)
		small := func(c *worker.Config) { c.MaxBatchRecords = 100 }
		a := f.start("a", config(small, h.byKey("a", 2, work)))
		f.until("some are done", time.Minute, func() bool { return h.count() > 50 })
		stop(t, a)
		if row := f.row(id(0)); row.Finished() {
			t.Fatalf("the shard is done after %d records", h.count())
		}
		b := f.start("b", config(small, h.byKey("b", 2, work)))
		h.all(2 * time.Minute)
		f.until("the parent is done", time.Minute, func() bool { return f.row(id(0)).Finished() })
		stop(t, b)
		if again := h.verify(); again != 0 {
			t.Errorf("%d records came again", again)
		}
	})
}

func TestNothingIsLostAndKeysStayInOrderWhenWorkersOfByKeyCrash(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { crashing(t, newDice(seed)) })
		})
	}
}

func crashing(t *testing.T, d *dice) {
	f := newFleet(t, 1+d.n(3), memstream.Options{PageRecords: 50 + d.n(200)})
	h := newHandling(f)
	var calm atomic.Bool
	work := func(ctx context.Context, r record.Record) error {
		if err := sleeping(time.Duration(d.n(40))*time.Millisecond)(ctx, r); err != nil {
			return err
		}
		if calm.Load() {
			return nil
		}
		switch d.n(400) {
		case 0:
			panic("now")
		case 1:
			return worker.ErrRestart
		case 2, 3, 4:
			return errTest
		case 5:
			return sleeping(time.Duration(d.n(3000))*time.Millisecond)(ctx, r)
		}
		return nil
	}
	started, crashes := 0, 0
	var members []*member
	join := func() {
		name := fmt.Sprint("w", started)
		started++
		members = append(members, f.start(name, h.byKey(name, 1+d.n(30), work)))
	}
	join()
	for range 40 {
		f.putKeys(60, 1+d.n(40))
		pass(time.Duration(d.n(3000)) * time.Millisecond)
		i := d.n(len(members))
		switch d.n(5) {
		case 0, 1:
			members[i].crash()
			members = slices.Delete(members, i, i+1)
			crashes++
		case 2:
			stop(t, members[i])
			members = slices.Delete(members, i, i+1)
		}
		for len(members) == 0 || len(members) < 3 && d.oneIn(2) {
			join()
		}
	}
	calm.Store(true)
	h.all(5 * time.Minute)
	stop(t, members...)
	if h.verify(); crashes < 5 {
		t.Errorf("only %d crashes", crashes)
	}
}

func TestByKeyNamesANumberOfWaysThatIsWrong(t *testing.T) {
	for _, n := range []int{-1, 0, 10_001} {
		_, err := worker.ByKey(n, nil)(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("n is %d; want 1 to 10000", n)) {
			t.Errorf("ByKey(%d) makes a processor with the error %v", n, err)
		}
	}
}
