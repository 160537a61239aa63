package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/examples/s3archive/format"
	"github.com/shoal-stream/shoal/examples/s3archive/prefix"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/memstream"
)

// A shelf is a store in memory. fault, if set, is asked before each attempt whether it is to be applied and with what
// error it is to be answered.
type shelf struct {
	mu      sync.Mutex
	objects map[string]stored
	fault   func(key string) (apply bool, err error)
}

type stored struct {
	body []byte
	meta Meta
}

func newShelf() *shelf { return &shelf{objects: map[string]stored{}} }

func (s *shelf) Create(_ context.Context, key string, body io.ReaderAt, size int64, m Meta) (*Meta, error) {
	apply, answer := true, error(nil)
	if s.fault != nil {
		apply, answer = s.fault(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.objects[key]; ok {
		if answer != nil {
			return nil, answer
		}
		return &old.meta, nil
	}
	if apply {
		b, err := io.ReadAll(io.NewSectionReader(body, 0, size))
		if err != nil {
			return nil, err
		}
		s.objects[key] = stored{b, m}
	}
	return nil, answer
}

func (s *shelf) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// lines are the lines of all objects whose key begins with prefix, in the order of the keys.
func (s *shelf) lines(t *testing.T, f format.Format, prefix string) []string {
	t.Helper()
	var all []string
	for _, key := range s.keys() {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		body := s.objects[key].body
		for content, err := range f.Decode(bytes.NewReader(body), int64(len(body))) {
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			all = append(all, string(content))
		}
	}
	return all
}

func mustParse(t *testing.T, text string) *prefix.Template {
	t.Helper()
	p, err := prefix.Parse(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustFormat(t *testing.T, name string, c format.Compression) format.Format {
	t.Helper()
	f, err := format.New(name, nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// config is an archiver's configuration with JSON lines on a shelf.
func config(t *testing.T, s Store) Config {
	return Config{
		Store: s, Prefix: mustParse(t, "records/!{timestamp:yyyy/MM/dd/HH}/"),
		ErrorPrefix: mustParse(t, "errors/!{firehose:error-output-type}/"),
		Format:      mustFormat(t, "jsonl", format.Gzip), Compression: format.Gzip,
	}
}

// archive runs a worker with an archiver until the test's function returns.
func archive(t *testing.T, cfg Config, stream worker.Stream, during func()) {
	t.Helper()
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	archiveWith(t, a, stream, during)
}

func archiveWith(t *testing.T, a *Archiver, stream worker.Stream, during func()) (failures []string) {
	t.Helper()
	var mu sync.Mutex
	failed := func(_ worker.ShardInfo, err error) {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, err.Error())
	}
	w, err := worker.New(worker.Config{
		Hooks:       worker.Hooks{Failed: failed},
		Application: "archive", Streams: []worker.Stream{stream}, Leases: memory.New(), NewProcessor: a.NewProcessor,
		IdleCall: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	during()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if used := a.budget.used; used != 0 {
		t.Errorf("after the end %d bytes are still held", used)
	}
	return failures
}

func put(stream *memstream.Stream, n int) []string {
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf(`{"n":%d}`, i))
		stream.Put("key", []byte(want[i]))
	}
	return want
}

func TestAQuietShardIsStoredWhenItsTimeHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		stream := memstream.New("s", 1, memstream.Options{})
		want := put(stream, 3)
		cfg := config(t, s)
		cfg.MaxAge = 20 * time.Second
		archive(t, cfg, stream, func() {
			time.Sleep(19 * time.Second)
			synctest.Wait()
			if got := s.keys(); len(got) != 0 {
				t.Errorf("too early: %q", got)
			}
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if got := s.lines(t, cfg.Format, "records/"); !slices.Equal(got, want) {
				t.Errorf("stored %q, want %q", got, want)
			}
		})
	})
}

func TestLostRequestsAndAnswersAreTriedAgainAndRepeatNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		tries := 0
		s.fault = func(string) (bool, error) {
			tries++
			return tries%3 == 0, map[bool]error{true: nil, false: io.ErrUnexpectedEOF}[tries%4 == 0]
		}
		stream := memstream.New("s", 2, memstream.Options{})
		cfg := config(t, s)
		cfg.MaxRecords = 7
		want := put(stream, 100)
		archive(t, cfg, stream, func() {
			time.Sleep(5 * time.Minute)
			synctest.Wait()
		})
		if got := s.lines(t, cfg.Format, "records/"); !slices.Equal(got, want) {
			t.Errorf("stored %d lines %q, want %d", len(got), got, len(want))
		}
	})
}

func TestAFullDiskInTheSpoolIsSaidAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		stream := memstream.New("s", 1, memstream.Options{})
		want := put(stream, 200)
		cfg := config(t, s)
		cfg.SpoolDir, cfg.MaxRecords = t.TempDir(), 30
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		writes := 0
		a.write = func(f *os.File, b []byte, at int64) (int, error) {
			if writes++; writes > 50 && writes < 60 || writes > 100 && writes < 105 {
				n, _ := f.WriteAt(b[:len(b)/2], at)
				return n, syscall.ENOSPC
			}
			return f.WriteAt(b, at)
		}
		failures := archiveWith(t, a, stream, func() {
			time.Sleep(5 * time.Minute)
			synctest.Wait()
		})
		if len(failures) == 0 || !strings.Contains(failures[0], "spool in "+cfg.SpoolDir+": no space left on device") {
			t.Errorf("the worker heard %q", failures)
		}
		if got := s.lines(t, cfg.Format, "records/"); !slices.Equal(got, want) {
			t.Errorf("stored %d lines, want %d", len(got), len(want))
		}
		if writes < 213 {
			t.Errorf("%d writes: the disk was never full", writes)
		}
	})
}

func TestOneBudgetHoldsAllShardsAndLetsThemGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		stream := memstream.New("s", 4, memstream.Options{})
		cfg := config(t, s)
		cfg.Budget = 64 << 20
		cfg.Format, cfg.Compression = mustFormat(t, "jsonl", format.None), format.None
		cfg.MaxAge = time.Hour
		full := 0
		var mu sync.Mutex
		cfg.Hooks.Full = func(string) { mu.Lock(); defer mu.Unlock(); full++ }
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		most := int64(0)
		for i := range 120 {
			stream.Put(fmt.Sprint(i), fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", 800<<10)))
		}
		archiveWith(t, a, stream, func() {
			for range 100 {
				time.Sleep(100 * time.Millisecond)
				a.budget.mu.Lock()
				most = max(most, a.budget.used)
				a.budget.mu.Unlock()
			}
		})
		if n := len(s.lines(t, cfg.Format, "records/")); n != 120 || full == 0 || most > cfg.Budget {
			t.Errorf("%d records stored, waited %d times, %d bytes held at most of %d", n, full, most, cfg.Budget)
		}
	})
}

// An aggregate may come in parts; what is not known to be whole stays for the next cut.
func TestACutNeverDividesAKinesisRecord(t *testing.T) {
	p := &processor{book: newBook[item](record.TrimHorizon), open: map[string]*volume{}, wake: make(chan struct{}, 1), change: make(chan struct{}), tail: record.TrimHorizon, a: &Archiver{cfg: Config{MaxAge: time.Hour}}}
	p.holder = newBudget(1 << 30).join(func() {})
	out := &output{}
	add := func(seq string, sub uint64, aggregated bool) {
		r := &record.Record{SequenceNumber: record.SequenceNumber(seq), SubSequenceNumber: sub, Aggregated: aggregated}
		p.begins(r)
		p.add(r, item{out: out})
	}
	cut := func() string {
		p.ask()
		if _, _, cut := p.tryCut(); !cut {
			t.Fatal("no cut")
		}
		var all []string
		for _, e := range p.book.chains[""].flying {
			all = append(all, e.at.String())
		}
		if len(all) > 0 {
			p.book.settle("", p.book.chains[""].flying[len(all)-1].at)
		}
		return strings.Join(all, " ")
	}
	add("1", 0, false)
	add("2", 0, true)
	add("2", 1, true)
	if got := cut(); got != "1" {
		t.Errorf("cut %q, want the record before the aggregate", got)
	}
	add("2", 2, true)
	if got := cut(); got != "" {
		t.Errorf("cut %q within an aggregate", got)
	}
	add("3", 0, true)
	if got := cut(); got != "2 2/1 2/2" {
		t.Errorf("cut %q, want the aggregate", got)
	}
	p.whole()
	if got := cut(); got != "3" {
		t.Errorf("cut %q, want the rest once it is whole", got)
	}
}

func TestAnAggregateLargerThanAnObjectIsStoredWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		stream := memstream.New("s", 1, memstream.Options{})
		var want []string
		for i := range 4 {
			var a record.Aggregate
			for j := range 100 {
				want = append(want, fmt.Sprintf(`{"n":%d}`, i*100+j))
				a.Add(&record.Record{PartitionKey: "key", Data: []byte(want[len(want)-1])})
			}
			stream.Put("key", a.Encode())
		}
		cfg := config(t, s)
		cfg.MaxRecords = 30
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		archiveWith(t, a, stream, func() {
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if got := s.lines(t, cfg.Format, "records/"); !slices.Equal(got, want) {
				t.Errorf("stored %d lines, want %d", len(got), len(want))
			}
		})
		for _, key := range s.keys() {
			if m := s.objects[key].meta; m.Records%100 != 0 || m.First.Sub() != 0 || m.Last.Sub() != 99 {
				t.Errorf("%s holds %d records from %v to %v", key, m.Records, m.First, m.Last)
			}
		}
	})
}
