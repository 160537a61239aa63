package localstream_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream"
)

// rule is a fault rule that can be set at any time.
type rule struct {
	f atomic.Pointer[func(localstream.Call) localstream.Fault]
}

func (r *rule) set(f func(localstream.Call) localstream.Fault) { r.f.Store(&f) }

func (r *rule) fault(c localstream.Call) localstream.Fault {
	if f := r.f.Load(); f != nil {
		return (*f)(c)
	}
	return localstream.Fault{}
}

func TestFaultsReachTheClient(t *testing.T) {
	var r rule
	bubble(t, localstream.Options{Fault: r.fault}, func(t *testing.T, c *client) {
		ctx := t.Context()
		c.create(1)
		put := func() error {
			_, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(0, 10)})
			return err
		}
		stored := func() int {
			r.set(func(localstream.Call) localstream.Fault { return localstream.Fault{} })
			records, _ := c.all(0, 0)
			return len(records)
		}
		only := func(f localstream.Fault) {
			r.set(func(call localstream.Call) localstream.Fault {
				if call.Service == "Kinesis_20131202" && call.Operation == "PutRecords" {
					return f
				}
				return localstream.Fault{}
			})
		}
		only(localstream.Fault{Reject: &localstream.Error{Type: "ProvisionedThroughputExceededException", Message: "slow down"}})
		wantError(t, put(), "ProvisionedThroughputExceededException", "slow down")
		only(localstream.Fault{CutBefore: true})
		if err := put(); err == nil || stored() != 0 {
			t.Errorf("a request that was lost: %v, %d stored", err, stored())
		}
		only(localstream.Fault{CutAfter: true})
		if err := put(); err == nil || stored() != 10 {
			t.Errorf("an answer that was lost: %v, %d stored", err, stored())
		}
		only(localstream.Fault{Delay: time.Minute})
		start := time.Now()
		if err := put(); err != nil || time.Since(start) != time.Minute {
			t.Errorf("a slow answer: %v after %v", err, time.Since(start))
		}
	})
}

func TestClientsRetryWithoutAQuota(t *testing.T) {
	var r rule
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true, Fault: r.fault})
		if err != nil {
			t.Fatal(err)
		}
		c := kinesis.NewFromConfig(srv.AWSConfig())
		var calls atomic.Int64
		r.set(func(localstream.Call) localstream.Fault {
			if calls.Add(1)%3 != 0 {
				return localstream.Fault{Reject: &localstream.Error{Type: "InternalFailure", Status: 500}}
			}
			return localstream.Fault{}
		})
		for i := range 500 { // the SDK's quota would be used up after 50
			if _, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{}); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCallsEndWithTheirContextAndTheServer(t *testing.T) {
	var r rule
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true, Fault: r.fault})
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, srv)
		r.set(func(localstream.Call) localstream.Fault { return localstream.Fault{Delay: time.Hour} })
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		if _, err := c.ListStreams(ctx, &kinesis.ListStreamsInput{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 700*time.Millisecond {
			t.Errorf("a deadline of 700 ms: %v after %v", err, time.Since(start))
		}
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{}); !errors.Is(err, localstream.ErrClosed) {
				t.Errorf("a call that Close met: %v", err)
			}
		})
		synctest.Wait()
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
		if _, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{}); !errors.Is(err, localstream.ErrClosed) {
			t.Errorf("a call after Close: %v", err)
		}
		if err := srv.Close(); !errors.Is(err, localstream.ErrClosed) {
			t.Errorf("Close after Close: %v", err)
		}
		if time.Since(start) != 700*time.Millisecond {
			t.Errorf("Close took %v", time.Since(start))
		}
	})
}

func TestTablesAreServedBesideStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		out, err := dynamodb.NewFromConfig(srv.AWSConfig()).ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if err != nil || len(out.TableNames) != 0 {
			t.Errorf("ListTables: %+v, %v", out, err)
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHealthAndForeignPages(t *testing.T) {
	srv, err := localstream.Open("", localstream.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	for _, test := range []struct {
		method, path, origin string
		want                 int
		body                 string
	}{
		{"GET", "/health", "", 200, `{"status":"ok"}`},
		{"GET", "/", "", 403, "AccessDeniedException"},
		{"POST", "/", "http://evil.example", 403, "Origin"},
		{"OPTIONS", "/", "http://evil.example", 403, "Origin"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(test.method, "http://localhost"+test.path, strings.NewReader(""))
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		srv.ServeHTTP(w, r)
		if w.Code != test.want || !strings.Contains(w.Body.String(), test.body) {
			t.Errorf("%s %s from %q: %d %s", test.method, test.path, test.origin, w.Code, w.Body)
		}
	}
}

// A server that answers within a millisecond meets a race in the client: when the SDK is done with the answer it closes
// the request's body, and net/http, if it still looks for the body's end, gives the connection up. With the request
// read to its end before the answer that costs a new connection now and then, and never a call: several thousand quick
// ones, small and large, over real TCP all succeed at the first attempt.
func TestQuickAnswersNeedNoSecondAttempt(t *testing.T) {
	var calls atomic.Int64
	srv, err := localstream.Open("", localstream.Options{Memory: true, Fault: func(localstream.Call) localstream.Fault {
		calls.Add(1)
		return localstream.Fault{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	var closed atomic.Int64
	server := httptest.NewUnstartedServer(srv)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	cfg := srv.AWSConfig()
	const callers, each = 4, 1000
	transport := &http.Transport{MaxIdleConnsPerHost: 1000} // it closes none itself
	defer transport.CloseIdleConnections()
	cfg.BaseEndpoint, cfg.HTTPClient = aws.String(server.URL), &http.Client{Transport: transport}
	c := kinesis.NewFromConfig(cfg)
	one := int32(1)
	if _, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: quakes, ShardCount: &one}); err != nil {
		t.Fatal(err)
	}
	calls.Store(0)
	big := entries(0, 50)
	for i := range big {
		big[i].Data = make([]byte, 4<<10)
	}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range each {
				var err error
				switch i % 5 {
				case 0: // refused before its 270 KB of body would be looked at
					_, err = c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("nowhere"), Records: big})
					if err != nil && strings.Contains(err.Error(), "ResourceNotFoundException") {
						err = nil
					}
				case 1:
					_, err = c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: quakes, PartitionKey: aws.String("k"), Data: []byte("x")})
				default:
					_, err = c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: quakes})
				}
				if err != nil {
					t.Errorf("call %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	t.Logf("the client gave up %d connections in %d calls", closed.Load(), callers*each)
	if n := calls.Load(); n != callers*each {
		t.Errorf("the server saw %d calls, %d were made: some were tried again", n, callers*each)
	}
}
