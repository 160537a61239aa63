package wire

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

// pairs is a CBOR map in the order of its members: name, value, name, value.
type pairs []any

// raw is CBOR that stands as it is.
type raw string

// cborOf makes CBOR of a value, with lists and maps of definite length or not.
func cborOf(v any, definite bool) []byte {
	open := func(major byte, n int) []byte {
		if definite {
			return appendCBORHead(nil, major, uint64(n))
		}
		return []byte{major<<5 | cborIndefinite}
	}
	shut := func(b []byte) []byte {
		if definite {
			return b
		}
		return append(b, cborBreak)
	}
	switch v := v.(type) {
	case raw:
		return []byte(v)
	case nil:
		return []byte{0xf6}
	case bool:
		if v {
			return []byte{0xf5}
		}
		return []byte{0xf4}
	case int:
		return appendCBORInt(nil, int64(v))
	case string:
		return appendCBORText(nil, v)
	case []byte:
		return append(appendCBORHead(nil, cborBytes, uint64(len(v))), v...)
	case []any:
		b := open(cborList, len(v))
		for _, item := range v {
			b = append(b, cborOf(item, definite)...)
		}
		return shut(b)
	case pairs:
		b := open(cborMap, len(v)/2)
		for _, item := range v {
			b = append(b, cborOf(item, definite)...)
		}
		return shut(b)
	}
	panic("cborOf: a value of type " + reflect.TypeOf(v).String())
}

// cborTree reads any CBOR as encoding/json would the same in AWS's JSON.
func cborTree(t *testing.T, b []byte) any {
	t.Helper()
	s := &cborScanner{b: b}
	var read func() any
	read = func() any {
		tagged := s.i < len(s.b) && s.b[s.i] == 0xc1
		h, err := s.head()
		if err != nil {
			t.Fatalf("%x at %d: %v", b, s.i, err)
		}
		switch h.major {
		case cborText:
			text, err := s.text(h)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		case cborBytes:
			data, err := s.bytes(h)
			if err != nil {
				t.Fatal(err)
			}
			return base64.StdEncoding.EncodeToString(data)
		case cborList:
			list := []any{}
			if err := s.elements(h, func([]byte) error { list = append(list, read()); return nil }); err != nil {
				t.Fatal(err)
			}
			return list
		case cborMap:
			all := map[string]any{}
			if err := s.elements(h, func(key []byte) error { all[string(key)] = read(); return nil }); err != nil {
				t.Fatal(err)
			}
			return all
		}
		if f, _, _, ok := h.number(); ok {
			if tagged {
				return f / 1000
			}
			return f
		}
		return map[byte]any{cborFalse: false, cborTrue: true}[h.info]
	}
	v := read()
	if err := s.end(); err != nil {
		t.Fatalf("%x: something follows", b)
	}
	return v
}

// fill gives every field of v a value, to that depth of pointers, lists and maps.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 && v.Type().Elem().Kind() != reflect.Func {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), depth-1)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.UnixMilli(1459799926480)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "ResultMetadata" {
				fill(v.Field(i), depth)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), depth-1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, depth-1)
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), value)
	case reflect.String:
		v.SetString("text ä")
	case reflect.Int32, reflect.Int64:
		v.SetInt(-70_000)
	case reflect.Uint8:
		v.SetUint(200)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1.5)
	}
}

func TestEveryShapeSaysTheSameInCBORAsInJSON(t *testing.T) {
	n := 0
	clients := reflect.TypeFor[*kinesis.Client]()
	for i := range clients.NumMethod() {
		m := clients.Method(i)
		if m.Type.NumIn() != 4 || m.Type.NumOut() != 2 {
			continue
		}
		for _, shape := range []reflect.Type{m.Type.In(2), m.Type.Out(0)} {
			v := reflect.New(shape.Elem())
			fill(v.Elem(), 10)
			out := v.Interface().(smithy.Serializable)
			asJSON, err1 := appendOutput(nil, out)
			asCBOR, err2 := appendCBOR(nil, out)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal(asJSON, &want); err != nil {
				t.Fatal(err)
			}
			if got := cborTree(t, asCBOR); !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\nCBOR %v\nJSON %v", shape.Elem().Name(), got, want)
			}
			n++
		}
	}
	if n < 90 {
		t.Errorf("%d shapes; want 2 for each of 45 operations", n)
	}
}

func TestCBORRepliesAreAsTheServices(t *testing.T) {
	at := time.UnixMilli(1700000000123)
	for name, test := range map[string]struct {
		out  any
		want string
	}{
		"records": {&kinesis.GetRecordsOutput{
			MillisBehindLatest: aws.Int64(0),
			Records:            []types.Record{{Data: []byte("\x00\xff"), PartitionKey: aws.String("k"), SequenceNumber: aws.String("49"), ApproximateArrivalTimestamp: &at}},
		}, "bf" + "72" + hexOf("MillisBehindLatest") + "00" + "67" + hexOf("Records") + "9f" + "bf" +
			"781b" + hexOf("ApproximateArrivalTimestamp") + "c1" + "1b0000018bcfe5687b" +
			"64" + hexOf("Data") + "42" + "00ff" + "6c" + hexOf("PartitionKey") + "61" + hexOf("k") +
			"6e" + hexOf("SequenceNumber") + "62" + hexOf("49") + "ff" + "ff" + "ff"},
		"empty list":    {&kinesis.GetRecordsOutput{Records: []types.Record{}}, "bf" + "67" + hexOf("Records") + "9f" + "ff" + "ff"},
		"nothing":       {nil, ""},
		"error":         {Errorf("ResourceInUseException", "no"), "bf" + "66" + hexOf("__type") + "76" + hexOf("ResourceInUseException") + "67" + hexOf("message") + "62" + hexOf("no") + "ff"},
		"bare error":    {&Error{Type: "E"}, "bf" + "66" + hexOf("__type") + "61" + hexOf("E") + "ff"},
		"serialization": {&Error{Type: "SerializationException", Message: "m"}, "bf" + "66" + hexOf("__type") + "76" + hexOf("SerializationException") + "67" + hexOf("Message") + "61" + hexOf("m") + "ff"},
	} {
		got, err := appendCBOR(nil, test.out)
		if err != nil || hex.EncodeToString(got) != test.want {
			t.Errorf("%s: %x, %v\nwant %s", name, got, err, test.want)
		}
	}
}

func hexOf(text string) string { return hex.EncodeToString([]byte(text)) }

type plainInput struct {
	echoRef
	Count   *int32 `range:"1..10"`
	Big     *int64
	Ratio   *float64
	Flag    *bool
	When    *time.Time
	Kind    *string     `enum:"ONE, TWO"`
	Entries []echoEntry `len:"1..2"`
	Tags    map[string]string
	Nested  *struct {
		Deep *string `required:"true"`
	}
}

var goodCBOR = pairs{
	"Name", "abc", "Unknown", pairs{"a", []any{1, raw("\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00"), nil, true, []byte("x")}},
	"Count", 3, "Big", -70_000, "Ratio", raw("\xf9\x3e\x00"), "Flag", false,
	"When", raw("\xc1\x1b\x00\x00\x01\x53\xe2\xdb\x26\xd0"), "Kind", "TWO", "Tags", pairs{"kä", "v"}, "Nested", pairs{"Deep", ""},
	"Entries", []any{pairs{"Data", []byte("hello"), "PartitionKey", "Ab", "HashKey", "0"}, pairs{"Data", raw("\x5f\x42he\x43llo\xff"), "PartitionKey", raw("\x7f\x61A\x61b\xff"), "HashKey", nil}},
}

func TestGoodCBORIsDecoded(t *testing.T) {
	for _, definite := range []bool{true, false} {
		for _, tag := range []string{"", "\xd9\xd9\xf7"} {
			in := new(plainInput)
			if err := DecodeCBOR(append([]byte(tag), cborOf(goodCBOR, definite)...), in); err != nil {
				t.Fatal(err)
			}
			if *in.Name != "abc" || *in.Count != 3 || *in.Big != -70_000 || *in.Ratio != 1.5 || *in.Flag || in.When.UnixMilli() != 1459799926480 || *in.Kind != "TWO" ||
				in.Tags["kä"] != "v" || *in.Nested.Deep != "" {
				t.Errorf("decoded %+v at %v", in, in.When.UnixMilli())
			}
			for i, e := range in.Entries {
				if string(e.Data) != "hello" || string(e.PartitionKey) != "Ab" || (e.HashKey == nil) != (i == 1) {
					t.Errorf("entry %d: %+v", i, e)
				}
			}
		}
	}
}

func TestTimesInCBORAreMillisecondsInAnyForm(t *testing.T) {
	const ms = 1700000000123
	bits := binary.BigEndian.AppendUint64([]byte{0xfb}, math.Float64bits(ms))
	number := string(appendCBORInt(nil, ms))
	for name, form := range map[string]string{
		"tagged": "\xc1" + number, "bare": number, "float": string(bits), "tagged float": "\xc1" + string(bits),
	} {
		in := new(plainInput)
		if err := DecodeCBOR(cborOf(pairs{"Name", "a", "When", raw(form)}, true), in); err != nil || in.When.UnixMilli() != ms {
			t.Errorf("%s: %v, %v", name, in.When, err)
		}
	}
}

// cborEcho serves an operation that answers a type of the SDK's.
func cborEcho() *Handler {
	return NewHandler(Options{}, Service{Target: "Echo_1", JSON: "1.1", CBOR: true, InternalError: "InternalFailure", Operations: []Operation{
		Op("Echo", func(_ context.Context, in *plainInput) (any, error) {
			return &kinesis.UpdateShardCountOutput{StreamName: in.Name}, nil
		}),
		Op("Break", func(context.Context, *struct{}) (any, error) { return nil, errors.New("disk on fire") }),
	}}, Service{Target: "Other_1", JSON: "1.0", InternalError: "InternalServerError", Operations: []Operation{
		Op("Echo", func(context.Context, *struct{}) (any, error) { return nil, nil }),
	}})
}

func TestBadCBORIsRefusedAsBadJSONIs(t *testing.T) {
	asCBOR := header("Content-Type", "application/x-amz-cbor-1.1")
	body := func(members ...any) string { return string(cborOf(pairs(members), false)) }
	const malformed, serialization = "", "SerializationException"
	for name, test := range map[string]struct {
		r             *http.Request
		status        int
		kind, message string
	}{
		"no body":                  {request("Echo", "", asCBOR), 400, serialization, ""},
		"no body, no type":         {request("Echo", "", header("Content-Type", "")), 400, serialization, ""},
		"no body, plain JSON":      {request("Echo", "", header("Content-Type", "application/json")), 400, serialization, ""},
		"no body, unknown":         {request("Nope", "", asCBOR), 400, "UnknownOperationException", ""},
		"no body, no target":       {request("Echo", "", asCBOR, header("X-Amz-Target", "")), 400, "UnknownOperationException", ""},
		"unknown operation":        {request("Nope", body(), asCBOR), 400, "UnknownOperationException", ""},
		"JSON":                     {request("Echo", `{"Name":"a"}`, asCBOR), 400, serialization, malformed},
		"a list":                   {request("Echo", "\x80", asCBOR), 400, serialization, malformed},
		"trailing data":            {request("Echo", body("Name", "a")+"\x00", asCBOR), 400, serialization, malformed},
		"member twice":             {request("Echo", body("Name", "a", "Name", "b"), asCBOR), 400, serialization, malformed},
		"map key twice":            {request("Echo", body("Tags", pairs{"k", "1", "k", "2"}), asCBOR), 400, serialization, malformed},
		"key not text":             {request("Echo", body(1, "a"), asCBOR), 400, serialization, malformed},
		"invalid UTF-8":            {request("Echo", body("Name", raw("\x61\xff")), asCBOR), 400, serialization, malformed},
		"UTF-8 cut between chunks": {request("Echo", body("Name", raw("\x7f\x61\xc3\x61\xa4\xff")), asCBOR), 400, serialization, malformed},
		"chunk of other type":      {request("Echo", body("Name", raw("\x7f\x41a\xff")), asCBOR), 400, serialization, malformed},
		"chunk within chunk":       {request("Echo", body("Name", raw("\x7f\x7f\x61a\xff\xff")), asCBOR), 400, serialization, malformed},
		"reserved length":          {request("Echo", body("Name", raw("\x7c")), asCBOR), 400, serialization, malformed},
		"indefinite integer":       {request("Echo", body("Count", raw("\x1f")), asCBOR), 400, serialization, malformed},
		"break for a value":        {request("Echo", body("Count", raw("\xff")), asCBOR), 400, serialization, malformed},
		"text of 2^63 bytes":       {request("Echo", body("Name", raw("\x7b\x80\x00\x00\x00\x00\x00\x00\x00")), asCBOR), 400, serialization, malformed},
		"list of 2^64-1 elements":  {request("Echo", body("Entries", raw("\x9b\xff\xff\xff\xff\xff\xff\xff\xff")), asCBOR), 400, serialization, malformed},
		"map of 2^32 members":      {request("Echo", "\xbb\x00\x00\x00\x01\x00\x00\x00\x00", asCBOR), 400, serialization, malformed},
		"nesting bomb":             {request("Echo", body("X", raw(strings.Repeat("\x81", 1_000_000)+"\x00")), asCBOR), 400, serialization, malformed},
		"indefinite nesting bomb":  {request("Echo", body("X", raw(strings.Repeat("\x9f", 1_000_000))), asCBOR), 400, serialization, malformed},
		"tags without end":         {request("Echo", body("X", raw(strings.Repeat("\xc1", 1_000_000)+"\x00")), asCBOR), 400, serialization, malformed},
		"syntax behind type":       {request("Echo", body("Name", 1, "Count", raw("\x1c")), asCBOR), 400, serialization, malformed},
		"number for string":        {request("Echo", body("Name", 1), asCBOR), 400, serialization, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		"blob for string":          {request("Echo", body("Name", []byte("a")), asCBOR), 400, serialization, "class java.nio.HeapByteBuffer can not be converted to an String"},
		"boolean for long":         {request("Echo", body("Big", true), asCBOR), 400, serialization, "class java.lang.Boolean can not be converted to a Long"},
		"string for integer":       {request("Echo", body("Count", "1"), asCBOR), 400, serialization, "class java.lang.String can not be converted to an Integer"},
		"string for boolean":       {request("Echo", body("Flag", "true"), asCBOR), 400, serialization, "class java.lang.String can not be converted to an Boolean"},
		"string for time":          {request("Echo", body("When", "now"), asCBOR), 400, serialization, "class java.lang.String can not be converted to milliseconds since epoch"},
		"string for double":        {request("Echo", body("Ratio", "1"), asCBOR), 400, serialization, "class java.lang.String can not be converted to a Double"},
		"base64 for blob":          {request("Echo", body("Entries", []any{pairs{"Data", "aGVsbG8="}}), asCBOR), 400, serialization, "class java.lang.String can not be converted to a Blob"},
		"list for string":          {request("Echo", body("Name", []any{}), asCBOR), 400, serialization, "Start of list found where not expected"},
		"map for list":             {request("Echo", body("Entries", pairs{}), asCBOR), 400, serialization, "Start of structure or map found where not expected."},
		"string for list":          {request("Echo", body("Entries", "x"), asCBOR), 400, serialization, "Expected list or null"},
		"string for map":           {request("Echo", body("Tags", "x"), asCBOR), 400, serialization, "Expected map or null"},
		"string for struct":        {request("Echo", body("Nested", "x"), asCBOR), 400, serialization, "Expected null"},
		"missing member":           {request("Echo", body("Name", nil), asCBOR), 400, "ValidationException", "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"},
		"saturated integer":        {request("Echo", body("Name", "a", "Count", raw("\x1b\xff\xff\xff\xff\xff\xff\xff\xff")), asCBOR), 400, "ValidationException", "1 validation error detected: Value '2147483647' at 'count' failed to satisfy constraint: Member must have value less than or equal to 10"},
		"float for integer":        {request("Echo", body("Name", "a", "Count", raw("\xfb\xc0\x00\x00\x00\x00\x00\x00\x00")), asCBOR), 400, "ValidationException", "1 validation error detected: Value '-2' at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"unsigned":                 {request("Echo", body(), asCBOR, header("Authorization", "")), 400, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		"internal":                 {request("Break", body(), asCBOR), 500, "InternalFailure", "The request processing has failed because of an internal error: disk on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			cborEcho().ServeHTTP(w, test.r)
			if got := w.Header().Get("Content-Type"); got != "application/x-amz-cbor-1.1" {
				t.Fatalf("%d with content type %q and %q", w.Code, got, w.Body)
			}
			e, _ := cborTree(t, w.Body.Bytes()).(map[string]any)
			name := "message"
			if test.kind == serialization {
				name = "Message"
			}
			message, _ := e[name].(string)
			if w.Code != test.status || e["__type"] != test.kind || message != test.message {
				t.Errorf("%d %v; want %d %s %q", w.Code, e, test.status, test.kind, test.message)
			}
		})
	}
}

func TestCBORIsAnsweredInCBOR(t *testing.T) {
	w := httptest.NewRecorder()
	cborEcho().ServeHTTP(w, request("Echo", string(cborOf(goodCBOR, true)), header("Content-Type", "application/x-amz-cbor-1.1; charset=x")))
	want := cborOf(pairs{"StreamName", "abc"}, false)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-amz-cbor-1.1" || !bytes.Equal(w.Body.Bytes(), want) {
		t.Errorf("%d %v %x; want %x", w.Code, w.Header(), w.Body, want)
	}
	w = httptest.NewRecorder()
	cborEcho().ServeHTTP(w, request("Echo", "\xa0", header("Content-Type", "application/x-amz-cbor-1.1"), header("X-Amz-Target", "Other_1.Echo")))
	if w.Code != 404 {
		t.Errorf("a service without CBOR answers it with %d", w.Code)
	}
}

func TestTruncatedCBORIsMalformedAtEveryByte(t *testing.T) {
	for _, definite := range []bool{true, false} {
		body := cborOf(goodCBOR, definite)
		for n := range body {
			var e *Error
			if err := DecodeCBOR(body[:n], new(plainInput)); !errors.As(err, &e) || e.Type != "SerializationException" || e.Message != "" {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	}
}

func FuzzDecodeCBOR(f *testing.F) {
	for _, definite := range []bool{true, false} {
		f.Add(cborOf(goodCBOR, definite))
	}
	for _, seed := range []string{"", "\xa0", "\xbf\xff", "\xbb\xff\xff\xff\xff\xff\xff\xff\xff", "\xbf\x64Name\x7b\x7f\xff\xff\xff\xff\xff\xff\xff", "\xbf\x67Entries\x9b\x00\x00\x00\x00\xff\xff\xff\xff",
		"\xbf\x67Entries\x9a\x00\x01\x00\x00" + strings.Repeat("\xa0", 1<<16) + "\xff", "\xbf\x64Tags\xbf" + strings.Repeat("\x61a\x60", 1000) + "\xff\xff",
		strings.Repeat("\xbf\x61a", 200), strings.Repeat("\xc1", 200), "\xbf\x64Name\x7f" + strings.Repeat("\x60", 1000) + "\xff\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var err error
		frugal(t, len(body), func() { err = DecodeCBOR(body, new(plainInput)) })
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("DecodeCBOR = %v, which is not an *Error", err)
		}
		if err != nil {
			return
		}
		if DecodeCBOR(append(bytes.Clone(body), 0xf6), new(plainInput)) == nil || DecodeCBOR(body[:len(body)-1], new(plainInput)) == nil {
			t.Fatalf("DecodeCBOR takes %x with a byte more or less", body)
		}
	})
}
