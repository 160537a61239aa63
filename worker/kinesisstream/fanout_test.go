package kinesisstream_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

var half = record.HashKey{Hi: 1 << 63}

// A wire stands between a client and its server: it counts calls, and may change the bodies of subscriptions.
type wire struct {
	next kinesis.HTTPClient
	body func(io.ReadCloser) io.ReadCloser

	mu    sync.Mutex
	calls map[string]int
}

func (w *wire) Do(req *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	w.calls[op]++
	w.mu.Unlock()
	resp, err := w.next.Do(req)
	if err == nil && w.body != nil && op == "SubscribeToShard" && resp.StatusCode == http.StatusOK {
		resp.Body = w.body(resp.Body)
	}
	return resp, err
}

func (w *wire) count(op string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[op]
}

// over puts a wire between l and clients made of what it returns.
func (l local) over() (*kinesis.Client, *wire) {
	w := &wire{calls: map[string]int{}}
	return kinesis.New(l.api.Options(), func(o *kinesis.Options) {
		w.next = o.HTTPClient
		o.HTTPClient = w
	}), w
}

func fanOut(api *kinesis.Client) *kinesisstream.Stream {
	return kinesisstream.New(api, "s", kinesisstream.Options{FanOut: "alerts"})
}

// readN reads until n records have come, or the shard ends.
func readN(t *testing.T, r worker.Reader, n int) (data []string, last record.Page) {
	t.Helper()
	for len(data) < n && !last.End {
		page, err := r.Read(t.Context())
		if err != nil {
			t.Fatalf("Read after %d of %d records: %v", len(data), n, err)
		}
		for _, rec := range page.Records {
			data = append(data, string(rec.Data))
		}
		last = page
	}
	return data, last
}

// want compares with records named r<first> and following.
func want(t *testing.T, what string, got []string, first, n int) {
	t.Helper()
	for i, text := range got {
		if text != fmt.Sprintf("r%d", first+i) {
			t.Fatalf("%s: %q in place %d of %d", what, text, i, len(got))
		}
	}
	if len(got) != n {
		t.Fatalf("%s: %d records, want %d", what, len(got), n)
	}
}

func (l local) putN(t *testing.T, h record.HashKey, first, n int, pause time.Duration) (id string, seqs []record.SequenceNumber) {
	t.Helper()
	for i := range n {
		shard, seq := l.put(t, h, fmt.Sprintf("r%d", first+i))
		id, seqs = shard, append(seqs, seq)
		time.Sleep(pause)
	}
	return id, seqs
}

func TestFanOutIsPushedThroughExpirySplitAndMerge(t *testing.T) {
	for name, sdk := range map[string]bool{"CBOR": false, "the SDK's codec": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLocal(t, 1, localstream.Options{Limits: localstream.RealLimits})
				api, w := l.over()
				s := kinesisstream.New(api, "s", kinesisstream.Options{FanOut: "alerts", SDKCodec: sdk})
				if s.Pace() != (worker.Pace{}) {
					t.Errorf("pace %+v", s.Pace())
				}
				const n = 800 // a second apart: two expiries
				var producer sync.WaitGroup
				producer.Go(func() {
					id, _ := l.putN(t, half, 0, n, time.Second)
					l.split(t, id, half)
					l.putN(t, half, n, 10, time.Second)
				})
				r := s.Open("shardId-000000000000", record.TrimHorizon)
				var data []string
				var page record.Page
				for !page.End {
					var err error
					if page, err = r.Read(t.Context()); err != nil {
						t.Fatal(err)
					}
					for _, rec := range page.Records {
						if late := time.Since(rec.ArrivalTime); late >= time.Millisecond { // to which arrivals are told
							t.Errorf("%s came %v late", rec.Data, late)
						}
						data = append(data, string(rec.Data))
					}
				}
				r.Close()
				want(t, "the parent", data, 0, n)
				if c := w.count("SubscribeToShard"); c != 3 || w.count("GetRecords")+w.count("GetShardIterator") != 0 || w.count("RegisterStreamConsumer") != 1 {
					t.Errorf("calls %v", w.calls)
				}
				if len(page.Children) != 2 || page.Children[0].Range.End != half.Prev() || page.Children[1].Range.Start != half ||
					!slices.Equal(page.Children[0].Parents, []string{"shardId-000000000000"}) {
					t.Fatalf("children %+v", page.Children)
				}
				producer.Wait()
				child := s.Open(page.Children[1].ID, record.TrimHorizon)
				data, _ = readN(t, child, 10)
				want(t, "the child", data, n, 10)
				l.merge(t, page.Children[0].ID, page.Children[1].ID)
				_, last := readN(t, child, 1)
				child.Close()
				if !last.End || len(last.Children) != 1 || len(last.Children[0].Parents) != 2 {
					t.Errorf("after the merge: %+v", last)
				}
			})
		})
	}
}

func TestFanOutStartsWhereItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		id, seqs := l.putN(t, half, 0, 12, 10*time.Millisecond)
		time.Sleep(2 * time.Second)
		later := time.Now()
		l.putN(t, half, 12, 3, 10*time.Millisecond)
		for _, c := range []struct {
			at    record.Position
			first int
		}{
			{record.TrimHorizon, 0}, {record.At(seqs[0], 0), 0}, {record.At(seqs[7], 0), 7}, {record.At(seqs[7], 3), 7},
			{record.AtTimestamp(later), 12}, {record.AtTimestamp(later.Add(-time.Hour)), 0}, {record.AtTimestamp(time.Now()), 15}, {record.Latest, 15},
		} {
			s := fanOut(l.api)
			r := s.Open(id, c.at)
			if c.first == 15 {
				if page, err := r.Read(t.Context()); err != nil || len(page.Records) != 0 || page.Behind != 0 {
					t.Fatalf("%v: %+v, %v", c.at, page, err)
				}
				l.put(t, half, "r15")
			}
			data, _ := readN(t, r, max(1, 15-c.first))
			want(t, c.at.String(), data, c.first, max(1, 15-c.first))
			r.Close()
			if err := s.Deregister(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second) // the next consumer has another ARN, and need not wait for the takeover
			if c.first == 15 {
				l = newLocal(t, 1, localstream.Options{})
				l.putN(t, half, 0, 15, 10*time.Millisecond)
			}
		}
	})
}

func TestANewFollowerTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		id, _ := l.putN(t, half, 0, 1, 0)
		first, second := fanOut(l.api).Open(id, record.TrimHorizon), fanOut(l.api).Open(id, record.TrimHorizon)
		defer first.Close()
		defer second.Close()
		data, _ := readN(t, first, 1)
		want(t, "the first", data, 0, 1)
		start := time.Now()
		for {
			page, err := second.Read(t.Context())
			if err == nil {
				if len(page.Records) != 1 {
					t.Errorf("page %+v", page)
				}
				break
			}
			if !strings.Contains(err.Error(), "Another active subscription exists") {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("taken over after %v", d)
		}
		var err error
		for range 3 { // what was sent before
			if _, err = first.Read(t.Context()); err != nil {
				break
			}
		}
		if _, ok := errors.AsType[*types.ResourceInUseException](err); !ok {
			t.Errorf("the first ended with %v", err)
		}
	})
}

func TestACancelledFollowerMovesNothingAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		r := fanOut(l.api).Open("shardId-000000000000", record.TrimHorizon)
		for i := range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(i+1)*time.Second, cancel)
			for {
				page, err := r.Read(ctx)
				if err == nil && len(page.Records) == 0 {
					continue
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("%+v, %v", page, err)
				}
				break
			}
			l.putN(t, half, i, 1, 0)
			data, _ := readN(t, r, 1)
			want(t, "between", data, i, 1)
			cancel()
		}
		r.Close() // the bubble ends only when nothing is left of it
	})
}

func TestShardsAndStreamsThatAreNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		id, seqs := l.putN(t, half, 0, 2, 0)
		l.split(t, id, half)
		time.Sleep(25 * time.Hour)
		for what, c := range map[string]struct {
			stream, shard string
			at            record.Position
			want          error
		}{
			"unknown shard":  {"s", "shardId-000000000099", record.Latest, worker.ErrShardGone},
			"expired shard":  {"s", id, record.At(seqs[0], 0), worker.ErrShardGone},
			"unknown stream": {"absent", id, record.TrimHorizon, worker.ErrNoStream},
		} {
			r := kinesisstream.New(l.api, c.stream, kinesisstream.Options{FanOut: "alerts"}).Open(c.shard, c.at)
			if _, err := r.Read(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", what, err, c.want)
			}
			r.Close()
		}
		for _, bad := range []string{"a b", strings.Repeat("x", 129), "arn:aws:kinesis:us-east-1:000000000000:stream/s"} {
			r := kinesisstream.New(l.api, "s", kinesisstream.Options{FanOut: bad}).Open(id, record.TrimHorizon)
			if _, err := r.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "FanOut") {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
}

// aggregate is a KPL aggregate of records named r<first> and following.
func aggregate(first, n int) []byte {
	m := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("key"))
	for i := range n {
		var sub []byte
		sub = protowire.AppendVarint(protowire.AppendTag(sub, 1, protowire.VarintType), 0)
		sub = protowire.AppendBytes(protowire.AppendTag(sub, 3, protowire.BytesType), fmt.Appendf(nil, "r%d", first+i))
		m = protowire.AppendBytes(protowire.AppendTag(m, 3, protowire.BytesType), sub)
	}
	sum := md5.Sum(m)
	return append(append([]byte("\xf3\x89\x9a\xc2"), m...), sum[:]...)
}

// Workers follow one another over a stream with aggregates, and each goes on within the aggregate where the one before
// stopped.
func TestWorkersWithFanOutGoOnAtTheirCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 2, localstream.Options{})
		leases := memory.New()
		const aggregates, each = 40, 7
		for i := range aggregates {
			l.put(t, []record.HashKey{{}, half}[i%2], string(aggregate(i*each, each)))
		}
		var mu sync.Mutex
		var all []string
		lastOf := map[string]record.Position{}
		for round := 0; len(all) < aggregates*each && round < 100; round++ {
			ctx, cancel := context.WithCancel(t.Context())
			taken := 0
			w, err := worker.New(worker.Config{
				Application: "app", Leases: leases, MaxBatchRecords: 3, WorkerID: "w",
				Streams: []worker.Stream{fanOut(l.api)},
				NewProcessor: worker.Stateless(func(ctx context.Context, b *worker.Batch) error {
					mu.Lock()
					for _, r := range b.Records {
						if p := r.Position(); p.Compare(lastOf[b.Shard.ID]) <= 0 {
							t.Errorf("%v after %v", p, lastOf[b.Shard.ID])
						}
						lastOf[b.Shard.ID] = r.Position()
						all = append(all, string(r.Data))
					}
					if taken += len(b.Records); taken > 30 {
						cancel()
					}
					mu.Unlock()
					return b.Checkpoint(ctx)
				}),
			})
			if err != nil {
				t.Fatal(err)
			}
			stop := time.AfterFunc(time.Minute, cancel)
			if err := w.Run(ctx); err != nil {
				t.Fatal(err)
			}
			stop.Stop()
			cancel()
		}
		slices.Sort(all)
		if n := len(slices.Compact(slices.Clone(all))); n != aggregates*each || len(all) != n {
			t.Errorf("%d records, %d different ones; want %d", len(all), n, aggregates*each)
		}
	})
}
