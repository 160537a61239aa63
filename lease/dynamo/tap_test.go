package dynamo_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/shoal-stream/shoal/lease/dynamo"
)

// A tap keeps what is sent through it, and may answer instead of the next.
type tap struct {
	next   dynamodb.HTTPClient
	answer func(r *http.Request) (*http.Response, error) // nil for what comes from next

	mu   sync.Mutex
	sent []sent
}

type sent struct {
	url    string
	header http.Header
	body   map[string]any
}

// short tells that the request is not one of the SDK's own.
func (s sent) short() bool { return s.header.Get("Amz-Sdk-Invocation-Id") == "" }

func (s sent) operation() string {
	return strings.TrimPrefix(s.header.Get("X-Amz-Target"), "DynamoDB_20120810.")
}

func (p *tap) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s := sent{url: r.URL.String(), header: r.Header.Clone()}
	if err := json.Unmarshal(body, &s.body); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.sent = append(p.sent, s)
	p.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	if p.answer != nil {
		return p.answer(r)
	}
	return p.next.Do(r)
}

// last is the last request for an operation.
func (p *tap) last(t *testing.T, operation string) sent {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.sent) - 1; i >= 0; i-- {
		if p.sent[i].operation() == operation {
			return p.sent[i]
		}
	}
	t.Fatalf("no %s was sent", operation)
	return sent{}
}

func answer(status int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		r := &http.Response{
			StatusCode: status, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r, nil
	}
}

// canned is a store whose service gives one answer to everything.
func canned(o ...func(*dynamodb.Options)) (*dynamo.Store, *tap) {
	p := &tap{answer: answer(200, `{"Attributes":`+aRow+`,"Item":`+aRow+`,"Items":[`+aRow+`]}`)}
	return dynamo.New(dynamodb.New(dynamodb.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), HTTPClient: p,
	}, o...), "leases"), p
}
