package prefix

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAPrefixIsEvaluatedOnTheFirstRecord(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	first := &First{
		Stream: "flights", Shard: "shardId-000000000007", Arrival: time.Date(2009, 2, 3, 23, 4, 5, 0, time.UTC),
		Values: []string{"LAX", "true"}, ErrorType: "processing-failed",
	}
	for _, c := range []struct {
		text, want string
		zone       *time.Location
	}{
		{"plain/", "plain/", nil},
		{"", "", nil},
		{"a/!{timestamp:yyyy/MM/dd/HH}/", "a/2009/02/03/23/", nil},
		{"a/!{timestamp:yyyy/MM/dd/HH}/", "a/2009/02/04/00/", berlin},
		{"!{timestamp:y-M-d H:m:s yy}", "2009-2-3 23:4:5 09", nil},
		{"!{timestamp:'year='yyyy'/day='dd''}", "year=2009/day=03'", nil},
		{"!{stream-name}/!{shard-id}/", "flights/shardId-000000000007/", nil},
		{"!{partitionKeyFromQuery:o}/!{partitionKeyFromQuery:l}/!{partitionKeyFromQuery:o}/", "LAX/true/LAX/", nil},
		{"e/!{firehose:error-output-type}/", "e/processing-failed/", nil},
	} {
		p, err := Parse(c.text, c.zone)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := p.Eval(first); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestAPrefixThatCannotBeIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"a/!{timestamp:yyyy":            "is not closed",
		"a/!{timestamp:}":               "has no pattern",
		"a/!{timestamp:YYYY}":           "pattern letters YYYY",
		"a/!{timestamp:ddd}":            "pattern letters ddd",
		"a/!{timestamp:'open}":          "a quote is not closed",
		"a/!{firehose:random-string}":   "does not depend on the object's first record",
		"a/!{partitionKeyFromQuery:}":   "names no value",
		"a/!{partitionKeyFromLambda:k}": "there is no Lambda",
		"a/!{host}":                     "unknown expression; want timestamp",
		"/a":                            "begins with a slash",
	} {
		if _, err := Parse(text, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func TestAQueryGivesValuesForAPath(t *testing.T) {
	q, err := ParseQuery(`{a: .a, b: .b.c}`)
	if err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]any{
		`{"a":"x","b":{"c":7}}`:                           []string{"x", "7"},
		`{"a":true,"b":{"c":12345678901234567890}}`:       []string{"true", "12345678901234567890"},
		`{"a":"a/b%","b":{"c":".."}}`:                     []string{"a%2Fb%25", "%2E%2E"},
		`{"a":"ü\u0001","b":{"c":1.5}}`:                   []string{"ü%01", "1.5"},
		`{"a":"x"}`:                                       "b is missing or null",
		`{"a":"","b":{"c":1}}`:                            "a is empty",
		`{"a":[1],"b":{"c":1}}`:                           "a is a list",
		`{"a":{},"b":{"c":1}}`:                            "a is an object",
		`{"a":"` + strings.Repeat("x", 201) + `","b":{}}`: "want at most 200",
		`nonsense`: "record is not JSON",
		`{} {}`:    "more than one JSON document",
		`[1]`:      "query",
	} {
		got, err := q.Values([]byte(data), []string{"a", "b"})
		switch want := want.(type) {
		case []string:
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q, %v; want %q", data, got, err, want)
			}
		case string:
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q, %v; want %q", data, got, err, want)
			}
		}
	}
}

func TestAQueryCannotLookAround(t *testing.T) {
	t.Setenv("SHOAL_SECRET", "secret")
	for _, text := range []string{`{a: env.SHOAL_SECRET}`, `{a: $ENV.SHOAL_SECRET}`, `{a: input}`} {
		q, err := ParseQuery(text)
		if err != nil {
			continue
		}
		if got, err := q.Values([]byte(`{}`), []string{"a"}); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestAQueryThatDoesNotEndSaysNothingAboutTheRecord(t *testing.T) {
	q, err := ParseQuery(`{a: last(range(0; 1e12))}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Values([]byte(`{}`), []string{"a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want that time is up", err)
	}
}
