package main

import "testing"

func TestTracesAreAddedUpByParts(t *testing.T) {
	const text = `File: bench
Type: cpu
Duration: 138.58s, Total samples = 60ms (12.30%)
-----------+-------------------------------------------------------
      40ms   internal/runtime/syscall/linux.Syscall6
             syscall.Syscall (inline)
             net/http.(*persistConn).readLoop
-----------+-------------------------------------------------------
      10ms   runtime.mallocgc
             github.com/shoal-stream/shoal/lease/dynamo.(*Store).Renew
             github.com/shoal-stream/shoal/lease.(*Keeper).work
-----------+-------------------------------------------------------
      10ms   runtime.scanobject
             runtime.gcBgMarkWorker
-----------+-------------------------------------------------------
`
	p, err := readTraces(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []share{{"the socket, in the kernel", 40}, {"garbage collection", 10}, {"leases and start", 10}}
	if p.total != 60 || len(p.shares) != len(want) {
		t.Fatalf("%v of %v ms, want %v", p.shares, p.total, want)
	}
	for i, s := range p.shares {
		if s != want[i] {
			t.Errorf("share %d is %v, want %v", i, s, want[i])
		}
	}
	if _, err := readTraces("File: bench\n"); err == nil {
		t.Error("a listing without samples gives no error")
	}
}
