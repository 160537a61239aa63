package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/smithy-go"
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// frugal fails the test if f, which reads size bytes, allocates more than four times that and a MiB.
func frugal(t *testing.T, size int, f func()) {
	t.Helper()
	if used, bound := allocated(f), 4*uint64(size)+1<<20; used > bound {
		t.Fatalf("%d bytes of input took %d bytes of memory, want at most %d", size, used, bound)
	}
}

// bombs are requests that ask for much memory by few bytes, in JSON.
func bombs() []string {
	many := func(n int, open, element, end string) string { return open + strings.Repeat(element, n) + end }
	return []string{
		many(1<<17, `{"Unknown":`, "[", ""),
		many(100, `{"Unknown":`, "[", strings.Repeat("]", 100)+"}"),
		many(1<<16, `{"Entries":[`, `{},`, `{}]}`),
		many(1<<16, `{"Entries":[`, `{"Data":"","PartitionKey":""},`, `{}]}`),
		many(1<<16, `{"Words":[`, `"",`, `""]}`),
		many(1<<16, `{"Unknown":[`, `{"a":[{}]},`, `0]}`),
		many(1<<18, `{"Name":"`, "x", `"}`),
		many(1<<16, `{"Name":"`, `\u00e4`, `"}`),
		many(1<<16, `{"Entries":[{"Data":"`, "AAAA", `"}]}`),
		many(1<<18, `{"Count":`, "9", "}"),
		many(1<<16, `{"Own":`, "[[", ""),
		distinct(1 << 16),
	}
}

// distinct is a map of n short names.
func distinct(n int) string {
	var b strings.Builder
	b.WriteString(`{"Tags":{`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"`)
		for ; i > 0; i /= 64 {
			b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"[i%64])
		}
		b.WriteString(`":""`)
	}
	return b.String() + "}}"
}

func TestReadingRequestsTakesMemoryInProportion(t *testing.T) {
	for _, body := range bombs() {
		t.Run(body[:12], func(t *testing.T) {
			text := []byte(body)
			frugal(t, len(text), func() { _ = Decode(text, new(echoInput)) })
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"Name":"abc"}`, `{"Name":"a","Count":1,"Entries":[{"Data":"aGVsbG8=","PartitionKey":"k"}],"Tags":{"a":"b"}}`,
		`{"Name":"\ud83d\ude00","When":1e400,"Own":[{}],"Nested":{"Deep":null}}`, `{"Entries":[{"Data":"=A=="}]}`, `[[[`, "{\"\xff\":0}",
		`{"Entries":[` + strings.Repeat(`{},`, 1000) + `{}]}`, `{"Unknown":` + strings.Repeat("[", 1000), distinct(500),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		valid := json.Valid(body)
		text, in := bytes.Clone(body), new(echoInput)
		var err error
		frugal(t, len(body), func() { err = Decode(text, in) })
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("Decode = %v, which is not an *Error", err)
		}
		if err == nil && !valid {
			t.Fatalf("Decode took %q, which is not JSON", body)
		}
	})
}

// A blobEvent is an event with data.
type blobEvent struct{ data []byte }

func (e blobEvent) Serialize(s smithy.ShapeSerializer) {
	s.WriteStruct(nil)
	s.CloseStruct()
}

// AppendJSON appends the data as a string.
func (e blobEvent) AppendJSON(b []byte) ([]byte, error) {
	return append(appendBase64(append(b, `{"Data":"`...), e.data), `"}`...), nil
}

// FuzzFrames has events of any name and payload written, and reads the frames as a client does.
func FuzzFrames(f *testing.F) {
	f.Add("SubscribeToShardEvent", []byte("hello"), 3)
	f.Add("", []byte{}, 0)
	f.Add(strings.Repeat("n", 300), bytes.Repeat([]byte{0xff}, 5000), 1)
	f.Fuzz(func(t *testing.T, name string, data []byte, count int) {
		count = max(0, count%5)
		if len(name) > 1<<15 { // a header's value is no longer
			return
		}
		h := NewHandler(Options{}, Service{Target: "Echo_1", JSON: "1.1", InternalError: "InternalFailure", Operations: []Operation{
			Op("Subscribe", func(context.Context, *struct{}) (any, error) {
				return &Stream{Run: func(_ context.Context, send func(Event) error) error {
					for range count {
						if err := send(Event{Type: name, Payload: blobEvent{data}}); err != nil {
							return err
						}
					}
					return Errorf("ResourceInUseException", "%s", "over")
				}}, nil
			}),
		}})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("Subscribe", "{}"))
		want, err := blobEvent{data}.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		body, n := w.Body, 0
		frugal(t, body.Len(), func() {
			for decoder := eventstream.NewDecoder(); ; n++ {
				m, err := decoder.Decode(body, nil)
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Fatalf("frame %d: %v", n, err)
				}
				kind, label := m.Headers.Get(":event-type"), ":event-type"
				if n == count+1 {
					kind, label = m.Headers.Get(":exception-type"), ":exception-type"
				}
				switch {
				case kind == nil:
					t.Fatalf("frame %d of %d has no %s", n, count+2, label)
				case n == 0 && kind.String() == "initial-response", n == count+1 && kind.String() == "ResourceInUseException":
				case n == 0 || n == count+1 || kind.String() != name || !bytes.Equal(m.Payload, want):
					t.Fatalf("frame %d of %d: %s, %q", n, count+2, kind, m.Payload)
				}
			}
		})
		if n != count+2 {
			t.Fatalf("%d frames of %d", n, count+2)
		}
	})
}
