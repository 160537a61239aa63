//go:build !linux

package localstream

import "syscall"

// wakeAt does nothing here.
func wakeAt(syscall.RawConn, int) {}
