package kinesiscbor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// inSteps reads a body as one that comes while it is decoded.
func inSteps(body []byte, step int, out *kinesis.GetRecordsOutput, page *Page) error {
	in, err := newIncoming(iotest.HalfReader(bytes.NewReader(body)), int64(len(body)), maxBody)
	if err != nil {
		return err
	}
	in.step = step
	return decodePage(in, out, page)
}

func TestAPageThatComesWhileItIsDecodedIsTheSamePage(t *testing.T) {
	for _, page := range []struct{ records, size int }{{0, 0}, {1, 100}, {3_000, 100}, {300, 1 << 10}, {7, 200 << 10}} {
		var written *kinesis.GetRecordsOutput
		if written = pageOf(page.records, page.size+16); page.records == 0 {
			written.Records = written.Records[:0]
		}
		body := codecsFor(t, written)[0].body
		var want kinesis.GetRecordsOutput
		if err := decode(body, &want); err != nil || len(want.Records) != page.records {
			t.Fatalf("%d records, %v; want %d", len(want.Records), err, page.records)
		}
		for _, length := range []int{1, 1 << 10, step, maxBody} {
			var got kinesis.GetRecordsOutput
			if err := inSteps(body, length, &got, nil); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%d records of %d bytes in steps of %d: %v, or other records", page.records, page.size, length, err)
			}
		}
	}
}

func TestAPageThatIsCutOffAnywhereIsNoPage(t *testing.T) {
	body := codecsFor(t, pageOf(100, 3<<10))[0].body
	broken := errors.New("connection reset")
	for cut := 0; cut < len(body); cut += 997 {
		for reason, r := range map[error]io.Reader{
			io.ErrUnexpectedEOF: bytes.NewReader(body[:cut]),
			broken:              io.MultiReader(bytes.NewReader(body[:cut]), iotest.ErrReader(broken)),
		} {
			var got kinesis.GetRecordsOutput
			err := readPage(r, int64(len(body)), &got, nil)
			if !errors.Is(err, reason) || !strings.Contains(err.Error(), "read the answer") {
				t.Errorf("cut at %d: %v, want %v", cut, err, reason)
			}
		}
	}
}

func TestAPageWithSomethingBehindItIsNoPage(t *testing.T) {
	body := append(codecsFor(t, pageOf(200, 1<<10))[0].body, 0xf6)
	if err := readPage(bytes.NewReader(body), int64(len(body)), &kinesis.GetRecordsOutput{}, nil); err == nil || !strings.Contains(err.Error(), "behind the value") {
		t.Errorf("error %v", err)
	}
}

func TestMalformedRecordsAreFoundWithoutReadingThemAgainAndAgain(t *testing.T) {
	body := bytes.Clone(codecsFor(t, pageOf(2_000, 1<<10))[0].body)
	bad := bytes.Index(body, fmt.Appendf(nil, "%06d", 1_000))
	body[bad-52] = 0xff // the head of a sequence number
	reads := 0
	in, err := newIncoming(counted{bytes.NewReader(body), &reads}, int64(len(body)), maxBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := decodePage(in, &kinesis.GetRecordsOutput{}, nil); err == nil {
		t.Error("no error")
	}
	if most := len(body)/step + 2; reads > most {
		t.Errorf("%d reads, want at most %d", reads, most)
	}
}

type counted struct {
	io.Reader
	reads *int
}

func (c counted) Read(p []byte) (int, error) {
	*c.reads++
	return c.Reader.Read(p)
}
