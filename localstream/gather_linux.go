package localstream

import "syscall"

// wakeAt has reads of a connection wait for so many bytes, or for its end.
func wakeAt(conn syscall.RawConn, bytes int) {
	_ = conn.Control(func(fd uintptr) { // without it reading is only dearer
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
	})
}
