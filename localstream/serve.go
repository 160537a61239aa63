package localstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// Bounds of connections over the network. Idle ones outlive those that SDKs keep, 90 s in Go, so that it is the
// client who closes them and no request meets a closed connection.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 2 * time.Minute // for a whole request of 16 MiB: 140 KiB/s
	replyTimeout   = 10 * time.Minute
	idleTimeout    = 3 * time.Minute
	maxHeader      = 64 << 10
	stopTimeout    = 5 * time.Second
)

// Serve answers requests on l until ctx ends, then finishes those in progress, for up to five seconds, and returns
// nil. It closes l. The server itself stays open.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
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
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		if stopped() {
			return fmt.Errorf("localstream: serving on %s: %w", l.Addr(), err)
		}
	}
	return <-done
}
