package plainbody

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// closedBody behaves as smithy-go's does once it is closed.
type closedBody struct{ io.Reader }

func (closedBody) Close() error                     { return nil }
func (closedBody) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }

func TestABodyThatWasClosedEndsWithoutAnError(t *testing.T) {
	r, err := http.NewRequest(http.MethodPost, "http://localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = closedBody{strings.NewReader("")}
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		t.Fatal("the body shows no fault that could be mended")
	}
	_, err = Wrap(doer(func(r *http.Request) (*http.Response, error) {
		_, err := io.Copy(io.Discard, r.Body)
		return nil, err
	})).Do(r)
	if err != nil {
		t.Errorf("reading the rest of the body: %v", err)
	}
}

// net/http sends head and body in one piece if it sees that the body is in memory.
func TestABodyInMemoryStaysWhatItIs(t *testing.T) {
	r, err := http.NewRequest(http.MethodPost, "http://localhost/", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	body := r.Body
	_, err = Wrap(doer(func(r *http.Request) (*http.Response, error) {
		if r.Body != body {
			t.Errorf("the body is a %T, was a %T", r.Body, body)
		}
		return nil, nil
	})).Do(r)
	if err != nil {
		t.Error(err)
	}
}

func TestNoClientStaysNone(t *testing.T) {
	if c := Wrap(nil); c != nil {
		t.Errorf("Wrap(nil) = %v", c)
	}
}
