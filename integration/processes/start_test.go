package processes

import (
	"net"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/integration/proc"
)

// A server whose address somebody has for a while is started once it is free.
func TestTheServerWaitsForItsAddress(t *testing.T) {
	bin := proc.Build(t, "localstream/cmd/localstream")
	s := newServer(t, bin)
	l, err := net.Listen("tcp", s.addr)
	for ; err != nil; l, err = net.Listen("tcp", s.addr) { // somebody else was quicker
		s = newServer(t, bin)
	}
	began := time.Now()
	time.AfterFunc(time.Second, func() { l.Close() })
	s.start()
	if took := time.Since(began); took < time.Second {
		t.Errorf("the server was ready after %v, while somebody else had its address", took)
	}
}
