package main

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/localstream"
)

func TestAFileIsPutWithTheOrderOfEachKeyThroughRefusals(t *testing.T) {
	srv, err := localstream.Open("", localstream.Options{Memory: true, Faults: []localstream.Rule{
		{Operation: "PutRecords", Probability: 0.2, Error: "throttle", Count: 3}, {Operation: "PutRecords", Cut: "before", Probability: 0.2, Count: 3},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	web := httptest.NewServer(srv)
	defer web.Close()

	var file strings.Builder
	want := map[string][]string{}
	for i := range 3000 {
		key := fmt.Sprint("k", i%37*i%11)
		line := fmt.Sprintf(`{"a":{"key":%q},"n":%d}`, key, i)
		fmt.Fprintf(&file, "%s\n\n", line)
		want[key] = append(want[key], line)
	}
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options{endpoint: web.URL, stream: "s", file: path, key: "a.key", create: 2, patience: time.Minute}
	if put, failed, err := run(t.Context(), o); put != 3000 || failed != 0 || err != nil {
		t.Fatalf("run = %d put, %d failed, %v", put, failed, err)
	}
	stream, err := check.Read(t.Context(), kinesis.NewFromConfig(srv.AWSConfig()), "s")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, s := range stream.Shards {
		for _, r := range s.Records {
			key, line := keyOf(t, string(r.Data)), string(r.Data)
			if n := len(got[key]); n == 0 || got[key][n-1] != line { // a lost answer makes copies
				got[key] = append(got[key], line)
			}
		}
	}
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			t.Errorf("of %s there are %d records, or out of order; want the %d in theirs", key, len(got[key]), len(want[key]))
		}
	}
}

func keyOf(t *testing.T, line string) string {
	t.Helper()
	key, err := newLines(nil, "a.key").keyOf([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAnErrorThatLastsEndsTheProgramAndIsCounted(t *testing.T) {
	srv, err := localstream.Open("", localstream.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	web := httptest.NewServer(srv)
	defer web.Close()
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	put, failed, err := run(t.Context(), options{endpoint: web.URL, stream: "absent", file: path, patience: time.Minute})
	if put != 0 || failed == 0 || err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("run = %d put, %d failed, %v; want an error that names the stream", put, failed, err)
	}
}

func TestBadLinesAreNamed(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"no JSON", "{\"k\":1}\n\nnonsense\n", "line 3"},
		{"no object", "[1]\n", "want a JSON object"},
		{"field missing", "{\"j\":1}\n", `"k" is missing`},
		{"field null", "{\"k\":null}\n", `"k" is missing`},
		{"key empty", "{\"k\":\"\"}\n", "want a key of 1 to 256"},
		{"key too long", "{\"k\":\"" + strings.Repeat("é", 257) + "\"}\n", "257 characters"},
		{"line too long", "{\"k\":1}\n{\"k\":\"" + strings.Repeat("x", maxLine) + "\"}\n", "line 2 is longer"},
	} {
		var err error
		for l := newLines(strings.NewReader(c.in), "k"); err == nil; {
			_, err = l.next()
		}
		if errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestAKeyIsAFieldAsText(t *testing.T) {
	for _, c := range []struct{ line, field, want string }{
		{`{"k":"a\u00e9"}`, "k", "aé"},
		{`{"k":17}`, "k", "17"},
		{"no JSON", "", "7c1f7bb3f8bee22bcdd6e8ae693ebb2e"},
		{`{"a":{"b":{"c":"x"}}}`, "a.b.c", "x"},
		{`{"k":"` + strings.Repeat("é", 256) + `"}`, "k", strings.Repeat("é", 256)},
	} {
		if got, err := newLines(nil, c.field).keyOf([]byte(c.line)); err != nil || got != c.want {
			t.Errorf("%s of %.40s = %.40q, %v", c.field, c.line, got, err)
		}
	}
}
