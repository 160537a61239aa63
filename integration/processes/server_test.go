// Package processes tests the programs as real processes that are killed with SIGKILL, stopped and started again.
package processes

import (
	"flag"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/integration/proc"
	"github.com/shoal-stream/shoal/internal/plainbody"
)

var kills = flag.Int("kills", 10, "how often the test of killed servers kills localstream")

// A server is a localstream process on a data directory, at an address that outlives it.
type server struct {
	t         *testing.T
	bin       string
	dir, addr string
	proc      *proc.Process
}

func newServer(t *testing.T, bin string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // to find a free port; localstream takes it over
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &server{t: t, bin: bin, dir: t.TempDir(), addr: l.Addr().String()}
}

// startLimit bounds how long the server may find its address taken: while nobody listens there, the system may give the
// port to somebody's connection.
const startLimit = 20 * time.Second

// start runs the server and waits until it is ready.
func (s *server) start() {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		s.proc = proc.Start(s.t, "localstream", filepath.Join(s.bin, "localstream"), "serve", "-addr", s.addr, "-data", s.dir)
		_, err := s.proc.Line("ready "+s.addr, 10*time.Second) // "already in use" is no such line
		if err == nil {
			return
		}
		if _, taken := s.proc.Line("address already in use", 0); taken != nil || time.Since(began) > startLimit {
			s.t.Fatal(err)
		}
	}
}

func (s *server) url() string { return "http://" + s.addr }

// client calls the server without retries, so that a test knows what was sent.
func (s *server) client() *kinesis.Client {
	return kinesis.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(s.url()),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDLOCAL", "secret", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
		HTTPClient:  plainbody.Wrap(http.DefaultClient),
	})
}
