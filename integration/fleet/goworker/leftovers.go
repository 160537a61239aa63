package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// leftovers describes what of the process still lives although its worker has ended and its connections were closed:
// goroutines besides the main one, and sockets. It is empty if nothing does, within the limit.
func leftovers(limit time.Duration) string {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(limit); ; <-ticker.C {
		left := append(goroutines(), sockets()...)
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}

// goroutines are the stacks of all but the calling one and that of package os/signal, which never ends.
func goroutines() []string {
	text := make([]byte, 1<<20)
	text = text[:runtime.Stack(text, true)]
	var others []string
	for _, stack := range strings.Split(strings.TrimSpace(string(text)), "\n\n")[1:] {
		if !strings.Contains(stack, "\nos/signal.loop()") {
			others = append(others, stack)
		}
	}
	return others
}

// sockets are the open ones, where the system tells.
func sockets() []string {
	var open []string
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
			open = append(open, fmt.Sprintf("file descriptor %s is %s", filepath.Base(fd), to))
		}
	}
	return open
}
