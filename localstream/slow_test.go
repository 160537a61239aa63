package localstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes, so that they live on a bubble's time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// serving runs f in a bubble with a server that listens on pipes.
func serving(t *testing.T, f func(t *testing.T, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := Open("", Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ctx, p) }()
		f(t, p)
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

const head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nAuthorization: Credential=a/b, SignedHeaders=host, Signature=c\r\nX-Amz-Date: 20000101T000000Z\r\n\r\n"

func TestSlowClientsAreClosed(t *testing.T) {
	for _, test := range []struct {
		name  string
		start string        // sent at once
		piece string        // sent every so often
		every time.Duration // 0: nothing more is sent
		want  time.Duration // until the connection is closed, or answered
		code  string        // of the answer, empty if there is none
	}{
		{name: "nothing is sent", want: headerTimeout},
		{name: "half a header", start: "POST / HTTP/1.1\r\nHos", want: headerTimeout, code: "400"},
		{name: "a header that comes byte by byte", start: "POST / HTTP/1.1\r\nHos", piece: "t", every: time.Second, want: headerTimeout, code: "400"},
		{name: "a body that never comes", start: fmt.Sprintf(head, 100), want: bodyPatience},
		{name: "a body byte by byte", start: fmt.Sprintf(head, 100), piece: " ", every: time.Second, want: bodyPatience},
		{name: "a large body at half the rate", start: fmt.Sprintf(head, 1<<20), piece: strings.Repeat(" ", bodyRate/2), every: time.Second, want: 2*bodyPatience - time.Second},
		{name: "a small body in time", start: fmt.Sprintf(head, 9) + "{       ", piece: "}", every: 9 * time.Second, want: 9 * time.Second, code: "200"},
		{name: "a large body at the rate, not JSON", start: fmt.Sprintf(head, 1<<20), piece: strings.Repeat("x", bodyRate), every: time.Second, want: 32 * time.Second, code: "400"},
	} {
		t.Run(test.name, func(t *testing.T) {
			serving(t, func(t *testing.T, p *pipes) {
				c := p.dial()
				start := time.Now()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, err := io.WriteString(c, test.start)
					for err == nil && test.every > 0 {
						time.Sleep(test.every)
						_, err = io.WriteString(c, test.piece)
					}
				}()
				first, err := bufio.NewReader(c).ReadString('\n')
				if took := time.Since(start); (took - test.want).Abs() > time.Second {
					t.Errorf("%q, %v after %v, want after %v", first, err, took, test.want)
				}
				if code := strings.TrimPrefix(first, "HTTP/1.1 "); (err == nil) != (test.code != "") || !strings.HasPrefix(code, test.code) {
					t.Errorf("answered %q, %v, want %q", first, err, test.code)
				}
				c.Close()
				<-sent
			})
		})
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		c := p.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%+v, %v", resp, err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := r.ReadByte(); err != io.EOF || time.Since(start) != idleTimeout {
			t.Errorf("%v after %v, want EOF after %v", err, time.Since(start), idleTimeout)
		}
	})
}

func TestOnlySoManyConnectionsAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		l := limit(p, 2)
		accepted := make(chan net.Conn, 3)
		ended := make(chan error, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				accepted <- c
			}
		}()
		for range 3 {
			go p.dial()
		}
		synctest.Wait()
		if len(accepted) != 2 {
			t.Fatalf("%d of 3 connections accepted, want 2", len(accepted))
		}
		one := <-accepted
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		_ = one.Close() // gives its slot back once only
		synctest.Wait()
		if len(accepted) != 2 {
			t.Errorf("%d connections accepted after one was closed, want 2", len(accepted))
		}
		l.Close()
		if err := <-ended; err == nil {
			t.Error("Accept after Close gave a connection")
		}
	})
}
