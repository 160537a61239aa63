package kinesis

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// The SDK's module ships a request and a response of each operation with all members set, on the wire. They are read
// where the module is.

// snapshots reads those of a kind: bodies by operation.
func snapshots(t *testing.T, folder, suffix string) map[string][]byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/kinesis").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), folder, "*"+suffix))
	if err != nil || len(files) < 40 {
		t.Fatalf("%d snapshots in %s, %v", len(files), dir, err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := bytes.Cut(text, []byte("X-Amz-Target: "))
		_, body, _ = bytes.Cut(body, []byte("\n\n"))
		all[strings.TrimSuffix(filepath.Base(file), suffix)] = body
	}
	return all
}

func TestTheSDKsRequestSnapshotsAreReadWhole(t *testing.T) {
	operations := map[string]wire.Operation{}
	for _, op := range new(Service).Wire().Operations {
		operations[op.Name] = op
	}
	for name, body := range snapshots(t, "request_snapshot", ".request.snap") {
		op, ok := operations[name]
		if !ok {
			t.Errorf("%s is not there", name)
			continue
		}
		if strings.HasSuffix(name, "Channel") || name == "ListChannels" {
			continue // refused, whatever is in them
		}
		in := op.New()
		err := wire.Decode(bytes.Clone(body), in)
		if e := (*wire.Error)(nil); err != nil && (!errors.As(err, &e) || e.Type != validation) {
			t.Errorf("%s: %v", name, err)
		}
		var members map[string]any
		if err := json.Unmarshal(body, &members); err != nil {
			t.Fatal(err)
		}
		wantMembers(t, name, members, reflect.ValueOf(in).Elem())
	}
}

// wantMembers fails the test for members that have no field, or one that was not set.
func wantMembers(t *testing.T, path string, members map[string]any, in reflect.Value) {
	t.Helper()
	for name, value := range members {
		f := in.FieldByName(name)
		if !f.IsValid() {
			t.Errorf("%s.%s is not read", path, name)
			continue
		}
		if f.IsZero() {
			t.Errorf("%s.%s was not set", path, name)
			continue
		}
		if inner, ok := value.(map[string]any); ok && reflect.Indirect(f).Kind() == reflect.Struct {
			wantMembers(t, path+"."+name, inner, reflect.Indirect(f))
		}
	}
}

// received is the SDK's output for a response body, whatever the operation.
func received(t *testing.T, name string, body []byte) any {
	t.Helper()
	client := kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://localhost"),
		HTTPClient: smithyhttp.ClientDoFunc(func(req *http.Request) (*http.Response, error) {
			header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}}
			return &http.Response{StatusCode: 200, Header: header, Request: req, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}, nil
		}),
		APIOptions: []func(*middleware.Stack) error{func(s *middleware.Stack) error {
			s.Finalize.Clear()
			_, _ = s.Initialize.Remove("OperationInputValidation") // operations that require nothing have none
			return nil
		}},
	})
	method := reflect.ValueOf(client).MethodByName(name)
	results := method.Call([]reflect.Value{reflect.ValueOf(context.Context(t.Context())), reflect.New(method.Type().In(1).Elem())})
	if err, _ := results[1].Interface().(error); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return results[0].Interface()
}

func TestOutputsAreWrittenAsTheSDKsResponseSnapshotsAre(t *testing.T) {
	for name, body := range snapshots(t, "response_snapshot", ".response.snap") {
		if len(body) == 0 { // its output has no members
			continue
		}
		out := received(t, name, body)
		h := wire.NewHandler(wire.Options{}, wire.Service{Target: "Kinesis_20131202", JSON: "1.1", CBOR: true, InternalError: internalFailure, Operations: []wire.Operation{
			wire.Op(name, func(context.Context, *struct{}) (any, error) { return out, nil }),
		}})
		var want any
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		for media, request := range map[string]string{"application/x-amz-json-1.1": "{}", "application/x-amz-cbor-1.1": "\xa0"} {
			r := httptest.NewRequest("POST", "http://localhost/", strings.NewReader(request))
			r.Header = http.Header{"Content-Type": {media}, "X-Amz-Target": {"Kinesis_20131202." + name}, "X-Amz-Date": {"x"}, "Authorization": {"Credential=a, SignedHeaders=b, Signature=c"}}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
				continue
			}
			if got := tree(t, media, w.Body.Bytes()); !reflect.DeepEqual(got, want) {
				t.Errorf("%s in %s is\n%v, want\n%v", name, media, got, want)
			}
		}
	}
}

// tree is a body as encoding/json would have it.
func tree(t *testing.T, media string, body []byte) any {
	t.Helper()
	if strings.Contains(media, "json") {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return v
	}
	v, err := cbor.Decode(body)
	if err != nil {
		t.Fatalf("%x: %v", body, err)
	}
	return plain(v)
}

func plain(v cbor.Value) any {
	switch v := v.(type) {
	case cbor.Map:
		m := map[string]any{}
		for name, e := range v {
			m[name] = plain(e)
		}
		return m
	case cbor.List:
		list := []any{}
		for _, e := range v {
			list = append(list, plain(e))
		}
		return list
	case cbor.String:
		return string(v)
	case cbor.Slice:
		return base64.StdEncoding.EncodeToString(v)
	case cbor.Uint:
		return float64(v)
	case cbor.NegInt:
		return -float64(v)
	case cbor.Float64:
		return float64(v)
	case cbor.Bool:
		return bool(v)
	case *cbor.Tag: // a time: milliseconds here, seconds in JSON
		ms, _ := plain(v.Value).(float64)
		return math.Round(ms) / 1000
	}
	return fmt.Sprintf("%T", v)
}
