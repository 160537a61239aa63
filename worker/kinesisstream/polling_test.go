package kinesisstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

const shard0 = "shardId-000000000000"

// put puts records named r<first> and following, one each millisecond of the bubble's time.
func (f *fake) put(first, n int) (seqs []record.SequenceNumber) {
	f.t.Helper()
	for i := range n {
		_, seq, err := f.stream.Put("key", fmt.Appendf(nil, "r%d", first+i))
		if err != nil {
			f.t.Fatal(err)
		}
		seqs = append(seqs, seq)
		time.Sleep(time.Millisecond)
	}
	return seqs
}

// wantPage reads one page of the records r<first> and following.
func wantPage(t *testing.T, r worker.Reader, first, n int) record.Page {
	t.Helper()
	page, err := r.Read(t.Context())
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	var got, want []string
	for _, rec := range page.Records {
		got = append(got, string(rec.Data))
	}
	for i := range n {
		want = append(want, fmt.Sprintf("r%d", first+i))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("read %v, want %v", got, want)
	}
	return page
}

func TestIteratorsAreTakenAgainBeforeTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.put(0, 25)
		r := New(f.client(), "s").Open(shard0, record.TrimHorizon)
		wantPage(t, r, 0, 10)
		time.Sleep(iteratorLife - time.Second)
		wantPage(t, r, 10, 10)
		f.wantOps("TRIM_HORIZON", "GetRecords", "GetRecords")
		time.Sleep(iteratorLife)
		f.setAnswer(func(c call) *reply {
			if c.op == "GetShardIterator" {
				return refuse("ProvisionedThroughputExceededException")
			}
			return nil
		})
		if _, err := r.Read(t.Context()); !errors.Is(err, worker.ErrThrottled) {
			t.Errorf("Read = %v", err)
		}
		f.setAnswer(nil)
		wantPage(t, r, 20, 5)
		f.wantOps("AFTER_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "GetRecords")
	})
}

func TestAReaderThatIsUsedKeepsItsChainOfIterators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		r := New(f.client(), "s").Open(shard0, record.Latest)
		for i := range 20 {
			wantPage(t, r, i, min(i, 1)) // the first fixes LATEST
			time.Sleep(time.Minute)
			f.put(i+1, 1)
		}
		if ops := f.ops(); len(ops) != 21 || ops[0] != "LATEST" {
			t.Errorf("20 reads called %v", ops)
		}
	})
}

func TestADeadIteratorIsReplacedBehindTheLastRecord(t *testing.T) {
	for _, code := range []string{"ExpiredIteratorException", "InvalidArgumentException"} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, 1)
				seqs := f.put(0, 25)
				for _, c := range []struct {
					at    record.Position
					first int
					again string // how the place of a reader is found that has given nothing
				}{
					{record.TrimHorizon, 0, "TRIM_HORIZON"},
					{record.At(seqs[3], 0), 3, "AT_SEQUENCE_NUMBER"},
					{record.AtTimestamp(time.UnixMilli(1)), 0, "AT_TIMESTAMP"},
				} {
					dead := 1
					f.setAnswer(func(got call) *reply {
						if dead > 0 && got.op == "GetRecords" {
							dead--
							return refuse(code)
						}
						return nil
					})
					f.ops()
					r := New(f.client(), "s").Open(shard0, c.at)
					wantPage(t, r, c.first, 10)
					f.wantOps(c.again, "GetRecords", c.again, "GetRecords")
					dead = 1
					wantPage(t, r, c.first+10, 10)
					f.wantOps("GetRecords", "AFTER_SEQUENCE_NUMBER", "GetRecords")
					dead = 2
					if _, err := r.Read(t.Context()); err == nil {
						t.Error("two dead iterators in one Read are no error")
					}
					f.wantOps("GetRecords", "AFTER_SEQUENCE_NUMBER", "GetRecords")
					wantPage(t, r, c.first+20, 5-c.first)
				}
			})
		})
	}
}

func TestLATESTThatExpiresLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.put(0, 5)
		time.Sleep(3 * time.Second)
		r := New(f.client(), "s").Open(shard0, record.Latest)
		f.setAnswer(func(c call) *reply {
			if c.op == "GetRecords" {
				return &reply{code: "InternalFailure", status: 500}
			}
			late := f.serve(c)
			late.after = 2500 * time.Millisecond
			return late
		})
		start := time.Now()
		if _, err := r.Read(t.Context()); err == nil {
			t.Fatal("no error")
		}
		if now := time.Since(start); now != 2500*time.Millisecond {
			t.Fatalf("Read took %v", now)
		}
		f.setAnswer(nil)
		f.put(5, 3)
		time.Sleep(10 * time.Minute)
		wantPage(t, r, 5, 3)
		f.wantOps("LATEST", "GetRecords", "AT_TIMESTAMP", "GetRecords")
	})
}

func TestLATESTThatExpiresLosesNothingThatCameWhileItsIteratorWasOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.put(0, 1)
		time.Sleep(5 * time.Second)
		r := New(f.client(), "s").Open(shard0, record.Latest)
		f.setAnswer(func(c call) *reply {
			if c.op == "GetRecords" {
				return refuse("ExpiredIteratorException")
			}
			late := f.serve(c)
			f.put(1, 1)
			late.after = 3 * time.Second
			f.setAnswer(func(c call) *reply {
				if c.op == "GetRecords" {
					f.setAnswer(nil)
					return refuse("ExpiredIteratorException")
				}
				return nil
			})
			return late
		})
		wantPage(t, r, 1, 1)
		f.wantOps("LATEST", "GetRecords", "AT_TIMESTAMP", "GetRecords")
	})
}

func TestErrorsMidWayNeitherSkipNorRepeat(t *testing.T) {
	codes := []string{"", "", "ExpiredIteratorException", "InvalidArgumentException", "ProvisionedThroughputExceededException", "InternalFailure", "lost", "cut"}
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			f := newFake(t, 1)
			f.setAnswer(func(c call) *reply {
				if c.op == "GetShardIterator" && rng.IntN(2) == 0 {
					return nil
				}
				switch code := codes[rng.IntN(len(codes))]; code {
				case "":
					return nil
				case "lost": // the service did its work, the answer does not come
					f.serve(c)
					return &reply{err: errors.New("connection reset")}
				case "cut":
					if c.op == "GetShardIterator" {
						return &reply{body: map[string]any{}}
					}
					return &reply{body: map[string]any{"Records": []any{}}} // ends the shard without children
				case "InvalidArgumentException":
					if c.op == "GetShardIterator" {
						return nil
					}
					return refuse(code)
				default:
					return refuse(code)
				}
			})
			f.put(0, 20)
			r := New(f.client(), "s").Open(shard0, record.TrimHorizon)
			next, closed := 0, false
			for tries := 0; ; tries++ {
				if tries > 2000 {
					t.Fatalf("seed %d: not at the end after %d reads", seed, tries)
				}
				time.Sleep(time.Duration(rng.IntN(90)) * time.Second)
				if !closed && rng.IntN(4) == 0 {
					f.put(20, 15)
					if _, _, err := f.stream.Split(shard0, record.HashKey{Hi: 1 << 63}); err != nil {
						t.Fatal(err)
					}
					closed = true
				}
				page, err := r.Read(t.Context())
				if err != nil {
					continue
				}
				for _, rec := range page.Records {
					if want := fmt.Sprintf("r%d", next); string(rec.Data) != want {
						t.Fatalf("seed %d: read %s, want %s", seed, rec.Data, want)
					}
					next++
				}
				if page.End {
					break
				}
			}
			if next != 35 {
				t.Errorf("seed %d: the shard ended after %d records", seed, next)
			}
		})
	}
}

func TestARefusedNumberIsReplacedByTheHorizonIfAllLiesBehindIt(t *testing.T) {
	refuseNumbers := func(c call) *reply {
		if c.in.StartingSequenceNumber != "" {
			return refuse("InvalidArgumentException")
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		seqs := f.put(0, 5)
		trimmed := time.Now()
		f.put(5, 3)
		f.setAnswer(refuseNumbers)
		s := New(f.client(), "s")
		for what, at := range map[string]record.Position{"a middle record": record.At(seqs[2], 0), "the last of the old": record.At(seqs[4], 0)} {
			r := s.Open(shard0, at)
			for range 2 { // a second try must not take the refused number for settled
				if page, err := r.Read(t.Context()); err == nil {
					t.Errorf("%s: read %d records though the shard has some before it", what, len(page.Records))
				} else if !is[*types.InvalidArgumentException](err) {
					t.Errorf("%s: error %v does not say that the number was refused", what, err)
				}
			}
		}
		r := s.Open(shard0, record.At(seqs[0], 0))
		wantPage(t, r, 0, 8) // the very first record is where the number points

		f.stream.Trim(trimmed)
		f.ops()
		r = s.Open(shard0, record.At(seqs[2], 0))
		wantPage(t, r, 5, 3)
		f.wantOps("AT_SEQUENCE_NUMBER", "TRIM_HORIZON", "GetRecords")
		f.put(8, 2)
		wantPage(t, r, 8, 2)
		f.wantOps("GetRecords")
	})
}

func TestAnAnswerThatDoesNotFollowIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		seqs := f.put(0, 12)
		r := New(f.client(), "s").Open(shard0, record.At(seqs[2], 0))
		stale := func(from int) func(c call) *reply {
			return func(c call) *reply {
				if c.op != "GetRecords" {
					return nil
				}
				return f.records(request{ShardIterator: f.wire(iterator{Shard: shard0, Type: "AT_SEQUENCE_NUMBER", Sequence: string(seqs[from])})})
			}
		}
		f.setAnswer(stale(1))
		if _, err := r.Read(t.Context()); err == nil {
			t.Error("a record before the start is taken")
		}
		f.setAnswer(nil)
		wantPage(t, r, 2, 10)
		f.setAnswer(stale(11))
		if _, err := r.Read(t.Context()); err == nil {
			t.Error("the last record is taken again")
		}
		f.setAnswer(nil)
		wantPage(t, r, 12, 0)
	})
}

func TestAnEndWithoutProperChildrenIsTriedAgain(t *testing.T) {
	keys := wireRange(record.FullRange)
	type m = map[string]any
	for name, children := range map[string][]m{
		"none":           nil,
		"without id":     {{"ParentShards": []string{shard0}, "HashKeyRange": keys}},
		"without parent": {{"ShardId": "shardId-000000000001", "HashKeyRange": keys}},
		"without range":  {{"ShardId": "shardId-000000000001", "ParentShards": []string{shard0}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, 1)
				seqs := f.put(0, 12)
				r := New(f.client(), "s").Open(shard0, record.TrimHorizon)
				wantPage(t, r, 0, 10)
				f.setAnswer(func(c call) *reply {
					if c.op != "GetRecords" {
						return nil
					}
					return &reply{body: m{"Records": []m{{"SequenceNumber": seqs[10], "PartitionKey": "key", "Data": []byte("r10")}}, "ChildShards": children}}
				})
				if page, err := r.Read(t.Context()); err == nil {
					t.Errorf("taken as %+v", page)
				}
				f.setAnswer(nil)
				f.ops()
				wantPage(t, r, 10, 2)
				f.wantOps("AFTER_SEQUENCE_NUMBER", "GetRecords")
			})
		})
	}
}

func TestReadingBehindTheEndGivesTheEndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.put(0, 3)
		f.stream.Split(shard0, record.HashKey{Hi: 1})
		r := New(f.client(), "s").Open(shard0, record.TrimHorizon)
		if page := wantPage(t, r, 0, 3); !page.End || len(page.Children) != 2 {
			t.Errorf("page %+v", page)
		}
		if page := wantPage(t, r, 3, 0); !page.End || len(page.Children) != 2 {
			t.Errorf("page %+v", page)
		}
	})
}

func TestReadersAskAsTheirOptionsSay(t *testing.T) {
	for _, c := range []struct {
		name      string
		o         Options
		wantName  string
		wantARN   string
		wantLimit int
	}{
		{"s", Options{}, "s", "", firstLimit},
		{streamARN, Options{Limit: 3}, "", streamARN, 3},
	} {
		f := newFake(t, 1)
		if _, err := New(f.client(), c.name, c.o).Open(shard0, record.Latest).Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		place, get := f.calls[0].in, f.calls[1].in
		if place.StreamName != c.wantName || place.StreamARN != c.wantARN || place.ShardId != shard0 {
			t.Errorf("GetShardIterator of %+v", place)
		}
		if get.StreamARN != c.wantARN || get.Limit != c.wantLimit || get.ShardIterator == "" {
			t.Errorf("GetRecords of %+v", get)
		}
	}
}

func TestPagesAreAskedForByTheBytesOfTheLast(t *testing.T) {
	for _, c := range []struct{ size, limit int }{{0, maxLimit}, {100, maxLimit}, {1 << 10, pageBytes / (1<<10 + 3)}, {1 << 20, 2}} {
		f := newFake(t, 1)
		if _, _, err := f.stream.Put("key", make([]byte, c.size)); err != nil {
			t.Fatal(err)
		}
		r := New(f.client(), "s").Open(shard0, record.TrimHorizon)
		var limits []int
		for range 3 {
			if _, err := r.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			limits = append(limits, f.calls[len(f.calls)-1].in.Limit)
		}
		// The third page follows one that is empty, which tells nothing.
		if want := []int{firstLimit, c.limit, c.limit}; !slices.Equal(limits, want) {
			t.Errorf("records of %d bytes: asked for %v, want %v", c.size, limits, want)
		}
	}
}

func TestPositionsThatNobodyCanReadFromAreRefused(t *testing.T) {
	f := newFake(t, 1)
	for _, at := range []record.Position{{}, record.ShardEnd, record.At("x", 0)} {
		if _, err := New(f.client(), "s").Open(shard0, at).Read(t.Context()); err == nil {
			t.Errorf("a reader at %v reads", at)
		}
	}
	f.wantOps()
}
