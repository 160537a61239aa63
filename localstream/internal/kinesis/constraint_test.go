package kinesis

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// set gives the member at a path of the input a value, nil to leave it out.
func set(input map[string]any, path string, v any) {
	at := any(input)
	parts := strings.Split(path, ".")
	for _, p := range parts[:len(parts)-1] {
		if i, err := strconv.Atoi(p); err == nil {
			at = at.([]any)[i]
		} else {
			at = at.(map[string]any)[p]
		}
	}
	last := parts[len(parts)-1]
	if v == nil {
		delete(at.(map[string]any), last)
	} else {
		at.(map[string]any)[last] = v
	}
}

// shown is a path as messages have it.
func shown(path string) string {
	parts := strings.Split(path, ".")
	for i, p := range parts {
		if n, err := strconv.Atoi(p); err == nil {
			parts[i] = fmt.Sprintf("%d.member", n+1)
		} else {
			parts[i] = strings.ToLower(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, ".")
}

func newHandler(t *testing.T) (*Service, *wire.Handler) {
	t.Helper()
	store, err := storage.Open("", storage.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := New(store, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s, wire.NewHandler(wire.Options{}, s.Wire())
}

// call sends a request and returns the error's type and message.
func call(t *testing.T, h *wire.Handler, operation string, input any) (kind, message string) {
	t.Helper()
	body, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "http://localhost/", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=s")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	reply, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	var failure struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if len(reply) > 0 && json.Unmarshal(reply, &failure) != nil {
		t.Fatalf("%s answered %q", operation, reply)
	}
	if failure.Type == "SerializationException" {
		t.Fatalf("%s could not read %.200s", operation, body)
	}
	return failure.Type, failure.Message
}

func TestConstraintsHoldAtTheirBounds(t *testing.T) {
	_, h := newHandler(t)
	for _, c := range model {
		for path, rules := range c.members {
			for _, r := range rules {
				for _, p := range r.probes {
					var input map[string]any
					if err := json.Unmarshal([]byte(c.input), &input); err != nil {
						t.Fatal(err)
					}
					set(input, path, p.value)
					kind, message := call(t, h, c.operation, input)
					var got string
					for _, text := range r.texts {
						if strings.Contains(message, "at '"+shown(path)+"' failed to satisfy constraint: "+text) {
							got = text
						}
					}
					if got != p.violates || got != "" && (kind != "ValidationException" || !strings.Contains(message, "detected: Value ")) {
						t.Errorf("%s, %s of %.60s: %s %.300q, want %q", c.operation, path, fmt.Sprint(p.value), kind, message, p.violates)
					}
				}
			}
		}
	}
}

// consumerOperations have a table of their own.
var consumerOperations = []string{"DeregisterStreamConsumer", "DescribeStreamConsumer", "ListStreamConsumers", "RegisterStreamConsumer", "SubscribeToShard"}

// The table above is checked against the inputs' tags, so that neither has a constraint that the other lacks.
func TestModelTableCoversEveryConstraint(t *testing.T) {
	s, _ := newHandler(t)
	table := map[string]bool{}
	for _, c := range model {
		for path, rules := range c.members {
			for _, r := range rules {
				table[c.operation+" "+strings.ReplaceAll(path, ".1.", ".")+" "+r.tag] = true
			}
		}
	}
	inputs := map[string]bool{}
	for _, op := range s.Wire().Operations {
		if !slices.Contains(consumerOperations, op.Name) {
			tags(inputs, op.Name+" ", reflect.TypeOf(op.New()).Elem())
		}
	}
	for key := range inputs {
		if !table[key] {
			t.Errorf("the table lacks %s", key)
		}
	}
	for key := range table {
		if !inputs[key] {
			t.Errorf("the input lacks %s", key)
		}
	}
}

// tags notes all constraints in a type's tags.
func tags(all map[string]bool, path string, in reflect.Type) {
	for _, f := range reflect.VisibleFields(in) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		for _, tag := range []string{"required", "len", "range", "pattern", "enum", "items", "keys", "values"} {
			if _, ok := f.Tag.Lookup(tag); ok {
				all[path+f.Name+" "+tag] = true
			}
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() != "time" {
			tags(all, path+f.Name+".", inner)
		}
	}
}

func TestAllViolationsAreListed(t *testing.T) {
	_, h := newHandler(t)
	kind, message := call(t, h, "GetShardIterator", map[string]any{"StreamName": "a b", "ShardIteratorType": "SOON", "StartingSequenceNumber": "x"})
	want := "4 validation errors detected: " +
		"Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; " +
		"Value null at 'shardId' failed to satisfy constraint: Member must not be null; " +
		"Value 'SOON' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]; " +
		"Value 'x' at 'startingSequenceNumber' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,128})"
	if kind != "ValidationException" || message != want {
		t.Errorf("got  %s\nwant %s", message, want)
	}
	_, message = call(t, h, "UntagResource", map[string]any{"ResourceARN": "x", "TagKeys": []string{"ok", strings.Repeat("k", 129)}})
	want = "2 validation errors detected: Value 'x' at 'resourceARN' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+; " +
		"Value '[ok, " + strings.Repeat("k", 129) + "]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"
	if message != want {
		t.Errorf("got  %s\nwant %s", message, want)
	}
}
