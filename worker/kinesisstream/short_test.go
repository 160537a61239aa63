package kinesisstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-stream/shoal/record"
)

// A tap keeps the requests for records.
type tap struct {
	next  http.RoundTripper
	reads []read
}

type read struct {
	url    string
	header http.Header
	body   []byte
}

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("X-Amz-Target") == "Kinesis_20131202.GetRecords" {
		p.reads = append(p.reads, read{r.URL.String(), r.Header.Clone(), body})
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return p.next.RoundTrip(r)
}

// last is the last request for records, and whether it is none of the SDK's own.
func (p *tap) last() (r read, short bool) {
	r = p.reads[len(p.reads)-1]
	return r, r.header.Get("Amz-Sdk-Invocation-Id") == ""
}

// tapped are two streams of one service: one whose reads may go by a shortcut, and one whose client is watched.
func tapped(t *testing.T, o Options) (f *fake, short, long *Stream, shortTap, longTap *tap) {
	f = newFake(t, 1)
	shortTap, longTap = &tap{next: f}, &tap{next: f}
	options := f.client().Options()
	options.HTTPClient = &http.Client{Transport: shortTap}
	short = New(kinesis.New(options), "s", o)
	options.HTTPClient = &http.Client{Transport: longTap}
	options.APIOptions = append(options.APIOptions, func(*middleware.Stack) error { return nil })
	long = New(kinesis.New(options), "s", o)
	return f, short, long, shortTap, longTap
}

func TestReadsByShortcutAreThoseOfTheSDK(t *testing.T) {
	for _, json := range []bool{false, true} {
		t.Run(fmt.Sprintf("JSON %v", json), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // one time for both signatures
				f, short, long, shortTap, longTap := tapped(t, Options{SDKCodec: json})
				f.setAnswer(func(c call) *reply {
					switch c.op {
					case "GetShardIterator":
						return &reply{body: map[string]any{"ShardIterator": "first"}}
					case "GetRecords":
						return &reply{body: map[string]any{
							"NextShardIterator": "next of " + c.in.ShardIterator, "MillisBehindLatest": 1500,
							"Records": []any{map[string]any{"SequenceNumber": "7", "PartitionKey": "p", "Data": "eA==", "ApproximateArrivalTimestamp": 1}},
						}}
					}
					return nil
				})
				a, b := short.Open("shardId-000000000000", record.TrimHorizon), long.Open("shardId-000000000000", record.TrimHorizon)
				defer a.Close()
				defer b.Close()
				for i := range 2 {
					if i > 0 {
						a.(*reader).after, b.(*reader).after = false, false // the record comes again
					}
					got, err := a.Read(t.Context())
					want, err2 := b.Read(t.Context())
					if errors.Join(err, err2) != nil || !reflect.DeepEqual(got, want) || len(got.Records) != 1 || string(got.Records[0].Data) != "x" {
						t.Fatalf("read %+v, %v; want %+v, %v", got, err, want, err2)
					}
				}
				got, byShortcut := shortTap.last()
				want, watched := longTap.last()
				if !byShortcut || watched {
					t.Fatalf("by a shortcut: %v, and with a watched client: %v", byShortcut, watched)
				}
				for _, header := range []http.Header{got.header, want.header} {
					for _, name := range []string{"Authorization", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request"} {
						if name == "Authorization" && header.Get(name) == "" {
							t.Error("a request is not signed")
						}
						header.Del(name)
					}
				}
				if got.url != want.url || !bytes.Equal(got.body, want.body) || !reflect.DeepEqual(got.header, want.header) {
					t.Errorf("sent to %s: %q %v\nwant %s: %q %v", got.url, got.body, got.header, want.url, want.body, want.header)
				}
			})
		})
	}
}

func TestReadsByShortcutFailAsThoseOfTheSDK(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		answer *reply
		as     any
	}{
		"throttled": {refuse("ProvisionedThroughputExceededException"), new(*types.ProvisionedThroughputExceededException)},
		"no key":    {refuse("KMSDisabledException"), new(*types.KMSDisabledException)},
		"signature": {refuse("InvalidSignatureException"), new(*smithy.GenericAPIError)},
		"down":      {&reply{code: "InternalFailure", status: 500}, new(*smithyhttp.ResponseError)},
		"no page":   {&reply{body: "x"}, new(*smithy.DeserializationError)},
		"broken":    {&reply{err: broken}, new(*smithyhttp.RequestSendError)},
	} {
		for _, json := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, JSON %v", name, json), func(t *testing.T) {
				f, short, long, shortTap, longTap := tapped(t, Options{SDKCodec: json})
				for i, s := range []*Stream{short, long} {
					f.setAnswer(nil)
					r := s.Open("shardId-000000000000", record.TrimHorizon)
					defer r.Close()
					if _, err := r.Read(t.Context()); err != nil {
						t.Fatal(err)
					}
					f.setAnswer(func(c call) *reply {
						if c.op == "GetRecords" {
							return test.answer
						}
						return nil
					})
					_, err := r.Read(t.Context())
					if err == nil || !errors.As(err, test.as) {
						t.Errorf("stream %d: %v is no %T", i, err, test.as)
					}
					var op *smithy.OperationError
					if !errors.As(err, &op) || op.OperationName != "GetRecords" || op.ServiceID != "Kinesis" {
						t.Errorf("stream %d: %v does not name its operation", i, err)
					}
					if _, byShortcut := []*tap{shortTap, longTap}[i].last(); byShortcut != (i == 0) {
						t.Errorf("stream %d read by a shortcut: %v", i, byShortcut)
					}
				}
			})
		}
	}
}
