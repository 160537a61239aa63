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
	"time"
)

// TestBodiesOfEverySizeAreReadToTheirEnd sends bodies around the sizes where it is decided how many bytes to wait for, in
// pieces and with the last byte alone, each on a connection that had one before which nobody read.
func TestBodiesOfEverySizeAreReadToTheirEnd(t *testing.T) {
	srv, err := Open("", Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, l) }()
	for _, size := range []int{2, gatherSpare - 1, gatherSpare, gatherSpare + 1, gatherSpare + 2, gatherSpare + 5000, gatherBytes,
		gatherSpare + gatherBytes - 1, gatherSpare + gatherBytes, gatherSpare + gatherBytes + 1, 2*gatherBytes + 1, 3 << 20, 2} {
		if err := sendBodies(l.Addr().String(), size); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

func sendBodies(address string, size int) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	replies := bufio.NewReader(c)
	unread := gatherSpare + 10_000 // net/http itself reads so much
	requests := []struct {
		head string
		size int
	}{{fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", healthPath, unread), unread}, {fmt.Sprintf(head, size), size}}
	for _, r := range requests {
		if err := send(c, r.head, "{"+strings.Repeat(" ", r.size-2), "}"); err != nil {
			return err
		}
		reply, err := http.ReadResponse(replies, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, reply.Body); err != nil || reply.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s: %w", reply.Status, err)
		}
	}
	return nil
}

// send writes texts in pieces of less than 7 KiB.
func send(w io.Writer, texts ...string) error {
	for _, text := range texts {
		for len(text) > 0 {
			n := min(len(text), 7000)
			if _, err := io.WriteString(w, text[:n]); err != nil {
				return err
			}
			text = text[n:]
		}
	}
	return nil
}
