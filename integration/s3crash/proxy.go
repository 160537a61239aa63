package main

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// A proxy stands between an archiver and the S3 server and loses what it is told to lose.
type proxy struct {
	url    string
	target string
	client *http.Client
	server *http.Server

	mu     sync.Mutex
	loss   []loss     // what happens to the next requests that make objects
	struck chan<- int // told when the next object is there and the archiver does not know; nil if nobody asks
	count  int
}

// A loss is what happens to a request.
type loss int

const (
	loseRequest loss = iota // the server does not get it
	loseAnswer              // the server does it, and the client does not hear of it
	late                    // the client hears nothing, and the server gets it long after
	strike                  // an answer is lost, and somebody waits for this moment
)

// lateness is how long a late request takes: the client has given up, and another process has the shard.
const lateness = 4 * time.Second

func newProxy(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{
		url: "http://" + l.Addr().String(), target: target,
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}},
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(l) }() // until close
	return p, nil
}

func (p *proxy) close() { p.server.Close() }

// arm plans losses.
func (p *proxy) arm(l ...loss) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = append(p.loss, l...)
}

// moment plans the loss of an answer and returns what tells when the object is there.
func (p *proxy) moment() <-chan int {
	struck := make(chan int, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = append([]loss{strike}, p.loss...)
	p.struck = struck
	return struck
}

// forget takes back what moment planned, if it has not come.
func (p *proxy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.loss) > 0 && p.loss[0] == strike {
		p.loss = p.loss[1:]
	}
	p.struck = nil
}

// lost is how many requests and answers were lost so far.
func (p *proxy) lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// next is what happens to a request.
func (p *proxy) next(r *http.Request) (loss, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.loss) == 0 || r.Header.Get("If-None-Match") == "" {
		return 0, false
	}
	l := p.loss[0]
	p.loss = p.loss[1:]
	p.count++
	return l, true
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	l, lossy := p.next(r)
	ctx := r.Context()
	if lossy {
		switch l {
		case loseRequest:
			panic(http.ErrAbortHandler)
		case late:
			ctx = context.WithoutCancel(ctx)
			<-time.After(lateness)
		}
	}
	resp, err := p.forward(ctx, r, body)
	if err != nil || lossy {
		if err == nil {
			resp.Body.Close()
		}
		if l == strike {
			p.tell()
			<-r.Context().Done() // the archiver is killed, or it gives up
		}
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // the client sees a short body
}

// tell tells who waits for the moment that it is now.
func (p *proxy) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.struck != nil {
		p.struck <- 1
		p.struck = nil
	}
}

// forward sends a request on as it came; the signature covers the host that it was made for.
func (p *proxy) forward(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	out, err := http.NewRequestWithContext(ctx, r.Method, p.target+r.URL.RequestURI(), nil)
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	out.Host = r.Host
	out.ContentLength = int64(len(body))
	if len(body) > 0 {
		out.Body = io.NopCloser(&reader{body})
	}
	return p.client.Do(out)
}

// A reader gives bytes once.
type reader struct{ rest []byte }

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
