package shortcut

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A Note is all of a call that does not depend on what it says.
type Note struct {
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

// Noting are the schemes of a client whose calls leave notes where their context asks for one.
func Noting(schemes []smithyhttp.AuthScheme) []smithyhttp.AuthScheme {
	noting := make([]smithyhttp.AuthScheme, len(schemes))
	for i, s := range schemes {
		noting[i] = scheme{s}
	}
	return noting
}

type takerKey struct{}

// A taker is a call of the SDK's of which a note is taken.
type taker struct {
	call *Call
	note Note
}

// Learn is the context for a call of the SDK's that leaves a note.
func (c *Call) Learn(ctx context.Context) context.Context {
	if c == nil {
		return ctx
	}
	return context.WithValue(ctx, takerKey{}, &taker{call: c})
}

// scheme takes notes of what the SDK asks of an authentication scheme, the signature last.
type scheme struct{ smithyhttp.AuthScheme }

func (s scheme) IdentityResolver(o auth.IdentityResolverOptions) auth.IdentityResolver {
	if r := s.AuthScheme.IdentityResolver(o); r != nil {
		return resolver{r}
	}
	return nil
}

func (s scheme) Signer() smithyhttp.Signer {
	real := s.AuthScheme.Signer()
	if events, ok := real.(smithyhttp.EventStreamSigner); ok {
		return eventSigner{signer{real}, events}
	}
	if real == nil {
		return nil
	}
	return signer{real}
}

type resolver struct{ auth.IdentityResolver }

func (r resolver) GetIdentity(ctx context.Context, props smithy.Properties) (auth.Identity, error) {
	if t, ok := ctx.Value(takerKey{}).(*taker); ok {
		t.note.identities, t.note.identityProps = r.IdentityResolver, props
	}
	return r.IdentityResolver.GetIdentity(ctx, props)
}

type signer struct{ smithyhttp.Signer }

func (s signer) SignRequest(ctx context.Context, r *smithyhttp.Request, identity auth.Identity, props smithy.Properties) error {
	if t, ok := ctx.Value(takerKey{}).(*taker); ok {
		t.sign(ctx, r, s.Signer, props)
	}
	return s.Signer.SignRequest(ctx, r, identity, props)
}

// An eventSigner signs events, too, as the SDK's signer does.
type eventSigner struct {
	signer
	smithyhttp.EventStreamSigner
}

// ofOneCall are the headers that belong to a single call. Under X-Ray there is one more that cannot be left out, and so no
// note.
var ofOneCall = []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Content-Length"}

const traceHeader = "X-Amzn-Trace-Id"

// sign completes the note with what is about to be signed.
func (t *taker) sign(ctx context.Context, r *smithyhttp.Request, signer smithyhttp.Signer, props smithy.Properties) {
	if t.note.identities == nil || r.Header.Get(traceHeader) != "" {
		return
	}
	n := t.note
	n.taken, n.ctx = t.call.client.Clock.Now(), context.WithoutCancel(ctx)
	n.method, n.host, n.url, n.header = r.Method, r.Host, *r.URL, r.Header.Clone()
	for _, name := range ofOneCall {
		n.header.Del(name)
	}
	n.signer, n.signerProps = signer, props
	t.call.note.Store(&n)
}
