// Package plainbody keeps the AWS SDK and net/http from dropping connections between them.
//
// The SDK closes a request's body as soon as the head of the answer is there. net/http may at that moment still be about
// to look for bytes beyond the declared length; smithy-go's body (internal/io/safe.go, as of v1.28.8) then returns io.EOF
// from WriteTo, which net/http takes for a failed write, and closes the connection while the answer is being read. It
// happens with servers that answer at once. A body without WriteTo is read by Read, whose io.EOF is an ordinary end.
//
// Bodies that net/http can have again from GetBody are not the SDK's, and stay what they are: one in memory is sent in one
// piece with its head, which it is not if net/http cannot see what it is.
package plainbody

import (
	"io"
	"net/http"
)

// A Client sends requests; the SDK's HTTPClient and *http.Client are ones.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Wrap returns a client that sends through c with bodies that have no WriteTo. A nil c stays nil.
func Wrap(c Client) Client {
	if c == nil {
		return nil
	}
	return client{c}
}

type client struct{ next Client }

// Do sends r.
func (c client) Do(r *http.Request) (*http.Response, error) {
	if r.GetBody == nil && r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.next.Do(r)
}
