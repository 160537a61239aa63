// Package proxy stands between a client and an HTTP server, and lets calls go wrong on the way: they are late, or the
// request, the answer or a part of it gets lost.
package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Fate is what becomes of a call. The zero Fate does nothing to it.
type Fate struct {
	// Delay passes before the server gets the request, or before it is lost.
	Delay time.Duration
	// Loss is what gets lost.
	Loss Loss
	// Answered is called when the server has answered, before the answer is lost. ctx ends when the client has gone.
	Answered func(ctx context.Context)
}

// A Loss is what the client does not get. Whenever something is lost its connection is reset.
type Loss uint8

const (
	Nothing Loss = iota
	Request      // the server does not get the request
	Answer       // the server does what was asked, and the client does not hear of it
	Part         // the client gets the first half of the answer
	Late         // as Answer, and the server gets the request even if the client gave up during the delay
)

// Options of a Proxy.
type Options struct {
	// Target is the server's URL, without a path.
	Target string
	// Fate decides what becomes of a call; nil lets all be. It is called from many goroutines at once.
	Fate func(*http.Request) Fate
	// Seen is told each answer of the server, also those that the client does not get, and when none came; nil if nobody
	// asks. It is called before the client has the answer, from many goroutines at once.
	Seen func(Call)
}

// A Call is a request and the server's answer.
type Call struct {
	Sent, At     time.Time // when the request came, and when the answer was there
	Header       http.Header
	Body, Answer []byte
	Status       int // 0 if no answer came: the server may have done what was asked
}

// A Proxy listens on a port of the loopback interface.
type Proxy struct {
	// URL is where clients reach it.
	URL string

	o      Options
	client *http.Client
	server *http.Server
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	under  sync.WaitGroup // the listener and all connections
}

// New starts a proxy, which must be closed.
func New(o Options) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &Proxy{
		URL: "http://" + l.Addr().String(), o: o,
		// A connection for each request: one that was kept might be to a server that has been killed since.
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.server = &http.Server{
		Handler: p, ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connection{}, c) },
		ConnState:   p.count,
	}
	p.under.Go(func() { _ = p.server.Serve(l) }) // until Close
	return p, nil
}

// count counts the connections that are served. A new one is counted by the listener's goroutine.
func (p *Proxy) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		p.under.Add(1)
	case http.StateClosed:
		p.under.Done()
	}
}

// connection is the key of a request's connection in its context.
type connection struct{}

// Close ends the proxy and all calls that are under way.
func (p *Proxy) Close() {
	p.cancel()
	_ = p.server.Close() // connections that were broken already
	p.under.Wait()
}

// ServeHTTP passes on one call.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		reset(r) // the client has gone
	}
	var fate Fate
	if p.o.Fate != nil {
		fate = p.o.Fate(r)
	}
	if !p.wait(r.Context(), fate) || fate.Loss == Request {
		reset(r)
	}
	call := Call{Sent: sent, Header: r.Header, Body: body}
	resp, err := p.forward(r, body)
	if err == nil {
		defer resp.Body.Close()
		if fate.Loss == Nothing && p.o.Seen == nil {
			head(w, resp)
			_, _ = io.Copy(w, resp.Body) // the client sees a short body
			return
		}
		if call.Answer, err = io.ReadAll(resp.Body); err == nil {
			call.Status = resp.StatusCode
		}
	}
	call.At = time.Now()
	if p.o.Seen != nil {
		p.o.Seen(call)
	}
	if err != nil {
		reset(r)
	}
	if fate.Answered != nil {
		fate.Answered(r.Context())
	}
	switch fate.Loss {
	case Nothing:
		head(w, resp)
		_, _ = w.Write(call.Answer)
	case Part:
		head(w, resp)
		_, _ = w.Write(call.Answer[:len(call.Answer)/2])
		_ = http.NewResponseController(w).Flush()
		reset(r)
	default:
		reset(r)
	}
}

// wait waits out a call's delay. It reports false if the proxy was closed meanwhile, or the client has gone and the call
// does not outlive that.
func (p *Proxy) wait(client context.Context, f Fate) bool {
	if f.Delay <= 0 {
		return true
	}
	gone := client.Done()
	if f.Loss == Late {
		gone = nil
	}
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
		return false
	case <-p.ctx.Done():
		return false
	}
}

// forward sends a request on as it came; a signature covers the host that it was made for. Whatever becomes of the client
// now, the request is under way.
func (p *Proxy) forward(r *http.Request, body []byte) (*http.Response, error) {
	out, err := http.NewRequestWithContext(p.ctx, r.Method, p.o.Target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header, out.Host = r.Header.Clone(), r.Host
	return p.client.Do(out)
}

func head(w http.ResponseWriter, resp *http.Response) {
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
}

// reset breaks the client's connection, so that it sees a reset and not an end. It does not return.
func reset(r *http.Request) {
	if c, ok := r.Context().Value(connection{}).(*net.TCPConn); ok {
		_ = c.SetLinger(0) // it may be closed already
	}
	panic(http.ErrAbortHandler)
}
