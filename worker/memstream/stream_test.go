package memstream

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/internal/streamtest"
)

func TestConformance(t *testing.T) {
	streamtest.Run(t, func(t *testing.T, shards int) streamtest.Backend {
		s := New("s", shards, Options{PageRecords: streamtest.PageRecords})
		return streamtest.Backend{
			Stream: s,
			Put: func(t *testing.T, h record.HashKey, data string) (string, record.SequenceNumber) {
				t.Helper()
				id, seq, err := s.PutTo(h, "key", []byte(data))
				if err != nil {
					t.Fatal(err)
				}
				return id, seq
			},
			Split: func(t *testing.T, id string, at record.HashKey) {
				t.Helper()
				if _, _, err := s.Split(id, at); err != nil {
					t.Fatal(err)
				}
			},
			Merge: func(t *testing.T, a, b string) {
				t.Helper()
				if _, err := s.Merge(a, b); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestPutRoutesByTheMD5OfTheKey(t *testing.T) {
	s := New("s", 7, Options{})
	shards, _, err := s.Shards(t.Context(), record.Position{})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"alpha", "beta", "größe", strings.Repeat("ü", 256)} {
		id, seq, err := s.Put(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(shards, func(sh record.Shard) bool { return sh.ID == id })
		if !shards[i].Range.Contains(record.HashOf(key)) || len(seq) != 56 || seq.Compare(shards[i].First) <= 0 {
			t.Errorf("%s went to %+v as %s", key, shards[i], seq)
		}
	}
	for _, key := range []string{"", strings.Repeat("ü", 257)} {
		if _, _, err := s.Put(key, nil); err == nil {
			t.Errorf("a key of %d bytes is taken", len(key))
		}
	}
}

func TestReshardsThatKinesisRefusesAreRefused(t *testing.T) {
	s := New("s", 3, Options{})
	shards, _, _ := s.Shards(t.Context(), record.Position{})
	a, b, c := shards[0], shards[1], shards[2]
	for name, reshard := range map[string]func() error{
		"an unknown shard":           func() error { _, _, err := s.Split("shardId-9", a.Range.End); return err },
		"at the shard's first point": func() error { _, _, err := s.Split(a.ID, a.Range.Start); return err },
		"beyond the shard":           func() error { _, _, err := s.Split(a.ID, b.Range.Start); return err },
		"shards that do not touch":   func() error { _, err := s.Merge(a.ID, c.ID); return err },
		"a shard with itself":        func() error { _, err := s.Merge(c.ID, c.ID); return err },
		"around the space":           func() error { _, err := s.Merge(c.ID, a.ID); return err },
	} {
		if err := reshard(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := s.Merge(b.ID, a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Merge(a.ID, b.ID); err == nil {
		t.Error("closed shards are merged again")
	}
	if _, _, err := s.Split(a.ID, a.Range.End); err == nil {
		t.Error("a closed shard is split")
	}
}

func TestNumbersRiseFromParentToChildWithinOneSecond(t *testing.T) {
	fixed := time.Unix(1700000000, 0)
	s := New("s", 1, Options{Clock: clock.Clock{NowFunc: func() time.Time { return fixed }}})
	id, last, _ := s.Put("k", nil)
	for range 20 {
		sh := s.byID[id]
		if _, _, err := s.Split(id, sh.Range.Start.Next()); err != nil {
			t.Fatal(err)
		}
		var seq record.SequenceNumber
		id, seq, _ = s.Put("k", nil)
		if seq.Compare(last) <= 0 || seq.Compare(sh.Last) <= 0 {
			t.Fatalf("child's %s is not above %s", seq, last)
		}
		last = seq
	}
}

func TestTimesNeverFall(t *testing.T) {
	now := time.Unix(1700000000, 0)
	s := New("s", 1, Options{Clock: clock.Clock{NowFunc: func() time.Time { return now }}})
	s.Put("k", nil)
	now = now.Add(-time.Hour)
	id, _, _ := s.Put("k", nil)
	page, err := s.Open(id, record.TrimHorizon).Read(t.Context())
	if err != nil || len(page.Records) != 2 || page.Records[1].ArrivalTime.Before(page.Records[0].ArrivalTime) {
		t.Errorf("page %+v, %v", page, err)
	}
}

func TestAtTheMomentOfAReshardOnlyTheChildrenAreOpenAtLATEST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("s", 1, Options{})
		time.Sleep(time.Second)
		s.Split("shardId-000000000000", record.HashKey{Hi: 1})
		for at, want := range map[record.Position]int{record.Latest: 2, record.AtTimestamp(time.Now()): 3, record.TrimHorizon: 1} {
			if shards, _, err := s.Shards(t.Context(), at); err != nil || len(shards) != want {
				t.Errorf("%v: %d shards, %v, want %d", at, len(shards), err, want)
			}
		}
	})
}

func TestPagesAreLimitedInBytesButHoldOneRecord(t *testing.T) {
	s := New("s", 1, Options{PageBytes: 10})
	for _, data := range []string{"123456789", "1234", "1234", "1", "a record larger than a page"} {
		s.Put("k", []byte(data))
	}
	r := s.Open("shardId-000000000000", record.TrimHorizon)
	var sizes []int
	for range 5 {
		page, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page.Records))
	}
	if !slices.Equal(sizes, []int{1, 2, 1, 1, 0}) {
		t.Errorf("pages of %v records", sizes)
	}
}

func TestRecordsAreGoneWhenTheirRetentionIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("s", 1, Options{Retention: time.Hour})
		id, _, _ := s.Put("k", nil)
		for _, c := range []struct {
			wait time.Duration
			want int
		}{{time.Hour, 1}, {time.Millisecond, 0}} {
			time.Sleep(c.wait)
			if page, err := s.Open(id, record.TrimHorizon).Read(t.Context()); err != nil || len(page.Records) != c.want {
				t.Errorf("%d records, %v, want %d", len(page.Records), err, c.want)
			}
		}
	})
}

func TestTrimExpiresRecordsAndClosedShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("s", 1, Options{})
		id, _, _ := s.Put("k", []byte("old"))
		r := s.Open(id, record.TrimHorizon)
		time.Sleep(time.Second)
		s.Split(id, record.HashKey{Hi: 1})
		s.Trim(time.Now())
		if page, err := r.Read(t.Context()); err != nil || len(page.Records) != 0 || !page.End {
			t.Errorf("trimmed up to its end: %+v, %v", page, err)
		}
		s.Trim(time.Now().Add(time.Millisecond))
		if _, err := r.Read(t.Context()); !errors.Is(err, worker.ErrShardGone) {
			t.Errorf("trimmed beyond its end: %v", err)
		}
	})
}

func TestFaultsDelayAndFailCallsAndMoveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []Call
		fail := true
		s := New("s", 1, Options{Fault: func(ctx context.Context, c Call) error {
			calls = append(calls, c)
			time.Sleep(time.Second)
			if fail {
				return worker.ErrThrottled
			}
			return nil
		}})
		id, _, _ := s.Put("k", []byte("data"))
		r := s.Open(id, record.TrimHorizon)
		start := time.Now()
		_, err1 := s.Identify(t.Context())
		_, _, err2 := s.Shards(t.Context(), record.Position{})
		_, err3 := r.Read(t.Context())
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, worker.ErrThrottled) {
				t.Errorf("error %v, want the fault's", err)
			}
		}
		fail = false
		page, err := r.Read(t.Context())
		if err != nil || len(page.Records) != 1 || time.Since(start) != 4*time.Second {
			t.Errorf("after the fault: %+v, %v", page, err)
		}
		want := []Call{{Op: "Identify"}, {Op: "Shards"}, {"Read", id}, {"Read", id}}
		if !slices.Equal(calls, want) {
			t.Errorf("calls %v, want %v", calls, want)
		}
	})
}

func TestPuttersAndReadersShareTheStream(t *testing.T) {
	s := New("s", 1, Options{PageRecords: 7})
	const putters, each = 4, 200
	var wg sync.WaitGroup
	for range putters {
		wg.Go(func() {
			for range each {
				s.Put("k", []byte("x"))
			}
		})
	}
	r := s.Open("shardId-000000000000", record.TrimHorizon)
	n, last := 0, record.SequenceNumber("")
	for n < putters*each {
		page, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range page.Records {
			if rec.SequenceNumber.Compare(last) <= 0 {
				t.Fatalf("%s after %s", rec.SequenceNumber, last)
			}
			last, n = rec.SequenceNumber, n+1
		}
	}
	wg.Wait()
}
