package localstream_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream"
)

// keyed is a server that knows one key.
func keyed(t *testing.T) *localstream.Server {
	t.Helper()
	srv, err := localstream.Open("", localstream.Options{Memory: true, Keys: map[string]string{"AKID": "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

func TestSDKClientsWithTheRightKeyAreLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := keyed(t)
		cfg := srv.AWSConfig()
		call := func(id, secret string) error {
			cfg.Credentials = credentials.NewStaticCredentialsProvider(id, secret, "")
			_, err1 := kinesis.NewFromConfig(cfg).ListStreams(t.Context(), &kinesis.ListStreamsInput{})
			_, err2 := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), &dynamodb.ListTablesInput{})
			if (err1 == nil) != (err2 == nil) {
				t.Errorf("Kinesis says %v, DynamoDB %v", err1, err2)
			}
			return err1
		}
		if err := call("AKID", "secret"); err != nil {
			t.Errorf("the right key: %v", err)
		}
		wantError(t, call("AKID", "wrong"), "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
		wantError(t, call("OTHER", "secret"), "UnrecognizedClientException", "The security token included in the request is invalid.")
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSignaturesAreVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := keyed(t)
		const url = "http://localhost/a%20path/x+y?b=2&a=1%2F3&a=%20"
		for _, test := range []struct {
			name    string
			service string
			region  string
			skew    time.Duration
			presign bool
			before  func(*http.Request) // changes the request before it is signed
			after   func(*http.Request) // and after
			want    string              // "" is success
		}{
			{name: "as it should be"},
			{name: "presigned", presign: true},
			{name: "further headers", before: func(r *http.Request) {
				r.Header.Set("X-Amz-Other", "  two   spaces ")
				r.Header.Add("X-Amz-Many", "1")
				r.Header.Add("X-Amz-Many", "2")
			}},
			{name: "unsigned headers", after: func(r *http.Request) { r.Header.Set("X-Later", "y") }},
			{name: "nearly five minutes old", skew: -5 * time.Minute},
			{name: "nearly five minutes early", skew: 5 * time.Minute},
			{name: "too old", skew: -301 * time.Second, want: "Signature expired: 19991231T235459Z is now earlier than 19991231T235500Z (20000101T000000Z - 5 min.)"},
			{name: "too early", skew: 301 * time.Second, want: "Signature not yet current: 20000101T000501Z is still later than 20000101T000500Z (20000101T000000Z + 5 min.)"},
			{name: "a presigned one that has expired", presign: true, skew: -61 * time.Second, want: "Signature expired"},
			{name: "another body", after: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{ }")) }, want: "does not match"},
			{name: "another target", after: func(r *http.Request) { r.Header.Set("X-Amz-Target", "Kinesis_20131202.ListShards") }, want: "does not match"},
			{name: "another host", after: func(r *http.Request) { r.Host = "127.0.0.1" }, want: "does not match"},
			{name: "another query", after: func(r *http.Request) { r.URL.RawQuery += "&c" }, want: "does not match"},
			{name: "another path", after: func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/b", "" }, want: "does not match"},
			{name: "a cut signature", after: func(r *http.Request) {
				h := r.Header.Get("Authorization")
				r.Header.Set("Authorization", h[:len(h)-2])
			}, want: "does not match"},
			{name: "no hexadecimal signature", after: func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"x") }, want: "does not match"},
			{name: "another service", service: "s3", want: "Credential should be scoped to correct service: 'kinesis'."},
			{name: "another region", region: "mars-north-1", want: "Credential should be scoped to a valid region"},
			{name: "another algorithm", after: func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "SHA256", "SHA1", 1))
			}, want: "Unsupported AWS 'algorithm'"},
			{name: "a short scope", after: func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/kinesis", "", 1))
			}, want: "exactly 5 slash-delimited elements"},
			{name: "host unsigned", after: func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
			}, want: "must be a 'SignedHeader'"},
			{name: "no date", after: func(r *http.Request) { r.Header.Set("X-Amz-Date", "yesterday") }, want: "ISO-8601"},
			{name: "a scope of another day", after: func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "AKID/2000", "AKID/2001", 1))
			}, want: "Date in Credential scope does not match"},
		} {
			body := []byte("{}")
			r := httptest.NewRequest(http.MethodPost, url, bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("X-Amz-Target", "Kinesis_20131202.ListStreams")
			if test.before != nil {
				test.before(r)
			}
			hash := sha256.Sum256(body)
			key := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}
			service, region := "kinesis", "us-east-1"
			if test.service != "" {
				service = test.service
			}
			if test.region != "" {
				region = test.region
			}
			at := time.Now().Add(test.skew)
			if test.presign {
				r.URL.RawQuery += "&X-Amz-Expires=60"
				signed, headers, err := v4.NewSigner().PresignHTTP(t.Context(), key, r, hex.EncodeToString(hash[:]), service, region, at)
				if err != nil {
					t.Fatal(err)
				}
				target := r.Header
				r = httptest.NewRequest(http.MethodPost, signed, bytes.NewReader(body))
				for name, values := range headers {
					r.Header[name] = values
				}
				r.Header.Set("Content-Type", target.Get("Content-Type"))
				r.Header.Set("X-Amz-Target", target.Get("X-Amz-Target"))
			} else if err := v4.NewSigner().SignHTTP(t.Context(), key, r, hex.EncodeToString(hash[:]), service, region, at); err != nil {
				t.Fatal(err)
			}
			if test.after != nil {
				test.after(r)
			}
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, r)
			if (w.Code == 200) != (test.want == "") || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%s: %d %s; want %q", test.name, w.Code, w.Body, test.want)
			}
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
