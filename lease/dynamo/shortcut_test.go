package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	endpoints "github.com/aws/smithy-go/endpoints"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/lease/leasetest"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

// watched makes every call go through all of the SDK.
func watched(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(*middleware.Stack) error { return nil })
}

func TestStoreOfAWatchedClient(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store {
		return dynamo.New(dynamodb.New(serve(t, localstream.Options{}).Options(), watched), "quake-alerts")
	})
}

const aRow = `{"leaseKey":{"S":"k"},"leaseOwner":{"S":"me"},"leaseCounter":{"N":"8"},"checkpoint":{"S":"TRIM_HORIZON"},"checkpointSubSequenceNumber":{"N":"0"}}`

// calls are all that go by shortcuts.
func calls() map[string]func(context.Context, *dynamo.Store) error {
	kbps := 12.5
	at, err := record.ParsePosition("49590338271490256608559692538361571095921575989136588898", 3)
	if err != nil {
		panic(err)
	}
	held := lease.Lease{Key: `k "ä"\`, Counter: 7, Owner: "me"}
	handed := lease.Lease{Key: "k", Counter: 7, Owner: "you", CheckpointOwner: "me"}
	calls := map[string]func(context.Context, *dynamo.Store) error{
		"UpdateItem take":    func(ctx context.Context, s *dynamo.Store) error { _, err := s.Take(ctx, handed, "them"); return err },
		"UpdateItem assign":  func(ctx context.Context, s *dynamo.Store) error { _, err := s.Assign(ctx, handed, "me"); return err },
		"UpdateItem ask":     func(ctx context.Context, s *dynamo.Store) error { _, err := s.Ask(ctx, held, "you"); return err },
		"UpdateItem release": func(ctx context.Context, s *dynamo.Store) error { _, err := s.Release(ctx, held, "me", ""); return err },
		"UpdateItem release to another": func(ctx context.Context, s *dynamo.Store) error {
			_, err := s.Release(ctx, held, "me", "you")
			return err
		},
		"UpdateItem hand over": func(ctx context.Context, s *dynamo.Store) error {
			_, err := s.Release(ctx, handed, "me", "")
			return err
		},
		"UpdateItem describe": func(ctx context.Context, s *dynamo.Store) error {
			return s.Describe(ctx, "k", []string{"c1", "c2"}, &record.FullRange)
		},
		"GetItem": func(ctx context.Context, s *dynamo.Store) error { _, err := s.Get(ctx, "k\n"); return err },
		"Query":   func(ctx context.Context, s *dynamo.Store) error { _, err := s.Owned(ctx, "me\x7f"); return err },
	}
	for name, c := range map[string]lease.Change{
		"renew":      {},
		"throughput": {ThroughputKBps: &kbps},
		"checkpoint": {Checkpoint: at, ThroughputKBps: &kbps},
		"prepare":    {Pending: at, PendingState: []byte{0, 255, '"'}},
		"no state":   {Pending: at},
		"shard end":  {Checkpoint: record.ShardEnd, Children: []string{"c1", `c"2`}},
	} {
		calls["UpdateItem "+name] = func(ctx context.Context, s *dynamo.Store) error {
			_, err := s.Renew(ctx, held, "me", c)
			return err
		}
	}
	return calls
}

// Whatever goes by a shortcut is the request that the SDK sends, but for what numbers its attempts.
func TestShortcutsSayWhatTheSDKSays(t *testing.T) {
	for name, call := range calls() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // one time for both signatures
				operation, _, _ := strings.Cut(name, " ")
				short, tapped := canned()
				long, every := canned(watched)
				for range 2 {
					if err := errors.Join(call(t.Context(), short), call(t.Context(), long)); err != nil {
						t.Fatal(err)
					}
				}
				got, want := tapped.last(t, operation), every.last(t, operation)
				if !got.short() || want.short() {
					t.Fatalf("by a shortcut: %v, and with a watched client: %v", got.short(), want.short())
				}
				if got.url != want.url || !reflect.DeepEqual(got.body, want.body) {
					t.Errorf("to %s: %v\nwant %s: %v", got.url, got.body, want.url, want.body)
				}
				signed := got.header.Get("Authorization")
				for _, part := range []string{"Credential=AKID/20000101/us-east-1/dynamodb/aws4_request", "content-length;content-type;host;x-amz-date;x-amz-target"} {
					if !strings.Contains(signed, part) {
						t.Errorf("the signature %s does not have %s", signed, part)
					}
				}
				for _, header := range []http.Header{got.header, want.header} {
					for _, name := range []string{"Authorization", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request"} {
						header.Del(name)
					}
				}
				if !reflect.DeepEqual(got.header, want.header) {
					t.Errorf("headers %v\nwant %v", got.header, want.header)
				}
			})
		})
	}
}

// Errors are those that the SDK returns, and callers are told the same of them.
func TestShortcutsFailAsTheSDKFails(t *testing.T) {
	const refused = `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"no","Item":` + aRow + `}`
	typed := func(kind string) string {
		return `{"__type":"com.amazonaws.dynamodb.v20120810#` + kind + `","message":"no"}`
	}
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		is     error
		as     any
	}{
		"refused":      {answer(400, refused), lease.ErrConflict, nil},
		"throughput":   {answer(400, typed("ProvisionedThroughputExceededException")), lease.ErrThrottled, new(*types.ProvisionedThroughputExceededException)},
		"throttled":    {answer(400, typed("ThrottlingException")), lease.ErrThrottled, new(smithy.APIError)},
		"invalid":      {answer(400, typed("ValidationException")), lease.ErrInvalid, new(*smithy.GenericAPIError)},
		"no table":     {answer(400, typed("ResourceNotFoundException")), nil, new(*types.ResourceNotFoundException)},
		"signature":    {answer(400, typed("InvalidSignatureException"), "X-Amzn-Requestid", "r-1"), nil, new(*smithyhttp.ResponseError)},
		"out of order": {answer(500, typed("InternalServerError")), nil, new(*types.InternalServerError)},
		"no JSON":      {answer(503, "<html>"), nil, new(*smithyhttp.ResponseError)},
		"half":         {answer(200, `{"Attributes":{"leaseKey":`), nil, new(*smithy.DeserializationError)},
		"broken":       {func(*http.Request) (*http.Response, error) { return nil, broken }, broken, new(*smithyhttp.RequestSendError)},
		"damaged":      {answer(200, `{"Attributes":{"leaseKey":{"S":"k"},"leaseCounter":{"N":"x"}}}`), lease.ErrDamaged, nil},
		"no row":       {answer(200, `{}`), lease.ErrDamaged, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, way := range []string{"short", "long"} {
				var o []func(*dynamodb.Options)
				if way == "long" {
					o = append(o, watched)
				}
				s, p := canned(o...)
				renew := func() error {
					_, err := s.Renew(t.Context(), lease.Lease{Key: "k", Counter: 7}, "me", lease.Change{})
					return err
				}
				if err := renew(); err != nil {
					t.Fatal(err)
				}
				p.answer = test.answer
				err := renew()
				if p.last(t, "UpdateItem").short() != (way == "short") {
					t.Fatalf("not the %s way", way)
				}
				if err == nil || test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("the %s way: %v, want %v", way, err, test.is)
				}
				if test.as != nil && !errors.As(err, test.as) {
					t.Errorf("the %s way: %v is no %T", way, err, test.as)
				}
				var op *smithy.OperationError
				if test.is != lease.ErrConflict && test.is != lease.ErrDamaged && (!errors.As(err, &op) || op.OperationName != "UpdateItem" || op.ServiceID != "DynamoDB") {
					t.Errorf("the %s way: %v does not name its operation", way, err)
				}
			}
		})
	}
}

func TestAnAnswerWithAnotherChecksumIsNoAnswer(t *testing.T) {
	s, p := canned()
	body := `{"Item":` + aRow + `}`
	for _, test := range []struct {
		sum uint32
		ok  bool
	}{{crc32.ChecksumIEEE([]byte(body)), true}, {crc32.ChecksumIEEE([]byte(body)), true}, {1, false}} {
		p.answer = answer(200, body, "X-Amz-Crc32", fmt.Sprint(test.sum))
		if _, err := s.Get(t.Context(), "k"); (err == nil) != test.ok {
			t.Errorf("with the checksum %d: %v", test.sum, err)
		}
	}
}

// What has never been answered ends with its context, or after 10 s.
func TestNoShortcutWaitsForEver(t *testing.T) {
	for name, call := range calls() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := canned()
				if err := call(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				p.answer = silence{}.Do
				began := time.Now()
				err := call(t.Context(), s)
				if took := time.Since(began); took != 10*time.Second || err == nil || !strings.Contains(err.Error(), "no answer from DynamoDB in time") {
					t.Errorf("after %v: %v", took, err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began = time.Now()
				err = call(ctx, s)
				if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "in time") {
					t.Errorf("with a context of one second, after %v: %v", took, err)
				}
				if !p.sent[len(p.sent)-1].short() {
					t.Error("not by a shortcut")
				}
			})
		})
	}
}

// A moving endpoint is one that its resolver decides anew for each call.
type moving struct{ calls int }

func (m *moving) ResolveEndpoint(context.Context, dynamodb.EndpointParameters) (endpoints.Endpoint, error) {
	m.calls++
	u, err := url.Parse(fmt.Sprintf("http://host-%d", m.calls))
	return endpoints.Endpoint{URI: *u}, err
}

func TestTheSDKDecidesAnewOnceAMinuteAndWhenACallIsNotUnderstood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver := &moving{}
		id := 0
		s, p := canned(func(o *dynamodb.Options) {
			o.EndpointResolverV2 = resolver
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				id++
				return aws.Credentials{AccessKeyID: fmt.Sprint("ID", id), SecretAccessKey: "secret", SessionToken: fmt.Sprint("token", id)}, nil
			})
		})
		calls := 0
		check := func(url string, short bool) {
			t.Helper()
			calls++
			_, err := s.Get(t.Context(), "k")
			got := p.last(t, "GetItem")
			if got.url != url || got.short() != short || p.answer == nil && err != nil {
				t.Fatalf("call %d went to %s, by a shortcut: %v, error %v; want %s, %v", calls, got.url, got.short(), err, url, short)
			}
			if credential := fmt.Sprintf("Credential=ID%d/", calls); !strings.Contains(got.header.Get("Authorization"), credential) ||
				got.header.Get("X-Amz-Security-Token") != fmt.Sprint("token", calls) {
				t.Fatalf("call %d is not signed with the credentials of the moment: %v", calls, got.header)
			}
		}
		check("http://host-1/", false)
		check("http://host-1/", true)
		time.Sleep(time.Minute - 1)
		check("http://host-1/", true)
		time.Sleep(1)
		check("http://host-2/", false)
		check("http://host-2/", true)
		fine := p.answer
		p.answer = answer(400, `{"__type":"com.amazon.coral.service#InvalidSignatureException"}`)
		check("http://host-2/", true)
		p.answer = fine
		check("http://host-3/", false)
		check("http://host-3/", true)
		p.answer = func(*http.Request) (*http.Response, error) { return nil, errors.New("gone") }
		check("http://host-3/", true)
		p.answer = answer(400, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}`)
		check("http://host-4/", false)
		check("http://host-4/", true)
		check("http://host-4/", true)
	})
}

// A machine whose clock is an hour off signs with the service's time, as the SDK has learnt it.
func TestShortcutsSignWithTheTimeThatTheSDKHasLearnt(t *testing.T) {
	o := serve(t, localstream.Options{ClockOffset: time.Hour, Keys: map[string]string{"localstream": "localstream"}}).Options()
	p := &tap{next: o.HTTPClient}
	o.HTTPClient = p
	s := dynamo.New(dynamodb.New(o), "quake-alerts")
	for attempt := 1; ; attempt++ {
		err := s.Open(t.Context())
		if err == nil {
			break
		}
		if attempt == 3 {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if _, err := s.Owned(t.Context(), "me"); err != nil {
			t.Fatal(err)
		}
		if p.last(t, "Query").short() != (i > 0) {
			t.Errorf("query %d by a shortcut: %v", i+1, i == 0)
		}
	}
}

// Who has put anything into the client that sees calls sees them all.
func TestAWatchedClientHasNoShortcuts(t *testing.T) {
	for name, watch := range map[string]func(*dynamodb.Options){
		"middleware":  watched,
		"logging":     func(o *dynamodb.Options) { o.ClientLogMode = aws.LogRequest },
		"interceptor": func(o *dynamodb.Options) { o.Interceptors.AddBeforeTransmit(interceptor{}) },
		"gzip":        func(o *dynamodb.Options) { o.EnableAcceptEncodingGzip = true },
		"protocol": func(o *dynamodb.Options) {
			o.Protocol = marking{o.Protocol}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := canned(watch)
			for range 3 {
				if _, err := s.Get(t.Context(), "k"); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range p.sent {
				if r.short() {
					t.Error("a call went by a shortcut")
				}
				if name == "protocol" && r.header.Get("X-Mark") == "" {
					t.Error("a call was not made in the client's protocol")
				}
			}
		})
	}
}

// marking is a protocol of the user's.
type marking struct{ smithyhttp.ClientProtocol }

func (m marking) SerializeRequest(ctx context.Context, op *smithy.OperationSchema, in smithy.Serializable, r *smithyhttp.Request) error {
	r.Header.Set("X-Mark", "x")
	return m.ClientProtocol.SerializeRequest(ctx, op, in, r)
}

type interceptor struct{}

func (interceptor) BeforeTransmit(context.Context, *smithyhttp.InterceptorContext) error { return nil }

// Units are counted alike.
func TestShortcutsTellTheirUnits(t *testing.T) {
	type units struct {
		op          string
		read, write float64
	}
	for name, call := range calls() {
		t.Run(name, func(t *testing.T) {
			operation, _, _ := strings.Cut(name, " ")
			p := &tap{answer: answer(200, `{"Attributes":`+aRow+`,"Item":`+aRow+`,"Items":[],"ConsumedCapacity":{"TableName":"t","CapacityUnits":2.5}}`)}
			client := dynamodb.New(dynamodb.Options{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), HTTPClient: p})
			var told []units
			s := dynamo.NewWith(client, dynamo.Config{Table: "leases", Units: func(op string, read, write float64) { told = append(told, units{op, read, write}) }})
			want := units{operation, 2.5, 0}
			if operation == "UpdateItem" {
				want = units{operation, 0, 2.5}
			}
			for range 2 {
				if err := call(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			if !p.last(t, operation).short() || !reflect.DeepEqual(told, []units{want, want}) {
				t.Errorf("told %v, want %v twice", told, want)
			}
			if p.last(t, operation).body["ReturnConsumedCapacity"] != "TOTAL" {
				t.Error("the units are not asked for")
			}
			p.answer = answer(400, `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","Item":`+aRow+`}`)
			if err := call(t.Context(), s); err == nil {
				t.Fatal("no error")
			}
			if operation == "UpdateItem" && !reflect.DeepEqual(told[2:], []units{{operation, 0, 1}}) {
				t.Errorf("a refused write told %v, want one unit", told[2:])
			}
		})
	}
}

// A worker of many leases gets them page by page.
func TestOwnedReadsAllPagesByShortcut(t *testing.T) {
	pages := []string{
		`{"Items":[{"leaseKey":{"S":"a"},"leaseOwner":{"S":"me"}},{"leaseKey":{"S":"b\u00e4"},"leaseOwner":{"S":"me"}}],"LastEvaluatedKey":{"leaseKey":{"S":"b\u00e4"},"leaseOwner":{"S":"me"}}}`,
		`{"Items":[],"LastEvaluatedKey":{"leaseKey":{"S":"c"},"leaseOwner":{"S":"me"}}}`,
		`{"Items":[{"leaseKey":{"S":"d"},"leaseOwner":{"S":"me"}}]}`,
	}
	s, p := canned()
	n := 0
	p.answer = func(r *http.Request) (*http.Response, error) {
		n++
		return answer(200, pages[(n-1)%len(pages)])(r)
	}
	for range 2 {
		keys, err := s.Owned(t.Context(), "me")
		if err != nil || !reflect.DeepEqual(keys, []string{"a", "bä", "d"}) {
			t.Fatalf("%q, %v", keys, err)
		}
	}
	var starts []any
	for i, r := range p.sent {
		if r.short() != (i > 0) {
			t.Errorf("request %d by a shortcut: %v", i, r.short())
		}
		starts = append(starts, r.body["ExclusiveStartKey"])
	}
	key := func(k string) any {
		return map[string]any{"leaseKey": map[string]any{"S": k}, "leaseOwner": map[string]any{"S": "me"}}
	}
	if want := []any{nil, key("bä"), key("c"), nil, key("bä"), key("c")}; !reflect.DeepEqual(starts, want) {
		t.Errorf("the pages begin behind %v, want %v", starts, want)
	}
}
