package localstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/sourcegraph/conc"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// Bounds of connections over the network. Idle ones outlive those that SDKs keep, 90 s in Go, so that it is the
// client who closes them and no request meets a closed connection.
const (
	headerTimeout  = 5 * time.Second
	bodyPatience   = 10 * time.Second // before bodyRate counts
	bodyRate       = 32 << 10         // bytes a second that a request's body must reach
	replyTimeout   = 10 * time.Minute
	idleTimeout    = 3 * time.Minute
	maxHeader      = 64 << 10
	maxConnections = 1024
	stopTimeout    = 5 * time.Second
)

// Serve answers requests on l until ctx ends, then finishes those in progress, for up to five seconds, and returns
// nil. When the disk has failed for good it ends like that by itself, and returns the failure. It closes l. The server
// itself stays open. Clients speak HTTP/1.1, or HTTP/2 with prior knowledge. At most 1,024 connections are served at a
// time, the next ones wait; those that send their requests too slowly are closed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, nil)
}

// ServeTLS is Serve over TLS with the certificate: HTTP/2 or HTTP/1.1, as the client's ALPN asks.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, certificate tls.Certificate) error {
	return s.serve(ctx, l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
}

// serve is Serve, over TLS if there is a configuration for it.
func (s *Server) serve(ctx context.Context, l net.Listener, secure *tls.Config) error {
	ctx, end := context.WithCancel(ctx)
	var watch conc.WaitGroup
	defer watch.Wait()
	defer end()
	watch.Go(func() {
		select {
		case <-s.store.Broken():
			end()
		case <-ctx.Done():
		}
	})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(secure == nil)
	protocols.SetHTTP2(secure != nil)
	server := &http.Server{
		TLSConfig:   secure,
		Protocols:   protocols,
		Handler:     s,
		ConnContext: withGather,
		// Subscriptions would keep the server for minutes: they end with ctx, other requests are finished.
		BaseContext:       func(net.Listener) context.Context { return wire.WithDrain(context.Background(), ctx) },
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      replyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          zap.NewStdLog(s.o.Logger.Named("http")),
	}
	done := make(chan error, 1)
	stopped := context.AfterFunc(ctx, func() {
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err := server.Shutdown(patience)
		if err != nil {
			err = server.Close()
		}
		done <- err
	})
	l = limit(l, maxConnections)
	accept := server.Serve
	if secure != nil {
		accept = func(l net.Listener) error { return server.ServeTLS(l, "", "") } // the certificate is in its configuration
	}
	if err := accept(l); !errors.Is(err, http.ErrServerClosed) {
		if stopped() {
			return fmt.Errorf("localstream: serving on %s: %w", l.Addr(), err)
		}
	}
	return errors.Join(<-done, s.store.Err())
}

// limitBody makes reading r's body fail when it comes too slowly: after the first ten seconds it must have reached
// 32 KiB for each further second. The caller calls done when it reads no more.
func limitBody(w http.ResponseWriter, r *http.Request) (done func()) {
	if r.Body == nil || r.Body == http.NoBody {
		return func() {}
	}
	b := &slowBody{ReadCloser: r.Body, conn: http.NewResponseController(w), start: time.Now(), length: r.ContentLength, gather: gatherFor(r)}
	b.extend()
	r.Body = b
	return func() { b.gather.expect(0) }
}

// slowBody moves the connection's deadline as bytes come. Time is the machine's: deadlines of connections are.
type slowBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	start time.Time
	got   int64

	length int64 // negative: unknown
	gather *gather
}

func (b *slowBody) extend() {
	b.gather.expect(b.length - b.got)
	earned := time.Duration(b.got) * time.Second / bodyRate
	_ = b.conn.SetReadDeadline(b.start.Add(bodyPatience + earned)) // only writers of tests have none
}

// Read reads on within the deadline, which goes when the body has ended: the reply may take longer.
func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.got += int64(n)
	if errors.Is(err, io.EOF) {
		_ = b.conn.SetReadDeadline(time.Time{})
	} else {
		b.extend()
	}
	return n, err
}
