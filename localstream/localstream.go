// Package localstream is a durable Kinesis and DynamoDB on this machine, for programs and tests that would otherwise
// need AWS. Embedded, unmodified SDK clients call it in this process, without a socket:
//
//	srv, err := localstream.Open("data", localstream.Options{})
//	defer srv.Close()
//	client := kinesis.NewFromConfig(srv.AWSConfig())
//
// In a test, localstream.Open("", localstream.Options{Memory: true}) keeps everything in memory; inside a
// testing/synctest bubble it lives on the bubble's time. As a program, "localstream serve" listens on a port; see
// cmd/localstream.
//
// What it acknowledged is on disk, and is there again after kill -9 and after a power cut.
package localstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/sourcegraph/conc"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/localstream/internal/kinesis"
	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// ErrClosed is the error of calls after Close.
var ErrClosed = errors.New("localstream: closed")

// Options of a Server. The zero value is a server on disk without throttling.
type Options struct {
	// Memory keeps everything in memory: nothing survives Close. The directory is not used.
	Memory bool
	// FS is the file system that the directory is on, nil for the disk. Tests put a crashable one here.
	FS vfs.FS
	// Region and Account appear in ARNs and messages. Default: us-east-1 and 000000000000.
	Region, Account string
	// Clock is the server's time and randomness.
	Clock clock.Clock
	// Logger takes failures and the database's doings; never data of records. Nil logs nothing.
	Logger *zap.Logger
	// Limits are the rates and quotas of the account, by default hardly any; see RealLimits.
	Limits Limits
	// Transition is how long a stream or table stays CREATING, UPDATING or DELETING. Default: not at all.
	Transition time.Duration
	// Hosts are names besides localhost under which requests over the network may address the server; "*" allows all.
	// Others are refused, which keeps web pages out.
	Hosts []string
	// Origins are those of web pages that may call the server, such as "http://localhost:3000"; "*" allows all. Pages of
	// other origins are refused.
	Origins []string
	// Keys are secrets by access key id. With any, calls must be signed by one of them, within five minutes; without,
	// calls must look signed, by whatever key.
	Keys map[string]string
	// Fault decides what goes wrong with each call; nil lets all be. It is called from many goroutines at once.
	Fault func(Call) Fault
	// Faults are rules to start with for what goes wrong; see SetFaults.
	Faults []Rule
	// ReshardEvery is the time between reshards that nobody asked for: each splits or merges shards of every stream that
	// is provisioned and ACTIVE. 0 means none.
	ReshardEvery time.Duration
	// ClockOffset is added to the server's time, as if its clock, or the client's, were set wrong.
	ClockOffset time.Duration
}

// Limits are what the account and each of its shards may do; the zero value lets all through.
type Limits = kinesis.Limits

// RealLimits are AWS's: per shard and second writes of 1,000 records and 1 MiB, 5 reads and 2 MiB; its rates of
// control calls; its quotas. RealLimits.Scale(10) has rates ten times as high.
var RealLimits = kinesis.RealLimits

// A Call is one request as a fault rule sees it.
type Call = wire.Call

// A Fault is what a rule does to a call; the zero Fault does nothing.
type Fault = wire.Fault

// An Error is an AWS error as a rule may answer it, such as {Type: "ProvisionedThroughputExceededException"} or
// {Type: "InternalFailure", Status: 500}.
type Error = wire.Error

// A Server is a running localstream. It is an http.Handler for the AWS protocols, GET /health, and fault rules at
// /_localstream/faults.
type Server struct {
	o       Options
	store   *storage.Store
	tables  *tables.Service
	handler *wire.Handler
	rules   ruleset

	life  context.Context // ends with Close
	end   context.CancelCauseFunc
	tasks conc.WaitGroup // background work, and calls made in this process

	mu     sync.Mutex // guards closed, and calls' counting up
	closed bool
	calls  sync.WaitGroup // calls in ServeHTTP
}

// Open starts a server on the data in dir, which it makes if there is none. Its errors name dir and what is wrong with
// it. Only one server at a time can have a directory.
func Open(dir string, o Options) (*Server, error) {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.Account = cmp.Or(o.Account, "000000000000")
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	o.Clock = offset(o.Clock, o.ClockOffset)
	store, err := storage.Open(dir, storage.Options{FS: o.FS, Memory: o.Memory, Logger: o.Logger.Named("storage")})
	if err != nil {
		return nil, fmt.Errorf("localstream: %w", err)
	}
	s := &Server{o: o, store: store, rules: ruleset{clock: o.Clock}}
	if err := s.rules.set(o.Faults); err != nil {
		return nil, fmt.Errorf("localstream: fault %w", errors.Join(err, store.Close()))
	}
	s.life, s.end = context.WithCancelCause(context.Background())
	if err := s.start(); err != nil {
		s.end(ErrClosed)
		return nil, fmt.Errorf("localstream: %w", errors.Join(err, store.Close()))
	}
	return s, nil
}

// start opens the services on the store and starts their background work.
func (s *Server) start() error {
	streams, err := kinesis.New(s.store, kinesis.Options{
		Region: s.o.Region, Account: s.o.Account, Clock: s.o.Clock, Logger: s.o.Logger.Named("kinesis"),
		Limits: s.o.Limits, Transition: s.o.Transition,
	})
	if err != nil {
		return err
	}
	s.tables, err = tables.New(s.store, tables.Options{
		Region: s.o.Region, Account: s.o.Account, Clock: s.o.Clock, Logger: s.o.Logger.Named("tables"), Delay: s.o.Transition,
	})
	if err != nil {
		return err
	}
	o := wire.Options{Clock: s.o.Clock, Logger: s.o.Logger.Named("wire"), Hosts: s.o.Hosts, Origins: s.o.Origins, Fault: s.fault}
	if len(s.o.Keys) > 0 {
		o.Verify = (&verifier{region: s.o.Region, keys: s.o.Keys, now: s.o.Clock.Now}).verify
	}
	s.handler = wire.NewHandler(o, streams.Wire(), s.tables.Wire())
	s.tasks.Go(func() { _ = streams.Run(s.life) })
	if every := s.o.ReshardEvery; every > 0 {
		s.tasks.Go(func() {
			for s.o.Clock.Sleep(s.life, every) == nil {
				if err := streams.Stir(s.life); err != nil && s.life.Err() == nil {
					s.o.Logger.Error("reshards failed", zap.Error(err))
				}
			}
		})
	}
	return nil
}

// fault asks the option first, then the rules.
func (s *Server) fault(c Call) Fault {
	if s.o.Fault != nil {
		if f := s.o.Fault(c); f != (Fault{}) {
			return f
		}
	}
	return s.rules.fault(c)
}

// offset is c with by added to its time.
func offset(c clock.Clock, by time.Duration) clock.Clock {
	if by == 0 {
		return c
	}
	now := c.Now
	c.NowFunc = func() time.Time { return now().Add(by) }
	return c
}

// Close ends the server: calls in progress are cut short, background work ends, the data is closed. What was
// acknowledged stays.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.mu.Unlock()
	s.end(ErrClosed)
	s.calls.Wait()
	s.tasks.Wait()
	s.tables.Close()
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("localstream: %w", err)
	}
	return nil
}

// enter counts a call in, unless the server is closed. The caller counts it out by leave.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.calls.Add(1)
	}
	return !s.closed
}

func (s *Server) leave() { s.calls.Done() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.leave()
	defer limitBody(w, r)()
	switch {
	case r.URL.Path == healthPath && r.Method == http.MethodGet:
		s.health(w)
		return
	case r.URL.Path == faultsPath:
		s.serveFaults(w, r)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(ErrClosed) })()
	s.handler.ServeHTTP(w, r.WithContext(ctx))
}

// health answers 200 while the server can do its work, else 503.
func (s *Server) health(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if err := s.store.Err(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "{\"status\":\"failed\",\"error\":%q}\n", err.Error())
		return
	}
	fmt.Fprintln(w, `{"status":"ok"}`)
}
