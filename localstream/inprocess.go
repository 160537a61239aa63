package localstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/zap"
)

// AWSConfig is a configuration for SDK clients that call this server in the same process, without a socket. Its
// clients retry as usual, three attempts with back-off, but without the SDK's retry quota, after which a client would
// fail at the first error.
func (s *Server) AWSConfig() aws.Config {
	return aws.Config{
		Region:       s.o.Region,
		BaseEndpoint: aws.String("http://localhost"),
		Credentials:  credentials.NewStaticCredentialsProvider("localstream", "localstream", ""),
		HTTPClient:   inProcess{s},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.RateLimiter = ratelimit.None })
		},
	}
}

// inProcess is an HTTP client whose every request is a call of the server's handler. The handler runs in a goroutine
// of its own, which Close waits for, so that the request's context can end the wait for it.
type inProcess struct{ s *Server }

// errCut is what a client sees of a call that was cut off.
var errCut = &net.OpError{Op: "read", Net: "inprocess", Err: syscall.ECONNRESET}

// Do answers one request. The response's body must be closed, as usual.
func (c inProcess) Do(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req.Body = http.NoBody
	}
	if !c.s.enter() {
		_ = req.Body.Close()
		return nil, ErrClosed
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	r := req.Clone(ctx)
	r.Body, r.Host, r.RemoteAddr, r.RequestURI = req.Body, "localhost", "inprocess", req.URL.RequestURI()
	w := &response{req: req, ctx: ctx, cancel: cancel, header: http.Header{}, ready: make(chan struct{})}
	c.s.tasks.Go(func() {
		defer c.s.leave()
		defer func() { _ = req.Body.Close() }()
		defer context.AfterFunc(c.s.life, func() { cancel(ErrClosed) })()
		w.serve(c.s, r)
	})
	select {
	case <-w.ready:
	case <-req.Context().Done():
		cancel(context.Cause(req.Context()))
		return nil, req.Context().Err()
	case <-c.s.life.Done():
		return nil, ErrClosed
	}
	if w.err != nil {
		return nil, w.err
	}
	return w.result, nil
}

// A response is the writer that a handler gets. It gathers what is written until the handler returns, or flushes:
// from then on the client reads along.
type response struct {
	req    *http.Request
	ctx    context.Context // the handler's
	cancel context.CancelCauseFunc
	header http.Header
	status int
	body   bytes.Buffer

	mu       sync.Mutex // guards what follows where it is not the handler's goroutine that reads it
	stream   *pipe      // once flushed
	deadline time.Time  // of writes to it

	once   sync.Once
	ready  chan struct{} // closed when result or err is there
	result *http.Response
	err    error
}

// serve runs the handler and completes the response whatever happens in it.
func (w *response) serve(s *Server, r *http.Request) {
	defer w.cancel(nil)
	defer func() {
		panicked := recover()
		if panicked != nil && panicked != http.ErrAbortHandler {
			s.o.Logger.Error("a handler panicked", zap.String("panic", fmt.Sprint(panicked)), zap.Stack("stack"))
		}
		if w.stream != nil {
			if panicked != nil {
				w.stream.end(errCut)
			} else {
				w.stream.end(io.EOF)
			}
			return
		}
		if panicked != nil {
			w.fail(errCut)
		} else {
			w.finish(io.NopCloser(&w.body), int64(w.body.Len()))
		}
	}()
	s.handler.ServeHTTP(w, r)
}

func (w *response) fail(err error) {
	w.once.Do(func() {
		w.err = err
		close(w.ready)
	})
}

func (w *response) finish(body io.ReadCloser, length int64) {
	w.once.Do(func() {
		status := w.status
		if status == 0 {
			status = http.StatusOK
		}
		w.result = &http.Response{
			Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: w.header.Clone(), Body: body, ContentLength: length, Request: w.req,
		}
		close(w.ready)
	})
}

// Header is the reply's, to be changed before the first write.
func (w *response) Header() http.Header { return w.header }

// WriteHeader sets the status; only the first call counts.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write gathers b, or hands it to the client once the reply has been flushed.
func (w *response) Write(b []byte) (int, error) {
	if w.stream != nil {
		return w.stream.Write(b)
	}
	return w.body.Write(b)
}

// Flush lets the client have the reply from here on as it is written. Writes then wait for the client to read when it
// lags too far behind, and fail once it has closed the body.
func (w *response) Flush() {
	if w.stream != nil {
		return
	}
	stream := newPipe()
	_, _ = stream.Write(w.body.Bytes()) // the first one always fits
	w.mu.Lock()
	stream.setDeadline(w.deadline)
	w.stream = stream
	w.mu.Unlock()
	gone := w.req.Context()
	stop := context.AfterFunc(gone, func() { stream.abandon(context.Cause(gone)) })
	w.finish(&streamed{pipe: stream, cancel: w.cancel, stop: stop}, -1)
}

// SetWriteDeadline bounds how long writes wait for the client once the reply has been flushed. Any goroutine may call it.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	if w.stream != nil {
		w.stream.setDeadline(t)
	}
	return nil
}

// streamed is the body of a reply that is still being written. Closing it ends the handler's context.
type streamed struct {
	*pipe
	cancel context.CancelCauseFunc
	stop   func() bool
}

// Close ends the handler's context.
func (b *streamed) Close() error {
	b.stop()
	b.cancel(context.Canceled)
	b.abandon(io.ErrClosedPipe)
	return nil
}
