package kinesis

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/internal/clock"
)

// frugal fails the test if f, which reads size bytes, allocates more than four times that and a MiB.
func frugal(t *testing.T, size int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if used, bound := after.TotalAlloc-before.TotalAlloc, 4*uint64(size)+1<<20; used > bound {
		t.Errorf("%d bytes of input took %d bytes of memory, want at most %d", size, used, bound)
	}
}

// sealing is a service that seals, and no more.
func sealing() *Service {
	return &Service{seal: sealer{key: []byte("a key for tests"), clock: clock.Clock{}}}
}

func FuzzIterators(f *testing.F) {
	s := sealing()
	genuine := iterator{7, 3, 99, "quakes"}
	good := s.sealIterator(genuine)
	for _, seed := range []string{good, `"` + good + `"`, good[1:], good + "A", "", `"`, `""`, "AAAA", s.sealToken(listToken{Name: "x"}), strings.Repeat("A", 1<<16)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var it iterator
		var err error
		frugal(t, len(text), func() { it, err = s.openIterator(text) })
		if err == nil && it != genuine {
			t.Fatalf("%q opens as %+v, which was never sealed", text, it)
		}
	})
}

func FuzzTokens(f *testing.F) {
	s := sealing()
	st := &stream{ID: 7}
	shard := "shardId-000000000001"
	list := listToken{Stream: 7, Name: "quakes", After: 12, Filter: &shardFilter{Type: &shard}}
	consumers := consumerToken{Stream: 7, After: "alerts"}
	for _, seed := range []string{
		s.sealToken(list), s.sealConsumerToken(consumers), s.sealIterator(iterator{7, 3, 99, "quakes"}), `"` + s.sealToken(list) + `"`,
		s.sealToken(list)[4:], s.sealToken(list) + "====", "", "{}", strings.Repeat("=", 1000), strings.Repeat("A", 1<<16),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		frugal(t, 2*len(text), func() {
			if got, err := s.openToken(text); err == nil && !reflect.DeepEqual(got, list) {
				t.Fatalf("%q opens as %+v, which was never sealed", text, got)
			}
			if got, err := s.openConsumerToken(st, text); err == nil && got != consumers {
				t.Fatalf("%q opens as %+v, which was never sealed", text, got)
			}
		})
	})
}

func FuzzSequenceNumbers(f *testing.F) {
	for _, seed := range []string{"", "0", "12345", sequence{creation: 1_000_000, counter: 77, second: 1_000_001, shard: 300}.String(), strings.Repeat("9", 129), "-1", "0x10", strings.Repeat("1", 4096)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n numeral
		var known bool
		frugal(t, len(text), func() { n, known = parseNumeral(text) })
		q, own := parseSequence(text)
		switch {
		case own && q.String() != text:
			t.Fatalf("%q is read as %s", text, q)
		case own && known && (n.version != 2 || n.creation != q.creation || n.second != q.second || n.shard >= 0 && n.shard != int64(q.shard)):
			t.Fatalf("%q is %+v, and %+v", text, q, n)
		}
	})
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x01k\x02ab"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x01k\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01ab"))
	f.Fuzz(func(t *testing.T, value []byte) {
		frugal(t, len(value), func() {
			c, err := openChunk(chunkKey(1, 2, 3), value)
			for err == nil && c.count > 0 {
				_, _, err = c.next()
			}
		})
	})
}
