// Package shortcut makes calls of AWS services without what the SDK does around each of them: it puts some forty layers
// together and works out the endpoint by rules, which costs several times what a small call does, and comes out the same
// each time. So one call in a minute is the SDK's, and what it is about to sign is noted: where it goes, its headers, who
// signs. The calls between are made after that note, signed by the SDK's signer and sent by the user's HTTP client; their
// errors are what the SDK would return.
//
//	if n := c.Ready(); n != nil {
//		err = c.Do(ctx, n, in, out)
//	} else {
//		out, err = client.GetRecords(c.Learn(ctx), in)
//	}
package shortcut

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/metrics"
	"github.com/aws/smithy-go/middleware"
	"github.com/aws/smithy-go/tracing"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-stream/shoal/internal/clock"
)

// noteLife is how long a call goes by its note: what the SDK decides anew for each call by rules and providers, such as the
// endpoint, must come to bear some time. Credentials are asked for each call.
const noteLife = time.Minute

// A Watch is what a user may have put into the options of a client to see, or to change, each call.
type Watch struct {
	APIOptions     []func(*middleware.Stack) error
	Interceptors   smithyhttp.InterceptorRegistry
	ClientLogMode  aws.ClientLogMode
	TracerProvider tracing.TracerProvider
	MeterProvider  metrics.MeterProvider
}

// None reports whether there is nothing: only then may there be shortcuts.
func (w *Watch) None() bool {
	hooks := reflect.ValueOf(w.Interceptors)
	for i := range hooks.NumField() {
		if hooks.Field(i).Len() > 0 {
			return false
		}
	}
	_, untraced := w.TracerProvider.(*tracing.NopTracerProvider)
	_, unmeasured := w.MeterProvider.(metrics.NopMeterProvider)
	return untraced && unmeasured && len(w.APIOptions) == 0 && w.ClientLogMode == 0
}

// A Client is what calls need of an SDK client. Its AuthSchemes must have been through Noting.
type Client struct {
	ServiceID string
	Protocol  smithyhttp.ClientProtocol
	Errors    *smithy.TypeRegistry
	HTTP      interface {
		Do(*http.Request) (*http.Response, error)
	}
	Clock clock.Clock
}

// A Call is one operation with inputs that all go to the same endpoint. The nil Call never has a note. It is safe for
// concurrent use.
type Call struct {
	client *Client
	schema *smithy.OperationSchema
	note   atomic.Pointer[Note]
}

// Call makes the Call of an operation, of which it is given the schemas.
func (c *Client) Call(op, in, out *smithy.Schema) *Call {
	return &Call{client: c, schema: smithy.NewOperationSchema(op, in, out)}
}

// Name is the operation's.
func (c *Call) Name() string { return c.schema.ID().Name }

// Ready returns the note, or nil if the next call is to be the SDK's, in a context from Learn.
func (c *Call) Ready() *Note {
	if c == nil {
		return nil
	}
	n := c.note.Load()
	if n != nil && c.client.Clock.Since(n.taken) >= noteLife {
		c.note.CompareAndSwap(n, nil)
		return nil
	}
	return n
}

// Do makes the call after n, in the client's protocol.
func (c *Call) Do(ctx context.Context, n *Note, in smithy.Serializable, out smithy.Deserializable) error {
	req := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if err := c.client.Protocol.SerializeRequest(ctx, c.schema, in, req); err != nil {
		return c.failed(err)
	}
	body, err := io.ReadAll(req.GetStream())
	if err != nil {
		return c.failed(&smithy.SerializationError{Err: err})
	}
	resp, err := c.send(ctx, n, body)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
		_ = resp.Body.Close()
	}()
	return c.read(ctx, n, resp, out)
}

// Post makes the call after n with a body of the caller's, and returns that of the answer.
func (c *Call) Post(ctx context.Context, n *Note, body []byte) (string, error) {
	resp, err := c.send(ctx, n, body)
	if err != nil {
		return "", err
	}
	text, err := readAll(resp)
	if err != nil {
		return "", c.Unreadable(resp, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return text, nil
	}
	resp.Body = io.NopCloser(strings.NewReader(text))
	return "", c.read(ctx, n, resp, nil)
}

// send sends body after n.
func (c *Call) send(ctx context.Context, n *Note, body []byte) (*http.Response, error) {
	r, err := n.request(ctx, body)
	if err != nil {
		return nil, c.failed(err)
	}
	resp, err := c.client.HTTP.Do(r)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, c.failed(&smithy.CanceledError{Err: ctx.Err()})
	case err != nil:
		c.note.CompareAndSwap(n, nil)
		return nil, c.failed(&smithyhttp.RequestSendError{Err: err})
	}
	return resp, nil
}

// read reads an answer into out, or returns the error that it tells.
func (c *Call) read(ctx context.Context, n *Note, resp *http.Response, out smithy.Deserializable) error {
	err := c.client.Protocol.DeserializeResponse(ctx, c.schema, c.client.Errors, &smithyhttp.Response{Response: resp}, out)
	if err == nil {
		return nil
	}
	if _, unknown := err.(*smithy.GenericAPIError); unknown && resp.StatusCode < 500 {
		c.note.CompareAndSwap(n, nil) // it may be the note that is refused: a signature, a time
	}
	return c.answered(resp, err)
}

// Unreadable is the error of an answer that cannot be read; resp is nil if that is not at hand any more.
func (c *Call) Unreadable(resp *http.Response, err error) error {
	err = &smithy.DeserializationError{Err: err}
	if resp == nil {
		return c.failed(err)
	}
	return c.answered(resp, err)
}

// answered says of which answer err is, and failed of which call, as the SDK does.
func (c *Call) answered(resp *http.Response, err error) error {
	return c.failed(&awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}, Err: err},
		RequestID:     resp.Header.Get("X-Amzn-Requestid"),
	})
}

func (c *Call) failed(err error) error {
	return &smithy.OperationError{ServiceID: c.client.ServiceID, OperationName: c.Name(), Err: err}
}

// request makes and signs the request.
func (n *Note) request(ctx context.Context, body []byte) (*http.Request, error) {
	identity, err := n.identities.GetIdentity(ctx, n.identityProps)
	if err != nil {
		return nil, fmt.Errorf("get identity: %w", err)
	}
	to := n.url // the signer may write to it
	r := (&http.Request{
		Method: n.method, URL: &to, Host: n.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: n.header.Clone(), ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}).WithContext(ctx)
	hash := sha256.Sum256(body)
	signing := v4.SetPayloadHash(n.ctx, hex.EncodeToString(hash[:]))
	if err := n.signer.SignRequest(signing, &smithyhttp.Request{Request: r}, identity, n.signerProps); err != nil {
		return nil, fmt.Errorf("sign request: %w", err)
	}
	return r, nil
}

// buffers are for answers while they are received, up to keptBuffer.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keptBuffer = 64 << 10

// readAll reads the body of an answer and closes it.
func readAll(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	if _, err := buf.ReadFrom(resp.Body); err != nil {
		return "", err
	}
	if sum := resp.Header.Get("X-Amz-Crc32"); sum != "" {
		if want, err := strconv.ParseUint(sum, 10, 32); err != nil || uint32(want) != crc32.ChecksumIEEE(buf.Bytes()) {
			return "", fmt.Errorf("the answer does not have its checksum, %s", sum)
		}
	}
	text := buf.String()
	if buf.Cap() <= keptBuffer {
		buffers.Put(buf)
	}
	return text, nil
}
