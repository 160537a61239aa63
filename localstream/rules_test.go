package localstream_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream"
)

func TestFaultRulesDoWhatTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, srv)
		tables := dynamodb.NewFromConfig(srv.AWSConfig(), func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
		c.create(1)
		put := func() error {
			_, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(0, 10)})
			return err
		}
		list := func() error {
			_, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
			return err
		}
		scan := func() error {
			_, err := tables.ListTables(t.Context(), &dynamodb.ListTablesInput{})
			return err
		}
		set := func(rules ...localstream.Rule) {
			t.Helper()
			if err := srv.SetFaults(rules...); err != nil {
				t.Fatal(err)
			}
		}
		const text = "A fault rule of localstream asked for this error."
		set(localstream.Rule{Error: "throttle"})
		wantError(t, put(), "ProvisionedThroughputExceededException", text)
		wantError(t, list(), "LimitExceededException", text)
		wantError(t, scan(), "ThrottlingException", text)
		set(localstream.Rule{Service: "dynamodb", Error: "internal"}, localstream.Rule{Service: "kinesis", Operation: "List*", Error: "unavailable", Message: "later"})
		wantError(t, scan(), "InternalServerError", text)
		wantError(t, list(), "ServiceUnavailable", "later")
		if err := put(); err != nil {
			t.Errorf("a call that no rule is about: %v", err)
		}
		set(localstream.Rule{Operation: "Put*", Cut: "before", Count: 1}, localstream.Rule{Operation: "Put*", Cut: "after", Count: 2})
		for i, want := range []int{10, 20, 30, 40} { // the first put above, a lost request, two lost answers, a put
			if err := put(); (err == nil) != (i == 3) {
				t.Errorf("put %d: %v", i, err)
			}
			if records, _ := c.all(0, 0); len(records) != want {
				t.Errorf("%d records after put %d, want %d", len(records), i, want)
			}
		}
		set(localstream.Rule{Latency: time.Second, LatencyMax: 3 * time.Second})
		var least, most time.Duration = time.Hour, 0
		for range 200 {
			start := time.Now()
			if err := list(); err != nil {
				t.Fatal(err)
			}
			least, most = min(least, time.Since(start)), max(most, time.Since(start))
		}
		if least < time.Second || least > 1500*time.Millisecond || most > 3*time.Second || most < 2500*time.Millisecond {
			t.Errorf("latencies from %v to %v, want from 1 s to 3 s", least, most)
		}
		set(localstream.Rule{Probability: 0.25, Error: "internal"})
		failed := 0
		for range 2000 {
			if list() != nil {
				failed++
			}
		}
		if failed < 400 || failed > 600 {
			t.Errorf("%d of 2000 calls failed with probability 0.25", failed)
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFaultRulesOverHTTP(t *testing.T) {
	srv, err := localstream.Open("", localstream.Options{Memory: true, Hosts: []string{"*"}, Faults: []localstream.Rule{{Operation: "PutRecord", Latency: time.Second}}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	const local = "127.0.0.1:5000"
	for _, test := range []struct {
		method, body, from, host, origin string
		status                           int
		want                             string
	}{
		{method: "GET", from: local, status: 200, want: `"latency": "1s"`},
		{method: "PUT", body: `[{"service":"kinesis","operation":"Put*","probability":0.5,"latency":"10ms","latencyMax":"20ms","cut":"after","count":3}]`, from: local, status: 200, want: `"latencyMax": "20ms"`},
		{method: "GET", from: "[::1]:5000", host: "localhost:4567", status: 200, want: `"count": 3`},
		{method: "GET", from: "192.0.2.1:5000", status: 403, want: "clients on this machine"},
		{method: "DELETE", from: local, host: "evil.example", status: 403, want: "Host header"},
		{method: "DELETE", from: local, origin: "http://evil.example", status: 403, want: "Origin"},
		{method: "POST", from: local, status: 405, want: "want GET, PUT or DELETE"},
		{method: "PUT", body: strings.Repeat(" ", 1<<20+1), from: local, status: 413, want: "more than 1048576 bytes"},
		{method: "PUT", body: `{}`, from: local, status: 400, want: "not a JSON array"},
		{method: "PUT", body: `[] []`, from: local, status: 400, want: "followed by something else"},
		{method: "PUT", body: `[{"operatoin":"x"}]`, from: local, status: 400, want: `unknown field "operatoin"`},
		{method: "PUT", body: `[{"error":"throttle"},{}]`, from: local, status: 400, want: "rule 2: nothing to do; want latency, error or cut"},
		{method: "PUT", body: `[{"service":"s3","error":"x"}]`, from: local, status: 400, want: `service "s3"; want kinesis, dynamodb or none`},
		{method: "PUT", body: `[{"operation":"[","error":"x"}]`, from: local, status: 400, want: `operation "[" is not a pattern`},
		{method: "PUT", body: `[{"probability":1.5,"error":"x"}]`, from: local, status: 400, want: "probability 1.5; want 0 to 1"},
		{method: "PUT", body: `[{"latency":"soon"}]`, from: local, status: 400, want: `latency "soon"; want a duration`},
		{method: "PUT", body: `[{"latency":"-1s"}]`, from: local, status: 400, want: "latency -1s; want 0 or more"},
		{method: "PUT", body: `[{"latency":"2s","latencyMax":"1s"}]`, from: local, status: 400, want: "latencyMax 1s; want at least the latency, 2s"},
		{method: "PUT", body: `[{"status":500,"cut":"after"}]`, from: local, status: 400, want: "without error"},
		{method: "PUT", body: `[{"status":200,"error":"x"}]`, from: local, status: 400, want: "status 200; want 400 to 599"},
		{method: "PUT", body: `[{"cut":"between"}]`, from: local, status: 400, want: `cut "between"; want before, after or none`},
		{method: "PUT", body: `[{"cut":"after","error":"x"}]`, from: local, status: 400, want: "both cut and error"},
		{method: "PUT", body: `[{"count":-1,"error":"x"}]`, from: local, status: 400, want: "count -1; want 0 or more"},
		{method: "GET", from: local, status: 200, want: `"cut": "after"`}, // what was refused has changed nothing
		{method: "DELETE", from: local, status: 200, want: "[]"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(test.method, "http://localhost/_localstream/faults", strings.NewReader(test.body))
		r.RemoteAddr = test.from
		if test.host != "" {
			r.Host = test.host
		}
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		srv.ServeHTTP(w, r)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s %.80s from %s: %d %s; want %d %s", test.method, test.body, test.from, w.Code, w.Body, test.status, test.want)
		}
	}
	if _, err := localstream.Open("", localstream.Options{Memory: true, Faults: []localstream.Rule{{}}}); err == nil || !strings.HasPrefix(err.Error(), "localstream: fault rule 1: nothing to do") {
		t.Errorf("Open with a rule that does nothing: %v", err)
	}
}

func TestTheServersClockCanBeWrong(t *testing.T) {
	bubble(t, localstream.Options{ClockOffset: -time.Hour}, func(t *testing.T, c *client) {
		c.create(1)
		c.put(0, 1)
		records, _ := c.all(0, 0)
		if at := *records[0].ApproximateArrivalTimestamp; time.Since(at).Round(time.Second) != time.Hour {
			t.Errorf("a record of now arrived at %v by a clock that is an hour slow, now is %v", at, time.Now())
		}
	})
}
