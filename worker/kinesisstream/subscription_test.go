package kinesisstream_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

func TestFanOutLATESTThatIsCutLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		id, _ := l.putN(t, half, 0, 3, time.Second)
		api, w := l.over()
		w.body = func(b io.ReadCloser) io.ReadCloser { return &dying{ReadCloser: b, after: 200} } // within the first event
		r := fanOut(api).Open(id, record.Latest)
		defer r.Close()
		time.Sleep(1500 * time.Millisecond)
		if _, err := r.Read(t.Context()); err == nil {
			t.Fatal("the cut is no error")
		}
		w.body = nil
		l.putN(t, half, 3, 3, 0)
		data, _ := readN(t, r, 3)
		want(t, "after the cut", data, 3, 3)
	})
}

// dying is a body whose connection breaks after so many bytes.
type dying struct {
	io.ReadCloser
	after int
}

func (d *dying) Read(p []byte) (int, error) {
	if d.after <= 0 {
		return 0, syscall.ECONNRESET
	}
	n, err := d.ReadCloser.Read(p[:min(len(p), d.after)])
	d.after -= n
	return n, err
}

// Calls are refused, lost, or answered into the void, and subscriptions break anywhere, within events too.
func TestFanOutThroughFaultsNeitherSkipsNorRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		l := newLocal(t, 1, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
			if c.Operation != "SubscribeToShard" {
				return localstream.Fault{}
			}
			calls++
			return [...]localstream.Fault{
				{}, {Reject: &localstream.Error{Type: "LimitExceededException"}},
				{}, {}, {Reject: &localstream.Error{Type: "InternalFailure", Status: 500}},
				{}, {CutAfter: true}, {Reject: &localstream.Error{Type: "ResourceInUseException"}},
				{}, {CutBefore: true}, {Delay: time.Minute},
			}[calls%11]
		}})
		api, w := l.over()
		cuts := 0
		w.body = func(b io.ReadCloser) io.ReadCloser {
			cuts++
			return &dying{ReadCloser: b, after: [...]int{150, 700, 5_000, 20_000, 60_000}[cuts%5]}
		}
		const n = 2000
		var producer sync.WaitGroup
		producer.Go(func() {
			id, _ := l.putN(t, half, 0, n, 500*time.Millisecond)
			l.split(t, id, half)
		})
		r := fanOut(api).Open("shardId-000000000000", record.TrimHorizon)
		defer r.Close()
		var data []string
		failures, start := map[string]int{}, time.Now()
		for end := false; !end; {
			page, err := r.Read(t.Context())
			if err != nil {
				switch {
				case errors.Is(err, worker.ErrThrottled):
					failures["throttled"]++
				case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF):
					failures["cut"]++
				case strings.Contains(err.Error(), "no answer in time"):
					failures["late"]++
				default:
					failures["other"]++
				}
				if time.Since(start) > time.Hour {
					t.Fatalf("after %d records and %v: %v", len(data), failures, err)
				}
				time.Sleep(200 * time.Millisecond)
				continue
			}
			for _, rec := range page.Records {
				data = append(data, string(rec.Data))
			}
			end = page.End
		}
		want(t, "through faults", data, 0, n)
		for _, kind := range []string{"throttled", "cut", "late", "other"} {
			if failures[kind] < 2 {
				t.Errorf("failures %v", failures)
			}
		}
		producer.Wait()
	})
}

func TestFanOutKeepsToTheServicesPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		l := newLocal(t, 1, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
			if c.Operation == "SubscribeToShard" {
				if times = append(times, time.Now()); len(times) == 3 {
					return localstream.Fault{Reject: &localstream.Error{Type: "InternalFailure", Status: 500}}
				}
			}
			return localstream.Fault{}
		}})
		id, _ := l.putN(t, half, 0, 1, 0)
		api, w := l.over()
		w.body = func(b io.ReadCloser) io.ReadCloser { return &dying{ReadCloser: b, after: 300} }
		r := fanOut(api).Open(id, record.TrimHorizon)
		defer r.Close()
		for len(times) < 4 {
			_, _ = r.Read(t.Context())
		}
		for i, want := range []time.Duration{5 * time.Second, 5 * time.Second, time.Second} {
			if d := times[i+1].Sub(times[i]); d != want {
				t.Errorf("call %d came %v after the one before, want %v", i+2, d, want)
			}
		}
	})
}

// counting counts what is read of a body.
type counting struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func TestNoMoreThanOneEventIsReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		var id string
		for range 8 {
			id, _ = l.put(t, half, strings.Repeat("x", 1<<20-10)) // an event each
		}
		api, w := l.over()
		var got atomic.Int64
		w.body = func(b io.ReadCloser) io.ReadCloser { return counting{b, &got} }
		r := fanOut(api).Open(id, record.TrimHorizon)
		for i := range 3 {
			if page, err := r.Read(t.Context()); err != nil || len(page.Records) != 1 {
				t.Fatalf("%d records, %v", len(page.Records), err)
			}
			synctest.Wait()
			if most := int64(i+2) * (1<<20 + 1<<10); got.Load() > most {
				t.Errorf("%d bytes after %d events, want at most %d", got.Load(), i+1, most)
			}
		}
		r.Close()
		synctest.Wait()
		if got.Load() > 5<<20 {
			t.Errorf("%d bytes after Close", got.Load())
		}
	})
}

// A slow reader is cut off by the server after a while, and goes on where it was.
func TestAFollowerThatIsSlowGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		r := fanOut(l.api).Open("shardId-000000000000", record.TrimHorizon)
		defer r.Close()
		next, cuts := 0, 0
		for i := range 12 {
			for j := range 6 {
				l.put(t, half, fmt.Sprintf("r%d%s", 6*i+j, strings.Repeat(" ", 1<<20-20)))
			}
			time.Sleep(time.Minute)
			page, err := r.Read(t.Context())
			if err != nil {
				cuts++
			}
			for _, rec := range page.Records {
				if strings.TrimSpace(string(rec.Data)) != fmt.Sprintf("r%d", next) {
					t.Fatalf("%.10q, want r%d", rec.Data, next)
				}
				next++
			}
		}
		for next < 72 {
			page, err := r.Read(t.Context())
			if err != nil {
				cuts++
			}
			for _, rec := range page.Records {
				if strings.TrimSpace(string(rec.Data)) != fmt.Sprintf("r%d", next) {
					t.Fatalf("%.10q, want r%d", rec.Data, next)
				}
				next++
			}
		}
		if cuts == 0 || cuts > 10 {
			t.Errorf("cut off %d times", cuts)
		}
	})
}

// hanging is a body that stops to bring anything.
type hanging struct {
	io.ReadCloser
	after  int
	closed chan struct{}
	once   sync.Once
}

func (h *hanging) Read(p []byte) (int, error) {
	if h.after <= 0 {
		<-h.closed
		return 0, io.ErrClosedPipe
	}
	n, err := h.ReadCloser.Read(p[:min(len(p), h.after)])
	h.after -= n
	return n, err
}

func (h *hanging) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.ReadCloser.Close()
}

func TestADeadSubscriptionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		id, _ := l.putN(t, half, 0, 1, 0)
		api, w := l.over()
		w.body = func(b io.ReadCloser) io.ReadCloser {
			return &hanging{ReadCloser: b, after: 600, closed: make(chan struct{})}
		}
		r := fanOut(api).Open(id, record.TrimHorizon)
		defer r.Close()
		data, _ := readN(t, r, 1)
		want(t, "at first", data, 0, 1)
		l.putN(t, half, 1, 20, 0)
		start := time.Now()
		var err error
		for err == nil {
			_, err = r.Read(t.Context())
		}
		if d := time.Since(start); d != 30*time.Second || !strings.Contains(err.Error(), "no event") {
			t.Errorf("after %v: %v", d, err)
		}
		w.body = nil
		data, _ = readN(t, r, 20)
		want(t, "after that", data, 1, 20)
	})
}
