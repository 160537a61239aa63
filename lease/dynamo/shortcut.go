package dynamo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	"github.com/aws/smithy-go/metrics"
	"github.com/aws/smithy-go/tracing"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/lease"
)

// noteLife is how long a shortcut goes by its note: what is decided anew for each call by rules and providers, such as the
// endpoint, must come to bear some time. Credentials are asked for each call.
const noteLife = time.Minute

// A shortcut calls one operation on the lease table without what the SDK does around a call: it puts some forty layers
// together and works out the endpoint by rules, which costs several times the rest, and comes out the same each time. So one
// call in a minute is the SDK's, and what it is about to sign is noted: where it goes, its headers, who signs. The calls
// between are made after that note, signed by the SDK's signer and sent by the user's HTTP client; their errors are what the
// SDK would return. The nil shortcut never has a note.
type shortcut struct {
	schema   *smithy.OperationSchema
	protocol smithyhttp.ClientProtocol
	http     dynamodb.HTTPClient
	clock    clock.Clock
	note     atomic.Pointer[note]
}

// newShortcut makes the shortcut of an operation for a client with options o.
func newShortcut(o *dynamodb.Options, c clock.Clock, op, in, out *smithy.Schema) *shortcut {
	return &shortcut{schema: smithy.NewOperationSchema(op, in, out), protocol: o.Protocol, http: o.HTTPClient, clock: c}
}

// allowsShortcuts tells whether nothing in a user's client wants to see, or to change, each call.
func allowsShortcuts(o *dynamodb.Options) bool {
	_, ownProtocol := o.Protocol.(*awsjson.Protocol)
	_, untraced := o.TracerProvider.(*tracing.NopTracerProvider)
	_, unmeasured := o.MeterProvider.(metrics.NopMeterProvider)
	hooks := reflect.ValueOf(o.Interceptors)
	for i := range hooks.NumField() {
		if hooks.Field(i).Len() > 0 {
			return false
		}
	}
	return ownProtocol && untraced && unmeasured && len(o.APIOptions) == 0 && o.ClientLogMode == 0 &&
		!o.EnableAcceptEncodingGzip && o.EndpointDiscovery.EnableEndpointDiscovery != aws.EndpointDiscoveryEnabled
}

// noting makes the calls of a client leave notes where the context asks for one.
func noting(o *dynamodb.Options) {
	o.AuthSchemes = slices.Clone(o.AuthSchemes)
	for i, s := range o.AuthSchemes {
		o.AuthSchemes[i] = notingScheme{s}
	}
}

// A note is all of a call that does not depend on what it says.
type note struct {
	taken         time.Time
	method, host  string
	url           url.URL
	header        http.Header
	identities    auth.IdentityResolver
	identityProps smithy.Properties
	signer        smithyhttp.Signer
	signerProps   smithy.Properties
	ctx           context.Context // what the signer looks up in it stays: how far our clock is off
}

// ready returns the note, or nil if the next call is the SDK's.
func (c *shortcut) ready() *note {
	if c == nil {
		return nil
	}
	n := c.note.Load()
	if n != nil && c.clock.Since(n.taken) >= noteLife {
		c.note.CompareAndSwap(n, nil)
		return nil
	}
	return n
}

// learn is the context for a call of the SDK's that leaves a note.
func (c *shortcut) learn(ctx context.Context) context.Context {
	if c == nil {
		return ctx
	}
	return context.WithValue(ctx, noteTaker{}, &taking{c: c})
}

// call sends body after n and returns the answer.
func (c *shortcut) call(ctx context.Context, n *note, body []byte) (string, error) {
	r, err := n.request(ctx, body)
	if err != nil {
		return "", c.failed(err)
	}
	resp, err := c.http.Do(r)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", c.failed(&smithy.CanceledError{Err: ctx.Err()})
	case err != nil:
		c.note.CompareAndSwap(n, nil)
		return "", c.failed(&smithyhttp.RequestSendError{Err: err})
	}
	text, err := readAll(resp)
	if err != nil {
		return "", c.failed(c.answered(resp, &smithy.DeserializationError{Err: err}))
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return text, nil
	}
	resp.Body = io.NopCloser(strings.NewReader(text))
	err = c.protocol.DeserializeResponse(ctx, c.schema, dynamodb.TypeRegistry, &smithyhttp.Response{Response: resp}, nil)
	if _, unknown := err.(*smithy.GenericAPIError); unknown && resp.StatusCode < 500 {
		c.note.CompareAndSwap(n, nil) // it may be the note that is refused: a signature, a time
	}
	return "", c.failed(c.answered(resp, err))
}

// answered says of which answer err is, and failed of which call, as the SDK does.
func (c *shortcut) answered(resp *http.Response, err error) error {
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}, Err: err},
		RequestID:     resp.Header.Get("X-Amzn-Requestid"),
	}
}

func (c *shortcut) failed(err error) error {
	return &smithy.OperationError{ServiceID: dynamodb.ServiceID, OperationName: c.schema.ID().Name, Err: err}
}

// request makes and signs the request.
func (n *note) request(ctx context.Context, body []byte) (*http.Request, error) {
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

// buffers are for answers while they are received.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

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
	if buf.Cap() <= 64<<10 {
		buffers.Put(buf)
	}
	return text, nil
}

// short makes a call by a shortcut. The items of its answer go to add, one by one, and are valid during the call only.
func (s *Store) short(ctx context.Context, c *shortcut, n *note, body []byte, add func(item)) (next item, err error) {
	var page dynamodb.ScanOutput // which has what all answers have
	err = limitWait(ctx, s.cfg.Clock, func(ctx context.Context) error {
		text, err := c.call(ctx, n, body)
		if err != nil {
			return err
		}
		if err := readPage(text, &page, add); err != nil {
			return c.failed(&smithy.DeserializationError{Err: err})
		}
		return nil
	})
	if s.cfg.Units != nil {
		tell(s.cfg.Units, c.schema.ID().Name, c == s.updates, &page, err)
	}
	return page.LastEvaluatedKey, err
}

// shortRow makes a call by a shortcut that answers one item. found tells that there is one, and that it is a lease.
func (s *Store) shortRow(ctx context.Context, c *shortcut, n *note, body []byte) (row lease.Lease, found bool, err error) {
	var damage error
	_, err = s.short(ctx, c, n, body, func(it item) {
		if found = kindOf(it) == entityLease; found {
			row, damage = decode(it)
		}
	})
	if err == nil {
		err = damage
	}
	return row, found, err
}

type noteTaker struct{}

// taking is a call of the SDK's of which a note is taken.
type taking struct {
	c *shortcut
	n note
}

// notingScheme takes notes in what the SDK asks of an authentication scheme, last for the signature.
type notingScheme struct{ smithyhttp.AuthScheme }

func (s notingScheme) IdentityResolver(o auth.IdentityResolverOptions) auth.IdentityResolver {
	if r := s.AuthScheme.IdentityResolver(o); r != nil {
		return notingResolver{r}
	}
	return nil
}

func (s notingScheme) Signer() smithyhttp.Signer {
	if signer := s.AuthScheme.Signer(); signer != nil {
		return notingSigner{signer}
	}
	return nil
}

type notingResolver struct{ auth.IdentityResolver }

func (r notingResolver) GetIdentity(ctx context.Context, props smithy.Properties) (auth.Identity, error) {
	if t, ok := ctx.Value(noteTaker{}).(*taking); ok {
		t.n.identities, t.n.identityProps = r.IdentityResolver, props
	}
	return r.IdentityResolver.GetIdentity(ctx, props)
}

type notingSigner struct{ smithyhttp.Signer }

func (s notingSigner) SignRequest(ctx context.Context, r *smithyhttp.Request, identity auth.Identity, props smithy.Properties) error {
	if t, ok := ctx.Value(noteTaker{}).(*taking); ok {
		t.sign(ctx, r, s.Signer, props)
	}
	return s.Signer.SignRequest(ctx, r, identity, props)
}

// ofOneCall are the headers that belong to a single call. Under X-Ray that cannot be left out, so there is no note.
var ofOneCall = []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Content-Length"}

const traceHeader = "X-Amzn-Trace-Id"

// sign completes the note with what is about to be signed.
func (t *taking) sign(ctx context.Context, r *smithyhttp.Request, signer smithyhttp.Signer, props smithy.Properties) {
	if t.n.identities == nil || r.Header.Get(traceHeader) != "" {
		return
	}
	n := t.n
	n.taken, n.ctx = t.c.clock.Now(), context.WithoutCancel(ctx)
	n.method, n.host, n.url, n.header = r.Method, r.Host, *r.URL, r.Header.Clone()
	for _, name := range ofOneCall {
		n.header.Del(name)
	}
	n.signer, n.signerProps = signer, props
	t.c.note.Store(&n)
}
