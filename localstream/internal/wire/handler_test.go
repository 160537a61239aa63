package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type echoEntry struct {
	Data         []byte  `required:"true" len:"0..8"`
	PartitionKey Text    `required:"true" len:"1..4"`
	HashKey      *string `pattern:"0|([1-9]\\d{0,38})"`
}

type echoRef struct {
	Name *string `required:"true" len:"1..8" pattern:"[a-z]+"`
}

type echoInput struct {
	echoRef
	Count   *int32 `range:"1..10"`
	Big     *int64
	Flag    *bool
	When    *time.Time
	Kind    *string     `enum:"ONE, TWO"`
	Entries []echoEntry `len:"1..2"`
	Tags    map[string]string
	Words   []string
	Nested  *struct {
		Deep *string `required:"true"`
	}
	Own ownJSON
}

// ownJSON reads itself, as attribute values do.
type ownJSON struct{ raw string }

func (o *ownJSON) UnmarshalJSON(b []byte) error {
	o.raw = string(b)
	if o.raw == `"bad"` {
		return errors.New("own: no such thing")
	}
	return nil
}

// echo is a service with one operation that answers with its input, and one that fails.
func echo(o Options) *Handler {
	return NewHandler(o, Service{Target: "Echo_1", JSON: "1.1", InternalError: "InternalFailure", Operations: []Operation{
		Op("Echo", func(_ context.Context, in *echoInput) (any, error) { return in, nil }),
		Op("Nothing", func(context.Context, *struct{}) (any, error) { return nil, nil }),
		Op("Break", func(context.Context, *struct{}) (any, error) { return nil, errors.New("disk on fire") }),
		Op("Refuse", func(context.Context, *struct{}) (any, error) {
			return nil, &Error{Type: "ConditionalCheckFailedException", Message: "The conditional request failed", Members: map[string]any{"Item": map[string]int{"n": 1}}}
		}),
	}})
}

func request(op, body string, change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest("POST", "http://localhost/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Echo_1."+op)
	r.Header.Set("X-Amz-Date", "20261123T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0")
	for _, f := range change {
		f(r)
	}
	return r
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if r.Header.Del(name); value != "" {
			r.Header.Set(name, value)
		}
	}
}

func do(h http.Handler, r *http.Request) (status int, kind, message string, body []byte) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ = io.ReadAll(w.Result().Body)
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &e)
	return w.Code, e.Type, e.Message, body
}

func TestBadRequestsAreRefusedAsTheServiceDoes(t *testing.T) {
	h := echo(Options{})
	for name, test := range map[string]struct {
		r             *http.Request
		status        int
		kind, message string
	}{
		"no body":             {request("Echo", ""), 400, "SerializationException", ""},
		"no body, no target":  {request("Nope", ""), 400, "UnknownOperationException", ""},
		"unknown operation":   {request("Nope", "{}"), 400, "UnknownOperationException", ""},
		"foreign service":     {request("Echo", "{}", header("X-Amz-Target", "Other_1.Echo")), 400, "UnknownOperationException", ""},
		"no target":           {request("Echo", "{}", header("X-Amz-Target", "")), 400, "UnknownOperationException", ""},
		"not JSON":            {request("Echo", "hello"), 400, "SerializationException", ""},
		"a list":              {request("Echo", "[]"), 400, "SerializationException", ""},
		"a string":            {request("Echo", `"x"`), 400, "SerializationException", ""},
		"trailing data":       {request("Echo", `{"Name":"a"} x`), 400, "SerializationException", ""},
		"two values":          {request("Echo", `{"Name":"a"}{}`), 400, "SerializationException", ""},
		"member twice":        {request("Echo", `{"Name":"a","Name":"b"}`), 400, "SerializationException", ""},
		"map key twice":       {request("Echo", `{"Name":"a","Tags":{"k":"1","k":"2"}}`), 400, "SerializationException", ""},
		"bad escape":          {request("Echo", `{"Name":"\x"}`), 400, "SerializationException", ""},
		"control character":   {request("Echo", "{\"Name\":\"a\x01\"}"), 400, "SerializationException", ""},
		"invalid UTF-8":       {request("Echo", "{\"Name\":\"a\xff\"}"), 400, "SerializationException", ""},
		"bad number":          {request("Echo", `{"Count":01}`), 400, "SerializationException", ""},
		"bad literal":         {request("Echo", `{"Flag":nul}`), 400, "SerializationException", ""},
		"nesting bomb":        {request("Echo", `{"X":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}"), 400, "SerializationException", ""},
		"syntax behind type":  {request("Echo", `{"Name":1,"Count":}`), 400, "SerializationException", ""},
		"number for string":   {request("Echo", `{"Name":1}`), 400, "SerializationException", "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		"boolean for string":  {request("Echo", `{"Name":true}`), 400, "SerializationException", "class java.lang.Boolean can not be converted to an String"},
		"list for string":     {request("Echo", `{"Name":[]}`), 400, "SerializationException", "Start of list found where not expected"},
		"map for string":      {request("Echo", `{"Name":{}}`), 400, "SerializationException", "Start of structure or map found where not expected."},
		"string for integer":  {request("Echo", `{"Count":"1"}`), 400, "SerializationException", "class java.lang.String can not be converted to an Integer"},
		"string for long":     {request("Echo", `{"Big":"1"}`), 400, "SerializationException", "class java.lang.String can not be converted to a Long"},
		"string for boolean":  {request("Echo", `{"Flag":"true"}`), 400, "SerializationException", "class java.lang.String can not be converted to an Boolean"},
		"string for time":     {request("Echo", `{"When":"now"}`), 400, "SerializationException", "class java.lang.String can not be converted to milliseconds since epoch"},
		"string for list":     {request("Echo", `{"Entries":"x"}`), 400, "SerializationException", "Expected list or null"},
		"string for map":      {request("Echo", `{"Tags":"x"}`), 400, "SerializationException", "Expected map or null"},
		"string for struct":   {request("Echo", `{"Nested":"x"}`), 400, "SerializationException", "Expected null"},
		"number for blob":     {request("Echo", `{"Entries":[{"Data":1}]}`), 400, "SerializationException", "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to a Blob"},
		"blob of odd length":  {request("Echo", `{"Entries":[{"Data":"abc"}]}`), 400, "SerializationException", "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3"},
		"blob not base64":     {request("Echo", `{"Entries":[{"Data":"AAAAAAAA####"}]}`), 400, "SerializationException", "'AAAAAAAA####' can not be converted to a Blob: Invalid Base64 character: '#'"},
		"own decoder refuses": {request("Echo", `{"Own":"bad"}`), 400, "SerializationException", "own: no such thing"},
		"padding in a blob":   {request("Echo", `{"Entries":[{"Data":"=+/="}]}`), 400, "SerializationException", "'=+/=' can not be converted to a Blob: Invalid Base64 character: '='"},
		"a blob's last bits":  {request("Echo", `{"Entries":[{"Data":"+/+="}]}`), 400, "SerializationException", "'+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"},
		"last bits, further":  {request("Echo", `{"Entries":[{"Data":"AAAAAAAA+/+="}]}`), 400, "SerializationException", "'AAAAAAAA+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"},
		"missing member":      {request("Echo", `{}`), 400, "ValidationException", "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"},
		"null member":         {request("Echo", `{"Name":null}`), 400, "ValidationException", "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"},
		"empty string":        {request("Echo", `{"Name":""}`), 400, "ValidationException", "2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+"},
		"all violations": {request("Echo", `{"Name":"UPPERCASE","Count":11,"Kind":"THREE","Entries":[]}`), 400, "ValidationException", "5 validation errors detected: " +
			"Value 'UPPERCASE' at 'name' failed to satisfy constraint: Member must have length less than or equal to 8; " +
			"Value 'UPPERCASE' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+; " +
			"Value '11' at 'count' failed to satisfy constraint: Member must have value less than or equal to 10; " +
			"Value 'THREE' at 'kind' failed to satisfy constraint: Member must satisfy enum value set: [ONE, TWO]; " +
			"Value '[]' at 'entries' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"saturated integer": {request("Echo", `{"Name":"a","Count":99999999999999999999}`), 400, "ValidationException", "1 validation error detected: Value '2147483647' at 'count' failed to satisfy constraint: Member must have value less than or equal to 10"},
		"in a list": {request("Echo", `{"Name":"a","Entries":[{"Data":"","PartitionKey":"k"},{"Data":"AAAAAAAAAAAAAAAA","PartitionKey":"äöüßé"}]}`), 400, "ValidationException", "2 validation errors detected: " +
			"Value 'java.nio.HeapByteBuffer[pos=0 lim=12 cap=12]' at 'entries.2.member.data' failed to satisfy constraint: Member must have length less than or equal to 8; " +
			"Value 'äöüßé' at 'entries.2.member.partitionKey' failed to satisfy constraint: Member must have length less than or equal to 4"},
		"in a structure":     {request("Echo", `{"Name":"a","Nested":{}}`), 400, "ValidationException", "1 validation error detected: Value null at 'nested.deep' failed to satisfy constraint: Member must not be null"},
		"unsigned":           {request("Echo", "{}", header("Authorization", "")), 400, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		"half signed":        {request("Echo", "{}", header("Authorization", "AWS4-HMAC-SHA256 Credential=a")), 400, "IncompleteSignatureException", "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a"},
		"signed twice":       {request("Echo", "{}", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=x" }), 400, "InvalidSignatureException", "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		"internal":           {request("Break", "{}"), 500, "InternalFailure", "The request processing has failed because of an internal error: disk on fire"},
		"modelled":           {request("Refuse", "{}"), 400, "ConditionalCheckFailedException", "The conditional request failed"},
		"GET":                {request("Echo", "{}", func(r *http.Request) { r.Method = "GET" }), 403, "", ""},
		"Origin":             {request("Echo", "{}", header("Origin", "http://localhost")), 403, "", ""},
		"foreign Host":       {request("Echo", "{}", func(r *http.Request) { r.Host = "evil.example:4567" }), 403, "", ""},
		"other content type": {request("Echo", "{}", header("Content-Type", "text/plain")), 404, "", ""},
		"declared too large": {request("Echo", "{}", func(r *http.Request) { r.ContentLength = MaxBody + 1 }), 413, "", ""},
		"too large": {request("Echo", "", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, MaxBody+1)), -1
		}), 413, "", ""},
		"plain JSON, known": {request("Echo", "{}", header("Content-Type", "application/json")), 404, "", ""},
		"plain JSON":        {request("Nope", "{}", header("Content-Type", "application/json")), 404, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, kind, message, body := do(h, test.r)
			if kind == "SerializationException" && message == "" {
				var e struct{ Message string }
				_ = json.Unmarshal(body, &e)
				message = e.Message
			}
			if status != test.status || kind != test.kind || message != test.message {
				t.Errorf("%d %s %q; want %d %s %q", status, kind, message, test.status, test.kind, test.message)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestGoodRequestsAreDecoded(t *testing.T) {
	const body = ` { "Name" : "abc", "Unknown": {"a":[1,2.5e3,null,true,"\ud83d\ude00\ud800"]}, "Count": 3.9, "Big": -9e30, "Flag": false,
		"When": 1459799926.480, "Kind": "TWO", "Tags": {"k\u00e4":"v\n\/"}, "Nested": {"Deep":""}, "Own": {"S": "x"},
		"Entries": [{"Data":"aGVsbG8=","PartitionKey":"\u0041b","HashKey":"0"},{"Data":"","PartitionKey":"k"}] } `
	in := new(echoInput)
	if err := Decode([]byte(body), in); err != nil {
		t.Fatal(err)
	}
	if *in.Name != "abc" || *in.Count != 3 || *in.Big != -1<<63 || *in.Flag || !in.When.Equal(time.UnixMilli(1459799926480)) || *in.Kind != "TWO" ||
		in.Tags["kä"] != "v\n/" || *in.Nested.Deep != "" || in.Own.raw != `{"S": "x"}` {
		t.Errorf("decoded %+v", in)
	}
	if len(in.Entries) != 2 || string(in.Entries[0].Data) != "hello" || string(in.Entries[0].PartitionKey) != "Ab" || *in.Entries[0].HashKey != "0" ||
		in.Entries[1].Data == nil || len(in.Entries[1].Data) != 0 || in.Entries[1].HashKey != nil {
		t.Errorf("decoded entries %v", in.Entries)
	}
}

func TestTruncatedRequestsAreMalformedAtEveryByte(t *testing.T) {
	h := echo(Options{})
	const body = `{"Name":"abc","Count":3,"Flag":true,"When":1.5,"Tags":{"k":"\u00e4"},"Own":{"S":[null]},"Entries":[{"Data":"aGVsbG8=","PartitionKey":"k"}]}`
	if status, _, _, answer := do(h, request("Echo", body)); status != 200 {
		t.Fatalf("whole: %d %s", status, answer)
	}
	for n := 1; n < len(body); n++ {
		if status, kind, _, _ := do(h, request("Echo", body[:n])); status != 400 || kind != "SerializationException" {
			t.Errorf("cut at %d: %d %s", n, status, kind)
		}
	}
}

func TestListsBeyondTheirBoundAreNotStored(t *testing.T) {
	in := new(echoInput)
	err := Decode([]byte(`{"Name":"a","Entries":[`+strings.Repeat("{},", 100_000)+`{}]}`), in)
	var e *Error
	if !errors.As(err, &e) || e.Type != "ValidationException" || len(in.Entries) != 3 {
		t.Errorf("%v with %d entries stored; want a ValidationException, and 3", err, len(in.Entries))
	}
}

func TestRepliesCarryTheServicesHeaders(t *testing.T) {
	at := time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
	o := Options{}
	o.Clock.NowFunc = func() time.Time { return at }
	w := httptest.NewRecorder()
	echo(o).ServeHTTP(w, request("Nothing", "{}"))
	h := w.Header()
	if w.Code != 200 || w.Body.Len() != 0 || h.Get("Content-Type") != "application/x-amz-json-1.1" || h.Get("Date") != "Mon, 23 Nov 2026 01:02:03 GMT" ||
		len(h.Get("X-Amzn-Requestid")) != 36 || len(h.Get("X-Amz-Id-2")) != 96 {
		t.Errorf("%d %q %v", w.Code, w.Body, h)
	}
	_, _, _, body := do(echo(o), request("Refuse", "{}"))
	if string(body) != `{"__type":"ConditionalCheckFailedException","message":"The conditional request failed","Item":{"n":1}}` {
		t.Errorf("error body %s", body)
	}
}

func TestHostsMayBeAllowed(t *testing.T) {
	for _, test := range []struct {
		host    string
		allowed []string
		want    int
	}{
		{"localhost:4567", nil, 200}, {"127.0.0.1", nil, 200}, {"[::1]:80", nil, 200}, {"LocalHost", nil, 200},
		{"kinesis.us-east-1.amazonaws.com", nil, 403}, {"", nil, 403}, {"10.0.0.1", nil, 403},
		{"box:4567", []string{"box"}, 200}, {"other", []string{"box"}, 403}, {"other", []string{"*"}, 200},
	} {
		status, _, _, _ := do(echo(Options{Hosts: test.allowed}), request("Nothing", "{}", func(r *http.Request) { r.Host = test.host }))
		if status != test.want {
			t.Errorf("Host %q with %v allowed: %d, want %d", test.host, test.allowed, status, test.want)
		}
	}
}

func TestFaultsHappenWhereTheySay(t *testing.T) {
	for name, test := range map[string]struct {
		fault     Fault
		runs, cut bool
		status    int
		took      time.Duration
	}{
		"none":       {Fault{}, true, false, 200, 0},
		"delay":      {Fault{Delay: 3 * time.Second}, true, false, 200, 3 * time.Second},
		"reject":     {Fault{Reject: &Error{Type: "ThrottlingException"}}, false, false, 400, 0},
		"reject 500": {Fault{Delay: time.Second, Reject: &Error{Type: "InternalFailure", Status: 500}}, false, false, 500, time.Second},
		"cut before": {Fault{CutBefore: true}, false, true, 0, 0},
		"cut after":  {Fault{CutAfter: true, Delay: time.Minute}, true, true, 0, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ran, cut, status := false, false, 0
				h := NewHandler(Options{Fault: func(c Call) Fault {
					if c.Service != "Echo_1" || c.Operation != "Run" || string(c.Body) != "{}" || c.Header.Get("Authorization") == "" {
						t.Errorf("the rule saw %+v", c)
					}
					return test.fault
				}}, Service{Target: "Echo_1", Operations: []Operation{Op("Run", func(context.Context, *struct{}) (any, error) {
					ran = true
					return nil, nil
				})}})
				start := time.Now()
				func() {
					defer func() { cut = recover() == http.ErrAbortHandler }()
					status, _, _, _ = do(h, request("Run", "{}"))
				}()
				if ran != test.runs || cut != test.cut || status != test.status || time.Since(start) != test.took {
					t.Errorf("ran %t, cut %t, status %d after %v; want %+v", ran, cut, status, time.Since(start), test)
				}
			})
		})
	}
}

func TestRefusalsHaveNoContentType(t *testing.T) {
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		w := httptest.NewRecorder()
		r := request("Echo", "{}")
		r.Method = method
		echo(Options{}).ServeHTTP(w, r)
		const want = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n</AccessDeniedException>\n"
		if w.Code != 403 || w.Body.String() != want || w.Header().Get("Content-Type") != "" || w.Header().Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: %d %q %v", method, w.Code, w.Body, w.Header())
		}
	}
}

func TestPagesOfAllowedOriginsMayCall(t *testing.T) {
	call := func(method, origin string, allowed ...string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := request("Nothing", "{}", header("Origin", origin), header("Access-Control-Request-Headers", "x-amz-target, x-amz-date"))
		r.Method = method
		echo(Options{Origins: allowed}).ServeHTTP(w, r)
		return w
	}
	for _, test := range []struct {
		origin  string
		allowed []string
		want    int
	}{
		{"http://page", nil, 403}, {"http://page", []string{"http://other"}, 403}, {"http://page", []string{"http://other", "http://page"}, 200}, {"null", []string{"*"}, 200},
	} {
		for _, method := range []string{"POST", "OPTIONS"} {
			if w := call(method, test.origin, test.allowed...); w.Code != test.want || (w.Header().Get("Access-Control-Allow-Origin") == "*") != (test.want == 200) {
				t.Errorf("%s from %s where %q are allowed: %d %v", method, test.origin, test.allowed, w.Code, w.Header())
			}
		}
	}
	before := call("OPTIONS", "http://page", "*")
	if h := before.Header(); before.Body.Len() != 0 || h.Get("Access-Control-Allow-Headers") != "x-amz-target, x-amz-date" || h.Get("Access-Control-Max-Age") != "172800" || h.Get("X-Amz-Id-2") != "" || h.Get("Content-Type") != "" {
		t.Errorf("the question beforehand is answered %q %v", before.Body, h)
	}
	if h := call("POST", "http://page", "*").Header(); !strings.Contains(h.Get("Access-Control-Expose-Headers"), "x-amzn-RequestId") {
		t.Errorf("a call is answered with %v", h)
	}
}
