package localstream

import (
	"context"
	"net"
	"net/http"
	"syscall"
)

// Clients write large requests in pieces of 32 KiB or less. A server that reads each as it comes is woken for each, and
// wakes the client for the next, which costs more than the reading. So it waits for more of them, but never for more
// than is sure to come: gatherSpare is more than net/http may have read ahead.
const (
	gatherBytes = 256 << 10
	gatherSpare = 64 << 10
)

// gather keeps how many bytes a connection's reader waits for; nil does nothing.
type gather struct {
	conn  syscall.RawConn
	bytes int
}

type gatherKey struct{}

// withGather makes requests' bodies on c be gathered, if c is plain TCP.
func withGather(ctx context.Context, c net.Conn) context.Context {
	if limited, ok := c.(*limitedConn); ok {
		if tcp, ok := limited.Conn.(*net.TCPConn); ok {
			if conn, err := tcp.SyscallConn(); err == nil {
				return context.WithValue(ctx, gatherKey{}, &gather{conn, 1})
			}
		}
	}
	return ctx
}

// gatherFor is r's connection's, if r has it to itself.
func gatherFor(r *http.Request) *gather {
	if r.ProtoMajor != 1 {
		return nil
	}
	g, _ := r.Context().Value(gatherKey{}).(*gather)
	return g
}

// expect says that so much of a body is still to come.
func (g *gather) expect(left int64) {
	if g == nil {
		return
	}
	if bytes := int(max(1, min(left-gatherSpare, gatherBytes))); bytes != g.bytes {
		g.bytes = bytes
		wakeAt(g.conn, bytes)
	}
}
